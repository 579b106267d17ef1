"""Is a backward pass the derivative of its forward pass? Ask the difference quotient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, ScratchnetError, ShapeError
from scratchnet.layers.base import is_whole, parameters_of, require_array, require_layer

Array = NDArray[Any]

# A step that is too long leaves the tangent or crosses the kink of a ReLU or a maximum nearby, one that is too short loses
# its digits. A right gradient agrees at one of these steps at least, unless x lies on a kink; a wrong one at none.
STEPS = (1e-4, 1e-5, 1e-6, 1e-7)


class GradientError(ScratchnetError, AssertionError):
    """A gradient disagrees with the difference quotient."""


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
    a direction d that is (L(x + h·d) − L(x − h·d)) / 2h = Σ d · ∂L/∂x. Directions are the axes, one number at a time, and
    one at random, in which every number has a part. Where an array has more than `samples` numbers, that many are tried
    one by one, drawn from `seed`, the first and the last always among them. An error is relative to the slope, or to the
    root mean square of the gradient if that is larger.

    layer: any object with the layer protocol, a network, or a layer of your own. Where it has not been built it is, for
    the shape of x, in float64. x (N, …) float64: the check needs its digits. Dropout masks are held fixed. Returns a
    GradientCheck, which prints as a table.
    Raises GradientError, naming the number that is wrong, or where the outputs are so large beside their slope that their
    rounding hides it; DtypeError where x, y or the parameters are not float64; ConfigError, ShapeError or NonFiniteError
    for a layer or an x that cannot be checked.
    Source: Goodfellow, Bengio & Courville 2016, section 11.5.

    >>> from scratchnet import Dense
    >>> result = gradient_check(Dense(3), np.random.default_rng(0).normal(size=(2, 4)))
    >>> result.max_error < 1e-6
    True
    """
    require_layer(layer)
    _check_x(x)
    if not is_whole(samples, 2):
        raise ConfigError(f"samples must be a whole number from 2 up, got {samples!r}")
    rng = np.random.default_rng(seed)
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

    def forward() -> Array:
        if hasattr(layer, "seed_batch"):
            layer.seed_batch(0, np.arange(len(x)))
        return np.array(layer.forward(x, training=True))

    given, x = x, x.copy()
    y = forward()
    if y.dtype != np.float64:
        raise DtypeError(
            f"gradient_check needs float64, forward returned {'nothing' if y.dtype == object else y.dtype}"
        )
    if not np.isfinite(y).all():
        raise NonFiniteError("forward made a NaN or an infinity of an x without any")
    r = rng.normal(size=y.shape)
    for parameter in parameters:
        parameter.grad[...] = np.nan  # backward writes gradients; one that adds to them, or forgets one, is found out
    dx = layer.backward(r.copy())
    if dx is None:
        raise GradientError("backward returned None: it must return dx, the gradient with respect to x")
    if not np.array_equal(x, given):
        raise GradientError("the layer changes x in place, which others may still need: let it work on x.copy()")
    gradients = [np.array(dx), *(np.array(parameter.grad) for parameter in parameters)]
    values = [x, *(parameter.value for parameter in parameters)]
    for name, value, gradient in zip(names, values, gradients, strict=True):
        if gradient.shape != value.shape:
            raise GradientError(f"the gradient of {name} has shape {gradient.shape}, its value {value.shape}")
        if not np.isfinite(gradient).all():
            raise GradientError(
                f"the gradient of {name} holds a NaN or an infinity: backward must write all of it, and not add to it"
            )
    # What rounding alone makes of the longest step: a slope below it has no digits to compare.
    noise = 8 * np.finfo(np.float64).eps * float(np.abs(r * y).sum()) / STEPS[0]

    scale = max(_size(gradient) for gradient in gradients) or 1.0
    errors, checked = {}, {}
    for name, value, gradient in zip(names, values, gradients, strict=True):
        chosen = np.arange(value.size)
        if value.size > samples:
            others = rng.choice(value.size, samples - 2, replace=False)
            chosen = np.unique(np.concatenate([[0, value.size - 1], others]))
        random = rng.normal(size=value.shape)
        directions = []
        for number in chosen:
            place = tuple(int(i) for i in np.unravel_index(number, value.shape))
            axis = np.zeros(value.shape)
            axis[place] = 1
            directions.append((f"{name}[{', '.join(map(str, place))}]", axis))
        directions.append((f"{name} in a random direction", random / np.linalg.norm(random)))

        typical = _size(gradient)
        worst = (0.0, "")
        for where, direction in directions:
            if worst[0] > tolerance and where.endswith("direction"):
                break  # a number that is wrong by itself says more
            analytic = float(np.sum(gradient * direction))
            best = (np.inf, "")
            for h in STEPS:
                numeric, bend = _slope(forward, r, y, value, direction, h)
                largest = max(abs(analytic), abs(numeric), typical)
                difference = abs(analytic - numeric)
                # A gradient may be zero but for rounding, as that of a bias whose mean is taken away afterwards. Beside
                # the other gradients the noise is small then; where it is not, it could hide any slope.
                zero = largest <= noise <= tolerance * scale
                error = 0.0 if zero else difference / largest if largest > 0 else 1.0
                if difference <= noise:
                    line = f"{where}: this check cannot tell: outputs as large as {np.abs(y).max():.0e} "
                    line += f"round away a slope of {largest:.0e}: scale or centre them"
                else:
                    line = f"{where}: backward says {analytic:.9g}, the difference quotient {numeric:.9g} "
                    line += f"(relative error {error:.1e}, allowed {tolerance:.0e})"
                if bend > 0.1 * largest + noise * STEPS[0] / h:
                    line += ", or x lies on a kink (ReLU at 0, equal values in a pool)"
                best = min(best, (error, line))
                if error <= tolerance / 10:
                    break
            worst = max(worst, best)
        errors[name], checked[name] = worst[0], len(chosen)
        if worst[0] > tolerance:
            raise GradientError(worst[1])
    return GradientCheck(errors, checked)


def _check_x(x: Array) -> None:
    require_array("gradient_check: x must be", x)
    if x.dtype != np.float64:
        raise DtypeError(f"gradient_check needs float64, got an x of {x.dtype}: convert with x.astype('float64')")
    if x.ndim == 0 or x.size == 0:
        raise ShapeError(f"gradient_check needs an x of (N, …) with a number in it, got shape {x.shape}")
    if not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise NonFiniteError(f"gradient_check: x holds {x[where]} at {where}; expected numbers only")


def _size(gradient: Array) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(gradient**2))) if gradient.size else 0.0


def _slope(
    forward: Callable[[], Array], r: Array, y: Array, value: Array, direction: Array, h: float
) -> tuple[float, float]:
    """The slope of L along a direction of `value`, and by how much it differs from one side to the other; at a kink it does.

    `value` is back at its place afterwards.
    """
    kept = value.copy()
    value[...] = kept + h * direction
    above = forward()
    value[...] = kept - h * direction
    below = forward()
    value[...] = kept
    bend = np.sum(r * ((above - y) - (y - below))) / h
    return float(np.sum(r * (above - below)) / (2 * h)), float(abs(bend))
