"""Tables beside the images: the subject of each file, and the labels of C-NMC's preliminary test set.

Programs write tables in many ways: separated by commas, semicolons, tabs or bars, with a line `sep=;` on top, in UTF-8 or
UTF-16, with a title above, with numbered rows, with blank last rows, with paths from another machine or names alone. All these
are read. A row that may mean two files is not used, and a placeholder for a missing name is not a name.
"""

import csv
import functools
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.data.images import EXTENSIONS
from scratchnet.errors import DataError
from scratchnet.storage.texts import read_text

LABELS = {"1": "all", "0": "hem"}  # in C-NMC's own tables; here classes are numbered in the order of their names
PRELIM_COLUMNS = ("patient_id", "new_names", "labels")
FILE_COLUMNS = (
    "file", "filename", "filepath", "path", "image", "imagename", "imagepath", "imagefile", "imageid", "name", "img",
)  # fmt: skip
SUBJECT_COLUMNS = (
    *("subject", "patient", "subjectid", "patientid", "subjectname", "patientname", "patientno", "patientnumber"),
    *("donor", "donorid", "participant", "participantid", "person", "personid", "case", "caseid", "pid"),
)
SEPARATORS = ",;\t|"
ABOVE = 10  # lines that may stand above the names of the columns: a title, remarks
MISSING = frozenset(
    (
        *("na", "n/a", "<na>", "#n/a", "#na", "nan", "nat", "null", "none", "nil", "?", "-", "--", ".", "unknown"),
        *("#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!"),
    )
)
"""What R, pandas, Excel and people write for a missing name, in lower case."""
SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d+")
BEGINNINGS = (
    (re.compile(r"\s*<\?xml", re.IGNORECASE), "a file of XML"),
    (re.compile(r"\s*<(!doctype html|html|table|head|meta)", re.IGNORECASE), "a web page (HTML)"),
    (re.compile(r"\s*(\{\s*[\"}]|\[\s*[{\[\"\]\d])"), "a file of JSON"),
    (re.compile(r"ID;P(WXL|CALC|SCALC)"), "a file of SYLK"),
)
END = "\0end"  # stands in no text
SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)  # Excel's own, above the names of the columns


@dataclass(frozen=True)
class Row:
    """One row of a table of subjects. line: its number in the file. file: as it is written. label: "" if it is missing."""

    line: int
    file: str
    subject: str
    label: str


@dataclass(frozen=True)
class SubjectTable:
    """What a table of subjects says. name: the file's own."""

    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Listed:
    """What a table says of the files that are there. rows: by path. remarks: of rows that mean no file, or one of several."""

    rows: dict[str, Row]
    remarks: tuple[Remark, ...]
    other_case: frozenset[str]


def read_subjects(table: Path) -> SubjectTable:
    """Reads a table with a column for the file and one for its subject, and `label` if there is one.

    The columns are called `file` and `subject` or `patient`, or one of the usual names for them (`FILE_COLUMNS`,
    `SUBJECT_COLUMNS`), whatever the case, spaces and underscores. Blank rows are passed over.

    Raises DataError if it cannot be read, lacks a column, or has no rows; or if a row lacks its file or subject, has a
    placeholder for a missing one (`MISSING`) or a number that Excel has shortened, or gives a file a second subject.
    """
    rows: list[Row] = []
    seen: dict[str, str] = {}
    written, cells = _table(table)
    names = list(map(_plain, written))
    file_column, subject_column = _column(names, FILE_COLUMNS), _column(names, SUBJECT_COLUMNS)
    if file_column is None or subject_column is None:
        raise DataError(
            f"{table} needs the columns 'file' and 'subject' (or 'patient'), separated by commas; it has {', '.join(written) or 'none'}."
        )
    label_column = names.index("label") if "label" in names else None
    for line, row in cells:
        file, subject, label = (
            row[at] if at is not None and at < len(row) else "" for at in (file_column, subject_column, label_column)
        )
        if wrong := _wrong(file, subject):
            raise DataError(f"{table}, line {line}: {wrong}.")
        first = seen.setdefault(comparable(file), subject)
        if first != subject:
            raise DataError(f"{table}, line {line} gives {file!r} a second subject, {subject!r} after {first!r}.")
        rows.append(Row(line, file, unicodedata.normalize("NFC", subject), label))
    if not rows:
        raise DataError(
            f"{table} has no rows below the names of its columns, {', '.join(written)}. Save the whole sheet."
        )
    return SubjectTable(table.name, tuple(rows))


def read_files(table: Path) -> frozenset[str]:
    """The files that a table names, as `comparable` writes them. Their column is called `path`, `file` or another of `FILE_COLUMNS`.

    Raises DataError if the table cannot be read, or has no such column.
    """
    written, cells = _table(table)
    column = _column(list(map(_plain, written)), FILE_COLUMNS)
    if column is None:
        raise DataError(f"{table} needs a column 'path' (or 'file'); it has {', '.join(written) or 'none'}.")
    return frozenset(comparable(row[column]) for _, row in cells if column < len(row) and row[column])


def _wrong(file: str, subject: str) -> str | None:
    """Why a row cannot be used, and the remedy; None if it can."""
    remedy = "take the row out, and the image is left out; or give it a subject"
    if not file or not subject:
        return f"file or subject is empty: {remedy}"
    if subject.casefold() in MISSING:
        return f"the subject is {subject!r}, which stands for a missing one, and all such images would be one person's: {remedy}"
    for name in (file, subject):
        if SHORTENED.fullmatch(name):
            return (
                f"{name!r} is a number that Excel has shortened, and others look alike: take the column from the original, as text "
                "(in Excel: Format Cells, Text, before it is filled)"
            )
        if "\n" in name or "\r" in name:
            return f"{name.splitlines()[0]!r} goes on in the next line: is a quotation mark not closed?"
    return None


def find_rows(table: SubjectTable, files: Collection[str], elsewhere: Iterable[str] = ()) -> Listed:
    """The row of each of these files, by path.

    A row means a file if its path is the file's, from the source on; or ends with it, as an absolute path does; or is the end of
    it, as a name alone is, if no other file ends so; with or without the extension. Letters are compared in Unicode's composed
    form, slashes and backslashes are the same, upper and lower case are not.

    elsewhere: other files of the source; rows about them are not mistakes. Raises DataError if rows give one file two subjects.
    """
    index = _PathIndex((*files, *elsewhere))
    wanted, found = set(files), dict[str, Row]()
    missing: list[Row] = []
    several: list[tuple[Row, list[str]]] = []
    for row in table.rows:
        meant = index.of(row.file)
        if len(meant) > 1:
            several.append((row, meant))
        elif not meant:
            missing.append(row)
        elif meant[0] in wanted:
            first = found.setdefault(meant[0], row)
            if first.subject != row.subject:
                raise DataError(
                    f"{table.name}, lines {first.line} and {row.line}: both mean {meant[0]!r}, and give it the subjects "
                    f"{first.subject!r} and {row.subject!r}."
                )
    remarks = [_missing(missing, index)] if missing else []
    if several:
        row, meant = several[0]
        rows = "a row may mean" if len(several) == 1 else f"{len(several)} rows may each mean"
        remarks.append(
            f"{rows} several files: line {row.line}, {row.file!r}, {' or '.join(map(repr, sorted(meant)[:2]))}; write the path"
        )
    other_case = {path for row in missing for path in index.in_other_case(row.file)}
    return Listed(found, tuple(Remark(table.name, reason) for reason in remarks), frozenset(other_case & wanted))


class _PathIndex:
    """Finds files by their whole path, by its end, and without extension."""

    def __init__(self, files: Sequence[str], same: Callable[[str], str] = str) -> None:
        """same: the form of a path that is compared, such as its letters without case."""
        self._files, self._same = files, same
        self._whole: defaultdict[str, list[str]] = defaultdict(list)
        self._ends: defaultdict[str, list[str]] = defaultdict(list)
        for path in files:
            for written in {same(comparable(path)), same(_without_extension(comparable(path)))}:
                self._whole[written].append(path)
                parts = written.split("/")
                for k in range(1, len(parts)):
                    self._ends["/".join(parts[k:])].append(path)

    def of(self, file: str) -> list[str]:
        """The files that a row may mean."""
        written = self._same(comparable(file))
        parts = written.split("/")
        for k in range(len(parts)):
            if found := self._whole.get("/".join(parts[k:])):
                return found
        return self._ends.get(written, [])

    def in_other_case(self, file: str) -> list[str]:
        """The files that a row would mean if upper and lower case did not matter."""
        return self._folded.of(file)

    @functools.cached_property
    def _folded(self) -> "_PathIndex":
        return _PathIndex(self._files, str.casefold)


def _missing(rows: list[Row], index: _PathIndex) -> str:
    """The remark on rows that name files which are not in the source."""
    which = "a row names a file that is" if len(rows) == 1 else f"{len(rows)} rows name files that are"
    reason = f"{which} not in the source, {'' if len(rows) == 1 else 'the first '}{rows[0].file!r}"
    there = index.in_other_case(rows[0].file)
    return reason + (f"; there is {there[0]!r}, upper and lower case must agree" if there else "")


def comparable(file: str) -> str:
    """A path in the form that is compared: composed letters, slashes, without empty folders and "."."""
    path = unicodedata.normalize("NFC", file.strip()).replace("\\", "/")
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _without_extension(path: str) -> str:
    name, dot, extension = path.rpartition(".")
    return name if dot and f".{extension.lower()}" in EXTENSIONS else path


def read_prelim_labels(table: Path) -> dict[str, tuple[str, str]] | None:
    """Reads `C-NMC_test_prelim_phase_data_labels.csv`, which tells who the numbered cells are:

        Patient_ID,new_names,labels
        UID_57_29_1_all.bmp,1.bmp,1
        UID_H49_35_1_hem.bmp,4.bmp,0

    Returns for each new name, without extension and case, the original one and the class: {"1": ("UID_57_29_1_all.bmp",
    "all"), …}; None if the file has other columns, or isn't a table. Raises DataError if a row is invalid.
    """
    names: dict[str, tuple[str, str]] = {}
    try:
        written, rows = _table(table)
        columns = [name.lower() for name in written]
        if not set(PRELIM_COLUMNS) <= set(columns):
            return None
        wanted = [columns.index(column) for column in PRELIM_COLUMNS]
        for line, row in rows:
            original, new_name, label = (row[k] if k < len(row) else "" for k in wanted)
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
    """The file cannot be read as a table."""


def _plain(name: str) -> str:
    """The name of a column without spaces, underscores and case: "Patient ID" and "patient_id" are the same."""
    return re.sub(r"[\s_.-]", "", name.casefold())


def _column(names: Sequence[str], wanted: Iterable[str]) -> int | None:
    """The position of the first of these columns that is there; names as `_plain` makes them."""
    return next((names.index(name) for name in wanted if name in names), None)


def _both(names: Iterable[str]) -> int:
    """Which of the two columns of a table of subjects are among these names: 0 to 2."""
    plain = list(map(_plain, names))
    return sum(_column(plain, wanted) is not None for wanted in (FILE_COLUMNS, SUBJECT_COLUMNS))


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def _separator(head: str) -> str:
    """The separator of these names of columns: the one that yields the wanted names, or else the most frequent one.

    >>> _separator('file;subject;"age, years, at, visit"'), _separator('"file" "subject"'), _separator("Patient ID,File Name")
    (';', ' ', ',')
    """
    best = max(SEPARATORS, key=lambda one: (_both(_cells(head, one)), head.count(one)))
    # Names hold spaces too: these separate only if nothing else yields both columns.
    return " " if _both(_cells(head, best)) < _both(_cells(head, " ")) == 2 else best


def _head_line(lines: list[str], first: int, separator: str | None) -> int:
    """The number of the line that names the columns: the first of the upper ones that names both, or else the first."""
    for number in range(first, min(first + ABOVE, len(lines))):
        if _both(_cells(lines[number], separator or _separator(lines[number]))) == 2:
            return number
    return first


def _table(table: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of the columns, and line number and cells of each row that is not blank."""
    try:
        lines = list(io.StringIO(read_text(table), newline=""))
    except DataError as error:
        raise UnreadableTableError(str(error)) from error
    if what := next((what for beginning, what in BEGINNINGS if lines and beginning.match("".join(lines[:2]))), None):
        raise UnreadableTableError(f'{table} is {what}; expected a table. In Excel: Save As, "CSV UTF-8".')
    announced = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    above = 1 if announced else 0
    while above < len(lines) and not lines[above].strip(SEPARATORS + " \r\n"):
        above += 1
    rows: list[tuple[int, list[str]]] = []
    line = above
    try:
        above = line = _head_line(lines, above, announced[1] if announced else None)
        head = lines[above] if above < len(lines) else ""
        reader = csv.reader([*lines[above:], END], delimiter=announced[1] if announced else _separator(head))
        for row in reader:
            rows.append((line + 1, [cell.strip() for cell in row]))
            line = above + reader.line_num
    except (csv.Error, TypeError, ValueError) as error:  # the latter two for an invalid separator
        raise UnreadableTableError(f"{table} cannot be read as a table (CSV), line {line + 1}: {error}.") from error
    number, last = rows.pop()
    if last != [END]:
        raise UnreadableTableError(
            f"{table}, line {number}: a quotation mark is opened and never closed, so that all further rows are one: close it."
        )
    names = rows[0][1] if rows else []
    rows = [(line, row) for line, row in rows[1:] if any(row)]
    if rows and all(len(row) == len(names) + 1 and row[0].isdecimal() for _, row in rows):
        names = ["", *names]  # as R's write.table writes it: the column of the rows' numbers has no name
    return names, iter(rows)
