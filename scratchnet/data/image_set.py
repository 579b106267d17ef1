"""What training needs of its images, wherever they are; and images in memory."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data.images import preprocessing
from scratchnet.errors import DtypeError, ShapeError

Rgb = tuple[float, float, float]


class ImageSet(Protocol):
    """Images by number, 0 … N − 1, with their labels and what was measured on them. A Dataset is one; see its attributes."""

    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    shard_sizes: tuple[int, ...]
    dataset_id: str
    channel_mean: Rgb
    channel_std: Rgb
    preprocessing: dict[str, Any]

    def __len__(self) -> int: ...

    def read(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """The images with these numbers, in this order: a new array (len(indices), H, W, 3) uint8."""
        ...


def keep(images: ImageSet, numbers: NDArray[np.int64]) -> bool:
    """Whether these images are in memory from now on, so that `read` only copies them and cannot fail.

    A set whose images may be has a method `keep(numbers)` that sees to it and says so; one of a user's own need not have it.
    """
    own = getattr(images, "keep", None)
    return own is not None and bool(own(numbers))


class ArrayImages:
    """An ImageSet of an array in memory, which is kept and not copied.

    images (N, S, S, 3) uint8. labels (N,): positions in class_names. Raises DtypeError or ShapeError for other arrays.

    >>> images = ArrayImages(np.full((4, 32, 32, 3), 51, np.uint8), np.array([0, 1, 1, 0]), ("all", "hem"))
    >>> images.channel_mean, images.read([3, 1]).shape
    ((0.2, 0.2, 0.2), (2, 32, 32, 3))
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            raise DtypeError(
                f"images are an array of uint8, 0 to 255, got {getattr(images, 'dtype', type(images).__name__)}"
            )
        if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or len(images) == 0:
            raise ShapeError(f"images are an array (N, S, S, 3) of at least one image, got {images.shape}")
        if labels.shape != (len(images),):
            raise ShapeError(
                f"expected a label for each of the {len(images)} images, got labels of shape {labels.shape}"
            )
        self._images = images
        self.labels = labels
        self.class_names = tuple(class_names)
        self.image_shape = (images.shape[1], images.shape[2], 3)
        self.shard_sizes: tuple[int, ...] = (len(images),)
        self.dataset_id = ""
        self.channel_mean, self.channel_std = channel_statistics(images)
        self.preprocessing: dict[str, Any] = preprocessing(images.shape[1])  # what a file of another size goes through

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """The images with these numbers, in this order."""
        return self._images[np.asarray(indices)]

    def keep(self, numbers: NDArray[np.int64]) -> bool:
        """They are."""
        return True


class SomeImages:
    """An ImageSet of some of another's images: number k here is numbers[k] there. What was measured is that of all.

    >>> four = ArrayImages(np.zeros((4, 32, 32, 3), np.uint8), np.array([0, 1, 1, 0]), ("all", "hem"))
    >>> SomeImages(four, np.array([0, 2])).labels
    array([0, 1])
    """

    def __init__(self, whole: ImageSet, numbers: NDArray[np.int64]) -> None:
        self._whole, self._numbers = whole, numbers
        self.labels = whole.labels[numbers]
        self.class_names, self.image_shape = whole.class_names, whole.image_shape
        self.shard_sizes: tuple[int, ...] = (len(numbers),)
        self.dataset_id, self.preprocessing = whole.dataset_id, whole.preprocessing
        self.channel_mean, self.channel_std = whole.channel_mean, whole.channel_std

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """The images with these numbers, in this order."""
        return self._whole.read(self._numbers[np.asarray(indices)])

    def keep(self, numbers: NDArray[np.int64]) -> bool:
        """Whether the other keeps them."""
        return keep(self._whole, self._numbers[numbers])


def channel_statistics(images: NDArray[np.uint8]) -> tuple[Rgb, Rgb]:
    """Mean and standard deviation of each channel over all images (N, H, W, 3) uint8, in [0, 1], from exact sums."""
    value = np.arange(256, dtype=np.int64)
    totals, squares = [], []
    for channel in range(3):
        count = np.zeros(256, np.int64)
        for image in images:
            count += np.bincount(image[:, :, channel].ravel(), minlength=256)
        totals.append(int(count @ value))
        squares.append(int(count @ value**2))
    return statistics_of_sums(totals, squares, images.size // 3)


def statistics_of_sums(totals: Sequence[int], squares: Sequence[int], n: int) -> tuple[Rgb, Rgb]:
    """Mean and standard deviation of each channel, in [0, 1], from the sums of its n values and of their squares.

    With n values x of 0 … 255:  mean = Σx / (255·n),  variance = (n·Σx² − (Σx)²) / (255·n)².
    The sums are exact integers, so that neither the order of the images nor their number costs precision.
    """
    red, green, blue = (
        (total / (255 * n), math.sqrt((n * square - total**2) / (255 * n) ** 2))
        for total, square in zip(totals, squares, strict=True)
    )
    return (red[0], green[0], blue[0]), (red[1], green[1], blue[1])
