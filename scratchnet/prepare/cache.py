"""Prepared images that are kept: the same images and settings are prepared once, and found again by the next run."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from scratchnet.data.scaling import ENLARGE, SHRINK
from scratchnet.errors import DataError, LockedError, NoLocksError
from scratchnet.prepare.prepare import SAMPLE, prepare, prepare_folds
from scratchnet.prepare.settings import Settings
from scratchnet.prepare.sources import require_images
from scratchnet.prepare.summary import describe
from scratchnet.storage.lock import Lock
from scratchnet.version import __version__

FOLDER = Path("prepared")
LONGEST_NAME = 180  # bytes of the images' name in that of what is made of them
WAIT = 0.5  # seconds between two checks whether another run is done


def kept(source: Path, settings: Settings, folder: Path | None = None, *, say: Callable[[str], object] = print) -> Path:
    """The shards made of the images in `source`: those of an earlier call, or, where there are none, made now. Where another
    process is making the same, waits for them.

    folder: where they are kept ("prepared"); each preparation has a folder of its own below it, named after the
    images, their size and their `fingerprint`. say: is told whether they were kept or are made now. With the split
    kfold, the folder that is returned holds fold-0, fold-1, …

    Raises what `prepare` raises.
    """
    shards = shards_of(source, settings, folder)
    if shards.exists():
        if not _is_whole(shards):
            raise DataError(
                f"{shards}: the images prepared before are incomplete: delete this folder, and they are prepared again"
            )
        say(f"Using the images prepared before from {source}.\n")
        return shards
    with _turn(shards, say):
        if _is_whole(shards):
            say(f"Using the images that another run has just prepared from {source}.\n")
            return shards
        say(f"Preparing the images of {source}; they are kept for the next run in {shards}.")
        folds = settings.split == "kfold"
        try:
            manifests = prepare_folds(source, shards, settings) if folds else (prepare(source, shards, settings),)
        except DataError:
            if not _is_whole(shards):  # else another run was faster, on a file system without locks
                raise
            say(f"Using the images that another run has prepared meanwhile from {source}.\n")
            return shards
        say(f"{describe(*manifests)}\n")
    return shards


@contextlib.contextmanager
def _turn(shards: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Holds the right to prepare `shards`; while another run has it, waits until that run has ended, however it ends.

    The lock is the operating system's, so that a killed run blocks nobody. If the file system has no locks, or the
    folder cannot be made, nobody waits, and `prepare` says what is wrong.
    """
    path = shards.with_name(f".{shards.name}.lock")
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        with contextlib.ExitStack() as held:
            _wait(path, held, say)
            yield
    finally:
        for remove in (path.unlink, *(parent.rmdir for parent in missing)):
            with contextlib.suppress(OSError):  # gone, or in use: on Windows a lock that another waits for
                remove()


def _wait(path: Path, held: contextlib.ExitStack, say: Callable[[str], object]) -> None:
    """Enters the lock at `path` as soon as it is free, and says once that it waits."""
    waited = False
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(Lock(path))
            return
        except (NoLocksError, OSError):
            return
        except LockedError as error:
            if not waited:
                holder = str(error).partition(" is held by ")[2].partition(":")[0]
                say(f"Waiting for {holder or 'another run'}, which prepares the same images.")
            waited = True
            time.sleep(WAIT)


def _is_whole(shards: Path) -> bool:
    return is_dataset(shards) or is_folds(shards)


def shards_of(source: Path, settings: Settings, folder: Path | None = None) -> Path:
    """Where `kept` puts the shards of these images, whether they are there or not."""
    return (folder or FOLDER) / f"{name_of(source)}-{settings.image_size}-{fingerprint(source, settings)}"


def name_of(source: Path) -> str:
    """A short name for these images, after which runs on them are called."""
    return "sample" if source == SAMPLE else _short(source.resolve().name)


def _short(name: str) -> str:
    """The name, or so much of it that file systems take it with what is added: most have 255 bytes for a name.

    >>> _short("cells"), len(_short("細胞" * 60).encode())
    ('cells', 180)
    """
    letters = name.encode("utf-8", "surrogateescape")
    return name if len(letters) <= LONGEST_NAME else letters[:LONGEST_NAME].decode("utf-8", "ignore").rstrip(" .")


def require_folder(source: Path) -> None:
    """Raises DataError if there is no such folder; if it is a file, the message says of what kind, and the next step."""
    if not source.exists():
        raise DataError(f"{source}: there is no such folder; --data takes a folder of images or of prepared shards")
    require_images(source)


def is_dataset(folder: Path) -> bool:
    """Whether the folder holds prepared shards, and not images."""
    return (folder / "manifest.json").is_file()


def is_folds(folder: Path) -> bool:
    """Whether the folder holds the prepared folds of a cross-validation."""
    return is_dataset(folder / "fold-0")


def fingerprint(source: Path, settings: Settings) -> str:
    """Eight letters that change when an image is added, removed or written anew, or when a setting, the version or the scaling
    changes."""
    alike = replace(settings, subjects=None)  # its text counts, not its name
    digest = hashlib.sha256(repr((__version__, SHRINK, ENLARGE, str(source.resolve()), alike)).encode())
    if settings.subjects is not None:
        table = Path(settings.subjects)
        # One that is missing or empty is not as good as none: `prepare` must be asked, which says what is wrong.
        digest.update((table.read_bytes() if table.is_file() else b"") or b"no table")
    for path in sorted(source.rglob("*")):
        facts = path.lstat()
        if not path.is_dir():
            digest.update(
                repr((str(path.relative_to(source)), facts.st_size, facts.st_mtime_ns)).encode(
                    "utf-8", "surrogateescape"
                )
            )
    return digest.hexdigest()[:8]
