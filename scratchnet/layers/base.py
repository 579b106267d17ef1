"""What every layer is: a state around two functions, forward and backward."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from scratchnet.errors import DtypeError, NonFiniteError, OrderError, ShapeError
from scratchnet.kernels.elementwise import all_finite

Array = NDArray[Any]
Shape = tuple[int, ...]


class Parameter:
    """An array that is learnt, with its gradient beside it.

    name: "conv1.weight" once a network has named its layers. value, grad: arrays of one shape and dtype; `backward`
    writes grad. decay: whether weight decay applies (to weights, not to biases).
    """

    def __init__(self, name: str, value: Array, *, decay: bool) -> None:
        self.name = name
        # C order, whatever the initial weights came in: the optimisers see the flat array, and must see this one.
        self.value = np.array(value, order="C")
        self.grad = np.zeros(value.shape, value.dtype)
        self.decay = decay

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, {self.value.dtype}, decay={self.decay})"


class Layer:
    """The protocol of a layer; inherit from it, or write the same methods yourself.

    build(input_shape, rng, dtype) → output_shape     once; shapes without the batch axis
    forward(x, *, training) → y                       remembers only what backward needs, and only when training
    backward(dy, *, need_dx, accumulate) → dx         writes .grad of each parameter, or adds to it
    parameters() → list of Parameter
    """

    kind = "layer"

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.kind
        self.was_named = name is not None
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def build(self, input_shape: Shape, rng: np.random.Generator | None = None, dtype: DTypeLike = "float32") -> Shape:
        """Fixes the shapes and makes the parameters; the shapes have no batch axis.

        rng draws the initial weights (a generator of seed 0 where none is given); dtype is "float32" or "float64".
        Raises ShapeError where the layer cannot work on such an input.
        """
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise DtypeError(f"{self}: dtype must be float32 or float64, got {self.dtype}")
        if any(size < 1 for size in input_shape):
            raise ShapeError(f"{self}: every size of the input must be at least 1, got {tuple(input_shape)}")
        self.input_shape = tuple(int(size) for size in input_shape)
        self.forget()
        self.output_shape = self._build(self.input_shape, rng if rng is not None else np.random.default_rng(0))
        return self.output_shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """y for a batch x of shape (N, *input_shape). Raises ShapeError, DtypeError or NonFiniteError where x does not fit."""
        return self._forward(self.checked(x), training)

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx, the gradient with respect to the x of the last forward, given dy, the gradient with respect to its y.

        Writes the gradient of each parameter, or adds to it with accumulate=True. need_dx=False saves the work where
        nobody reads dx, and returns None. Raises OrderError without a forward(training=True) before it.
        """
        return self._backward(self._checked_dy(dy), need_dx, accumulate)

    def parameters(self) -> list[Parameter]:
        """What is learnt, in a fixed order; empty for most layers."""
        return []

    def forget(self) -> None:
        """Lets go of what forward remembered for backward."""

    def multiplications(self) -> int:
        """Multiplications of one forward pass of one image, counted as the definition does them."""
        return 0

    # What a layer of scratchnet fills in; checks have been made.
    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        raise NotImplementedError

    def _forward(self, x: Array, training: bool) -> Array:
        raise NotImplementedError

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{type(self).__name__} '{self.name}'"

    def checked(self, x: Array) -> Array:
        """x as the kernels want it, C-contiguous and writable, after a look at its shape, dtype and numbers. Never cast, never reshaped."""
        self.require_built()
        if not isinstance(x, np.ndarray):
            raise DtypeError(f"{self}: expected a NumPy array, got {type(x).__name__}")
        if x.ndim == 0 or x.shape[1:] != self.input_shape:
            raise ShapeError(self._wrong_shape(x.shape))
        if len(x) == 0:
            raise ShapeError(f"{self}: the batch is empty, shape {x.shape}; expected at least one image")
        if x.dtype != self.dtype:
            raise DtypeError(
                f"{self} was built for {self.dtype}, got {x.dtype}: convert with x.astype('{self.dtype}'), or build with dtype='{x.dtype}'"
            )
        x = kernel_ready(x)
        if not all_finite(x):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise NonFiniteError(
                f"{self}: the input holds {x[where]} at {where}; expected numbers only: is the learning rate too high, or an image damaged?"
            )
        return x

    def _checked_dy(self, dy: Array) -> Array:
        self.require_built()
        assert self.output_shape is not None
        if dy.ndim == 0 or dy.shape[1:] != self.output_shape:
            raise ShapeError(f"{self}: dy must have the shape of y, {_batch_of(self.output_shape)}, got {dy.shape}")
        if dy.dtype != self.dtype:
            raise DtypeError(
                f"{self} was built for {self.dtype}, got a dy of {dy.dtype}: convert with dy.astype('{self.dtype}')"
            )
        return kernel_ready(dy)

    def require_built(self) -> None:
        """Raises OrderError before build."""
        if self.output_shape is None:
            raise OrderError(f"{self} has not been built: call build(input_shape) first")

    def _wrong_shape(self, came: Shape) -> str:
        assert self.input_shape is not None
        return f"{self} was built for batches of shape {_batch_of(self.input_shape)}, got {came}"

    def checked_dy(self, dy: Array, images: int) -> Array:
        """dy as the kernels want it, after a look at its shape and dtype, and that it belongs to a batch of so many images."""
        dy = self._checked_dy(dy)
        self.remembered(True, dy, images)
        return dy

    def remembered(self, what: Any, dy: Array, images: int) -> Any:
        """What forward left for backward, or an OrderError; ShapeError where dy belongs to another batch."""
        if what is None:
            raise OrderError(f"{self}: backward needs a forward(x, training=True) before it")
        if len(dy) != images:
            raise ShapeError(
                f"{self}: dy holds {len(dy)} images, the last forward {images}: call backward with the gradient of that batch"
            )
        return what


def kernel_ready(x: Array) -> Array:
    """x itself if it is C-contiguous and writable, else a copy that is. Other layouts would each compile every kernel once more."""
    if x.flags.c_contiguous and x.flags.writeable:
        return x
    return np.array(x, order="C")


def is_whole(value: Any, least: int) -> bool:
    """Whether the value is a whole number, Python's or NumPy's, of at least `least`."""
    return isinstance(value, Integral) and int(value) >= least


def _batch_of(shape: Shape) -> str:
    return f"(N, {', '.join(str(size) for size in shape)})"


def parameters_of(layer: Any) -> list[Parameter]:
    """The parameters of any object with the layer protocol, whether it has a method `parameters` or a list of that name."""
    parameters = getattr(layer, "parameters", [])
    return list(parameters() if callable(parameters) else parameters)
