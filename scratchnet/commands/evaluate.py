"""python -m scratchnet evaluate RUN DATA: how good a network is on images whose classes are known."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data_prep.sources import find_images
from data_prep.tables import read_subjects
from scratchnet.command_line import printable
from scratchnet.commands.shared import add_network_arguments, add_symmetries_argument, load_network, say
from scratchnet.data import Dataset, Manifest, read_manifest
from scratchnet.errors import ConfigError, DataError
from scratchnet.files import write_text_atomically
from scratchnet.predictions import Predictions
from scratchnet.predictor import Predictor
from scratchnet.scores import Scores, scores

SUBJECT_OPTIONS = ("subject_pattern", "subjects")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_network_arguments(parser)
    add = parser.add_argument
    add(
        "data",
        metavar="DATA",
        help="prepared shards, or a folder of images: a C-NMC tree, or one folder for each class",
    )
    add("--split", metavar="NAME", help="of prepared shards: which side (test)")
    add("--subject-pattern", metavar="REGEX", help="of a folder of images: finds the subject in a file's path")
    add("--subjects", metavar="CSV", help="of a folder of images: a table of file and subject")
    add(
        "--positive", metavar="CLASS", help="of two classes the one that is looked for, whose recall is the sensitivity"
    )
    add("--bootstrap", type=int, default=1000, metavar="N", help="resamples for the intervals (1000; 0: no intervals)")
    add_symmetries_argument(parser)
    add("--json", metavar="FILE", help="write all figures there")
    add("--predictions", metavar="FILE", help="write a line for each image there, as CSV")


def run(options: argparse.Namespace) -> int:
    """Prints the table. Returns 1 if an image could not be read."""
    predictor = load_network(options)
    folder = Path(options.data)
    prepared = (folder / "manifest.json").is_file()
    _refuse_what_means_nothing(options, prepared)
    said, bad = _of_shards(predictor, folder, options) if prepared else _of_images(predictor, folder, options)
    trained_on = _training_manifest(predictor, folder)
    found = scores(
        said.labels,
        said.probabilities,
        said.subjects,
        said.class_names,
        positive=options.positive,
        prior=_training_frequencies(trained_on, said.class_names),
        bootstrap=options.bootstrap,
    )
    seen = _seen_in_training(said.subjects, trained_on)
    # Names of classes and subjects may come from strangers.
    print("\n".join(printable(line) for line in _describe(said, found, seen)))
    if options.json:
        facts = {
            "weights": str(predictor.source),
            "data": str(folder),
            "split": (options.split or "test") if prepared else None,
            "symmetries": predictor.symmetries if options.symmetries is None else options.symmetries,
            "unreadable": bad,
            "subjects_seen_in_training": None if seen is None else sorted(seen),
        }
        write_text_atomically(options.json, json.dumps(facts | found.to_dict(), indent=1) + "\n")
    if options.predictions:
        said.write(options.predictions)
    return 1 if bad else 0


def _refuse_what_means_nothing(options: argparse.Namespace, prepared: bool) -> None:
    if prepared:
        for name in SUBJECT_OPTIONS:
            if getattr(options, name) is not None:
                raise ConfigError(
                    f"{options.data} is prepared and knows its subjects: leave out --{name.replace('_', '-')}"
                )
    elif options.split is not None:
        raise ConfigError(f"{options.data} is no folder of prepared shards, which alone have sides: leave out --split")


def _of_shards(predictor: Predictor, folder: Path, options: argparse.Namespace) -> tuple[Predictions, int]:
    with Dataset(folder, options.split or "test", memory_limit=0) as dataset:
        if dataset.image_shape[0] != predictor.image_size:
            raise DataError(
                f"{folder} holds images of {dataset.image_shape[0]} pixels, the network is for {predictor.image_size}: "
                "give the folder of the original images, or prepare them again in that size"
            )
        if dataset.manifest.preprocessing != predictor.preprocessing:
            say(f"CAUTION: {folder} was prepared in another way than the training images were.")
        places = _places(dataset.class_names, predictor)
        numbers = np.arange(len(dataset))
        parts = [
            predictor.probabilities(
                dataset.read(numbers[start : start + predictor.batch_size]), symmetries=options.symmetries
            )
            for start in tqdm(
                range(0, len(dataset), predictor.batch_size), desc="evaluating", disable=None, leave=False
            )
        ]
        subjects = dataset.subjects if dataset.manifest.subjects_known else None
        probabilities = np.concatenate(parts).astype(np.float64)
        said = Predictions(predictor.class_names, dataset.paths, subjects, places[dataset.labels], probabilities)
        return said, 0


def _of_images(predictor: Predictor, folder: Path, options: argparse.Namespace) -> tuple[Predictions, int]:
    """The answers, and how many images could not be read."""
    table = read_subjects(Path(options.subjects)) if options.subjects is not None else None
    found = find_images(folder, subject_pattern=options.subject_pattern, subjects=table)
    places = _places(found.class_names, predictor)
    for remark in found.left_out:
        say(f"left out: {remark.path}: {remark.reason}")
    stream = predictor.stream([image.file for image in found.images], symmetries=options.symmetries)
    usable, probabilities = [], []
    for image, one in zip(
        found.images,
        tqdm(stream, total=len(found.images), desc="evaluating", unit=" images", disable=None, leave=False),
        strict=True,
    ):
        if one.probabilities is None:
            tqdm.write(printable(f"{image.path}: {one.problem}"), file=sys.stderr)
        else:
            usable.append(image)
            probabilities.append(one.probabilities)
    if not usable:
        raise DataError(f"{folder}: none of its {len(found.images)} images can be read")
    subjects = [image.subject for image in usable if image.subject is not None]
    said = Predictions(
        class_names=predictor.class_names,
        paths=tuple(image.path for image in usable),
        subjects=tuple(subjects) if len(subjects) == len(usable) else None,
        labels=places[[image.label for image in usable]],
        probabilities=np.stack(probabilities).astype(np.float64),
    )
    return said, len(found.images) - len(usable)


def _places(names: tuple[str, ...], predictor: Predictor) -> NDArray[np.int64]:
    """For each class of the data its place among the network's, by name; upper and lower case are the same."""
    known = {name.casefold(): place for place, name in enumerate(predictor.class_names)}
    strangers = [name for name in names if name.casefold() not in known]
    if strangers:
        raise DataError(
            f"the data's class {strangers[0]!r} is none of the network's, which are {', '.join(predictor.class_names)}"
        )
    return np.array([known[name.casefold()] for name in names], np.int64)


def _training_manifest(predictor: Predictor, folder: Path) -> Manifest | None:
    """What the network was trained on, if that is still there: it may be DATA itself, or stand where it stood in training."""
    for place in (folder, Path(str(predictor.about.get("data", "")))):
        try:
            manifest = read_manifest(place)
        except DataError:
            continue
        if manifest.dataset_id == predictor.about.get("dataset_id"):
            return manifest
    return None


def _training_frequencies(manifest: Manifest | None, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """How often each class stands in training, for the constant answer that the network is compared with."""
    return manifest.splits["train"].images_per_class if manifest and manifest.class_names == names else None


def _seen_in_training(subjects: tuple[str, ...] | None, manifest: Manifest | None) -> set[str] | None:
    """The subjects of the data that were trained on; None where that cannot be known."""
    if subjects is None or manifest is None or not manifest.subjects_known:
        return None
    sides = [manifest.splits[side].subjects for side in ("train", "validation") if side in manifest.splits]
    trained = _each(name for side in sides for name in side)
    return {subject for subject in set(subjects) if trained.intersection(_each([subject]))}


def _each(subjects: Iterable[str]) -> set[str]:
    """The names in "20+21", which are subjects that share an image and count as one."""
    return {name for subject in subjects for name in subject.split("+")}


def _describe(said: Predictions, found: Scores, seen: set[str] | None) -> list[str]:
    """What a person wants to know, line by line."""
    names = said.class_names
    counts = np.bincount(said.labels, minlength=len(names))
    classes = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    subjects = "" if said.subjects is None else f" of {len(set(said.subjects))} subjects"
    lines = [f"{len(said.labels)} images ({classes}){subjects}"]
    if seen is None:
        lines.append("It cannot be known whether images of these subjects were trained on.")
    elif seen:
        lines.append(
            f"CAUTION: {len(seen)} of these subjects were trained on, such as {min(seen)!r}: "
            "the figures say little about new subjects."
        )
    else:
        lines.append("None of these subjects was trained on.")
    lines += ["", *found.table().splitlines(), ""]
    width = max(map(len, names))
    for name, row in zip(names, said.confusion(), strict=True):
        shares = ", ".join(f"{count} as {other}" for count, other in zip(row, names, strict=True))
        lines.append(f"{name:<{width}}  {shares}")
    return lines
