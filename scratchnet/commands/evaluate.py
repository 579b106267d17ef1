"""python -m scratchnet evaluate RUN… DATA: how good a network is on images whose classes are known."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scratchnet.commands.shared import (
    TOGETHER,
    add_network_arguments,
    add_raw_argument,
    add_symmetries_argument,
    class_called,
    load_network,
    members_of,
    require_ending,
    require_writable,
    say,
)
from scratchnet.data import Dataset, Manifest, read_manifest
from scratchnet.data.familiar import caution
from scratchnet.errors import ConfigError, DataError
from scratchnet.measures.doubts import csv_of as csv_of_doubts
from scratchnet.measures.doubts import doubts
from scratchnet.measures.doubts import in_words as doubts_in_words
from scratchnet.measures.patients import Patient, csv_of, patients, table_of, verdicts_in_words
from scratchnet.measures.predictions import Predictions, in_words
from scratchnet.measures.reliability import Reliabilities
from scratchnet.measures.reliability import in_words as reliabilities_in_words
from scratchnet.measures.scores import Scores
from scratchnet.prepare.sources import PRELIM, find_images
from scratchnet.prepare.tables import comparable, read_files, read_subjects
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.bar import Bar
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.invocation import command
from scratchnet.terminal.text_table import text_table, wrapped
from scratchnet.terminal.wording import counted
from scratchnet.training.selection import choosing_side
from scratchnet.use.ensemble import Ensemble
from scratchnet.use.predictor import Predictor

BEST = "best.h5"
PATIENTS = 30  # lines of their table on the terminal
SUBJECT_OPTIONS = ("subject_pattern", "subjects")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_network_arguments(parser, nargs="+", help=TOGETHER)
    add = parser.add_argument
    add(
        "data",
        metavar="DATA",
        help="prepared shards, or a folder of images: a C-NMC tree, or one folder for each class",
    )
    add(
        "--split",
        metavar="NAME",
        help="of prepared shards: which side (test); prelim: the preliminary set of a C-NMC tree",
    )
    add(
        "--subject-pattern",
        metavar="REGEX",
        help="of a folder of images: finds the subject in a file's name, or with a slash in its path",
    )
    add("--subjects", metavar="TABLE", help="of a folder of images: a table of file and subject")
    add(
        "--without",
        metavar="CLASS",
        action="append",
        default=[],
        help="a class, or a folder of images, to leave out, such as one that the network does not know; or a table of images, FILE.csv "
        "with a column path or file, as --doubtful writes it; may be given again",
    )
    add(
        "--positive", metavar="CLASS", help="of two classes the one that is looked for, whose recall is the sensitivity"
    )
    add("--bootstrap", type=int, default=1000, metavar="N", help="resamples for the intervals (1000; 0: no intervals)")
    add_symmetries_argument(parser)
    add_raw_argument(parser)
    add("--json", metavar="FILE", help="write all figures there")
    add("--predictions", metavar="FILE", help="write a line for each image there, as CSV")
    add("--patients", metavar="FILE", help="write a line for each subject there, as CSV")
    add(
        "--doubtful",
        metavar="FILE",
        help="write the images there, as CSV, that look like another class's own: their labels are in doubt",
    )


def run(options: argparse.Namespace) -> int:
    """Prints the table. Returns 1 if an image could not be read."""
    require_writable(options.json, options.predictions, options.patients, options.doubtful)
    require_ending(options.json, "--json", (".json",), "JSON")
    for name in ("predictions", "patients", "doubtful"):
        require_ending(getattr(options, name), f"--{name}", (".csv",), "CSV, which every spreadsheet opens,")
    options.tables = [name for name in options.without if name.lower().endswith(".csv")]
    options.without = [name for name in options.without if name not in options.tables]
    options.listed = frozenset().union(*(read_files(Path(table)) for table in options.tables))
    predictor = load_network(options)
    positive = options.positive and class_called(options.positive, predictor, "--positive")
    folder = Path(options.data)
    prepared = (folder / "manifest.json").is_file()
    _refuse_what_means_nothing(options, prepared)
    judged = _of_shards(predictor, folder, options) if prepared else _of_images(predictor, folder, options)
    said = replace(judged.predictions, calibration=predictor.calibration_for(options.symmetries))
    judged = replace(judged, predictions=said)
    if said.threshold and positive not in (None, said.threshold[0]):
        raise ConfigError(
            f"--positive {positive}: the run has a threshold for {said.threshold[0]}: leave one out, with --raw"
        )
    by_patient = patients(said) if said.subjects is not None else []
    if options.patients and not by_patient:
        raise DataError(
            f"--patients {options.patients}: the subjects are not known: say who they are with --subjects TABLE"
        )
    side = (options.split or "test") if prepared else options.split
    manifests = [_training_manifest(one, folder) for one in members_of(predictor)]
    known = _of_all(
        _what_is_known(one, manifest, said.subjects, side if _is_of(manifest, folder) else None)
        for one, manifest in zip(members_of(predictor), manifests, strict=True)
    )
    prior = _training_frequencies(manifests[0], said.class_names)
    found = said.scores(positive=positive, prior=prior, bootstrap=options.bootstrap)
    reliabilities = Reliabilities.all_of(said, found.positive)
    print("\n".join(_describe(judged, found, known)))
    print("\n".join(["", *_of_calibration(reliabilities, predictor, options), *_of_patients(said, by_patient)]))
    if options.json:
        facts = {
            "weights": ", ".join(str(one.source) for one in members_of(predictor)),
            "data": str(folder),
            "split": side,
            "symmetries": predictor.symmetries if options.symmetries is None else options.symmetries,
            "without": [*options.without, *options.tables],
            "left_out_by_table": judged.left_out,
            "unreadable": judged.unreadable,
            "unlike_training": judged.unlike_training,
            "subjects_seen_in_training": None if known.trained is None else sorted(known.trained),
            "subjects_seen_in_choosing": None if known.chosen is None else sorted(known.chosen),
            "weights_chosen_on_these": known.is_choice,
            "calibration": [one.to_dict() for one in reliabilities],
            "patients": [asdict(one) for one in by_patient],
        }
        write_text_atomically(options.json, json.dumps(facts | found.to_dict(), indent=1) + "\n")
    if options.predictions:
        said.write(options.predictions)
    if options.patients:
        write_text_atomically(options.patients, csv_of(said, by_patient))
    if options.doubtful:
        found_doubts = doubts(said)
        write_text_atomically(options.doubtful, csv_of_doubts(said, found_doubts))
        text = f"{doubts_in_words(said, found_doubts)} See {printable(options.doubtful)}."
        if known.trained:
            text += (
                " CAUTION: the network agrees with labels that it has learnt, right or wrong: the list is too short."
            )
        print("\n".join(["", *wrapped(text)]))
    return 1 if judged.unreadable else 0


def _refuse_what_means_nothing(options: argparse.Namespace, prepared: bool) -> None:
    if prepared:
        for name in SUBJECT_OPTIONS:
            if getattr(options, name) is not None:
                raise ConfigError(
                    f"{options.data} is prepared and knows its subjects: leave out --{name.replace('_', '-')}"
                )
    elif options.split not in (None, PRELIM):
        raise ConfigError(
            f"{options.data} is not a folder of prepared shards, and only those have sides: leave out --split, or for C-NMC's "
            f"preliminary set say --split {PRELIM}"
        )


@dataclass(frozen=True)
class Judged:
    """The network's answers. unreadable: how many images could not be read. unlike_training: how many of the others are unlike
    those of the training; None if the weights do not know what those looked like. left_out: how many a table of --without names."""

    predictions: Predictions
    unreadable: int
    unlike_training: int | None
    left_out: int


def _of_shards(predictor: Predictor, folder: Path, options: argparse.Namespace) -> Judged:
    with Dataset(folder, options.split or "test", memory_limit=0) as dataset:
        if dataset.image_shape[0] != predictor.image_size:
            raise DataError(
                f"{folder} holds images of {dataset.image_shape[0]} pixels, the network is for {predictor.image_size}: "
                "give the folder of the original images, or prepare them again in that size"
            )
        if dataset.manifest.preprocessing != predictor.preprocessing:
            say(f"CAUTION: {folder} was prepared in another way than the training images were.")
        classes = {name.casefold() for name in dataset.class_names}
        if idle := [name for name in options.without if name.casefold() not in classes]:
            raise ConfigError(
                f"--without {idle[0]}: {folder} has no such class, only {', '.join(dataset.class_names)}; a table of images must end "
                "in .csv"
            )
        label_of = _network_labels(dataset.class_names, predictor, options.without)
        asked = np.flatnonzero(label_of[dataset.labels] >= 0)
        numbers = asked[_stays([dataset.paths[k] for k in asked], options)]
        if not len(numbers):
            raise DataError(f"{folder}: no image is left, of {len(dataset)}")
        parts, far = [], 0
        for start in Bar(range(0, len(numbers), predictor.batch_size), desc="evaluating", disable=None, leave=False):
            pixels = dataset.read(numbers[start : start + predictor.batch_size])
            parts.append(predictor.probabilities(pixels, symmetries=options.symmetries))
            far += int(predictor.far(pixels).sum())
        said = Predictions(
            class_names=predictor.class_names,
            paths=tuple(dataset.paths[k] for k in numbers),
            subjects=tuple(dataset.subjects[k] for k in numbers) if dataset.manifest.subjects_known else None,
            labels=label_of[dataset.labels[numbers]],
            probabilities=np.concatenate(parts),
            class_labels=predictor.class_labels,
        )
        return Judged(said, 0, far if predictor.familiar else None, len(asked) - len(numbers))


def _of_images(predictor: Predictor, folder: Path, options: argparse.Namespace) -> Judged:
    table = read_subjects(Path(options.subjects)) if options.subjects is not None else None
    prelim = options.split == PRELIM
    found = find_images(
        folder,
        subject_pattern=options.subject_pattern,
        subjects=table,
        prelim=prelim,
        known=predictor.class_names,
        without=options.without,
    )
    label_of = _network_labels(found.class_names, predictor, options.without)
    asked = [image for image in found.images if (not prelim or image.part == PRELIM) and label_of[image.label] >= 0]
    images = list(compress(asked, _stays([image.path for image in asked], options)))
    for remark in found.left_out:
        say(f"left out: {remark.path}: {remark.reason}")
    stream = predictor.stream([image.file for image in images], symmetries=options.symmetries)
    usable, probabilities, far = [], [], 0
    for image, one in zip(
        images,
        Bar(stream, total=len(images), desc="evaluating", unit=" images", disable=None, leave=False),
        strict=True,
    ):
        if one.probabilities is None:
            Bar.write(printable(f"{image.path}: {one.problem}"), file=sys.stderr)
        else:
            usable.append(image)
            probabilities.append(one.probabilities)
            far += one.caution is not None
    if not images:
        raise DataError(f"{folder}: no image is left, of {len(found.images)}")
    if not usable:
        raise DataError(f"{folder}: none of its {len(images)} images can be read")
    subjects = [image.subject for image in usable if image.subject is not None]
    said = Predictions(
        class_names=predictor.class_names,
        paths=tuple(image.path for image in usable),
        subjects=tuple(subjects) if len(subjects) == len(usable) else None,
        labels=label_of[[image.label for image in usable]],
        probabilities=np.stack(probabilities),
        class_labels=predictor.class_labels,
    )
    unreadable = len(images) - len(usable)
    return Judged(said, unreadable, far if predictor.familiar else None, len(asked) - len(images))


def _stays(paths: Sequence[str], options: argparse.Namespace) -> NDArray[np.bool_]:
    """Which images no table of --without names; says how many one does."""
    stays = np.array([comparable(path) not in options.listed for path in paths], bool)
    if options.tables:
        say(f"left out: {counted(int((~stays).sum()), 'image')} that the table names")
    if options.listed and paths and stays.all():
        say(f"CAUTION: the table names none of these images; it has {min(options.listed)!r}, here is {paths[0]!r}.")
    return stays


def _network_labels(names: tuple[str, ...], predictor: Predictor, without: list[str]) -> NDArray[np.int64]:
    """For each class of the data its label in the network, by name; −1 for those to leave out. Upper and lower case
    are the same."""
    known = {name.casefold(): label for label, name in enumerate(predictor.class_names)}
    known |= {name.casefold(): -1 for name in without}
    strangers = [name for name in names if name.casefold() not in known]
    if strangers:
        raise DataError(
            f"the data's class {strangers[0]!r} is not one of the network's, which are {', '.join(predictor.class_names)}: "
            f"leave its images out with --without {strangers[0]}"
        )
    return np.array([known[name.casefold()] for name in names], np.int64)


def _training_manifest(predictor: Predictor, folder: Path) -> Manifest | None:
    """The data the network was trained on, if they are still there: DATA itself, or the folder used in training."""
    for path in (folder, Path(str(predictor.about.get("data", "")))):
        try:
            manifest = read_manifest(path)
        except DataError:
            continue
        if manifest.dataset_id == predictor.about.get("dataset_id"):
            return manifest
    return None


def _training_frequencies(manifest: Manifest | None, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """How often each class occurs in training, for the constant answer with which the network is compared."""
    return manifest.splits["train"].images_per_class if manifest and manifest.class_names == names else None


@dataclass(frozen=True)
class Known:
    """How the weights are related to the images they are judged on.

    trained, chosen: the subjects among them that were trained on, and on whom the best epoch was chosen; None if that cannot be
    known. is_choice: whether these weights are that choice, best.h5, and were chosen on images that are judged here.
    """

    trained: set[str] | None
    chosen: set[str] | None
    is_choice: bool


def _what_is_known(
    predictor: Predictor, manifest: Manifest | None, subjects: tuple[str, ...] | None, side: str | None
) -> Known:
    """manifest: of the training data, if it is still there. side: that of the training data that is judged, if it is one."""
    is_best = predictor.source is not None and predictor.source.name == BEST
    if manifest is None:
        return Known(None, None, False)
    choosing = choosing_side(manifest.splits)
    if subjects is None or not manifest.subjects_known:
        return Known(None, None, is_best and side == choosing)
    trained, chosen = (_among(subjects, manifest, name) for name in ("train", choosing))
    return Known(trained, chosen, is_best and bool(chosen))


def _of_all(each: Iterable[Known]) -> Known:
    """What is known of networks that answer together: a subject that one of them has seen was seen."""
    all_of_them = list(each)
    seen = [
        None if None in sets else set().union(*(one for one in sets if one is not None))
        for sets in ([one.trained for one in all_of_them], [one.chosen for one in all_of_them])
    ]
    return Known(seen[0], seen[1], any(one.is_choice for one in all_of_them))


def _is_of(manifest: Manifest | None, folder: Path) -> bool:
    """Whether the folder is the training data itself."""
    try:
        return manifest is not None and read_manifest(folder).dataset_id == manifest.dataset_id
    except DataError:
        return False


def _among(subjects: tuple[str, ...], manifest: Manifest, side: str) -> set[str]:
    """The subjects that stand on that side of the training data."""
    there = _each(manifest.splits[side].subjects)
    return {subject for subject in set(subjects) if there.intersection(_each([subject]))}


def _each(subjects: Iterable[str]) -> set[str]:
    """The names in "20+21", which are subjects that share an image and count as one."""
    return {name for subject in subjects for name in subject.split("+")}


def _describe(judged: Judged, found: Scores, known: Known) -> list[str]:
    """The description for people, line by line."""
    said = judged.predictions
    names = said.shown_names
    counts = np.bincount(said.labels, minlength=len(names))
    classes = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    subjects = "" if said.subjects is None else f" of {counted(len(set(said.subjects)), 'subject')}"
    lines = [f"{counted(len(said.labels), 'image')} ({classes}){subjects}"]
    if judged.left_out:
        lines.append(
            f"CAUTION: {counted(judged.left_out, 'image')} left out, as a table of --without says: without images that networks find "
            "hard, the figures are too good."
        )
    lines = [line for text in (*lines, *_caveats(known), *_unlike(judged)) for line in wrapped(text)]
    lines += ["", *found.table().splitlines(), ""]
    confusion = said.confusion()
    width = max(len(name) for name, row in zip(names, confusion, strict=True) if row.sum())
    for label, (name, row) in enumerate(zip(names, confusion, strict=True)):
        if row.sum():
            lines += wrapped(f"{name:<{width}}  {in_words(row, label, names)}", indent=" " * (width + 2))
    return lines


def _of_calibration(found: list[Reliabilities], predictor: Predictor, options: argparse.Namespace) -> list[str]:
    """How far the probabilities are what they say and, of raw ones, what would help."""
    shown = predictor.class_labels.get(found[0].of or "")
    text = reliabilities_in_words(found, shown)
    if isinstance(predictor, Ensemble):
        text += " The probabilities are means."
    elif predictor.calibration is None and not options.raw:
        counts = (predictor.about.get("facts") or {}).get("class_counts") or {}
        remedy = (
            command("calibrate", options.run[0]) if "validation" in counts else "train with --validation-fraction 0.15"
        )
        text += f" Nothing was fitted to validation images: {remedy}."
    return wrapped(text)


def _of_patients(said: Predictions, found: list[Patient]) -> list[str]:
    """The table of patients, or as much of it as a screen holds."""
    if not found:
        return []
    rows = text_table(table_of(said, found[:PATIENTS]), left=(0, 2), beside=True)
    more = (
        f" The first {PATIENTS} of {len(found)} are shown: --patients FILE writes all." if len(found) > PATIENTS else ""
    )
    how = f"A patient's verdict follows from the mean probability of its cells: {verdicts_in_words(found)}{more}"
    return ["", *rows, *wrapped(how)]


def _unlike(judged: Judged) -> list[str]:
    """How many images look different from those of the training."""
    far, count = judged.unlike_training, len(judged.predictions.labels)
    return [f"{caution(far, count)}, in colours or brightness."] if far else []


def _caveats(known: Known) -> list[str]:
    """How much the figures say about new subjects."""
    if known.trained is None:
        lines = ["It cannot be known whether images of these subjects were trained on."]
    elif known.trained:
        were = "was" if len(known.trained) == 1 else "were"
        lines = [
            f"CAUTION: {len(known.trained)} of these subjects {were} trained on, such as {min(known.trained)!r}: "
            "the figures say little about new subjects."
        ]
    else:
        lines = ["None of these subjects was trained on."]
    if known.is_choice:
        whose = f"images of {len(known.chosen)} of these subjects" if known.chosen else "these images"
        lines.append(
            f"CAUTION: {BEST} is the epoch that did best on {whose}: the figures are better than new subjects' would be."
        )
    elif known.chosen:
        were = "was" if len(known.chosen) == 1 else "were"
        lines.append(f"{len(known.chosen)} of them {were} used to choose the best epoch ({BEST}).")
    return lines
