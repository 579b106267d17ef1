"""Prepared images that are kept: the same images and settings are prepared once, and found again by the next run."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from data_prep.prepare import SAMPLE, prepare, prepare_folds
from data_prep.settings import Settings
from data_prep.summary import describe
from scratchnet.data.scaling import ENLARGE, SHRINK
from scratchnet.errors import DataError
from scratchnet.version import __version__

FOLDER = Path("prepared")


def kept(source: Path, settings: Settings, folder: Path | None = None, *, say: Callable[[str], object] = print) -> Path:
    """The shards made of the images in `source`: those of an earlier call, or, where there are none, made now.

    folder: where they are kept ("prepared"); each preparation has a folder of its own below it, named after the images, their
    size and their `fingerprint`. say: is told which of the two happened. With the split kfold, the folder that is returned
    holds fold-0, fold-1, …

    Raises what `prepare` raises.
    """
    place = place_of(source, settings, folder)
    if place.exists():
        if not is_dataset(place) and not is_folds(place):
            raise DataError(f"{place}: what was prepared before is not whole: delete this folder, and it is made anew")
        say(f"Using what was prepared before from {source}.\n")
        return place
    say(f"Preparing the images of {source}; they are kept for the next run in {place}.")
    folds = settings.split == "kfold"
    manifests = prepare_folds(source, place, settings) if folds else (prepare(source, place, settings),)
    say(f"{describe(*manifests)}\n")
    return place


def place_of(source: Path, settings: Settings, folder: Path | None = None) -> Path:
    """Where `kept` puts the shards of these images, whether they are there or not."""
    return (folder or FOLDER) / f"{name_of(source)}-{settings.image_size}-{fingerprint(source, settings)}"


def name_of(source: Path) -> str:
    """A short name for these images, which runs on them are called by."""
    return "sample" if source == SAMPLE else source.resolve().name


def require_folder(source: Path) -> None:
    """Raises DataError where there is no such folder."""
    if not source.is_dir():
        raise DataError(f"{source}: there is no such folder; --data takes a folder of images or of prepared shards")


def is_dataset(folder: Path) -> bool:
    """Whether the folder holds prepared shards, and not images."""
    return (folder / "manifest.json").is_file()


def is_folds(folder: Path) -> bool:
    """Whether the folder holds the prepared folds of a cross-validation."""
    return is_dataset(folder / "fold-0")


def fingerprint(source: Path, settings: Settings) -> str:
    """Eight letters that change when an image is added, removed or written anew, or when a setting, the version or the scaling
    changes."""
    alike = replace(settings, subjects=None)  # its text is what counts, not how it was called
    digest = hashlib.sha256(repr((__version__, SHRINK, ENLARGE, str(source.resolve()), alike)).encode())
    if settings.subjects is not None and Path(settings.subjects).is_file():
        digest.update(Path(settings.subjects).read_bytes())
    for path in sorted(source.rglob("*")):
        facts = path.lstat()
        if not path.is_dir():
            digest.update(
                repr((str(path.relative_to(source)), facts.st_size, facts.st_mtime_ns)).encode(
                    "utf-8", "surrogateescape"
                )
            )
    return digest.hexdigest()[:8]
