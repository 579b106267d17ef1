"""A checkpoint: one HDF5 file with everything a run needs to go on, or a network needs to be used.

Format "scratchnet-checkpoint", version 1:

| where          | what                                                                                         |
|----------------|----------------------------------------------------------------------------------------------|
| `weights/…`    | every parameter under its name, "conv1.weight", …                                            |
| `optimizer/…`  | the optimiser's moments and its number of steps; absent in a file of weights alone           |
| `about`        | attribute, JSON: configuration, class names, pixel scaling, dataset, versions                |
| `progress`     | attribute, JSON: epoch, position inside it, the rows of the metrics; absent in weights alone |
| `crc32`        | attribute of each array: a checksum over its bytes                                           |
| `text_crc32`   | attribute: a checksum over the two JSON texts                                                |

No pickle: nothing in the file can run. It is written whole beside its target and renamed over it.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DataError
from scratchnet.files import write_atomically

FORMAT = "scratchnet-checkpoint"
VERSION = 1
MAX_BYTES = 2**34  # of one array: far beyond any network here, and still a bound
Arrays = dict[str, NDArray[Any]]


@dataclass
class Progress:
    """How far a run has come.

    epoch: the one it is in, from 0. batches_done, loss_sum, seconds (of training): of that epoch. rows: the metrics of
    the epochs before. timings: how long they took. Only the times differ when a run is repeated.
    """

    epoch: int = 0
    batches_done: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    timings: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` read. optimizer and progress are None in a file of weights alone."""

    weights: Arrays
    about: dict[str, Any]
    optimizer: Arrays | None
    progress: Progress | None


def save_checkpoint(
    path: str | os.PathLike[str],
    weights: Arrays,
    about: dict[str, Any],
    *,
    optimizer: Arrays | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a checkpoint to `path`, which at every moment holds the old file or the new one.

    weights, optimizer: arrays by name. about: whatever JSON can hold. Raises OSError where the disk is full, and the
    old file stays.
    """
    texts = {"about": json.dumps(about), "progress": json.dumps(None if progress is None else asdict(progress))}
    with write_atomically(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        file.attrs.update(format=FORMAT, version=VERSION, **texts, text_crc32=_text_checksum(texts))
        for group, arrays in (("weights", weights), ("optimizer", optimizer or {})):
            for name, array in arrays.items():
                stored = file.create_dataset(f"{group}/{name}", data=np.asarray(array, order="C"))
                stored.attrs["crc32"] = _checksum(array)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a checkpoint and compares every array with its checksum.

    Raises DataError, naming the file, where it is missing, damaged, of another format or version, or holds anything but
    plain arrays of its own.
    """
    with _opened(path) as file:
        about, progress = _read_texts(file)
        return Checkpoint(
            weights=_read_group(Path(path), file, "weights"),
            about=about,
            optimizer=_read_group(Path(path), file, "optimizer") if "optimizer" in file else None,
            progress=progress,
        )


def read_about(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Progress | None]:
    """What a checkpoint says of itself, `about` and `progress`, without reading its weights.

    Raises DataError like `load_checkpoint`, but doesn't notice damage among the weights.
    """
    with _opened(path) as file:
        return _read_texts(file)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The HDF5 file; whatever goes wrong with it becomes a DataError."""
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such checkpoint")
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py raises nearly anything on damaged structures
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a readable checkpoint, truncated or damaged ({reason})") from error


def _read_texts(file: Any) -> tuple[dict[str, Any], Progress | None]:
    """about and progress, after a look at format, version and checksum."""
    path = file.filename
    if file.attrs.get("format") != FORMAT:
        raise DataError(f"{path}: not a checkpoint of scratchnet")
    if file.attrs["version"] != VERSION:
        raise DataError(
            f"{path}: a checkpoint of version {file.attrs['version']}; this program reads version {VERSION}"
        )
    texts = {name: str(file.attrs[name]) for name in ("about", "progress")}
    if _text_checksum(texts) != file.attrs["text_crc32"]:
        raise DataError(f"{path}: its description does not agree with its checksum: the file is damaged")
    progress = json.loads(texts["progress"])
    return json.loads(texts["about"]), None if progress is None else Progress(**progress)


def _read_group(path: Path, file: Any, group: str) -> Arrays:
    """All arrays of a group. Links, other files' data and undeclared sizes are refused before a byte is read."""
    arrays: Arrays = {}
    for link in (f"{group}", *(f"{group}/{name}" for name in file[group])):
        if not isinstance(file.get(link, getlink=True), h5py.HardLink):
            raise DataError(f"{path}: {link!r} is a link to somewhere else, which is never followed")
    for name, stored in file[group].items():
        if (
            not isinstance(stored, h5py.Dataset)
            or stored.is_virtual
            or stored.id.get_create_plist().get_external_count() > 0
        ):
            raise DataError(f"{path}: {group}/{name} is not a plain array of this file")
        size = math.prod(stored.shape) * stored.dtype.itemsize
        if (
            stored.dtype.kind not in "fiu"
            or size > MAX_BYTES
            or stored.chunks is not None
            or stored.id.get_storage_size() != size
        ):
            raise DataError(
                f"{path}: {group}/{name} declares {size} bytes of {stored.dtype} and stores {stored.id.get_storage_size()}"
            )
        arrays[name] = stored[()]
        if _checksum(arrays[name]) != stored.attrs["crc32"]:
            raise DataError(f"{path}: {group}/{name} does not agree with its checksum: the file is damaged")
    return arrays


def _checksum(array: NDArray[Any]) -> int:
    """CRC-32 over the array's type, shape and bytes."""
    array = np.asarray(array, order="C")
    return zlib.crc32(array.reshape(-1).view(np.uint8).data, zlib.crc32(f"{array.dtype.str}{array.shape}".encode()))


def _text_checksum(texts: dict[str, str]) -> int:
    return zlib.crc32("\0".join(texts.values()).encode())
