"""The max-pooling layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.pool import max_pool2d_backward, max_pool2d_forward
from scratchnet.nn.base import Array, Layer, Shape, is_whole


class Pool2D(Layer):
    """What the pooling layers share: a square window that moves over the image. Raises ShapeError if it is larger than that."""

    def __init__(self, pool_size: int = 2, stride: int | None = None, *, name: str | None = None) -> None:
        super().__init__(name)
        stride = pool_size if stride is None else stride
        if not (is_whole(pool_size, 1) and pool_size <= 255 and is_whole(stride, 1)):
            raise ConfigError(
                f"{self}: pool_size must be a whole number from 1 to 255 and stride one from 1 up, "
                f"got {pool_size!r} and {stride!r}"
            )
        self.pool_size, self.stride = int(pool_size), int(stride)

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        self.require_images(input_shape)
        height, width, channels = input_shape
        if self.pool_size > min(height, width):
            raise ShapeError(
                f"{self}: a window of {self.pool_size}×{self.pool_size} is larger than the image of {height}×{width}: "
                "use a smaller pool_size, fewer poolings or larger images"
            )
        return (height - self.pool_size) // self.stride + 1, (width - self.pool_size) // self.stride + 1, channels


class MaxPool2D(Pool2D):
    """Keeps the largest value of each window and throws the rest away.

    y[n, i, j, c] = max over 0 ≤ u, v < pool_size of x[n, i·stride + u, j·stride + v, c]

    pool_size: the window's height and width, up to 255. stride: from one window to the next (None: pool_size).

    Shapes: (N, H, W, C) → (N, OH, OW, C) with OH = ⌊(H − pool_size) / stride⌋ + 1, OW likewise; rows and columns that fill
    no window are left out.
    Gradient: goes to the largest value (the first in reading order among equals), zero elsewhere.
    Raises ShapeError if the window is larger than the image.
    Source: LeCun et al. 1998, section II.B (there with averages); Boureau et al. 2010 for the maximum.

    >>> MaxPool2D(2).build((8, 8, 3))
    (4, 4, 3)
    """

    kind = "pool"
    finite = True

    _winner: Any = None

    def _forward(self, x: Array, training: bool) -> Array:
        assert self.output_shape is not None
        y = empty((len(x), *self.output_shape), x.dtype)
        winner = empty(y.shape, np.uint16)
        max_pool2d_forward(x, self.pool_size, self.stride, y, winner)
        if training:
            self._winner = winner
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        winner = self._winner
        if not need_dx:
            return None
        assert self.input_shape is not None
        dx = empty((len(dy), *self.input_shape), dy.dtype)
        max_pool2d_backward(dy, winner, self.pool_size, self.stride, dx)
        return dx

    def forget(self) -> None:
        """Releases the positions of the winners."""
        super().forget()
        self._winner = None
