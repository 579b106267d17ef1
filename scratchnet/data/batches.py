"""An epoch as a sequence of batches, made ready in the background while the network computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.augment import Augmentation
from scratchnet.data.image_set import ImageSet, keep
from scratchnet.data.order import epoch_order
from scratchnet.data.pixels import PixelScaling
from scratchnet.data.prefetch import in_order
from scratchnet.errors import ConfigError

AHEAD = 3  # batches kept ready, if they take no more than AHEAD_BYTES; one at least
PIECE = 32  # images that are augmented together: a large batch need not be in memory twice
AHEAD_BYTES = 100_000_000  # a larger batch doesn't wait as numbers: its pixels take a quarter of the bytes of float32

Chosen = TypeVar("Chosen")


def slices(count: int, size: int) -> Iterator[slice]:
    """0 … count cut into pieces of `size`, the last one perhaps shorter.

    An epoch is cut into batches by it, and a batch into micro-batches; the images of an evaluation and of `Predictor`, on one
    process and on many: so all get the same bits.

    >>> list(slices(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(start, min(count, start + size)) for start in range(0, count, size))


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    given (N, H, W, 3): the images, scaled, of the network's dtype; or, of a batch too large to wait as such, its pixels, of which
    `scale` makes images; or what makes those pixels, where the dataset is in memory. labels (N,) int64. indices (N,) int64: the
    images' numbers in the dataset, which draws of dropout and augmentation depend on. whole: images of the batch that these are a
    part of, where they are one rank's; 0 where these are all. `len(batch)` counts them all.

    >>> batch = Batch(np.full((3, 2, 2, 3), 255, np.uint8), np.zeros(3, np.int64), np.arange(3), scale=PixelScaling("unit").apply)
    >>> [(part.images.shape, part.images.max(), part.indices) for part in batch.parts(2)]
    [((2, 2, 2, 3), np.float32(1.0), array([0, 1])), ((1, 2, 2, 3), np.float32(1.0), array([2]))]
    """

    given: NDArray[Any] | Shown
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    whole: int = 0
    scale: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    def __len__(self) -> int:
        return self.whole or len(self.labels)

    @property
    def images(self) -> NDArray[Any]:
        """All, scaled: made anew each time where the batch holds pixels, or what makes them."""
        given = self.given[:]
        return self.scale(given) if self.scale else given

    def parts(self, size: int) -> Generator[Batch, None, None]:
        """The batch cut into micro-batches of `size`. If `given` makes its pixels, a thread makes one micro-batch ahead of those that are
        used; the first is waited for."""

        def part(cut: slice) -> Batch:
            return Batch(self.given[cut], self.labels[cut], self.indices[cut], scale=self.scale)

        cuts = slices(len(self.labels), size)
        yield from in_order(part, cuts, threads=1, ahead=1) if isinstance(self.given, Shown) else map(part, cuts)


@dataclass(frozen=True)
class Shown:
    """The pixels of a batch whose images are in memory anyway: made when they are asked for, so that none of them wait."""

    batches: Batches
    epoch: int
    indices: NDArray[np.int64]

    def __getitem__(self, part: slice) -> NDArray[np.uint8]:
        return self.batches.pixels(self.epoch, self.indices[part])


class Batches:
    """Cuts a dataset, or any ImageSet, into batches of `batch_size`; the last one of an epoch may be smaller.

    scaling: how pixels become numbers. dtype: of the images handed out. seed: of the order and the augmentation.
    shuffle: visit the images in a random order, another one each epoch (`epoch_order`); otherwise in the dataset's order.
    augment: how each image is changed at random, anew each epoch; None leaves all as they are.

    `len(batches)` is the number of batches in an epoch. Raises ConfigError if batch_size < 1.

    >>> batches = Batches(dataset, 32, PixelScaling("unit"), shuffle=True, augment=Augmentation(), seed=0)  # doctest: +SKIP
    >>> for batch in batches.epoch(0):                                                                      # doctest: +SKIP
    ...     loss = criterion.forward(network.forward(batch.images, training=True), batch.labels)
    """

    def __init__(
        self,
        dataset: ImageSet,
        batch_size: int,
        scaling: PixelScaling,
        *,
        shuffle: bool,
        augment: Augmentation | None = None,
        seed: int,
        dtype: str = "float32",
    ):
        if batch_size < 1:
            raise ConfigError(f"a batch of {batch_size} images: choose a batch size of at least 1")
        self.dataset = dataset
        self.batch_size = batch_size
        self.scaling = scaling
        self.shuffle = shuffle
        self.augment = augment
        self.seed = seed
        self.dtype = dtype

    def __len__(self) -> int:
        return math.ceil(len(self.dataset) / self.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The numbers of the images in the order in which this epoch visits them, (N,) int64."""
        if self.shuffle:
            return epoch_order(self.dataset.shard_sizes, self.seed, epoch)
        return np.arange(len(self.dataset), dtype=np.int64)

    def batch(self, epoch: int, indices: NDArray[np.int64]) -> Batch:
        """One batch of the images with these numbers, augmented as in this epoch. The same arguments give the same bits."""
        labels, scale = self.dataset.labels[indices], partial(self.scaling.apply, dtype=self.dtype)
        if self._bytes(len(indices)) <= AHEAD_BYTES:
            return Batch(scale(self.pixels(epoch, indices)), labels, indices)
        given = Shown(self, epoch, indices) if keep(self.dataset, indices) else self.pixels(epoch, indices)
        return Batch(given, labels, indices, scale=scale)

    def pixels(self, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images with these numbers, augmented as in this epoch: a new array."""
        images = self.dataset.read(indices)
        if self.augment:
            for piece in slices(len(indices), PIECE):
                images[piece] = self.augment.apply(images[piece], self.seed, epoch, indices[piece])
        return images

    def _bytes(self, images: int) -> int:
        """What so many images take, scaled."""
        return images * math.prod(self.dataset.image_shape) * np.dtype(self.dtype).itemsize

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from batch `start` on, which an interrupted epoch needs.

        One thread reads and checks the next few batches, augments and scales them; of large ones it leaves to `Batch.parts` what
        would take memory. It runs no kernel and starts no process. What goes wrong in it is raised here, where the batch was
        expected. It ends with the iteration, also if that is left early.
        Raises ConfigError if `start` is not 0 … len(batches).
        """
        if not 0 <= start <= len(self):
            raise ConfigError(f"an epoch has batches 0 to {len(self) - 1}; asked to start at {start}")
        order = self.order(number)
        cuts = (order[cut] for cut in islice(slices(len(order), self.batch_size), start, None))
        return self._in_background(lambda indices: self.batch(number, indices), cuts, self.batch_size)

    def _in_background(self, read: Callable[[Chosen], Batch], given: Iterable[Chosen], images: int) -> Iterator[Batch]:
        """What `read` makes of each of `given`, of at most so many images, a few made ready while the network computes."""
        return in_order(read, given, threads=1, ahead=max(1, min(AHEAD, AHEAD_BYTES // self._bytes(images))))
