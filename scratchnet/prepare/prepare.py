"""A folder of images → a folder of shards, in one pass over the images and in bounded memory.

The shards are filled only once every image has been read, when duplicates are known and sides can be chosen. The
result appears under its name only when it is complete.
"""

import errno
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from scratchnet.data import Manifest, Remark
from scratchnet.data.images import FEW_BITS, TAKE_MORE, preprocessing
from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare.folder import new_folder, require_outside
from scratchnet.prepare.settings import Settings
from scratchnet.prepare.sides import Usable, divide, find_usable
from scratchnet.prepare.sources import Found, find_images
from scratchnet.prepare.spool import Spool, measured_window
from scratchnet.prepare.subjects import NO_MATCH, NO_MATCH_IN_PATH, NOT_LISTED, OTHER_CASE
from scratchnet.prepare.tables import read_subjects
from scratchnet.prepare.writing import write_dataset

SAMPLE = Path(__file__).parent / "sample"


def prepare(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    quiet: bool = False,
) -> Manifest:
    """Prepares the images below `source` into the new folder `out`; `describe(manifest)` describes the result.

    The same images and settings give the same dataset_id and the same shards, on any number of threads.
    quiet: no progress bar (there is none either if standard error is not a terminal).

    Raises DataError if there is nothing to prepare, `out` exists, a class has too few subjects, or the disk is full;
    ConfigError for settings that cannot work. Then, and when interrupted, nothing is left behind.
    """
    settings = settings or Settings()
    if settings.split == "kfold":
        raise ConfigError("prepare makes one dataset, and --split kfold makes several: call prepare_folds")
    (manifest,) = _prepare(Path(source), Path(out), settings, lambda folder, fold: folder, quiet)
    return manifest


def prepare_folds(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    quiet: bool = False,
) -> tuple[Manifest, ...]:
    """Prepares k datasets for a k-fold cross-validation by subject: `out`/fold-0, `out`/fold-1, …

    Every image tests in exactly one of them and trains in the others. Images are read once; each dataset takes its own
    space. Everything else is as in `prepare`.
    """
    settings = settings or Settings(split="kfold")
    if settings.split != "kfold":
        raise ConfigError(f"prepare_folds makes several datasets, and --split {settings.split} makes one: call prepare")
    return _prepare(Path(source), Path(out), settings, lambda folder, fold: folder / f"fold-{fold}", quiet)


def prepare_sample(out: str | os.PathLike[str], settings: Settings | None = None, *, quiet: bool = False) -> Manifest:
    """Prepares the leukaemia cells that come with this program (`scratchnet/prepare/sample`): the 246 of its training folds."""
    return prepare(SAMPLE, out, settings, quiet=quiet)


def _prepare(
    source: Path, out: Path, settings: Settings, place: Callable[[Path, int], Path], quiet: bool
) -> tuple[Manifest, ...]:
    """The work itself. place(folder, number): where the dataset of that number goes below the folder that becomes `out`."""
    _require_free(out, source)
    table = read_subjects(Path(settings.subjects)) if settings.subjects is not None else None
    found = find_images(
        source,
        subject_pattern=settings.subject_pattern,
        subjects=table,
        prelim=settings.split == "prelim",
        layout=settings.layout,
    )
    if settings.split == "given" and not {"train", "test"} <= set(found.sides.values()):
        raise DataError(
            f"{source}: --split given needs folders that name a training and a test side, such as train/ and test/; these are "
            f"{found.layout}."
        )
    window = measured_window(found.images, threads=settings.threads, quiet=quiet) if settings.bits == 16 else None
    how = preprocessing(settings.image_size, fit=settings.fit, crop=settings.crop, window=window)
    manifests = []
    try:
        with new_folder(out) as folder, tempfile.TemporaryFile(dir=folder) as file:
            spool = Spool(file, how, threads=settings.threads, quiet=quiet)
            prepared, unusable = spool.fill(found.images)
            usable = find_usable(prepared, found.class_names, settings)
            left_out = [*found.left_out, *unusable, *usable.left_out]
            _check_classes(source, usable, left_out, settings.bits)
            for number, division in enumerate(divide(usable, settings)):
                dataset = place(folder, number)
                dataset.mkdir(exist_ok=True)
                asked = _preparation(source, found, settings)
                if settings.split == "kfold":
                    asked["fold"] = number
                manifests.append(write_dataset(dataset, division, usable, spool, settings.shard_size, left_out, asked))
    except (OSError, RuntimeError) as error:  # HDF5 raises RuntimeError if a file cannot be closed on a full disk
        reason = _reason(error)
        if not reason:
            raise
        raise DataError(f"{out} cannot be written: {reason}") from error
    return tuple(manifests)


def _reason(error: OSError | RuntimeError) -> str:
    """What the operating system says, and the remedy; "" for an error from elsewhere.

    HDF5 hides the number of the system's error in a long message.
    """
    hidden = re.search(r"errno = (\d+)", str(error))
    number = int(hidden[1]) if hidden else getattr(error, "errno", None)
    if number is None:
        return f"{error}. Choose another folder." if isinstance(error, OSError) else ""
    full = number in (errno.ENOSPC, errno.EDQUOT)
    return f"{os.strerror(number)}. {'Free some space or choose another folder.' if full else 'Choose another folder.'}"


def _require_free(out: Path, source: Path) -> None:
    """Raises DataError if `out` is taken, cannot be made, or would be read as part of the source the next time."""
    if os.path.lexists(out):
        raise DataError(f"{out}: exists already, and is never overwritten. Choose another name, or remove it first.")
    above = next((folder for folder in out.parents if os.path.lexists(folder)), None)
    if above and not above.is_dir():
        raise DataError(f"{out} cannot be made, because {above} is not a folder. Choose a path below a folder.")
    require_outside(out, source)


def _check_classes(source: Path, usable: Usable, left_out: Sequence[Remark], bits: int) -> None:
    """Raises DataError if a class has no image left."""
    present = {item.label for item in usable.items}
    for label, name in enumerate(usable.class_names):
        if label not in present:
            of_class = [
                remark
                for remark in left_out
                if name in remark.path.lower().split("/") or name in remark.path.split("/")
            ]
            reasons = "; ".join(f"{remark.path!r}: {remark.reason}" for remark in of_class[:3])
            raise DataError(
                f"{source}: class {name!r} has no usable image{f' ({reasons})' if reasons else ''}. "
                f"{_remedy({remark.reason for remark in of_class}, bits)}"
            )


def _remedy(reasons: set[str], bits: int) -> str:
    """What to do if all images of a class are left out for these reasons."""
    if bits == 8 and any(TAKE_MORE in reason for reason in reasons):
        return "Choose --bits 16, which scales such images by one window."
    if bits == 16 and FEW_BITS in reasons:
        return (
            "--bits 16 is for sets whose images all have more than 8 bits: leave it out, or bring all classes to the same "
            "number of bits, for a network would tell them apart by that."
        )
    if reasons and all(" the same image is in class " in reason for reason in reasons):
        return (
            "Another class holds the same images: one of the two folders is a copy, or they are not classes. Keep one, or say with "
            "--layout which folders are the classes."
        )
    if reasons and reasons <= {NO_MATCH, NO_MATCH_IN_PATH}:
        return "The pattern finds no subject in any file of this class: write one that fits the files of every class."
    if reasons and reasons <= {NOT_LISTED, OTHER_CASE}:
        return "The table of subjects lists no file of this class: add them, with paths as they are in the source."
    return "If that folder is not a class, say with --layout which folders are, or move it out of the source."


def _preparation(source: Path, found: Found, settings: Settings) -> dict[str, Any]:
    """All settings, for the manifest; of paths only the names, which mean something on another machine.

    sample: whether these are the images that come with this program, and not some folder called "sample".
    """
    asked = asdict(replace(settings, subjects=settings.subjects and Path(settings.subjects).name))
    del asked["threads"]  # changes nothing
    return {
        "source": source.resolve().name,
        "sample": source.resolve() == SAMPLE.resolve(),
        "understood_as": found.layout,
        "given_sides": found.sides,
        **asked,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
    }
