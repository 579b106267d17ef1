"""Writing files so that a reader finds the whole old file or the whole new one, and never something in between.

A process may be killed, a disk may fill up, the power may fail, at any moment of a write. So a file is written under
another name beside its target, forced to the disk, and then renamed over the target, which file systems do in one step.
"""

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scratchnet.errors import DataError
from scratchnet.terminal.system_error import system_reason

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.partial(\.\w+)?")
"""The names of the files that `write_atomically` writes to; a leftover one belonged to a process that was killed."""


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary path to write to; at the end of the block that file takes the place of `path`, in one step.

    The temporary path does not exist yet, stands in the same folder and has the same suffix. The block must close what
    it opens. If the block raises, or is interrupted, the temporary file is removed and `path` stays as it was. Where `path`
    is a link, the file takes the place of the link, and what it led to stays as it was.

    Raises whatever the block raises, and OSError if the disk is full, the folder cannot be written to, or `path` is a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_atomically(Path(folder) / "answer.txt") as temporary:
    ...         _ = temporary.write_text("42")
    ...     (Path(folder) / "answer.txt").read_text()
    '42'
    """
    target = Path(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}.partial{target.suffix}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            _sync(file.fileno())
        _replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one that matters
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8 with plain newlines to `path`, which at every moment holds the old text or the new one."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def as_path(given: Any, what: str = "a file") -> Path:
    """The path that somebody gave. Raises DataError for anything that is none: None, a number, bytes, an empty text.

    >>> as_path(None, "a run")
    Traceback (most recent call last):
        ...
    scratchnet.errors.DataError: expected the path of a run, a text or a pathlib.Path, got None
    """
    fits = isinstance(given, str | os.PathLike) and isinstance(named := os.fspath(given), str)
    if not fits or not named or "\0" in named:
        raise DataError(
            f"expected the path of {what}, a text or a pathlib.Path, got {' '.join(repr(given).split())[:60]}"
        )
    return Path(named)


@contextlib.contextmanager
def writing(path: Any) -> Iterator[Path]:
    """The path of a file that somebody wants written, for the block that writes it.

    Raises DataError, in one line with the remedy, where the disk refuses it: a folder, a missing folder, no permission.
    """
    target = as_path(path, "the file to write")
    try:
        yield target
    except OSError as error:
        why = system_reason(error)
        # Unlike Path's, os.path's answers raise nothing, for a name that is too long or may not be looked at.
        if os.path.isdir(target):
            why = "it is a folder: name a file in it"
        elif not os.path.isdir(target.parent):
            why = f"{target.parent} is not a folder: make it first"
        raise DataError(f"{target} cannot be written: {why}") from error


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Forces a folder's list of names to the disk: without it, a rename may be forgotten when the power fails.

    Windows has no such call and needs none; some network file systems have none either, and a folder without read
    permission cannot be synced: then the file is in its place, and only a power cut just afterwards is not covered.
    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM):
            raise


def _sync(descriptor: int) -> None:
    """Forces a file to the disk. On macOS `fsync` stops at the drive's own cache, which a power cut empties."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _replace(temporary: Path, target: Path) -> None:
    """Renames over the target. On Windows that fails while another program reads the old file, so it is tried for two seconds."""
    for attempt in range(6):
        try:
            os.replace(temporary, target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == 5 or target.is_dir():
                raise
            time.sleep(0.06 * 2**attempt)
