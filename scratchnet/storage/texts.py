"""Reading texts written by other programs: UTF-8 with or without a byte order mark, UTF-16 with one.

A table from Excel, a configuration from Notepad, a list from a spreadsheet: each program saves text in its own way. A file that
declares its encoding is read; any other is refused with the remedy, and never guessed, since a wrong guess spoils names.
"""

import codecs
import os
from pathlib import Path

from scratchnet.errors import DataError
from scratchnet.storage.file_kinds import kind_of
from scratchnet.terminal.system_error import system_reason

MAX_BYTES = 2**26
MARKS = (  # UTF-32's begins like UTF-16's, and so is checked first
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
REMEDY = 'Save it as UTF-8 (in Excel: Save As, "CSV UTF-8"; in Notepad: Save As, Encoding)'


def read_text(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file, without its byte order mark; its newlines stay as they are.

    It may be UTF-8, or whatever a byte order mark declares: UTF-8, UTF-16 or UTF-32.

    Raises DataError, with one line that names what came and the remedy, for a file in another encoding, of another kind (a
    workbook, an archive), larger than `max_bytes`, or that cannot be opened.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "names.csv").write_bytes("größe".encode("utf-16"))
    ...     read_text(Path(folder) / "names.csv")
    'größe'
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # reading a named pipe would block
            raise DataError(f"{path} cannot be read: it is not a regular file.")
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {system_reason(error)}.") from error
    if len(content) > max_bytes:
        raise DataError(f"{path}: larger than {max_bytes} bytes, the limit for such a text.")
    mark, encoding = next((one for one in MARKS if content.startswith(one[0])), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {_why_not(path, content, encoding, error)}") from error
    if "\0" in text:
        raise DataError(f"{path} is {_no_text(path)}; expected a text. {REMEDY}.")
    return text


def _why_not(path: Path, content: bytes, encoding: str, error: UnicodeDecodeError) -> str:
    """What this file is, if not a text in that encoding."""
    kind = kind_of(path)
    if kind.group == "workbook":
        return f'is {kind.name}; expected a text. Save the sheet as CSV, in Excel: Save As, "CSV UTF-8".'
    if kind.group not in ("text", "table", "unknown") or (b"\0" in content and encoding == "utf-8"):
        return f"is {_no_text(path)}; expected a text. {REMEDY}."
    if encoding != "utf-8":
        return f"is announced as {encoding.upper()} and breaks off or is damaged at byte {error.start}. Save it anew as UTF-8."
    line = content.count(b"\n", 0, error.start) + 1
    return (
        f"line {line} has the byte 0x{content[error.start]:02X}, which is not UTF-8: it looks like an older Windows encoding, "
        f"such as cp1252. {REMEDY}."
    )


def _no_text(path: Path) -> str:
    """What a file is that holds bytes which texts don't have."""
    kind = kind_of(path)
    return (
        kind.name
        if kind.group not in ("text", "table", "unknown")
        else "not a text, or one in UTF-16 without a byte order mark"
    )
