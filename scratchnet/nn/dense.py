"""The fully connected layer."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.kernels.matmul import column_sums, dense_backward_input, dense_backward_weight, dense_forward
from scratchnet.nn.base import Array, Layer, Parameter, Shape, is_whole
from scratchnet.nn.initializers import Initializer, initializer


class Keeper(Protocol):
    """Computes a dense layer's products while it trains, if other processes own parts of its weight."""

    def forward(self, x: Array) -> Array:
        """y."""

    def backward(self, x: Array, dy: Array) -> Array:
        """dx; what becomes of dW is the keeper's business."""


class Dense(Layer):
    """Every output is a weighted sum of all inputs.

    y = x · W + b

    units: outputs. weight_init: as for Conv2D.

    Shapes: (N, in) → (N, units); weight (in, units), bias (units,), which starts at zero.
    Gradient: dx = dy · Wᵀ, dW = xᵀ · dy, db = Σ over the batch of dy.
    Raises ShapeError for an input that is not flat: put a Flatten before it.
    Source: Rumelhart, Hinton & Williams 1986.

    >>> Dense(10).build((4,))
    (10,)
    """

    kind = "dense"
    keeper: Keeper | None = None

    def __init__(
        self, units: int, *, weight_init: str | Initializer = "xavier_uniform", name: str | None = None
    ) -> None:
        super().__init__(name)
        if not is_whole(units, 1):
            raise ConfigError(f"{self}: units must be a whole number from 1 up, got {units!r}")
        self.units = int(units)
        self.weight_init = initializer(weight_init, self)
        self._x: Any = None

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(
                f"{self} works on flat inputs (N, features), got (N, {', '.join(map(str, input_shape))}): put a Flatten before it"
            )
        (features,) = input_shape
        weight = self.weight_init(rng, (features, self.units), features, self.units)
        self.weight = Parameter(f"{self.name}.weight", weight, self.dtype, decay=True)
        self.bias = Parameter(f"{self.name}.bias", np.zeros(self.units, self.dtype), decay=False)
        return (self.units,)

    def _wrong_shape(self, came: Shape) -> str:
        assert self.input_shape is not None
        if len(came) == 2:
            return f"{self} was built for {self.input_shape[0]} features, got {came[1]}: was the network built for another image size?"
        return super()._wrong_shape(came) + (": put a Flatten before it" if len(came) > 2 else "")

    def _forward(self, x: Array, training: bool) -> Array:
        if training:
            self._x = x
            if self.keeper is not None:
                return self.keeper.forward(x)
        return dense_forward(x, self.weight.value, self.bias.value)

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        x = self._x
        self.bias.take(column_sums(dy), accumulate)
        if self.keeper is not None:
            return self.keeper.backward(x, dy)
        if not self.weight.frozen:
            dense_backward_weight(x, dy, self.weight.grad, accumulate)
        return dense_backward_input(dy, self.weight.value) if need_dx else None

    def parameters(self) -> list[Parameter]:
        """Weight (in, units) and bias (units,)."""
        self.require_built()
        return [self.weight, self.bias]

    def forget(self) -> None:
        """Releases the input."""
        super().forget()
        self._x = None

    def multiplications(self) -> int:
        """One for each weight."""
        self.require_built()
        return self.weight.value.size
