"""The textbook's layers: the state around the functions of a table, without checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from scratchnet import random
from scratchnet.errors import OrderError, ShapeError
from scratchnet.reference import Array
from scratchnet.textbook.parameter import Parameter
from scratchnet.textbook.table import Function, table

Shape = tuple[int, ...]


class Layer:
    """A layer without checks: what the layers share. It has the protocol of `scratchnet.Layer`."""

    kind = "layer"
    seed = 0
    input_shape: Shape | None = None
    output_shape: Shape | None = None

    def __init__(self, *, name: str | None = None, functions: Mapping[str, Function] | None = None) -> None:
        self.was_named = name is not None
        self.name = name or self.kind
        self.functions = table(functions)
        self._kept: Any = None  # what backward needs of the last forward(training=True)

    def build(self, input_shape: Shape, rng: np.random.Generator | None = None, dtype: DTypeLike = "float64") -> Shape:
        """Fixes the shapes, without the batch axis, and draws the weights; returns the shape of the output."""
        self.dtype = np.dtype(dtype)
        self.input_shape = tuple(input_shape)
        self.output_shape = self._build(self.input_shape, np.random.default_rng(0) if rng is None else rng)
        return self.output_shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """y for a batch x (N, *input_shape). Raises ShapeError where a function has returned another shape."""
        if self.output_shape is None:
            raise OrderError(f"{type(self).__name__} '{self.name}' has not been built: call build(input_shape) first")
        y, kept = self._forward(x, training)
        if training:
            self._kept = kept
        if x.shape[1:] == self.input_shape:
            self._require("forward", y, (len(x), *self.output_shape))
        return np.asarray(y)

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx of the last forward(training=True); writes the gradient of each parameter, or adds to it."""
        if self._kept is None:
            raise OrderError(
                f"{type(self).__name__} '{self.name}': backward needs a forward(x, training=True) before it"
            )
        dx, *gradients = self._backward(dy)
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            self._require("backward", gradient, parameter.value.shape)
            parameter.take(gradient, accumulate)
        return dx if need_dx else None

    def parameters(self) -> list[Parameter]:
        """The parameters; none for most layers."""
        return []

    def _require(self, what: str, came: Any, shape: Shape) -> None:
        if np.shape(came) != shape:
            raise ShapeError(
                f"{type(self).__name__} '{self.name}': {what} got shape {np.shape(came)} of its function, expected {shape}"
            )

    # What a layer fills in: y and what backward needs; dx and the gradients of the parameters in their order.
    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        return input_shape

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        raise NotImplementedError

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        raise NotImplementedError


class _Weighted(Layer):
    """A layer with a weight and a bias."""

    weight: Parameter
    bias: Parameter

    def _draw(self, rng: np.random.Generator, shape: Shape) -> None:
        weight = np.asarray(self.functions["xavier_uniform"](rng, shape))
        self._require("build", weight, shape)
        self.weight = Parameter(f"{self.name}.weight", weight.astype(self.dtype), decay=True)
        self.bias = Parameter(f"{self.name}.bias", np.zeros(shape[-1], self.dtype), decay=False)

    def parameters(self) -> list[Parameter]:
        """Weight, and bias, which starts at zero."""
        return [self.weight, self.bias]


class Conv2D(_Weighted):
    """As `scratchnet.Conv2D`: pad, then conv2d."""

    kind = "conv"

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: str | int = "same",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filters, self.stride, self.padding = filters, stride, padding
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        height, width, channels = input_shape
        (top, bottom), (left, right) = self._border(height, 0), self._border(width, 1)
        self.pads = top, bottom, left, right
        self._draw(rng, (*self.kernel_size, channels, self.filters))
        rows, columns = top + height + bottom - self.kernel_size[0], left + width + right - self.kernel_size[1]
        if min(rows, columns) < 0:
            raise ShapeError(f"Conv2D '{self.name}': a filter of {self.kernel_size} is larger than the padded image")
        return rows // self.stride + 1, columns // self.stride + 1, self.filters

    def _border(self, size: int, axis: int) -> tuple[int, int]:
        if not isinstance(self.padding, str):
            return self.padding, self.padding
        total = max(0, (-(-size // self.stride) - 1) * self.stride + self.kernel_size[axis] - size)
        return (total // 2, total - total // 2) if self.padding == "same" else (0, 0)

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        padded = self.functions["pad"](x, *self.pads)
        return self.functions["conv2d"](padded, self.weight.value, self.bias.value, self.stride), padded

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        dx, dweight, dbias = self.functions["conv2d_gradient"](self._kept, self.weight.value, dy, self.stride)
        return self.functions["pad_gradient"](dx, *self.pads), dweight, dbias


class MaxPool2D(Layer):
    """As `scratchnet.MaxPool2D`."""

    kind = "pool"

    def __init__(self, pool_size: int = 2, stride: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.pool_size, self.stride = pool_size, pool_size if stride is None else stride

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        height, width, channels = input_shape
        if self.pool_size > min(height, width):
            raise ShapeError(f"MaxPool2D '{self.name}': a window of {self.pool_size} is larger than {height}×{width}")
        return (height - self.pool_size) // self.stride + 1, (width - self.pool_size) // self.stride + 1, channels

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        return self.functions["max_pool2d"](x, self.pool_size, self.stride), x

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        return (self.functions["max_pool2d_gradient"](self._kept, dy, self.pool_size, self.stride),)


class ReLU(Layer):
    """As `scratchnet.ReLU`."""

    kind = "relu"

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        return self.functions["relu"](x), x

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        return (self.functions["relu_gradient"](self._kept, dy),)


class Flatten(Layer):
    """As `scratchnet.Flatten`."""

    kind = "flatten"

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        return (math.prod(input_shape),)

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        return x.reshape(len(x), -1), x.shape

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        return (dy.reshape(self._kept),)


class Dense(_Weighted):
    """As `scratchnet.Dense`."""

    kind = "dense"

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(f"Dense '{self.name}' works on flat inputs, got {input_shape}: put a Flatten before it")
        self._draw(rng, (input_shape[0], self.units))
        return (self.units,)

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        return self.functions["dense"](x, self.weight.value, self.bias.value), x

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        return tuple(self.functions["dense_gradient"](self._kept, self.weight.value, dy))


class Dropout(Layer):
    """As `scratchnet.Dropout`, with the same masks for the same seed, name, epoch and images."""

    kind = "dropout"

    def __init__(self, rate: float = 0.5, *, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.rate, self.seed = rate, seed
        self._next_image = 0
        self._batch: tuple[int, Array] | None = None

    def seed_batch(self, epoch: int, images: ArrayLike) -> None:
        """Names the epoch, and the images (N,) of the next batch by their numbers in the dataset."""
        self._batch = epoch, np.asarray(images)

    def _forward(self, x: Array, training: bool) -> tuple[Any, Any]:
        if not training:
            return x, None
        if self._batch is None:
            epoch, numbers = 0, np.arange(self._next_image, self._next_image + len(x))
            self._next_image += len(x)
        else:
            (epoch, numbers), self._batch = self._batch, None
        keys = random.bits(self.seed, self.name, epoch, numbers)
        kept = self.functions["dropout_kept"](keys, x[0].size, self.rate).reshape(x.shape)
        return self.functions["dropout"](x, kept, self.rate), kept

    def _backward(self, dy: Array) -> tuple[Any, ...]:
        return (self.functions["dropout_gradient"](dy, self._kept, self.rate),)
