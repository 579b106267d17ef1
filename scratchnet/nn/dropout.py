"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scratchnet import random
from scratchnet.errors import ConfigError, ShapeError
from scratchnet.kernels.elementwise import dropout_backward, dropout_forward
from scratchnet.nn.base import Array, Layer, checked_seed, is_number


class Dropout(Layer):
    """While training, leaves out each feature with probability `rate`, so that no feature can rely on another.

    y = x · kept / (1 − rate) while training, y = x otherwise ("inverted" dropout: the mean of y over all masks is x)

    rate: the share that is left out, 0 ≤ rate < 1. seed: of the masks; a network sets it from its own.

    Shapes: any, unchanged. Gradient: dx = dy · kept / (1 − rate).
    An image's mask is a pure function of (seed, layer, epoch, image): `seed_batch` says which epoch and which images
    come next. Without it the layer counts the images that it is given, so that each forward pass draws new masks.
    Source: Srivastava et al. 2014.

    >>> Dropout(0.5).build((1024,))
    (1024,)
    """

    kind = "dropout"

    def __init__(self, rate: float = 0.5, *, seed: int = 0, name: str | None = None) -> None:
        super().__init__(name)
        if not is_number(rate, 0, below=1):
            raise ConfigError(
                f"{self}: rate, the part that is left out, must be at least 0 and less than 1, got {rate!r}"
            )
        self.rate = rate
        self.seed = checked_seed(self, seed)
        self._next_image = 0
        self._batch: tuple[int, Array] | None = None
        self._kept: Any = None

    def seed_batch(self, epoch: int, images: ArrayLike) -> None:
        """Names the epoch, and the images (N,) of the next batch by their numbers in the dataset."""
        self._batch = epoch, np.asarray(images)

    def _forward(self, x: Array, training: bool) -> Array:
        if not training:
            return x
        if self.rate == 0:
            self._kept = np.ones((len(x), x[0].size), bool)
            return x
        y = np.empty_like(x)
        kept = np.empty((len(x), x[0].size), bool)
        scale = x.dtype.type(1 / (1 - self.rate))
        dropout_forward(x.reshape(len(x), -1), self._keys(len(x)), self.rate, scale, y.reshape(len(x), -1), kept)
        self._kept = kept
        return y

    def _keys(self, images: int) -> Array:
        if self._batch is None:
            epoch, numbers = 0, np.arange(self._next_image, self._next_image + images)
            self._next_image += images
        else:
            (epoch, numbers), self._batch = self._batch, None
            if len(numbers) != images:
                raise ShapeError(f"{self}: seed_batch named {len(numbers)} images, the batch holds {images}")
        return random.bits(self.seed, self.name, epoch, numbers)

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        kept = self._kept
        if not need_dx:
            return None
        dx = np.empty_like(dy)
        dropout_backward(dy.reshape(len(dy), -1), kept, dy.dtype.type(1 / (1 - self.rate)), dx.reshape(len(dy), -1))
        return dx

    def forget(self) -> None:
        """Releases the mask."""
        super().forget()
        self._kept = None
