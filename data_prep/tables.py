"""What tables beside the images say: the subject of each file, and the labels of C-NMC's preliminary test set."""

import csv
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scratchnet.errors import DataError

LABELS = {"1": "all", "0": "hem"}  # in C-NMC's own tables; here classes are numbered in the order of their names
PRELIM_COLUMNS = ("patient_id", "new_names", "labels")


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


def read_subjects(table: Path) -> SubjectTable:
    """Reads a CSV file with the columns `file` (relative to SOURCE) and `subject` or `patient`, and `label` if there is one.

    Raises DataError if it cannot be read, lacks a column, is separated by other than commas, or gives one file two subjects.
    """
    subjects: dict[str, str] = {}
    labels: dict[str, str] = {}
    for line, row in _rows(table):
        if line == 0:
            subject_column = "subject" if "subject" in row else "patient"
            if "file" not in row or subject_column not in row:
                separator = next((mark for mark in ";\t" for name in row if mark in name), None)
                if separator:
                    raise DataError(
                        f"{table}: its columns are separated by {separator!r}; expected commas. Save it as CSV with commas."
                    )
                raise DataError(
                    f"{table}: needs the columns 'file' and 'subject' (or 'patient'); it has {', '.join(row) or 'none'}."
                )
            continue
        path = row["file"].replace("\\", "/").removeprefix("./")
        subject = row[subject_column]
        if not path or not subject:
            raise DataError(f"{table}, line {line}: file or subject is empty.")
        first = subjects.setdefault(path, subject)
        if first != subject:
            raise DataError(f"{table}, line {line}: gives {path!r} a second subject, {subject!r} after {first!r}.")
        if row.get("label"):
            labels[path] = row["label"]
    return SubjectTable(table.name, subjects, labels)


def read_prelim_labels(table: Path) -> dict[str, tuple[str, str]] | None:
    """Reads `C-NMC_test_prelim_phase_data_labels.csv`, which tells who the numbered cells are:

        Patient_ID,new_names,labels
        UID_57_29_1_all.bmp,1.bmp,1
        UID_H49_35_1_hem.bmp,4.bmp,0

    Returns for each new name, without extension and case, the original one and the class: {"1": ("UID_57_29_1_all.bmp",
    "all"), …}; None if the file has other columns, or is no table at all. Raises DataError if a row makes no sense.
    """
    names: dict[str, tuple[str, str]] = {}
    try:
        for line, row in _rows(table):
            if not set(PRELIM_COLUMNS) <= set(row):
                return None
            if line == 0:
                continue
            original, new_name, label = (row[column] for column in PRELIM_COLUMNS)
            if not original or not new_name or label not in LABELS:
                raise DataError(
                    f"{table}, line {line}: {original!r}, {new_name!r}, {label!r}; expected a name, a new name, and 1 (all) or 0 (hem)."
                )
            entry = original, LABELS[label]
            if names.setdefault(stem(new_name), entry) != entry:
                raise DataError(
                    f"{table}, line {line}: a second row for {new_name!r}. Take the table as it is distributed."
                )
    except UnreadableTableError:
        return None
    return names


def stem(path: str) -> str:
    """The name of a file without folders, extension and case: what stays the same when images are converted.

    >>> stem("C-NMC_test_prelim_phase_data/17.BMP")
    '17'
    """
    return path.rpartition("/")[2].partition(".")[0].casefold()


class UnreadableTableError(DataError):
    """The file cannot be read as CSV in UTF-8."""


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row, by the columns' names in lower case; first, as line 0, the names alone."""
    try:
        with open(table, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
            yield 0, dict.fromkeys(columns, "")
            for row in rows:
                yield rows.line_num, {column: (row[name] or "").strip() for column, name in columns.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableTableError(f"{table}: cannot be read as a CSV file in UTF-8: {error}.") from error
