"""From images to rows of features."""

from __future__ import annotations

import math

import numpy as np

from scratchnet.nn.base import Array, Layer, Shape


class Flatten(Layer):
    """Lays each image out as one row, in the order (H, W, C).

    y[n, (i · W + j) · C + c] = x[n, i, j, c]

    Shapes: (N, H, W, C) → (N, H·W·C). Gradient: the same numbers in the old shape.

    >>> Flatten().build((8, 8, 512))
    (32768,)
    """

    kind = "flatten"
    finite = True

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        return (math.prod(input_shape),)

    def _forward(self, x: Array, training: bool) -> Array:
        return x.reshape(len(x), -1)

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        assert self.input_shape is not None
        return dy.reshape(len(dy), *self.input_shape) if need_dx else None

    def bytes_per_image(self) -> int:
        """None: its output is its input, seen otherwise."""
        return 0
