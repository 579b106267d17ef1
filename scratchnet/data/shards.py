"""The shard: one HDF5 file with a few hundred images of one split, and everything known about them.

Format "scratchnet-shard", version 1. In the root group, and nothing else:

| dataset     | axes, type                        | what                                                             |
|-------------|-----------------------------------|------------------------------------------------------------------|
| `images`    | (N, H, W, 3) uint8, 0 … 255       | RGB; one chunk an image, each compressed with zlib ("gzip")      |
| `labels`    | (N,) int64, 0 … classes − 1       | a position in `class_names`                                      |
| `subjects`  | (N,) UTF-8 text of fixed width    | the patient or donor, "+" between those that share an image      |
| `paths`     | (N,) UTF-8 text of fixed width    | the original file, relative to the folder that was prepared      |
| `checksums` | (N,) uint32                       | CRC-32 of an image's pixels followed by its label                |

| attribute        | what                                                                                           |
|------------------|------------------------------------------------------------------------------------------------|
| `format`         | "scratchnet-shard"                                                                             |
| `version`        | 1                                                                                              |
| `dataset_id`     | the preparation this shard belongs to; shards of two preparations must not be mixed            |
| `split`          | "train", "test", …                                                                             |
| `class_names`    | JSON list                                                                                      |
| `preprocessing`  | JSON object: how files became these pixels                                                     |
| `table_checksum` | CRC-32 of everything above except the images                                                   |

Every byte that a reader hands out has been compared with a checksum. A shard may come from a stranger: `scratchnet.storage.hdf5`
opens it, so the reader follows no link, opens no other file, and allocates for the tables no more than the file's size, with
about 100 bytes of Python for each text. An image takes up to 3 · MAX_SIDE² bytes stored and as many inflated, one at a time, and
is never inflated further than that.

Compression: level 1 of zlib. Leukaemia cells cut out on black take 0.13 (256×256) to 0.23 (32×32) of the raw size. Level 9
saves little more and takes ten times as long to write; no compression reads twice as fast, which training never needs.
"""

import json
import math
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DataError
from scratchnet.storage.hdf5 import DEFLATE, MAX_TEXT_BYTES, HDF5File, create, first_line, text_of
from scratchnet.storage.hdf5.format import Chunk
from scratchnet.storage.json_text import parse_json
from scratchnet.terminal.invocation import command

FORMAT = "scratchnet-shard"
VERSION = 1
DATASETS = ("images", "labels", "subjects", "paths", "checksums")
TABLES = {"labels": "<i8", "subjects": "S", "paths": "S", "checksums": "<u4"}  # NumPy's types; texts have any width
TEXT_ATTRIBUTES = ("format", "dataset_id", "split", "class_names", "preprocessing")

MAX_SIDE = 4096  # pixels
MAX_IMAGES = 2**20  # in one shard
MAX_TABLE_BYTES = 2**28  # one of labels, subjects, paths, checksums


def remedy(to_copy: str = "the folder again, whole") -> str:
    """What to do about prepared images that are damaged or missing. to_copy: where they may be copied from instead."""
    return f"Prepare the images again with `{command('prepare', 'SOURCE', 'OUT')}`, or copy {to_copy}."


@dataclass(frozen=True)
class ShardHeader:
    """What a shard's images have in common.

    dataset_id: the preparation they belong to. split: "train", "test", … class_names: label k is class_names[k].
    preprocessing: how files became pixels, anything that JSON can hold.
    """

    dataset_id: str
    split: str
    class_names: tuple[str, ...]
    preprocessing: dict[str, Any]


@dataclass(frozen=True)
class PackedImage:
    """An image as a shard stores it: zlib-compressed pixels, and the checksum of pixels and label."""

    stored: bytes
    checksum: int


def image_checksum(pixels: bytes, label: int) -> int:
    """CRC-32 of an image's pixels (H, W, 3) uint8 in memory order, followed by its label as 8 bytes, low byte first."""
    return zlib.crc32(int(label).to_bytes(8, "little"), zlib.crc32(pixels))


def pack_image(pixels: NDArray[np.uint8], label: int) -> PackedImage:
    """Compresses one image (H, W, 3) uint8 for `write_shard`. Several threads may pack at once."""
    raw = pixels.tobytes()
    return PackedImage(zlib.compress(raw, level=1), image_checksum(raw, label))


def write_shard(
    path: str | os.PathLike[str],
    images: Iterable[PackedImage],
    *,
    image_shape: tuple[int, int, int],
    labels: NDArray[np.int64],
    subjects: Sequence[str],
    paths: Sequence[str],
    header: ShardHeader,
) -> None:
    """Writes one shard, whole or not at all: it is written beside `path`, forced to the disk, then renamed.

    images: N packed images, taken one at a time, so that they need not all be in memory. image_shape: (H, W, 3).
    labels (N,) int64. subjects, paths: N texts each; characters that UTF-8 cannot hold are written as \\udc80 and the like.
    Raises DataError if the lists differ in length or are empty or too long for a reader to accept, OSError if the disk is full.

    >>> import tempfile
    >>> header = ShardHeader("example", "train", ("all", "hem"), {})
    >>> grey = np.full((2, 8, 8, 3), 128, np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "train-0000.h5"
    ...     write_shard(path, [pack_image(x, 1) for x in grey], image_shape=(8, 8, 3), labels=np.array([1, 1]),
    ...                 subjects=["H1", "H2"], paths=["a.bmp", "b.bmp"], header=header)
    ...     with Shard(path) as shard:
    ...         len(shard), shard.read(0).shape, shard.subjects
    (2, (8, 8, 3), ('H1', 'H2'))
    """
    count = len(labels)
    if not 1 <= count <= MAX_IMAGES or not len(subjects) == len(paths) == count:
        raise DataError(
            f"{path}: a shard holds 1 to {MAX_IMAGES} images with a label, a subject and a path each; "
            f"got {count} labels, {len(subjects)} subjects, {len(paths)} paths."
        )
    texts: dict[str, str | int] = {
        "format": FORMAT,
        "version": VERSION,
        "dataset_id": header.dataset_id,
        "split": header.split,
        "class_names": json.dumps(header.class_names),
        "preprocessing": json.dumps(header.preprocessing, sort_keys=True),
    }
    tables: dict[str, NDArray[Any]] = {
        "labels": np.asarray(labels, "<i8"),
        "subjects": _text_table(path, "subjects", subjects),
        "paths": _text_table(path, "paths", paths),
        "checksums": np.zeros(count, "<u4"),
    }
    for name, text in texts.items():
        if len(str(text).encode()) > MAX_TEXT_BYTES:
            raise DataError(f"{path}: its {name} takes more than {MAX_TEXT_BYTES} bytes as text. Shorten it.")
    with create(path) as file:
        dataset = file.create_dataset(
            "images", (count, *image_shape), np.uint8, chunks=(1, *image_shape), compression="gzip", compression_opts=1
        )
        written = 0
        for image in images:
            if written < count:
                dataset.id.write_direct_chunk((written, 0, 0, 0), image.stored)
                tables["checksums"][written] = image.checksum
            written += 1
        if written != count:
            raise DataError(f"{path}: got {count} labels but {written} images.")
        for name, table in tables.items():
            file.create_dataset(name, data=table)
        for name, value in (texts | {"table_checksum": _table_checksum(tables, texts)}).items():
            if isinstance(value, str):
                encoded = value.encode()
                file.attrs.create(name, encoded, dtype=text_of(len(encoded)))
            else:
                file.attrs.create(name, value, dtype="<i8")


class Shard:
    """A shard opened for reading, after checks that a damaged or hostile file does not pass.

    Attributes: path; header (a ShardHeader); image_shape (H, W, 3); labels (N,) int64; subjects, paths: N texts each.
    `len(shard)` is N. Close it, or use it in a `with` block.

    Raises DataError, which names the file and says what to do, if the file is missing, is not a shard of this version, or
    does not agree with its checksums.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._file = HDF5File(path, "shard", remedy("this file again from where it came"))
        try:
            with self._file.refusing():
                self._load()
        except BaseException:
            self._file.close()
            raise

    def _load(self) -> None:
        """Checks the file's structure and reads everything but the images."""
        texts = self._read_attributes()
        if self._file.groups or set(self._file.datasets) != set(DATASETS):
            raise self._file.refusal(f"holds other objects than a shard, which holds {', '.join(DATASETS)}")
        tables = {name: self._read_table(name) for name in TABLES}
        self.labels: NDArray[np.int64] = tables["labels"]
        self._checksums: NDArray[np.uint32] = tables["checksums"]
        self._images = self._find_images({name: len(table) for name, table in tables.items()})
        if _table_checksum(tables, texts) != self._file.integer("table_checksum"):
            raise self._file.refusal("its labels, subjects, paths or attributes do not agree with their checksum")
        self.subjects = tuple(text.decode() for text in tables["subjects"])
        self.paths = tuple(text.decode() for text in tables["paths"])
        self.header = self._parse_header(texts)
        if self.labels.min() < 0 or self.labels.max() >= len(self.header.class_names):
            raise self._file.refusal(
                f"has labels from {self.labels.min()} to {self.labels.max()} for {len(self.header.class_names)} classes"
            )

    def _read_attributes(self) -> dict[str, str | int]:
        """All attributes but the checksum; format and version are compared."""
        if (form := self._file.text("format")) != FORMAT:
            raise self._file.refusal(f"its format is {form!r}, not {FORMAT!r}")
        if (version := self._file.integer("version")) != VERSION:
            raise DataError(
                f"{self.path}: a shard of format version {version}; this program reads version {VERSION}. "
                "Prepare the images again, or use the version of scratchnet that wrote them."
            )
        return {"version": version, **{name: self._file.text(name) for name in TEXT_ATTRIBUTES}}

    def _parse_header(self, texts: dict[str, str | int]) -> ShardHeader:
        class_names, preprocessing = (
            parse_json(str(texts[name]).encode(), max_bytes=MAX_TEXT_BYTES) for name in ("class_names", "preprocessing")
        )
        if not isinstance(class_names, list) or not all(isinstance(name, str) for name in class_names):
            raise self._file.refusal("its class names are not a list of texts")
        if not isinstance(preprocessing, dict):
            raise self._file.refusal("its preprocessing is not a JSON object")
        return ShardHeader(str(texts["dataset_id"]), str(texts["split"]), tuple(class_names), preprocessing)

    def _read_table(self, name: str) -> NDArray[Any]:
        """One of the small datasets."""
        table = self._file.array(name)
        right_type = TABLES[name] in (table.dtype.str, table.dtype.kind)
        if table.ndim != 1 or not right_type or not 1 <= len(table) <= MAX_IMAGES:
            raise self._file.refusal(f"{name!r} is {table.dtype} {table.shape}, which no shard has")
        return table

    def _find_images(self, lengths: dict[str, int]) -> list[Chunk]:
        """Where the images are, if every one is stored as a compressed chunk of a plausible size. lengths: of the tables."""
        images = self._file.member("images")
        shape = images.shape
        if (
            images.dtype != np.uint8
            or len(shape) != 4
            or shape[3] != 3
            or not all(1 <= side <= MAX_SIDE for side in shape[1:3])
        ):
            raise self._file.refusal(
                f"'images' is {images.dtype} {shape}; expected uint8 (N, H, W, 3) with sides up to {MAX_SIDE}"
            )
        if any(length != shape[0] for length in lengths.values()):
            facts = ", ".join(f"{length} {name}" for name, length in lengths.items())
            raise self._file.refusal(f"holds {shape[0]} images, {facts}")
        chunk_shape, chunks = self._file.chunks("images")
        if chunk_shape != (1, *shape[1:]) or images.filters != [DEFLATE]:
            raise self._file.refusal("'images' is not stored as one gzip chunk an image")
        self.image_shape: tuple[int, int, int] = (shape[1], shape[2], 3)
        self._image_bytes = math.prod(self.image_shape)
        largest = self._image_bytes + self._image_bytes // 1000 + 64  # zlib never needs more, even for noise
        if len(chunks) != shape[0] or not all(0 < chunk.bytes <= largest and chunk.mask == 0 for chunk in chunks):
            raise self._file.refusal(
                f"'images' declares {shape[0]} images and stores {len(chunks)} chunks, or chunks of impossible sizes"
            )
        return chunks

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Image number `index`, 0 … N − 1: (H, W, 3) uint8, read-only, compared with its checksum.

        Raises DataError if the stored bytes are damaged, IndexError if there is no such image.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} holds images 0 to {len(self) - 1}, asked for {index}")
        try:
            stored = self._file.chunk(self._images[index])
            pixels = zlib.decompressobj().decompress(stored, self._image_bytes)
        except Exception as error:
            raise self._file.refusal(f"image {index} cannot be read ({first_line(error)})") from error
        if len(pixels) != self._image_bytes or image_checksum(pixels, self.labels[index]) != self._checksums[index]:
            raise self._file.refusal(f"image {index} does not agree with its checksum")
        return np.frombuffer(pixels, np.uint8).reshape(self.image_shape)

    def close(self) -> None:
        """Closes the file. Labels, subjects and paths stay; images can no longer be read."""
        self._file.close()

    def __enter__(self) -> "Shard":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _text_table(path: str | os.PathLike[str], name: str, texts: Sequence[str]) -> NDArray[np.bytes_]:
    """Texts as UTF-8 of fixed width, see `text_of`."""
    encoded = [text.encode("utf-8", "backslashreplace") for text in texts]
    width = max(1, *map(len, encoded))
    if width > MAX_TEXT_BYTES or width * len(encoded) > MAX_TABLE_BYTES:
        raise DataError(
            f"{path}: the longest of the {name} takes {width} bytes; at most {MAX_TEXT_BYTES} are allowed. Shorten it."
        )
    return np.array(encoded, text_of(width))


def _table_checksum(tables: dict[str, NDArray[Any]], texts: dict[str, str | int]) -> int:
    """CRC-32 of the tables and attributes, in a fixed order and with their names."""
    checksum = 0
    for name in sorted(tables):
        checksum = zlib.crc32(tables[name].tobytes(), zlib.crc32(name.encode(), checksum))
    for name in sorted(texts):
        checksum = zlib.crc32(f"{name}={texts[name]}".encode(), checksum)
    return checksum
