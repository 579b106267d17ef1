"""Is a backward pass the derivative of its forward pass? Ask the difference quotient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DtypeError, ScratchnetError
from scratchnet.layers.base import parameters_of

Array = NDArray[Any]

# A step that is too long leaves the tangent, one that is too short loses its digits, and any may cross the kink of a
# ReLU or a maximum. A right gradient agrees at one of these steps at least; a wrong one at none.
STEPS = (1e-4, 1e-5, 1e-6, 1e-7)


class GradientError(ScratchnetError, AssertionError):
    """A gradient disagrees with the difference quotient."""


@dataclass(frozen=True)
class GradientCheck:
    """What `gradient_check` found: for "x" and each parameter the largest relative error, and how many numbers were tried."""

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

    For random r let L = Σ r · forward(x). Then backward(r) must give ∂L/∂x and fill in ∂L/∂p, and each number of them must equal
    (L(x + h·e) − L(x − h·e)) / 2h. Where x or p has more than `samples` numbers, that many are tried, drawn from
    `seed`; the first and last are always among them. The error of one number is relative to the gradient's largest
    absolute value there or to its root mean square, whichever is larger.

    layer: any object with the layer protocol, a network, or a layer of your own. Where it has not been built it is, for
    the shape of x, in float64. x (N, …) float64: the checks need its digits. Dropout masks are held fixed. Returns a
    GradientCheck, which prints as a table. Raises GradientError, naming the number that is wrong, and DtypeError where
    x or the parameters are not float64.
    Source: Goodfellow, Bengio & Courville 2016, section 11.5.

    >>> from scratchnet import Dense
    >>> result = gradient_check(Dense(3), np.random.default_rng(0).normal(size=(2, 4)))
    >>> result.max_error < 1e-6
    True
    """
    if x.dtype != np.float64:
        raise DtypeError(f"gradient_check needs float64, got an x of {x.dtype}: convert with x.astype('float64')")
    if getattr(layer, "output_shape", False) is None:
        layer.build(x.shape[1:], dtype="float64")
    for parameter in parameters_of(layer):
        if parameter.value.dtype != np.float64:
            raise DtypeError(
                f"gradient_check needs float64, {parameter.name} is {parameter.value.dtype}: build with dtype='float64'"
            )

    def forward() -> Array:
        if hasattr(layer, "seed_batch"):
            layer.seed_batch(0, np.arange(len(x)))
        return np.array(layer.forward(x, training=True))

    x = x.copy()
    rng = np.random.default_rng(seed)
    r = rng.normal(size=forward().shape)
    dx = np.array(layer.backward(r))
    arrays = {"x": (x, dx)} | {p.name: (p.value, np.array(p.grad)) for p in parameters_of(layer)}

    errors, checked = {}, {}
    for name, (value, grad) in arrays.items():
        if grad.shape != value.shape:
            raise GradientError(f"the gradient of {name} has shape {grad.shape}, its value {value.shape}")
        if not np.isfinite(grad).all():
            raise GradientError(f"the gradient of {name} holds a NaN or an infinity")
        chosen = np.arange(value.size)
        if value.size > samples:
            chosen = np.unique(
                np.concatenate([[0, value.size - 1], rng.choice(value.size, samples - 2, replace=False)])
            )
        typical = float(np.sqrt(np.mean(grad**2)))
        worst, worst_line = 0.0, ""
        for flat in chosen:
            place = tuple(int(i) for i in np.unravel_index(flat, value.shape))
            analytic = float(grad[place])
            error, numeric = min(
                (_relative(analytic, slope, typical), slope)
                for slope in _slopes(forward, r, value, place, analytic, typical, tolerance)
            )
            if error > worst:
                worst, worst_line = (
                    error,
                    f"{name}[{', '.join(map(str, place))}]: backward says {analytic:.9g}, the difference quotient {numeric:.9g}",
                )
        errors[name], checked[name] = worst, len(chosen)
        if worst > tolerance:
            raise GradientError(f"{worst_line} (relative error {worst:.1e}, allowed {tolerance:.0e})")
    return GradientCheck(errors, checked)


def _relative(analytic: float, numeric: float, typical: float) -> float:
    largest = max(abs(analytic), abs(numeric), typical)
    return abs(analytic - numeric) / largest if largest > 0 else 0.0


def _slopes(
    forward: Any, r: Array, value: Array, place: tuple[int, ...], analytic: float, typical: float, tolerance: float
) -> list[float]:
    """Difference quotients for one number of `value`, with shorter and shorter steps until one agrees."""
    kept = value[place]
    slopes = []
    for h in STEPS:
        value[place] = kept + h
        above = forward()
        value[place] = kept - h
        below = forward()
        value[place] = kept
        slopes.append(float(np.sum(r * (above - below)) / (2 * h)))
        if _relative(analytic, slopes[-1], typical) <= tolerance / 10:
            break
    return slopes
