"""The rectified linear unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.kernels.elementwise import relu_backward, relu_forward
from scratchnet.nn.base import Array, Layer


class ReLU(Layer):
    """Keeps positive numbers and sets all others to zero.

    y = max(x, 0)

    Shapes: any, unchanged.
    Gradient: dx = dy where x > 0, else 0; at 0 itself, where there is no derivative, 0.
    Source: Nair & Hinton 2010.

    >>> relu = ReLU()
    >>> relu.build((3,))
    (3,)
    >>> relu.forward(np.array([[-1, 0, 2]], "float32"), training=False)
    array([[0., 0., 2.]], dtype=float32)
    """

    kind = "relu"

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self._y: Any = None

    def _forward(self, x: Array, training: bool) -> Array:
        y = np.empty_like(x)
        relu_forward(x.reshape(-1), y.reshape(-1))
        if training:
            self._y = y
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        y = self._y
        if not need_dx:
            return None
        dx = np.empty_like(dy)
        relu_backward(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
        return dx

    def forget(self) -> None:
        """Releases the output."""
        super().forget()
        self._y = None
