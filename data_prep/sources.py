"""Which files of a folder are images of which class and which subject.

Two layouts are known:

    C-NMC       …/fold_0/all/UID_11_10_1_all.bmp     class from the folder, subject (11) from the name; upper and lower
                …/fold_2/hem/UID_H10_2_1_hem.bmp     case mean the same, and HEM subject H11 is not ALL subject 11
    by class    SOURCE/Parasitized/…/any.png         class from the folder directly in SOURCE; subject from a pattern, or
                SOURCE/Uninfected/…/any.png          from a CSV file, or unknown

Links that lead out of SOURCE, links to folders and hidden folders are not followed; they are listed, and so is every file
that stands outside the folders above.
"""

import csv
import functools
import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.errors import ConfigError, DataError

FOLD = re.compile(r"fold_\d+", re.IGNORECASE)
CNMC_CLASSES = ("all", "hem")
CNMC_NAME = re.compile(r"UID_(?P<subject>[^_]+)_\d+_\d+_(?P<label>all|hem)", re.IGNORECASE)
NO_MATCH = "subject unknown: --subject-pattern finds none in the path"
NOT_LISTED = "subject unknown: the CSV file does not list it"
OTHER_CASE = "subject unknown: the CSV file lists it in other upper and lower case"
SPLIT_NAMES = {"train", "training", "test", "testing", "val", "valid", "validation"}


@dataclass(frozen=True)
class SourceImage:
    """A file that should be an image. path: relative to SOURCE, with "/". subject: None if unknown. part: "fold_0", … or ""."""

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
class SubjectTable:
    """What a CSV file says: the subject of each path, and the label where it has such a column. name: the file's own."""

    name: str
    subjects: dict[str, str]
    labels: dict[str, str]

    @functools.cached_property
    def casefolded(self) -> frozenset[str]:
        """The paths without regard to case, for a hint."""
        return frozenset(path.casefold() for path in self.subjects)


def find_images(source: Path, *, subject_pattern: str | None = None, subjects: SubjectTable | None = None) -> Found:
    """Lists the images below `source` with class and subject, opening none of them.

    subject_pattern: a regular expression searched in the relative path; its group "subject", or else its first, is the
    subject. subjects: from `read_subjects`; goes before the pattern, and both go before C-NMC's names.

    Raises DataError if `source` is not a folder, has neither layout, or no image can be used; ConfigError if the pattern is
    not valid.
    """
    if source.is_file():
        raise DataError(f"{source}: is a file; expected a folder of images.")
    if not source.is_dir():
        raise DataError(
            f"{source}: there is no such folder. Give the folder that holds fold_0, fold_1, … or one folder per class."
        )
    files, left_out = _list_files(source)
    pattern = compile_subject_pattern(subject_pattern) if subject_pattern else None
    is_cnmc = any(_fold_and_class(path) for path in files)
    choose = _choose_cnmc if is_cnmc else _choose_by_class
    class_names, chosen, outside = choose(source, files)
    left_out += outside
    if subjects:
        left_out += _rows_without_file(subjects, {*files, *(remark.path for remark in left_out)})

    images, refused = [], []
    for path, (label, part) in chosen.items():
        try:
            subject = _subject(path, class_names[label], is_cnmc, pattern, subjects)
        except _LeftOut as reason:
            refused.append(Remark(path, str(reason)))
        else:
            images.append(SourceImage(source / path, path, label, subject, part))
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


def read_subjects(table: Path) -> SubjectTable:
    """Reads a CSV file with the columns `file` (relative to SOURCE) and `subject` or `patient`, and `label` if there is one.

    Raises DataError if it cannot be read, lacks a column, is separated by other than commas, or gives one file two subjects.
    """
    subjects: dict[str, str] = {}
    labels: dict[str, str] = {}
    try:
        with open(table, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
            subject_column = columns.get("subject", columns.get("patient"))
            if "file" not in columns or subject_column is None:
                separator = next((mark for mark in ";\t" for name in columns if mark in name), None)
                if separator:
                    raise DataError(
                        f"{table}: its columns are separated by {separator!r}; expected commas. Save it as CSV with commas."
                    )
                raise DataError(
                    f"{table}: needs the columns 'file' and 'subject' (or 'patient'); it has {', '.join(columns) or 'none'}."
                )
            for row in rows:
                path = (row[columns["file"]] or "").strip().replace("\\", "/").removeprefix("./")
                subject = (row[subject_column] or "").strip()
                if not path or not subject:
                    raise DataError(f"{table}, line {rows.line_num}: file or subject is empty.")
                first = subjects.setdefault(path, subject)
                if first != subject:
                    raise DataError(
                        f"{table}, line {rows.line_num}: gives {path!r} a second subject, {subject!r} after {first!r}."
                    )
                if "label" in columns and row[columns["label"]]:
                    labels[path] = row[columns["label"]].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as a CSV file in UTF-8: {error}.") from error
    return SubjectTable(table.name, subjects, labels)


class _LeftOut(Exception):  # noqa: N818 - no error, the program goes on
    """The reason why a file of a class folder is not used."""


def _subject(
    path: str, class_name: str, is_cnmc: bool, pattern: re.Pattern[str] | None, table: SubjectTable | None
) -> str | None:
    """The subject of one image, or None if nothing tells it. Raises _LeftOut if something should tell it, or contradicts the folder."""
    name = CNMC_NAME.fullmatch(path.rpartition("/")[2].partition(".")[0]) if is_cnmc else None
    if name and name["label"].lower() != class_name:
        raise _LeftOut(f"mislabelled: the folder says {class_name}, the name says {name['label'].lower()}")
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
    if is_cnmc:
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
            elif name.startswith("."):
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


Choice = tuple[tuple[str, ...], dict[str, tuple[int, str]], list[Remark]]
Chooser = Callable[[Path, list[str]], Choice]


def _fold_and_class(path: str) -> tuple[str, str] | None:
    """("fold_0", "all") for "…/fold_0/all/name"; None for a path that is not in a fold."""
    parts = path.split("/")
    if len(parts) >= 3 and FOLD.fullmatch(parts[-3]) and parts[-2].lower() in CNMC_CLASSES:
        return parts[-3].lower(), parts[-2].lower()
    return None


def _choose_cnmc(source: Path, files: list[str]) -> Choice:
    """The files in the folds; the others are listed, a folder at a time."""
    chosen: dict[str, tuple[int, str]] = {}
    outside: Counter[str] = Counter()
    left_out: list[Remark] = []
    for path in files:
        place = _fold_and_class(path)
        folder = path.rpartition("/")[0]
        if place:
            chosen[path] = (CNMC_CLASSES.index(place[1]), place[0])
        elif folder:
            outside[folder] += 1
        else:
            left_out.append(Remark(path, "stands outside the training folds"))
    for folder, count in outside.items():
        what = (
            "the preliminary test set: only the training folds are read"
            if "prelim" in folder.lower()
            else "outside the training folds"
        )
        left_out.append(Remark(folder + "/", f"{count} file{'s' * (count != 1)}, {what}"))
    return CNMC_CLASSES, chosen, left_out


def _choose_by_class(source: Path, files: list[str]) -> Choice:
    """The files in folders directly below SOURCE, each folder a class, in the order of their names."""
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
    chosen = {path: (class_names.index(path.partition("/")[0]), "") for path in files if "/" in path}
    return class_names, chosen, [Remark(path, "stands in no class folder") for path in files if "/" not in path]
