"""Is a backward pass the derivative of its forward pass? Ask the difference quotient."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, ScratchnetError, ShapeError
from scratchnet.nn.base import Array, Parameter, is_number, is_whole, parameters_of, require_array, require_layer

Index = tuple[int, ...]

# Too long a step leaves the tangent or crosses the kink of a ReLU or a maximum nearby, too short a step loses digits.
# A right gradient agrees at one of these steps at least, unless x lies on a kink; a wrong one at none.
STEPS = (1e-4, 1e-5, 1e-6, 1e-7)


class GradientError(ScratchnetError, AssertionError):
    """A gradient disagrees with the difference quotient, or backward breaks the protocol of a layer.

    name: the array whose gradient is wrong, "x" or the name of a parameter. place: the index of the wrong number, None for a
    random direction of all numbers. backward, quotient: the slope according to each of them. Whatever does not apply is None.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        place: Index | None = None,
        backward: float | None = None,
        quotient: float | None = None,
    ) -> None:
        super().__init__(message)
        self.name, self.place, self.backward, self.quotient = name, place, backward, quotient


@dataclass(frozen=True)
class GradientCheck:
    """What `gradient_check` found.

    errors: for "x" and each parameter the largest relative error. checked: how many of its numbers were tried one by one.
    """

    errors: dict[str, float]
    checked: dict[str, int]

    @property
    def max_error(self) -> float:
        """The largest of all errors."""
        return max(self.errors.values())

    def __str__(self) -> str:
        return "\n".join(
            f"{name:<20} largest relative error {error:.1e} over {self.checked[name]} numbers"
            for name, error in self.errors.items()
        )


def gradient_check(layer: Any, x: Array, *, tolerance: float = 1e-6, samples: int = 40, seed: int = 0) -> GradientCheck:
    """Compares backward with the difference quotient of forward, at x and at every parameter.

    For random r let L = Σ r · forward(x). Then backward(r) must return ∂L/∂x and write ∂L/∂p for every parameter p. Along
    a direction d that is (L(x + h·d) − L(x − h·d)) / 2h = Σ d · ∂L/∂x. Directions are the axes, one number at a time,
    and a random one of all numbers together. If an array has more than `samples` numbers, that many are tried one by
    one, chosen at random by `seed`, the first and the last always among them. An error is relative to the slope, or
    to the root mean square of the gradient if that is larger.

    layer: any object with the layer protocol, a network, or a layer of your own, whose forward need not take `training`. If
    it has not been built, it is built here, for the shape of x, in float64. x (N, …) float64: the check needs its digits.
    Dropout masks are held fixed. Returns a GradientCheck, which prints as a table.
    tolerance: the largest relative error that is right, between 0 and 1.
    Raises GradientError, naming the number that is wrong; or if the layer changes x, dy or a parameter in place; or if the
    outputs are so large compared with their slope that their rounding hides it. Raises DtypeError if x, y or the parameters
    are not float64; ConfigError, ShapeError or NonFiniteError for a layer or an x that cannot be checked.
    Source: Goodfellow, Bengio & Courville 2016, section 11.5.

    >>> from scratchnet import Dense
    >>> result = gradient_check(Dense(3), np.random.default_rng(0).normal(size=(2, 4)))
    >>> result.max_error < 1e-6
    True
    """
    if not is_whole(seed, 0):
        raise ConfigError(f"seed must be a whole number from 0 up, got {seed!r}")
    rng = np.random.default_rng(seed)
    parameters = _check_arguments(layer, x, tolerance, samples, rng)
    loss = _Loss(layer, x.copy(), rng)
    values = {"x": loss.x} | {parameter.name: parameter.value for parameter in parameters}
    gradients = _run_backward(layer, loss, values, parameters)
    # A gradient may be zero up to rounding, as that of a bias whose mean is subtracted afterwards. The rounding is
    # then negligible beside the largest of the other gradients; if it isn't, it could hide any slope.
    negligible = tolerance * (max(map(_root_mean_square, gradients.values())) or 1.0)

    errors, checked = {}, {}
    for name, value in values.items():
        worst = _Comparison()
        positions = _choose_positions(value.size, samples, rng)
        for direction in _directions(value.shape, positions, rng):
            if direction.position is None and worst.error > tolerance:
                break  # a single wrong number says more than a direction
            found = _compare(loss, value, gradients[name], direction, negligible, tolerance)
            worst = max(worst, found, key=lambda comparison: comparison.error)
        if worst.error > tolerance:
            message = worst.explained(name, loss, tolerance)
            raise GradientError(
                message, name=name, place=worst.position, backward=worst.backward, quotient=worst.quotient
            )
        errors[name], checked[name] = worst.error, len(positions)
    return GradientCheck(errors, checked)


# The arguments.


def _check_arguments(layer: Any, x: Array, tolerance: float, samples: int, rng: np.random.Generator) -> list[Parameter]:
    """The layer's parameters, after making sure that layer and x can be checked; builds the layer if needed."""
    require_layer(layer)
    _check_x(x)
    # No relative error is above 2: a larger tolerance would accept anything.
    if not is_number(tolerance, 0, below=1) or tolerance == 0:
        raise ConfigError(f"tolerance must be a number above 0 and below 1, got {tolerance!r}")
    if not is_whole(samples, 2):
        raise ConfigError(f"samples must be a whole number from 2 up, got {samples!r}")
    if getattr(layer, "output_shape", False) is None:
        layer.build(x.shape[1:], rng, "float64")
    parameters = parameters_of(layer)
    for parameter in parameters:
        if parameter.value.dtype != np.float64:
            raise DtypeError(
                f"gradient_check needs float64, {parameter.name} is {parameter.value.dtype}: build with dtype='float64'"
            )
    names = ["x", *(parameter.name for parameter in parameters)]
    if len(set(names)) < len(names):
        raise GradientError(f"two of the arrays have one name, {sorted(names)}: give each parameter its own")
    return parameters


def _check_x(x: Array) -> None:
    require_array("gradient_check: x must be", x)
    if x.dtype != np.float64:
        raise DtypeError(f"gradient_check needs float64, got an x of {x.dtype}: convert with x.astype('float64')")
    if x.ndim == 0 or x.size == 0:
        raise ShapeError(f"gradient_check needs an x of (N, …) with a number in it, got shape {x.shape}")
    if not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NonFiniteError(f"gradient_check: x holds {x[where]} at {where}; expected finite numbers")


# The two sides: L by forward, its gradients by backward.


class _Loss:
    """L = Σ r · forward(x), for an r drawn at random; x and the parameters may be changed between two calls.

    noise: the slope over the longest step that rounding alone can cause. A slope below it has no digits to compare.
    """

    def __init__(self, layer: Any, x: Array, rng: np.random.Generator) -> None:
        self.layer, self.x = layer, x
        self._options = {"training": True} if _takes_training(layer.forward) else {}
        before = x.copy()
        self.y = self._forward()
        if not np.array_equal(x, before):
            raise GradientError(_changed("the layer", "x"), name="x")
        if self.y.dtype != np.float64:
            came = "None" if self.y.dtype == object else self.y.dtype
            raise DtypeError(f"gradient_check needs float64, forward returned {came}")
        if self.y.size == 0:
            raise ShapeError(f"forward returned an empty y of shape {self.y.shape}: nothing to check")
        if not np.isfinite(self.y).all():
            raise NonFiniteError("forward made a NaN or an infinity out of an x of finite numbers")
        if not np.array_equal(self._forward(), self.y):
            raise GradientError(
                "forward returns two different results for one x: hold its random numbers and its state fixed"
            )
        self.r = rng.normal(size=self.y.shape)
        self.noise = 8 * np.finfo(np.float64).eps * float(np.abs(self.r * self.y).sum()) / STEPS[0]

    def _forward(self) -> Array:
        """A copy of y, with the same dropout masks each time."""
        if hasattr(self.layer, "seed_batch"):
            self.layer.seed_batch(0, np.arange(len(self.x)))
        return np.array(self.layer.forward(self.x, **self._options))

    def slope(self, value: Array, direction: Array, h: float) -> tuple[float, float]:
        """The slope of L along a direction of `value`, and how much it differs between the two sides, as at a kink.

        `value` is x or a parameter's, and is restored afterwards.
        """
        kept = value.copy()
        value[...] = kept + h * direction
        above = self._forward()
        value[...] = kept - h * direction
        below = self._forward()
        value[...] = kept
        bend = np.sum(self.r * ((above - self.y) - (self.y - below))) / h
        return float(np.sum(self.r * (above - below)) / (2 * h)), float(abs(bend))


def _takes_training(forward: Any) -> bool:
    """Whether this forward can be called as forward(x, training=True)."""
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):  # for a function that is not written in Python
        return True
    return any(parameter.name == "training" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _run_backward(layer: Any, loss: _Loss, values: dict[str, Array], parameters: list[Parameter]) -> dict[str, Array]:
    """Copies of the gradients that backward(r) returns and writes. Raises GradientError if it leaves anything else behind."""
    for parameter in parameters:
        parameter.grad[...] = np.nan  # backward must write all gradients; NaN reveals one that it adds to, or forgets
    before = {name: value.copy() for name, value in values.items()}
    dy = loss.r.copy()
    dx = layer.backward(dy)
    if dx is None:
        raise GradientError("backward returned None: it must return dx, the gradient with respect to x", name="x")
    if not np.array_equal(dy, loss.r):
        raise GradientError(_changed("backward", "dy"))
    for name, value in values.items():
        if not np.array_equal(value, before[name]):
            raise GradientError(_changed("backward", name), name=name)
    try:
        dx = np.array(dx)
    except ValueError:
        raise GradientError(
            "backward returned a dx that is not an array: its rows differ in length", name="x"
        ) from None
    gradients = {"x": dx} | {parameter.name: np.array(parameter.grad) for parameter in parameters}
    for name, gradient in gradients.items():
        if gradient.shape != values[name].shape:
            raise GradientError(
                f"the gradient of {name} has shape {gradient.shape}, its value {values[name].shape}", name=name
            )
        if gradient.dtype != np.float64:
            raise GradientError(f"the gradient of {name} is {gradient.dtype}, its value float64", name=name)
        if not np.isfinite(gradient).all():
            raise GradientError(
                f"the gradient of {name} holds a NaN or an infinity: backward must write all of it, and not add to it",
                name=name,
            )
    return gradients


def _changed(who: str, what: str) -> str:
    return f"{who} changes {what} in place, which others may still need: let it work on {what}.copy()"


# The directions.


def _choose_positions(size: int, samples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The positions in the flat array that are tried one by one: all, or `samples` of them with the first and the last."""
    if size <= samples:
        return np.arange(size)
    others = rng.choice(size, samples - 2, replace=False)
    return np.unique(np.concatenate([[0, size - 1], others]))


class _Direction(NamedTuple):
    """A direction of length 1: the axis of the number at `position`, or a random one, whose position is None."""

    position: Index | None
    vector: Array


def _directions(shape: Index, positions: NDArray[np.int64], rng: np.random.Generator) -> Iterator[_Direction]:
    """The axis at each position, and at last a random direction."""
    random = rng.normal(size=shape)
    for number in positions:
        index = tuple(int(i) for i in np.unravel_index(number, shape))
        axis = np.zeros(shape)
        axis[index] = 1
        yield _Direction(index, axis)
    yield _Direction(None, random / np.linalg.norm(random))


# The comparison, and its words.


@dataclass(frozen=True)
class _Comparison:
    """The slope along one direction, according to backward and to the difference quotient.

    error: relative to `largest`, the largest of the two slopes and the gradient's usual size. kink: whether the slope
    differs from one side to the other.
    """

    position: Index | None = None
    backward: float = 0.0
    quotient: float = 0.0
    largest: float = 0.0
    error: float = 0.0
    kink: bool = False

    def explained(self, name: str, loss: _Loss, tolerance: float) -> str:
        """The message of the GradientError."""
        shown = "" if self.position is None else f"[{', '.join(map(str, self.position))}]"
        where = f"{name}{shown or ' in a random direction'}"
        if abs(self.backward - self.quotient) <= loss.noise:
            line = f"{where}: this check cannot tell: outputs as large as {np.abs(loss.y).max():.0e} "
            line += f"round away a slope of {self.largest:.0e}: scale or centre them"
        else:
            line = f"{where}: backward says {self.backward:.9g}, the difference quotient {self.quotient:.9g} "
            line += f"(relative error {self.error:.1e}, allowed {tolerance:.0e})"
        return line + (", or x lies on a kink (ReLU at 0, equal values in a pool)" if self.kink else "")


def _compare(
    loss: _Loss, value: Array, gradient: Array, direction: _Direction, negligible: float, tolerance: float
) -> _Comparison:
    """The comparison at the step of STEPS at which the two agree best."""
    backward = float(np.sum(gradient * direction.vector))
    usual = _root_mean_square(gradient)
    comparisons = []
    for h in STEPS:
        quotient, bend = loss.slope(value, direction.vector, h)
        largest = max(abs(backward), abs(quotient), usual)
        error = abs(backward - quotient) / largest if largest > 0 else 1.0
        if largest <= loss.noise <= negligible:
            error = 0.0  # both are zero up to rounding
        kink = bool(bend > 0.1 * largest + loss.noise * STEPS[0] / h)
        comparisons.append(_Comparison(direction.position, backward, quotient, largest, error, kink))
        if error <= tolerance / 10:
            break
    return min(comparisons, key=lambda comparison: comparison.error)


def _root_mean_square(gradient: Array) -> float:
    return float(np.sqrt(np.mean(gradient**2))) if gradient.size else 0.0
