"""The manifest: the page that says what a prepared dataset holds, how it was made, and what was left out.

It is the file `manifest.json` in the folder of the shards, meant to be read by people too. Shards that it does not name do
not belong to the dataset.
"""

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scratchnet.errors import DataError
from scratchnet.storage.files import write_text_atomically
from scratchnet.storage.json_text import JsonError, parse_json
from scratchnet.terminal.invocation import command
from scratchnet.terminal.system_error import system_reason

FORMAT = "scratchnet-dataset"
VERSION = 1
FILE_NAME = "manifest.json"
MAX_BYTES = 2**26  # with the bounds of `scratchnet.storage.json_text`: half a gigabyte of memory at most


def remedy() -> str:
    """What to do where a folder is not a prepared dataset, or not one that can be read."""
    return f"Prepare the images with `{command('prepare', 'SOURCE', 'OUT')}`."


@dataclass(frozen=True)
class ShardFile:
    """One shard of a split: its name in the folder, the images it holds, its size in bytes and the SHA-256 of its bytes."""

    file: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """One side of the dataset: images of each class (in the order of the class names), its subjects, its shards in order."""

    images_per_class: tuple[int, ...]
    subjects: tuple[str, ...]
    shards: tuple[ShardFile, ...]

    @property
    def images(self) -> int:
        """Images in all classes."""
        return sum(self.images_per_class)


@dataclass(frozen=True)
class Remark:
    """A path of the source, relative to it, and what happened to that image (or folder), and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says.

    dataset_id: changes whenever any image, label, subject, split or order changes. image_shape: (H, W, 3).
    class_names: label k is class_names[k]. channel_mean, channel_std: of the training pixels, R, G, B, in [0, 1].
    splits: by name, "train" and "test" among them. preprocessing: how a file becomes pixels. preparation: all settings.
    subjects_known: False if each image had to count as a subject of its own.
    merged_subjects: groups of subjects that share an image and count as one. left_out, altered: by path, with the reason.
    """

    dataset_id: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    channel_mean: tuple[float, float, float]
    channel_std: tuple[float, float, float]
    splits: dict[str, Split]
    preprocessing: dict[str, Any]
    preparation: dict[str, Any]
    subjects_known: bool
    merged_subjects: tuple[tuple[str, ...], ...]
    left_out: tuple[Remark, ...]
    altered: tuple[Remark, ...]


def write_manifest(folder: str | os.PathLike[str], manifest: Manifest) -> None:
    """Writes `manifest.json` into `folder`, in one step, with a checksum over its content."""
    content = asdict(manifest)
    for split, facts in zip(content["splits"].values(), manifest.splits.values(), strict=True):
        split["images"] = facts.images  # redundant, for the human reader
    content = {"format": FORMAT, "version": VERSION, **content}
    content = json.loads(json.dumps(content))
    text = json.dumps({**content, "checksum": _checksum(content)}, indent=1, ensure_ascii=True)
    write_text_atomically(Path(folder) / FILE_NAME, text + "\n")


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Reads and checks `manifest.json` in `folder`.

    Raises DataError if the folder or the file is missing, damaged, edited, or of another version.
    """
    path = Path(folder) / FILE_NAME
    try:
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: there is no such folder. {remedy()}")
        if not path.is_file():
            raise DataError(f"{folder}: not a prepared dataset, {FILE_NAME} is missing. {remedy()}")
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size  # asked for more, `read` would take that much at once
            content = parse_json(stream.read(min(size, MAX_BYTES + 1)), max_bytes=MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {system_reason(error)}.") from error
    except JsonError as error:
        raise DataError(f"{path}: not a manifest of a prepared dataset, or damaged ({error}). {remedy()}") from error
    if not isinstance(content, dict) or not {"format", "version", "checksum"} <= set(content):
        raise DataError(
            f"{path}: not a manifest of a prepared dataset: it has no format, version or checksum. {remedy()}"
        )
    checksum, form, version = (content.pop(key) for key in ("checksum", "format", "version"))
    if form != FORMAT or version != VERSION:
        raise DataError(
            f"{path}: format {str(form)[:40]!r} version {str(version)[:40]}; this program reads {FORMAT!r} version {VERSION}. "
            "Prepare the images again, or use the version of scratchnet that wrote it."
        )
    if checksum != _checksum({"format": form, "version": version, **content}):
        raise DataError(f"{path} does not agree with its checksum: it was damaged or edited. Prepare the images again.")
    try:
        return _parse(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: not a manifest that this version understands ({error}). {remedy()}") from error


def _parse(content: dict[str, Any]) -> Manifest:
    """Turns JSON into a Manifest. Raises KeyError, TypeError, ValueError, AttributeError or OverflowError if it does not fit."""
    height, width, channels = (_whole("image_shape", side, least=1) for side in content["image_shape"])
    mean, std = (tuple(map(float, content[key])) for key in ("channel_mean", "channel_std"))
    if channels != 3 or len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, mean + std)):
        raise ValueError("images have three channels, each with a finite mean and standard deviation")
    class_names = _texts("class_names", content["class_names"])
    return Manifest(
        dataset_id=_text("dataset_id", content["dataset_id"]),
        image_shape=(height, width, 3),
        class_names=class_names,
        channel_mean=mean,
        channel_std=std,
        splits={name: _parse_split(name, split, len(class_names)) for name, split in content["splits"].items()},
        preprocessing=dict(content["preprocessing"]),
        preparation=dict(content["preparation"]),
        subjects_known=bool(content["subjects_known"]),
        merged_subjects=tuple(_texts("merged_subjects", group) for group in content["merged_subjects"]),
        left_out=_parse_remarks(content["left_out"]),
        altered=_parse_remarks(content["altered"]),
    )


def _parse_split(name: str, split: dict[str, Any], classes: int) -> Split:
    shards = tuple(_parse_shard(shard) for shard in split["shards"])
    if len({shard.file for shard in shards}) < len(shards):
        raise ValueError(f"{name!r} names a shard twice")
    counts = tuple(_whole("images_per_class", count, least=0) for count in split["images_per_class"])
    if len(counts) != classes or sum(shard.images for shard in shards) != sum(counts):
        raise ValueError(f"the shards of {name!r} do not add up to its images, or its classes are not {classes}")
    return Split(counts, _texts("subjects", split["subjects"]), shards)


def _parse_shard(shard: dict[str, Any]) -> ShardFile:
    file = _text("file", shard["file"])
    if Path(file).name != file or file in ("", ".", "..") or "\\" in file or "\0" in file:
        raise ValueError(f"{file!r} is not the plain name of a file in this folder")
    images, size = (_whole(key, shard[key], least=1) for key in ("images", "bytes"))
    return ShardFile(file, images, size, _text("sha256", shard["sha256"]))


def _parse_remarks(remarks: list[dict[str, Any]]) -> tuple[Remark, ...]:
    return tuple(Remark(_text("path", remark["path"]), _text("reason", remark["reason"])) for remark in remarks)


def _whole(name: str, value: Any, *, least: int) -> int:
    if type(value) is not int or not least <= value < 2**63:
        raise ValueError(f"{name} is {str(value)[:40]!r}; expected a whole number from {least}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {str(value)[:40]!r}; expected a text")
    return value


def _texts(name: str, values: list[Any]) -> tuple[str, ...]:
    return tuple(_text(name, value) for value in values)


def _checksum(content: dict[str, Any]) -> str:
    """SHA-256 of the content as JSON without spaces, keys sorted, ASCII only."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    ).hexdigest()
