"""Which files of a folder are images of which class and which subject.

Two layouts are known:

    C-NMC       …/fold_0/all/UID_11_10_1_all.bmp     class from the folder, subject (11) from the name; upper and lower
                …/fold_2/hem/UID_H10_2_1_hem.bmp     case mean the same, and HEM subject H11 is not ALL subject 11
                …_prelim_…/17.bmp                    the preliminary test set, if it is asked for: class and original
                …_prelim_…_labels.csv                name from its table;
                prelim_test/all/UID_57_8_11_all.bmp  or sorted into classes, under the original names
    by class    SOURCE/Parasitized/…/any.png         class from the folder directly in SOURCE; subject from a pattern, or
                SOURCE/Uninfected/…/any.png          from a CSV file, or from the name where it is one of C-NMC, or unknown

The folds may lie at any depth. Links that lead out of SOURCE, links to folders and hidden folders are not followed; they are
listed, and so is every file that stands outside the folders above.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.known_classes import SPLIT_NAMES, choose_known
from data_prep.tables import SubjectTable, read_prelim_labels, stem
from scratchnet.data import Remark
from scratchnet.errors import ConfigError, DataError

FOLD = re.compile(r"fold_\d+", re.IGNORECASE)
PRELIM = "prelim"
CNMC_CLASSES = ("all", "hem")
CNMC_NAME = re.compile(r"UID_(?P<subject>[^_]+)_\d+_\d+_(?P<label>all|hem)", re.IGNORECASE)
NO_MATCH = "subject unknown: --subject-pattern finds none in the path"
NOT_LISTED = "subject unknown: the CSV file does not list it"
OTHER_CASE = "subject unknown: the CSV file lists it in other upper and lower case"


@dataclass(frozen=True)
class SourceImage:
    """A file that should be an image. path: relative to SOURCE, with "/". subject: None if unknown.

    part: "fold_0", … or "prelim", which of C-NMC's sets it belongs to; "" elsewhere.
    """

    file: Path
    path: str
    label: int
    subject: str | None
    part: str


@dataclass(frozen=True)
class Found:
    """What a folder holds. layout: "C-NMC" or "by class". images: in the order of their paths. left_out: the rest, with reasons."""

    layout: str
    class_names: tuple[str, ...]
    images: tuple[SourceImage, ...]
    left_out: tuple[Remark, ...]


@dataclass(frozen=True)
class Place:
    """Where a file stands: the label of its class, what says so, its part, and the name that may tell its subject."""

    label: int
    said_by: str
    part: str
    name: str


def find_images(
    source: Path,
    *,
    subject_pattern: str | None = None,
    subjects: SubjectTable | None = None,
    prelim: bool = False,
    known: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Found:
    """Lists the images below `source` with class and subject, opening none of them.

    subject_pattern: a regular expression searched in the relative path; its group "subject", or else its first, is the
    subject. subjects: from `read_subjects`; goes before the pattern, and both go before C-NMC's names. prelim: list C-NMC's
    preliminary test set too. known: the classes of a network that is to be judged on them, which then are the class names;
    without: folders to leave out of these. `known_classes` says how the files are told then, where it is no C-NMC tree.

    Raises DataError if `source` is not a folder, has neither layout, lacks the preliminary test set that is asked for, or no
    image can be used; ConfigError if the pattern is not valid.
    """
    if source.is_file():
        raise DataError(f"{source}: is a file; expected a folder of images.")
    if not source.is_dir():
        raise DataError(
            f"{source}: there is no such folder. Give the folder that holds fold_0, fold_1, … or one folder per class."
        )
    files, left_out = _list_files(source)
    pattern = compile_subject_pattern(subject_pattern) if subject_pattern else None
    is_cnmc = any(_fold_of(path) for path in files)
    if known and not is_cnmc and not prelim:
        labels, outside = choose_known(source, files, known, without)
        class_names, chosen = tuple(known), {path: Place(labels[path], "folder", "", path) for path in labels}
    else:
        choose = _choose_cnmc if is_cnmc else _choose_by_class
        class_names, chosen, outside = choose(source, files, prelim)
    left_out += outside
    names_tell = is_cnmc or _named_as_in_cnmc(class_names, chosen)
    if subjects:
        left_out += _rows_without_file(subjects, {*files, *(remark.path for remark in left_out)})

    images, refused = [], []
    for path, place in chosen.items():
        try:
            subject = _subject(path, place, class_names[place.label], names_tell, pattern, subjects)
        except _LeftOut as reason:
            refused.append(Remark(path, str(reason)))
        else:
            images.append(SourceImage(source / path, path, place.label, subject, place.part))
    if not images:
        reasons = "; ".join(f"{remark.path!r}: {remark.reason}" for remark in refused[:3])
        if all(remark.reason == NO_MATCH for remark in refused):
            reasons = f"--subject-pattern '{subject_pattern}' finds no subject in any path, e.g. in {refused[0].path!r}"
        elif subjects and all(remark.reason in (NOT_LISTED, OTHER_CASE) for remark in refused):
            listed = f"{subjects.name} lists none of the files. It names {next(iter(subjects.subjects), 'none')!r}"
            case = " Upper and lower case must agree." if refused[0].reason == OTHER_CASE else ""
            reasons = f"{listed}; expected paths in the source, such as {refused[0].path!r}.{case}".removesuffix(".")
        raise DataError(f"{source}: no image to use: {reasons}.")
    return Found("C-NMC" if is_cnmc else "by class", class_names, tuple(images), (*left_out, *refused))


def compile_subject_pattern(pattern: str) -> re.Pattern[str]:
    """Checks and compiles --subject-pattern. Raises ConfigError if it is not a regular expression with a group."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--subject-pattern {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups == 0:
        raise ConfigError(
            f"--subject-pattern {pattern!r} has no group: put parentheses around the subject, as in '^[^/]+/(C[0-9]+)'"
        )
    return compiled


class _LeftOut(Exception):  # noqa: N818 - no error, the program goes on
    """The reason why a file of a class folder is not used."""


def _subject(
    path: str,
    place: Place,
    class_name: str,
    names_tell: bool,
    pattern: re.Pattern[str] | None,
    table: SubjectTable | None,
) -> str | None:
    """The subject of one image, or None if nothing tells it. Raises _LeftOut if something should tell it, or contradicts its class."""
    name = CNMC_NAME.fullmatch(stem(place.name)) if names_tell else None
    if name and name["label"] != class_name.casefold():
        raise _LeftOut(f"mislabelled: the {place.said_by} says {class_name}, the name says {name['label']}")
    if table:
        if path not in table.subjects:
            raise _LeftOut(OTHER_CASE if path.casefold() in table.casefolded else NOT_LISTED)
        if table.labels.get(path, class_name).casefold() != class_name.casefold():
            raise _LeftOut(f"mislabelled: the folder says {class_name}, the CSV file says {table.labels[path]}")
        return table.subjects[path]
    if pattern:
        match = pattern.search(path)
        subject = match and (match["subject"] if "subject" in pattern.groupindex else match[1])
        if not subject:
            raise _LeftOut(NO_MATCH)
        return subject
    if names_tell:
        if not name:
            raise _LeftOut("subject unknown: the name is not UID_<subject>_<image>_<cell>_<all or hem>")
        return name["subject"].upper()
    return None


def _rows_without_file(table: SubjectTable, there: set[str]) -> list[Remark]:
    """What to say of rows that name files which are not in the source; nothing if there are none."""
    missing = [path for path in table.subjects if path not in there]
    if not missing:
        return []
    rows = "a row names a file that is" if len(missing) == 1 else f"{len(missing)} rows name files that are"
    reason = f"{rows} not in the source, {'' if len(missing) == 1 else 'the first '}{missing[0]!r}"
    folded = {path.casefold(): path for path in there}
    if missing[0].casefold() in folded:
        reason += f"; there is {folded[missing[0].casefold()]!r}, upper and lower case must agree"
    return [Remark(table.name, reason)]


def _list_files(source: Path) -> tuple[list[str], list[Remark]]:
    """All regular files below `source` as relative paths, sorted; and what was not followed."""
    inside = source.resolve()
    files: list[str] = []
    left_out: list[Remark] = []

    def unreadable(error: OSError) -> None:
        left_out.append(
            Remark(_relative(Path(error.filename), source) + "/", f"folder cannot be read: {error.strerror}")
        )

    for folder, subfolders, names in os.walk(source, onerror=unreadable):
        for name in sorted(subfolders):
            path = Path(folder, name)
            if path.is_symlink():
                left_out.append(Remark(_relative(path, source), "a link to a folder, not followed"))
            elif name.startswith(".") or name == "__MACOSX":  # where macOS puts what zip archives cannot hold
                left_out.append(Remark(_relative(path, source) + "/", "a hidden folder, not read"))
            else:
                continue
            subfolders.remove(name)
        for name in names:
            path = Path(folder, name)
            reason = _not_a_file(path, inside)
            if reason:
                left_out.append(Remark(_relative(path, source), reason))
            else:
                files.append(_relative(path, source))
    return sorted(files), left_out


def _not_a_file(path: Path, inside: Path) -> str | None:
    """Why `path` should not be opened, or None: a link out of the source could show a private file, a pipe would block."""
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(inside):
            return "a link that leads out of the source, not followed"
        return None if stat.S_ISREG(path.stat().st_mode) else "not a regular file"
    except (OSError, RuntimeError):  # RuntimeError: a circle of links, before Python 3.13
        return "a link that leads nowhere" if path.is_symlink() else "cannot be opened"


def _relative(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()


Choice = tuple[tuple[str, ...], dict[str, Place], list[Remark]]
Chooser = Callable[[Path, list[str], bool], Choice]


def _fold_of(path: str) -> str:
    """ "fold_0" for "…/fold_0/all/name"; "" for a path that is not in a fold."""
    parts = path.casefold().split("/")
    return parts[-3] if len(parts) >= 3 and FOLD.fullmatch(parts[-3]) and parts[-2] in CNMC_CLASSES else ""


def _choose_cnmc(source: Path, files: list[str], prelim: bool) -> Choice:
    """The files in the folds, and in the preliminary test set if that is asked for; the others are listed, a folder at a time."""
    tables = _prelim_tables(source, files) if prelim else {}
    originals = {name: entry for table in tables.values() for name, entry in table.items()}
    chosen: dict[str, Place] = {}
    outside: Counter[tuple[str, str]] = Counter()
    left_out: list[Remark] = []
    for path in files:
        folder, _, name = path.rpartition("/")
        parent = folder.rpartition("/")[2].casefold()
        if fold := _fold_of(path):
            chosen[path] = Place(CNMC_CLASSES.index(parent), "folder", fold, name)
        elif prelim and path in tables:
            pass
        elif _in_prelim(folder, tables):
            if not prelim:
                outside[folder, "the preliminary test set: only --split prelim reads it"] += 1
            elif parent in CNMC_CLASSES:
                chosen[path] = Place(CNMC_CLASSES.index(parent), "folder", PRELIM, name)
            elif stem(name) in originals:
                original, class_name = originals[stem(name)]
                chosen[path] = Place(CNMC_CLASSES.index(class_name), "table", PRELIM, original)
            elif tables:
                left_out.append(Remark(path, f"label unknown: {next(iter(tables))} does not list it"))
            else:
                outside[folder, "label unknown: the source lacks C-NMC_test_prelim_phase_data_labels.csv"] += 1
        elif folder:
            outside[folder, "outside the training folds"] += 1
        else:
            left_out.append(Remark(path, "stands outside the training folds"))
    left_out += [
        Remark(folder + "/", f"{count} file{'s' * (count != 1)}, {why}") for (folder, why), count in outside.items()
    ]
    if prelim:
        tested = {stem(path) for path, place in chosen.items() if place.part == PRELIM}
        if not tested:
            raise DataError(
                f"{source}: no labelled image of a preliminary test set. --split prelim needs C-NMC_test_prelim_phase_data/1.bmp, … "
                "with C-NMC_test_prelim_phase_data_labels.csv, or prelim_test/all and prelim_test/hem."
            )
        for table, names in tables.items():
            if missing := sum(name not in tested for name in names):
                left_out.append(Remark(table, f"{missing} row{'s' * (missing != 1)} without a file in the source"))
    return CNMC_CLASSES, chosen, left_out


def _prelim_tables(source: Path, files: list[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """The tables of the preliminary test set, by path. Raises DataError if two of them disagree."""
    tables = {}
    for path in files:
        if path.casefold().endswith(".csv") and (names := read_prelim_labels(source / path)):
            tables[path] = names
    for path, names in tables.items():
        first = next(iter(tables))
        if names != tables[first]:
            raise DataError(f"{source}: {path} and {first} name other cells by the same numbers. Keep the right one.")
    return tables


def _in_prelim(folder: str, tables: Iterable[str]) -> bool:
    """Whether a folder is in the preliminary test set: it says so, or it is named like its table (phase2/ and phase2.csv)."""
    named = {stem(table).removesuffix("_labels") for table in tables}
    return any(PRELIM in part or part in named for part in folder.casefold().split("/"))


def _choose_by_class(source: Path, files: list[str], prelim: bool) -> Choice:
    """The files in folders directly below SOURCE, each folder a class, in the order of their names."""
    if prelim:
        raise DataError(f"{source}: has no fold_0/all, fold_0/hem, … as C-NMC has, which --split prelim trains on.")
    class_names = tuple(sorted({path.partition("/")[0] for path in files if "/" in path}))
    if len(class_names) < 2:
        raise DataError(
            f"{source}: holds {('no folder', 'one folder')[len(class_names)]} with files. Expected fold_0/all, fold_0/hem, … as in C-NMC, "
            "or at least two folders, one per class."
        )
    if SPLIT_NAMES.issuperset(name.lower() for name in class_names):
        raise DataError(
            f"{source}: holds {', '.join(class_names)}, which are no classes. Give a folder with one folder per class."
        )
    chosen = {
        path: Place(class_names.index(path.partition("/")[0]), "folder", "", path) for path in files if "/" in path
    }
    return class_names, chosen, [Remark(path, "stands in no class folder") for path in files if "/" not in path]


def _named_as_in_cnmc(class_names: tuple[str, ...], chosen: dict[str, Place]) -> bool:
    """Whether folders and names are those of C-NMC without its folds, so that the names tell the subjects."""
    return {name.casefold() for name in class_names} == set(CNMC_CLASSES) and any(
        CNMC_NAME.fullmatch(stem(place.name)) for place in chosen.values()
    )
