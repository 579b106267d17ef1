"""Average-pooling layers."""

from __future__ import annotations

import numpy as np

from scratchnet.kernels import average_pool
from scratchnet.kernels.machine.memory import empty
from scratchnet.nn.base import Array, Layer, Shape
from scratchnet.nn.pool import Pool2D


class AveragePool2D(Pool2D):
    """Takes the mean of each window.

    y[n, i, j, c] = mean over 0 ≤ u, v < pool_size of x[n, i·stride + u, j·stride + v, c]

    pool_size: the window's height and width, up to 255. stride: from one window to the next (None: pool_size).

    Shapes: (N, H, W, C) → (N, OH, OW, C) with OH = ⌊(H − pool_size) / stride⌋ + 1, OW likewise; rows and columns that fill
    no window are left out.
    Gradient: each dy is shared out evenly to its window.
    Raises ShapeError if the window is larger than the image.
    Source: LeCun et al. 1998, section II.B.

    >>> AveragePool2D(2).build((8, 8, 3))
    (4, 4, 3)
    """

    kind = "average"

    def _forward(self, x: Array, training: bool) -> Array:
        assert self.output_shape is not None
        y = empty((len(x), *self.output_shape), x.dtype)
        average_pool.average_pool2d_forward(x, self.pool_size, self.stride, y)
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        if not need_dx:
            return None
        assert self.input_shape is not None
        dx = empty((len(dy), *self.input_shape), dy.dtype)
        average_pool.average_pool2d_backward(dy, self.pool_size, self.stride, dx)
        return dx


class GlobalAveragePool2D(Layer):
    """Takes the mean of each channel over the whole image: what is left is what was seen, and not where.

    y[n, c] = mean over i, j of x[n, i, j, c]

    In the place of Flatten it spares the dense layer after it all weights but C for each unit, and the network can be
    built for any size of image.

    Shapes: (N, H, W, C) → (N, C). Gradient: dx[n, i, j, c] = dy[n, c] / (H · W).
    Raises ShapeError for an input that is not images.
    Source: Lin, Chen & Yan 2014, "Network In Network", section 3.2.

    >>> GlobalAveragePool2D().build((8, 8, 3))
    (3,)
    """

    kind = "global_average"

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        self.require_images(input_shape)
        return input_shape[2:]

    def _forward(self, x: Array, training: bool) -> Array:
        y = empty((len(x), x.shape[3]), x.dtype)
        average_pool.global_average_pool2d_forward(x.reshape(len(x), -1, x.shape[3]), y)
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        if not need_dx:
            return None
        assert self.input_shape is not None
        dx = empty((len(dy), *self.input_shape), dy.dtype)
        average_pool.global_average_pool2d_backward(dy, dx.reshape(len(dy), -1, dy.shape[1]))
        return dx
