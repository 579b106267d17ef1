"""Real cells in one line: those that come with scratchnet, at the size that a lesson wants."""

import contextlib
import hashlib
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.scaling import SHRINK
from scratchnet.errors import ConfigError
from scratchnet.storage.files import write_atomically

Cells = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_]]

LARGEST = 450  # the size of the files


def cells(size: int = 32, *, cache: Path | None = None) -> Cells:
    """The 246 cells of the sample's folds: images (246, size, size, 3) uint8, labels (246,) int64, subjects (246,) text.

    A label is 1 for a leukaemic cell (ALL), 0 for a normal one (HEM). A subject is the person the cell comes from, such as
    "11" or "H10"; the cells of one person look alike, so that they belong on one side of a split. The order is that of the
    files' names, by fold.

    The first call at a size decodes the files, which takes seconds; the next ones read what it has kept, in `cache`, or, where
    none is given, in the folder that the system has for such things. Where nothing can be kept there, nothing is.
    NumPy's products run on one thread from then on, where threadpoolctl is installed (it comes with the extra [course]): those
    of the lessons are so small that threads wait for each other longer than they compute.
    Raises ConfigError for a size that is not a whole number from 1 to 450.
    Source: Gupta & Gupta 2019, C-NMC 2019 (scratchnet/prepare/sample/README.md).

    >>> images, labels, subjects = cells(8)
    >>> images.shape, labels.sum().item(), len(set(subjects))
    ((246, 8, 8, 3), 176, 54)
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 1 <= size <= LARGEST:
        raise ConfigError(f"cells: size must be a whole number from 1 to {LARGEST}, got {size!r}: such as cells(32)")
    _one_thread()
    file = (cache_folder() if cache is None else cache) / f"cells-{size}-{_fingerprint()}.npz"
    found = _kept(file, int(size))
    if found is None:
        found = _decoded(int(size))
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(file) as temporary:
                np.savez(temporary, images=found[0], labels=found[1], subjects=found[2])
    return found


def _one_thread() -> None:
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, "blas")


def cache_folder() -> Path:
    """Where this system keeps what a program can make again: ~/.cache/scratchnet-course and the like."""
    home = Path.home()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "scratchnet-course"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "scratchnet-course"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "scratchnet-course"


def _fingerprint() -> str:
    """Of all that decides the pixels but the size: the files, and how they are scaled."""
    from scratchnet.prepare import SAMPLE

    return hashlib.sha256((SAMPLE / "index.csv").read_bytes() + f"{SHRINK} 2".encode()).hexdigest()[:12]


def _kept(file: Path, size: int) -> Cells | None:
    """What an earlier call has kept; None where there is nothing, or nothing whole."""
    try:
        with open(file, "rb") as opened, np.load(opened) as held:
            images, labels, subjects = held["images"], held["labels"], held["subjects"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    whole = (
        images.dtype == np.uint8 and images.shape == (len(labels), size, size, 3) and len(labels) == len(subjects) > 0
    )
    return (images, labels, subjects) if whole else None


def _decoded(size: int) -> Cells:
    from scratchnet.data.images import preprocessing, read_pixels
    from scratchnet.prepare import SAMPLE
    from scratchnet.prepare.cnmc import CNMC_NAME

    files = sorted(SAMPLE.glob("fold_*/*/*.webp"))
    how = preprocessing(size)
    names = [CNMC_NAME.fullmatch(file.stem) for file in files]
    return (
        np.stack([read_pixels(file, how) for file in files]),
        np.array([int(file.parent.name == "all") for file in files]),
        np.array([name["subject"].upper() for name in names if name is not None]),
    )
