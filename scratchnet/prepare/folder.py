"""A new folder that appears under its name when it is complete, and not before."""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from scratchnet.errors import DataError, LockedError
from scratchnet.storage.files import sync_folder
from scratchnet.storage.lock import Lock

HIDDEN = re.compile(r"\.[0-9a-f]{16}\.partial")


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to fill; it takes that name at the end of the block.

    If the block raises or is interrupted, the folder is removed, with the parents that were made for it. If the process is
    killed, it stays behind under a hidden name, and the next process that makes a folder there removes it: beside it lies a
    lock, made before it and held as long as its process lives.

    Raises DataError if `out` has appeared meanwhile, OSError if the folder cannot be made.
    """
    missing = [parent for parent in out.parents if not parent.exists()]
    folder = out.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(out.parent)
        with contextlib.ExitStack() as held:
            with contextlib.suppress(
                LockedError
            ):  # a file system without locks: nothing is ever considered abandoned there
                held.enter_context(Lock(_lock_of(folder)))
            try:
                folder.mkdir()
                yield folder
                if os.path.lexists(out):
                    raise DataError(f"{out} has appeared meanwhile, made by another process. {_advice(folder, out)}")
                os.rename(folder, out)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except BaseException:
        _remove_lock(folder)
        for parent in missing:  # from the inside out
            with contextlib.suppress(OSError):  # never made, or in use by now
                parent.rmdir()
        raise
    _remove_lock(folder)
    sync_folder(out.parent)


def _advice(mine: Path, theirs: Path) -> str:
    """What to do where another process was faster: use what it made only if that is the same."""
    same = _identities(mine)
    if same and same == _identities(theirs):
        return "It holds the same dataset: use it."
    return "It holds something else, or was made with other settings: choose another name."


def _identities(folder: Path) -> dict[str, object]:
    """The dataset_id of every manifest in a folder, by its path there."""
    found: dict[str, object] = {}
    for path in (folder / "manifest.json", *sorted(folder.glob("*/manifest.json"))):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found[path.relative_to(folder).as_posix()] = json.loads(path.read_text(encoding="utf-8")).get("dataset_id")
    return found


def remove_abandoned(parent: Path) -> None:
    """Removes the hidden folders in `parent` whose process has ended before they were complete.

    That is certain if their lock can be taken. A folder without a lock is not ours, and stays.
    """
    for folder in parent.glob(".*.partial"):
        lock = _lock_of(folder)
        if HIDDEN.fullmatch(folder.name) and folder.is_dir() and lock.is_file():
            with contextlib.suppress(LockedError, OSError):
                with Lock(lock):
                    shutil.rmtree(folder)
                _remove_lock(folder)


def _remove_lock(folder: Path) -> None:
    with contextlib.suppress(OSError):  # gone, or (on Windows) just being tried by another process
        _lock_of(folder).unlink()


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def require_outside(out: Path, source: Path) -> None:
    """Raises DataError if `out` lies inside `source`: what is written there would be read as images the next time."""
    if out.resolve().is_relative_to(source.resolve()):
        raise DataError(
            f"{out} lies inside {source}, where it would be taken for images the next time. Choose a folder outside."
        )
