"""A checkpoint: one HDF5 file with everything a run needs to go on, or a network needs to be used.

Format "scratchnet-checkpoint", version 2:

| where          | what                                                                                                  |
|----------------|-------------------------------------------------------------------------------------------------------|
| `about`        | UTF-8 bytes, JSON: configuration, class names, pixel scaling, dataset, versions                       |
| `progress`     | UTF-8 bytes, JSON: how far the run has come, see Progress; null in a file of weights alone            |
| `weights/…`    | every parameter under its name, "conv1.weight", …: float32 or float64                                 |
| `optimizer/…`  | the optimiser's moments and its number of steps; absent in a file of weights alone                    |
| `crc32`        | attribute of each of these arrays: CRC-32 of its path, type, shape and bytes                          |
| `crc32`        | attribute of the file: CRC-32 of all the others, so that none can go missing                          |
| `format`, `version` | attributes of the file                                                                           |

No pickle: nothing in the file can run. It is written whole beside its target and renamed over it.
`scratchnet.storage.hdf5` reads a file from a stranger safely: it allocates no more than the file's size for arrays,
and the bounds of `scratchnet.storage.json_text` for MAX_TEXT_BYTES of text. Weights that are NaN or infinite are read
as they are: they show what went wrong.

CRC-32 finds every error of up to 32 bits in a row and all but one in 2³² of the others; it does not protect against forgery.
It takes 0.06 s for 400 MB (zlib.crc32, 7 GB/s; SHA-256 2 GB/s; one core of an AMD EPYC (Zen 4), Linux, 2026-11-24).
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DataError, DtypeError
from scratchnet.storage.hdf5 import NUMBERS, HDF5File, create, create_group
from scratchnet.storage.hdf5.format import MAX_LINKS, MAX_NAME, MAX_NAMES
from scratchnet.storage.json_text import parse_json

FORMAT = "scratchnet-checkpoint"
VERSION = 2
MAX_TEXT_BYTES = 2**24  # of `about` or `progress`: tens of thousands of epochs
GROUPS = ("weights", "optimizer")
TEXTS = ("about", "progress")
REMEDY = "Use another checkpoint of this run, or copy this file again from where it came."
Arrays = dict[str, NDArray[Any]]


@dataclass
class Progress:
    """How far a run has come.

    epoch: the one it is in, from 0. batches_done, loss_sum, seconds (of training): of that epoch. rows: the metrics of
    the epochs before. timings: how long they took. Only the times differ when a run is repeated.

    A field that is added here is written, read and checked against its annotation automatically: int, float, bool, str, None,
    lists and dictionaries of them. An int counts something, from 0. Numbers must be finite, except in `rows`, where a metric that is
    not defined is NaN.
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

    weights, optimizer: arrays by name. about: whatever JSON can hold. Raises OSError if the disk is full, and the
    old file stays; DtypeError for an array that is not numeric, DataError for what could not be read again: names
    that the format cannot hold, a Progress that doesn't fit its annotations.
    """
    texts = {"about": json.dumps(about).encode(), "progress": json.dumps(progress and asdict(progress)).encode()}
    _require_readable(texts)
    arrays: Arrays = {name: np.frombuffer(text, np.uint8) for name, text in texts.items()}
    arrays |= _storable("weights", weights)
    if optimizer is not None:
        arrays |= _storable("optimizer", optimizer)
    checksums = {name: _checksum(name, array) for name, array in arrays.items()}
    with create(path) as file:
        for group in GROUPS if optimizer is not None else GROUPS[:1]:
            create_group(file, group)
        for name, array in arrays.items():
            stored = file.create_dataset(name, data=array)
            stored.attrs.create("crc32", checksums[name], dtype="<u4")
        file.attrs.create("format", np.bytes_(FORMAT))
        file.attrs.create("version", VERSION, dtype="<i8")
        file.attrs.create("crc32", _checksum_of_all(checksums), dtype="<u4")


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a checkpoint and compares every array with its checksum.

    Raises DataError, naming the file, if it is missing, damaged, of another format or version, or holds anything but
    plain arrays of its own.
    """
    with HDF5File(path, "checkpoint", REMEDY) as file, file.refusing():
        about, progress = _read_texts(file)
        groups: dict[str, Arrays] = {group: {} for group in file.groups}
        for group, name, array in _read_arrays(file):
            groups[group][name] = array
        return Checkpoint(groups["weights"], about, groups.get("optimizer"), progress)


def read_about(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Progress | None]:
    """What a checkpoint says of itself, `about` and `progress`, without reading its weights: a few milliseconds.

    Raises DataError like `load_checkpoint`, but doesn't notice damage among the weights.
    """
    with HDF5File(path, "checkpoint", REMEDY) as file, file.refusing():
        return _read_texts(file)


def verify_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Progress | None, list[str]]:
    """Compares everything in a checkpoint with its checksums, one array in memory at a time.

    Returns what `read_about` does, and the paths of the arrays that hold NaN or infinities. Raises DataError like `load_checkpoint`.
    """
    with HDF5File(path, "checkpoint", REMEDY) as file, file.refusing():
        about, progress = _read_texts(file)
        odd = [f"{group}/{name}" for group, name, array in _read_arrays(file) if not np.isfinite(array).all()]
        return about, progress, odd


def _read_texts(file: HDF5File) -> tuple[dict[str, Any], Progress | None]:
    """Checks format, version and the list of arrays, then reads the two texts."""
    if (form := file.text("format")) != FORMAT:
        raise file.refusal(f"its format is {form!r}, not {FORMAT!r}")
    if (version := file.integer("version")) != VERSION:
        raise DataError(
            f"{file.path}: a checkpoint of version {version}; this program reads version {VERSION}. "
            "Use the version of scratchnet that wrote it, or train again."
        )
    if "weights" not in file.groups or not set(file.groups) <= set(GROUPS):
        raise file.refusal(f"holds the groups {', '.join(file.groups) or 'none'}; expected {' and '.join(GROUPS)}")
    if {name for name in file.datasets if "/" not in name} != set(TEXTS):
        raise file.refusal(f"holds other arrays in its root than {' and '.join(TEXTS)}")
    if _checksum_of_all({name: file.integer("crc32", name) for name in file.datasets}) != file.integer("crc32"):
        raise file.refusal("an array is missing, or one was added: the file is damaged")
    about, progress = (
        parse_json(_read_checked(file, name).tobytes(), max_bytes=MAX_TEXT_BYTES, allow_nan=True) for name in TEXTS
    )
    if not isinstance(about, dict):
        raise file.refusal("its description is not a JSON object")
    try:
        return about, None if progress is None else _parse_progress(progress)
    except ValueError as error:
        raise file.refusal(f"its progress cannot be used: {error}") from error


def _read_arrays(file: HDF5File) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Group, name and content of each array, compared with its checksum."""
    for path in file.datasets:
        if path not in TEXTS:
            group, _, name = path.partition("/")
            yield group, name, _read_checked(file, path)


def _read_checked(file: HDF5File, name: str) -> NDArray[Any]:
    array = file.array(name)
    if _checksum(name, array) != file.integer("crc32", name):
        raise file.refusal(f"{name} does not agree with its checksum: the file is damaged")
    return array


def _parse_progress(content: Any) -> Progress:
    """Turns JSON into Progress. Raises ValueError that names the field if it does not fit."""
    hints = get_type_hints(Progress)
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    if set(content) != set(hints):
        odd = sorted(set(content) ^ set(hints))
        raise ValueError(f"it {'lacks' if odd[0] in hints else 'has an unknown'} field {odd[0]!r}")
    for one in fields(Progress):
        if not _fits(content[one.name], hints[one.name], finite=one.name != "rows"):
            raise ValueError(f"{one.name} is not {one.type}: {str(content[one.name])[:60]}")
    return Progress(**content)


def _fits(value: Any, kind: Any, *, finite: bool) -> bool:
    """Whether a value from JSON is of the annotated kind; an integer will do for a float."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if kind is int:
        return type(value) is int and 0 <= value < 2**63
    if kind is float:
        return type(value) in (int, float) and (not finite or math.isfinite(value))
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0], finite=finite) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1], finite=finite) for one in value.values())
    if inner:  # a union
        return any(_fits(value, one, finite=finite) for one in inner)
    return type(value) is kind


def _require_readable(texts: dict[str, bytes]) -> None:
    """Raises DataError for texts that `load_checkpoint` would refuse: a run would notice only when it is resumed."""
    try:
        for text in texts.values():
            parse_json(text, max_bytes=MAX_TEXT_BYTES, allow_nan=True)
        if (progress := json.loads(texts["progress"])) is not None:
            _parse_progress(progress)
    except ValueError as error:
        raise DataError(f"this checkpoint could not be read again: {error}") from error


def _storable(group: str, arrays: Arrays) -> Arrays:
    """The arrays as they are stored, by path: contiguous, low byte first."""
    lengths = [len(name.encode()) for name in arrays]
    if len(arrays) > MAX_LINKS or max(lengths, default=0) > MAX_NAME or sum(lengths) + 32 * len(lengths) > MAX_NAMES:
        raise DataError(f"{len(arrays)} arrays of {group} are more, or have longer names, than a checkpoint holds")
    found: Arrays = {}
    for name, array in arrays.items():
        array = np.asarray(array, order="C")
        stored_as = array.dtype.newbyteorder("<")
        if stored_as not in NUMBERS.values():
            known = ", ".join(dtype.name for dtype in NUMBERS.values())
            raise DtypeError(f"{group}/{name}: a checkpoint holds {known}; got {array.dtype}: convert it first")
        if not name or name == "." or "/" in name or "\0" in name:
            raise DataError(f"{group}: an array cannot be called {name!r}: give it a name without slashes")
        found[f"{group}/{name}"] = array.astype(stored_as, copy=False)
    return found


def _checksum(name: str, array: NDArray[Any]) -> int:
    """CRC-32 of the array's path, type, shape and bytes."""
    return zlib.crc32(
        array.reshape(-1).view(np.uint8).data, zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode())
    )


def _checksum_of_all(checksums: dict[str, int]) -> int:
    """CRC-32 of all names and their checksums."""
    return zlib.crc32("".join(f"{name} {checksums[name]}\n" for name in sorted(checksums)).encode())
