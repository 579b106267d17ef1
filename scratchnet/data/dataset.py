"""One split of a prepared dataset: its images by number, and everything known about them."""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data.manifest import Manifest, ShardFile, read_manifest
from scratchnet.data.shards import Shard, remedy
from scratchnet.errors import DataError
from scratchnet.terminal.system_error import system_reason


class Dataset:
    """The images of one split, numbered 0 … N − 1 through its shards in the manifest's order, always the same.

    folder: what `python -m data_prep` wrote. split: "train", "test", …
    memory_limit: bytes. If all images of the split fit into it, each is kept once it has been read and checked, so that
    later epochs don't read the disk again; 0 keeps none.

    Attributes:
        labels (N,) int64: positions in `class_names`.       subjects, paths: N texts each.
        class_names: the text for each label.                image_shape: (H, W, 3).
        shard_sizes: images in each shard, in order.         dataset_id: of the preparation, the same for all its splits.
        channel_mean, channel_std: of the training split's pixels, R, G, B, in [0, 1], for every split alike.
        preprocessing: how a file became these pixels.
        manifest: the Manifest, with what was left out and why.

    Raises DataError, naming the file and what to do, if the folder is not a prepared dataset, has no such split, or if a
    shard is missing, damaged, or of another preparation.

    >>> Dataset("no/such/folder", "train")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchnet.errors.DataError: no/such/folder: there is no such folder. Prepare the images with `...`.
    """

    def __init__(self, folder: str | os.PathLike[str], split: str, *, memory_limit: int = 2**28):
        self.folder = Path(folder)
        self.split = split
        self.manifest = read_manifest(folder)
        if split not in self.manifest.splits:
            raise DataError(f"{folder} has no split {split!r}; it has {', '.join(self.manifest.splits)}.")
        files = self.manifest.splits[split].shards
        if not files:
            raise DataError(f"{folder}: its split {split!r} holds no image. {remedy()}")
        self.class_names = self.manifest.class_names
        self.image_shape = self.manifest.image_shape
        self.dataset_id = self.manifest.dataset_id
        self.channel_mean = self.manifest.channel_mean
        self.channel_std = self.manifest.channel_std
        self.preprocessing = self.manifest.preprocessing

        self._shards: list[Shard] = []
        try:
            for file in files:
                self._shards.append(open_shard(folder, self.manifest, split, file))
        except BaseException:
            self.close()
            raise
        self.shard_sizes = tuple(len(shard) for shard in self._shards)
        self.labels = np.concatenate([shard.labels for shard in self._shards])
        self.subjects = tuple(subject for shard in self._shards for subject in shard.subjects)
        self.paths = tuple(path for shard in self._shards for path in shard.paths)
        self._first = np.concatenate([[0], np.cumsum(self.shard_sizes)])  # number of each shard's first image

        keep = len(self) * int(np.prod(self.image_shape)) <= memory_limit
        self._kept = np.empty((len(self) if keep else 0, *self.image_shape), np.uint8)
        self._is_kept = np.zeros(len(self), bool)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """The images with these numbers, in this order: (len(indices), H, W, 3) uint8, each compared with its checksum.

        indices: integers, 0 … N − 1, in any order, repeats allowed.
        Raises IndexError if a number is out of range, DataError if an image is damaged.
        """
        numbers = np.asarray(indices)
        if numbers.size == 0:
            return np.empty((0, *self.image_shape), np.uint8)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise IndexError(f"expected a list of image numbers, got an array {numbers.shape} of {numbers.dtype}")
        if numbers.min() < 0 or numbers.max() >= len(self):
            raise IndexError(
                f"the split {self.split!r} holds images 0 to {len(self) - 1}; asked for {numbers.min()} to {numbers.max()}"
            )
        if self.keep(numbers):
            kept: NDArray[np.uint8] = self._kept[numbers]
            return kept
        images = np.empty((len(numbers), *self.image_shape), np.uint8)
        for position, number in enumerate(numbers):
            images[position] = self._read_one(number)
        return images

    def keep(self, numbers: NDArray[np.integer]) -> bool:
        """Whether images are kept, as `memory_limit` says; these are read and checked then, if they were not before.

        Raises DataError if one is damaged.
        """
        if len(self._kept) == 0:
            return False
        for number in numbers[~self._is_kept[numbers]]:
            self._kept[number] = self._read_one(number)
            self._is_kept[number] = True
        return True

    def _read_one(self, number: int) -> NDArray[np.uint8]:
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._shards[shard].read(int(number - self._first[shard]))

    def verify(self) -> None:
        """Compares every shard's bytes with the SHA-256 in the manifest. Raises DataError for the first that differs."""
        for file in self.manifest.splits[self.split].shards:
            compare_digest(self.folder, file)

    def close(self) -> None:
        """Closes the shards. What was read stays; nothing more can be read from the disk."""
        for shard in self._shards:
            shard.close()

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_shard(folder: str | os.PathLike[str], manifest: Manifest, split: str, file: ShardFile) -> Shard:
    """Opens one shard of a dataset and compares it with the manifest.

    Raises DataError if it is missing, damaged, of another size than the manifest says, or of another dataset.
    """
    path = Path(folder) / file.file
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise DataError(f"{path}: this shard is missing. {remedy()}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {system_reason(error)}. {remedy()}") from error
    if size != file.bytes:
        raise DataError(f"{path}: {size} bytes where the manifest says {file.bytes}: truncated or damaged. {remedy()}")
    shard = Shard(path)
    header = shard.header
    found = (header.dataset_id, header.split, header.class_names, shard.image_shape, len(shard))
    expected = (manifest.dataset_id, split, manifest.class_names, manifest.image_shape, file.images)
    names = ("preparation", "split", "classes", "image shape", "images")
    for what, value, wanted in zip(names, found, expected, strict=True):
        if value != wanted:
            shard.close()
            raise DataError(
                f"{path}: belongs to another dataset: its {what}: {value!r}; the manifest's: {wanted!r}. {remedy()}"
            )
    return shard


def compare_digest(folder: str | os.PathLike[str], file: ShardFile) -> None:
    """Compares a shard's bytes with the SHA-256 in the manifest. Raises DataError if they differ."""
    path = Path(folder) / file.file
    with open(path, "rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{path}: its SHA-256 is {found}, the manifest says {file.sha256}: damaged or replaced. {remedy()}"
        )
