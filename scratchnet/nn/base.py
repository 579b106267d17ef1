"""The base of every layer: a state around two functions, forward and backward."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, OrderError, ShapeError
from scratchnet.kernels.elementwise import add_to, all_finite
from scratchnet.kernels.machine.threads import alone
from scratchnet.nn.arguments import Remembers
from scratchnet.nn.thread_check import ThreadCheck
from scratchnet.reference import Array

Shape = tuple[int, ...]
FLOATS = (np.dtype("float32"), np.dtype("float64"))


class Parameter:
    """An array that is learnt, with its gradient beside it.

    name: "conv1.weight" once a network has named its layers. value: a copy of what is given, of `dtype` if that is said; grad: of
    its shape and dtype; `backward` writes it. decay: whether weight decay applies (to weights, not to biases). replaced: its layer
    has been built again, with a new parameter in its place. frozen: it is not learnt, and needs no gradient (`Sequential.freeze`).
    """

    def __init__(self, name: str, value: Array, dtype: DTypeLike | None = None, *, decay: bool) -> None:
        self.name = name
        # C order, whatever the order of the initial weights: the optimisers change a flat view, which must not be a copy.
        self.value = np.array(value, dtype, order="C")
        self.grad = np.zeros(self.value.shape, self.value.dtype)
        self.decay = decay
        self.replaced = False
        self.frozen = False

    def take(self, gradient: Array, accumulate: bool) -> None:
        """Writes the gradient, or adds it to the previous one."""
        if self.frozen:
            return
        if accumulate:
            add_to(self.grad, gradient)
        else:
            self.grad[...] = gradient

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, {self.value.dtype}, decay={self.decay})"


class Layer(ThreadCheck, Remembers):
    """The protocol of a layer; inherit from it, or write the same methods yourself.

    build(input_shape, rng, dtype) → output_shape     once; shapes without the batch axis
    forward(x, *, training) → y                       remembers what backward needs when training, else changes nothing
    backward(dy, *, need_dx, accumulate) → dx         writes .grad of each parameter, or adds to it
    parameters() → list of Parameter
    buffers() → {name: array}                         what is kept with the weights, but not learnt

    A layer of your own needs forward and backward only; without build it keeps the shape. One that inherits writes
    _forward(x, training) and _backward(dy, need_dx, accumulate) instead, and gets the checks.

    forward(x, training=True) may move the buffers by what it sees in the batch. Several processes see different parts of
    it: to be trained by them (`mpiexec`), such a layer also has `observed`, an array that holds all that its last forward
    has seen, and observe(observed), which moves the buffers by it (see BatchNorm2D).
    """

    kind = "layer"
    was_named = False
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    dtype: np.dtype[Any] = np.dtype(np.float32)
    _images: int | None = None  # in the batch of the last forward(training=True)
    trusted: Any = None  # the array that comes next, if who gives it has seen to it that it holds no NaN
    finite = False  # whether the y of the last forward(training=True) is known to hold numbers only

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.kind
        self.was_named = name is not None

    def build(self, input_shape: Shape, rng: np.random.Generator | None = None, dtype: DTypeLike = "float32") -> Shape:
        """Fixes the shapes and makes the parameters; the shapes have no batch axis.

        rng draws the initial weights (a generator of seed 0 where none is given); dtype is "float32" or "float64".
        Built again, the layer begins anew, with new parameters: make a new optimiser then. Raises ShapeError if the
        layer cannot work on such an input.
        """
        before = parameters_of(self) if self.output_shape is not None else []
        self.dtype = checked_dtype(self, dtype)
        self.input_shape = checked_shape(f"{self}: input_shape", input_shape)
        self.forget()
        self.output_shape = self._build(self.input_shape, rng if rng is not None else np.random.default_rng(0))
        for parameter in before:
            parameter.replaced = all(parameter is not now for now in parameters_of(self))
        return self.output_shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """y for a batch x of shape (N, *input_shape). Raises ShapeError, DtypeError or NonFiniteError if x does not fit."""
        x = self.checked(x, training)
        if not training:  # any number of threads may run this
            return self._forward(x, training)
        with alone():
            y = self._forward(x, training)
            self._images = len(x)
            self.note_forward()
        return y

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx, the gradient with respect to the x of the last forward(training=True), given dy, that with respect to its y.

        Writes the gradient of each parameter, or adds to it with accumulate=True. need_dx=False saves the work where
        nobody reads dx, and returns None. Raises OrderError without a forward(training=True) before it, or if another
        thread has called one since this thread did.
        """
        dy = self.checked_dy(dy)
        with alone():
            self.require_own_forward()
            return self._backward(dy, need_dx, accumulate)

    def parameters(self) -> list[Parameter]:
        """The parameters, in a fixed order; empty for most layers."""
        return []

    def buffers(self) -> dict[str, Array]:
        """State that is not learnt but saved with the weights, by name: the arrays themselves; none for most layers."""
        return {}

    def forget(self) -> None:
        """Releases what forward remembered for backward."""
        self._images = None

    def multiplications(self) -> int:
        """Multiplications of one forward pass of one image, counted as the definition does them."""
        return 0

    # What a layer fills in; the arguments are checked already. Without a _build it keeps the shape.
    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        return input_shape

    def _forward(self, x: Array, training: bool) -> Array:
        raise NotImplementedError(f"{self} lacks _forward(self, x, training): write it, to return y")

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        raise NotImplementedError(f"{self} lacks _backward(self, dy, need_dx, accumulate): write it, to return dx")

    def __str__(self) -> str:
        return f"{type(self).__name__} '{getattr(self, 'name', self.kind)}'"

    def checked(self, x: Array, training: bool = False) -> Array:
        """x as the kernels need it, C-contiguous and writable, after checking its shape, dtype and numbers. Never cast, never
        reshaped.

        While a network trains, its layers need not look again at what is known to hold numbers only (`trusted`).
        """
        self.require_built()
        require_array("expected", x, of=self)
        if x.ndim == 0 or x.shape[1:] != self.input_shape:
            raise ShapeError(self._wrong_shape(x.shape))
        if len(x) == 0:
            raise ShapeError(f"{self}: the batch is empty, shape {x.shape}; expected at least one image")
        if x.dtype != self.dtype:
            other = f", or build with dtype='{x.dtype}'" if x.dtype in FLOATS else ""
            raise DtypeError(
                f"{self} was built for {self.dtype}, got {x.dtype}: convert with x.astype('{self.dtype}'){other}"
            )
        x = kernel_ready(x)
        if not (training and self.sees_finite(x)):
            self.require_finite(x)
        return x

    def sees_finite(self, x: Array) -> bool:
        """Whether training needs no search for a NaN in x. What was `trusted` is so once."""
        trusted, self.trusted = self.trusted, None
        return x is trusted

    def require_finite(self, x: Array) -> None:
        """Raises NonFiniteError if x holds a NaN or an infinity."""
        if all_finite(x):
            return
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NonFiniteError(
            f"{self}: the input holds {x[where]} at {where}; expected finite numbers: "
            "is the learning rate too high, or an image damaged?"
        )

    def checked_dy(self, dy: Array) -> Array:
        """dy as the kernels need it, after checking its shape and dtype."""
        self.require_built()
        assert self.output_shape is not None
        require_array("dy must be", dy, of=self)
        if dy.ndim == 0 or dy.shape[1:] != self.output_shape:
            raise ShapeError(f"{self}: dy must have the shape of y, {_batch_of(self.output_shape)}, got {dy.shape}")
        if dy.dtype != self.dtype:
            raise DtypeError(
                f"{self} was built for {self.dtype}, got a dy of {dy.dtype}: convert with dy.astype('{self.dtype}')"
            )
        return kernel_ready(dy)

    def require_batch(self, dy: Array, images: int | None) -> None:
        """Raises OrderError if nothing is remembered, ShapeError if dy belongs to a batch of another size."""
        if images is None:
            raise OrderError(f"{self}: backward needs a forward(x, training=True) before it")
        if len(dy) != images:
            raise ShapeError(
                f"{self}: dy holds {len(dy)} images, the last forward {images}: call backward with the gradient of that batch"
            )

    def require_built(self) -> None:
        """Raises OrderError before build."""
        if self.output_shape is None:
            raise OrderError(f"{self} has not been built: call build(input_shape) first")

    def require_images(self, input_shape: Shape) -> None:
        """Raises ShapeError for an input_shape that is not (H, W, C)."""
        if len(input_shape) != 3:
            raise ShapeError(
                f"{self} works on images (N, H, W, C), got an input of shape (N, {', '.join(map(str, input_shape))})"
            )

    def _wrong_shape(self, came: Shape) -> str:
        assert self.input_shape is not None
        return f"{self} was built for batches of shape {_batch_of(self.input_shape)}, got {came}{_remedy(self.input_shape, came)}"


def kernel_ready(x: Array) -> Array:
    """x itself if it is C-contiguous and writable, else a copy that is. Numba would compile every kernel again for each other
    layout."""
    if x.flags.c_contiguous and x.flags.writeable:
        return x
    return np.array(x, order="C")


def is_whole(value: Any, least: int) -> bool:
    """Whether the value is an integer, Python's or NumPy's, of at least `least`. True and False don't count as
    integers."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any, least: float, below: float = math.inf) -> bool:
    """Whether the value is a number, Python's or NumPy's, with least ≤ value < below."""
    return isinstance(value, Real) and not isinstance(value, bool) and least <= float(value) < below


def checked_shape(what: str, shape: Any) -> Shape:
    """The shape as a tuple of Python integers. Raises ShapeError if it is not a shape."""
    if not isinstance(shape, tuple | list) or not all(is_whole(size, 1) for size in shape):
        raise ShapeError(f"{what} must be whole numbers from 1 up, such as (height, width, channels), got {shape!r}")
    return tuple(int(size) for size in shape)


def checked_dtype(who: Any, dtype: Any) -> np.dtype[Any]:
    """The dtype that a layer is built with. Raises DtypeError if it is not one of FLOATS."""
    try:
        known = None if dtype is None else np.dtype(dtype)  # NumPy takes None for float64
    except TypeError:
        known = None
    if known is None or known not in FLOATS:
        raise DtypeError(f"{who}: dtype must be float32 or float64, got {dtype!r}")
    return known


def checked_seed(who: Any, seed: Any) -> int:
    """The seed as a Python integer. Raises ConfigError if it is not a valid seed."""
    if not is_whole(seed, 0) or seed >= 2**63:
        raise ConfigError(f"{who}: seed must be a whole number from 0 to 2**63 − 1, got {seed!r}")
    return int(seed)


def require_array(what: str, x: Any, *, of: Layer | None = None) -> None:
    """Raises DtypeError for a list, a number, None, …: "what a NumPy array, got list", or "of: what …".

    A layer's name takes time: it is made for an error only.
    """
    if not isinstance(x, np.ndarray):
        raise DtypeError(f"{f'{of}: ' if of else ''}{what} a NumPy array, got {type(x).__name__}")


def require_layer(layer: Any) -> None:
    """Raises ConfigError if the object is not a layer."""
    if isinstance(layer, type):
        raise ConfigError(f"{layer.__name__} is a class: write {layer.__name__}()")
    lacking = [name for name in ("forward", "backward") if not callable(getattr(layer, name, None))]
    if lacking:
        raise ConfigError(f"{layer!r} is not a layer: it has no {' and no '.join(lacking)}")


def _batch_of(shape: Shape) -> str:
    return f"(N, {', '.join(str(size) for size in shape)})"


def _remedy(expected: Shape, came: Shape) -> str:
    """What to do about a batch of shape `came` instead of (N, *expected)."""
    if came == expected:
        return ": one image is a batch of one: x[None]"
    if len(came) != len(expected) + 1:
        return ""
    if len(expected) == 3 and came[1] == expected[2] != came[3]:
        return ": channels come last: np.moveaxis(x, 1, -1)"
    if len(expected) == 3 and came[3] != expected[2]:
        return ": was the network built for another number of channels?"
    return ": was the network built for another image size?"


def parameters_of(layer: Any) -> list[Parameter]:
    """The parameters of any object with the layer protocol, whether `parameters` is a method or a list."""
    parameters = getattr(layer, "parameters", [])
    return list(parameters() if callable(parameters) else parameters)


def buffers_of(layer: Any) -> dict[str, Array]:
    """The buffers of any object with the layer protocol, whether `buffers` is a method or a dictionary, or is not there."""
    buffers = getattr(layer, "buffers", {})
    return dict(buffers() if callable(buffers) else buffers)


def observers_of(layer: Any) -> list[Any]:
    """The layers with buffers: this one, or those within it."""
    if hasattr(layer, "observers"):
        return list(layer.observers())
    return [layer] if buffers_of(layer) else []


def is_ours(layer: Any) -> bool:
    """Whether the layer is none of a user's own."""
    return type(layer).__module__.startswith("scratchnet.")


def layers_in(layer: Any) -> list[Any]:
    """This layer, and those within it, as in `Residual`."""
    within = [*(getattr(layer, "layers", None) or ()), *(getattr(layer, "shortcut", None) or ())]
    return [layer, *(one for part in within for one in layers_in(part))]
