"""Lesson 3: slope, relu_gradient, dense_gradient."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from course.diagnose import Array, both, number
from course.judges.comparison import Function, as_float, generator, tried, twin
from scratchnet import reference as ref

Place = tuple[int, ...]
Field = Callable[[Array], float]


class _Watched:
    """A function f of an array, which notes how far from x, and on which sides, it was asked."""

    def __init__(self, f: Field, x: Array, at: Place) -> None:
        self.f, self.x, self.at = f, x.copy(), at
        self.offsets: list[float] = []
        self.arrays: list[Any] = []
        self.answers: list[float] = []
        self.elsewhere = self.changed = False

    def __call__(self, x: Array) -> float:
        asked = np.array(x, np.float64)
        if asked.shape != self.x.shape:
            raise ValueError(f"f takes an array of shape {self.x.shape}, got {asked.shape}")
        others = asked.copy()
        others[self.at] = self.x[self.at]
        self.elsewhere |= not np.array_equal(others, self.x)
        self.offsets.append(float(asked[self.at] - self.x[self.at]))
        self.arrays.append(x)
        self.answers.append(self.f(asked))
        return self.answers[-1]

    @property
    def same_twice(self) -> bool:
        """Whether all calls got one array, with the same numbers in it."""
        return (
            len(self.arrays) > 1
            and all(np.shares_memory(self.arrays[0], array) for array in self.arrays)
            and max(self.offsets) == min(self.offsets)
        )


def _fields(seed: int) -> list[tuple[Field, Field, Array, Place]]:
    """Functions, their slope along the place, x and the place. The last bends so much that only two sides find its slope."""
    rng = generator(seed, 3)
    row, table = rng.normal(size=5), rng.normal(size=(3, 4))
    weights, factors = rng.normal(size=(3, 4)), rng.uniform(1, 2, size=5)
    k, (i, j) = int(rng.integers(5)), (int(rng.integers(3)), int(rng.integers(4)))
    image, one = rng.normal(size=(2, 3, 3, 2)), (1, int(rng.integers(3)), 0, 1)
    image[one] = 0  # where a step in parts of x is none
    middle = float(rng.uniform(0.5, 1))
    bent = np.array([rng.normal(), middle + 1e-3, rng.normal()])
    return [
        (lambda x: float(np.sum(factors * x**2)), lambda x: float(2 * factors[k] * x[k]), row, (k,)),
        (lambda x: float(np.sum(np.sin(weights * x))), lambda x: float(weights[i, j] * np.cos(weights[i, j] * x[i, j])), table, (i, j)),
        (lambda x: float(np.exp(x / 3).sum() / 9), lambda x: math.exp(x[one] / 3) / 27, image, one),
        (lambda x: float(np.sin(9 * x[k]) + x[0]), lambda x: float(9 * math.cos(9 * x[k]) + (k == 0)), row, (k,)),
        (lambda x: float(1 + 500 * (x[1] - middle) ** 2 + x[0]), lambda x: float(1000 * (x[1] - middle)), bent, (1,)),
    ]  # fmt: skip


def slope(mine: Function, seed: int) -> str:
    """Exact slopes; where f was asked says which mistake it is. x must be afterwards what it was."""
    for f, exact, x, at in _fields(seed):
        given, watched, right = x.copy(), _Watched(f, x, at), exact(x)
        with tried(f"x {'×'.join(map(str, x.shape))}, place {at}"):
            answer = mine(watched, given, at)
        if as_float(answer) == 0 and watched.same_twice:
            return "0: both calls of f got the same numbers: b = x is no copy, b = x.copy() is"
        if not np.array_equal(given, x):
            return "x is not restored: afterwards x must be what it was, to the last digit (keep the old number, or a copy)"
        if answer is None:
            return "returned nothing: does it end with return?"
        found = as_float(answer)
        if found is None:
            return f"returned {type(answer).__name__}, expected one number"
        if watched.elsewhere:
            return f"moves other numbers than x[{', '.join(map(str, at))}]: the slope is along this one alone"
        if not abs(found - right) <= 1e-7 * max(1.0, abs(right)):
            return f"{_why(watched, found, right)}: {both(found, right)}"
    return ""


def _why(watched: _Watched, found: float, right: float) -> str:
    offsets = [offset for offset in watched.offsets if offset]
    for factor, hint in (
        (2.0, "divide by 2h"),
        (0.5, "divide by 2h and not by 4h"),
        (-1.0, "the sign is the other one"),
    ):
        if abs(found - factor * right) < 1e-3 * abs(right):
            return f"{number(factor)} times the right slope ({hint})"
    if not offsets:
        return "f was asked at x itself alone: a step of 0 (a part of x, which is 0 here?), or one lost in rounding: try h = 1e-5"
    if min(map(abs, offsets)) < 1e-11:
        return "a step so short is lost in rounding: try h = 1e-5"
    if min(offsets) > 0 or max(offsets) < 0:
        return "one-sided: ask f on both sides of x, f(x + h) and f(x − h)"
    if min(map(abs, offsets)) < 3e-9:
        return "a step so short is lost in rounding: try h = 1e-5"
    longest = max(map(abs, offsets))
    above, below = (watched.answers[watched.offsets.index(end)] for end in (max(offsets), min(offsets)))
    slips = (above - below) / 2 * longest, above - below / (2 * longest)
    if any(abs(found - slip) < 1e-6 * abs(slip) for slip in slips):
        return "brackets: (f(x + h) − f(x − h)) / (2 * h)"
    if abs(found - right) < 1000 * longest**2 and longest > 3e-5:
        return (
            f"a step of {number(longest)} is so long that it leaves the tangent (the error grows as h²): try h = 1e-5"
        )
    return "not the slope"


RELU: dict[str, Function] = {
    "at x = 0 there is no derivative, and dx is 0 there: x > 0 and not x ≥ 0": lambda x, dy: np.where(x >= 0, dy, 0),
    "at x = 0 there is no derivative, and dx is 0 there, not half of dy": lambda x, dy: dy * np.heaviside(x, 0.5),
    "the sign of dy decides: that of x does": lambda x, dy: np.where(dy > 0, dy, 0),
    "x where dy is expected": lambda x, dy: np.where(x > 0, x, 0),
    "1 where dy is expected: the slope of ReLU must be multiplied with dy": lambda x, dy: np.where(x > 0, 1.0, 0.0),
    "dy as it came: nothing goes back where x is below 0": lambda x, dy: dy,
    "the wrong way round: dy goes back where x > 0": lambda x, dy: np.where(x > 0, 0, dy),
    "wrong way round: dy goes back where x > 0": lambda x, dy: np.where(x < 0, dy, 0),
    "x · dy: only the sign of x counts": lambda x, dy: np.where(x > 0, x * dy, 0),
    "−dy where x is below 0: nothing goes back there": lambda x, dy: dy * np.sign(x),
}


def relu_gradient(mine: Function, seed: int) -> str:
    """Twin, with zeros in x."""
    rng = generator(seed, 3, 1)
    x = rng.normal(size=(3, 4, 2))
    x.reshape(-1)[::5] = 0
    cases = [(x, rng.normal(size=x.shape)), (rng.normal(size=(2, 7)), rng.normal(size=(2, 7)))]
    return twin("relu_gradient", mine, ref.relu_gradient, cases, suspects=RELU)


def _square(function: Function) -> Function:
    """A suspect that can be only where the weight is square."""
    return lambda x, weight, dy: function(x, weight, dy) if weight.shape[0] == weight.shape[1] else None


DENSE: dict[str, Function] = {
    "dx = dy · W: W is not transposed": _square(lambda x, weight, dy: (dy @ weight, None, None)),
    "dweight: the right one, transposed: xᵀ · dy and not dyᵀ · x": _square(
        lambda x, weight, dy: (None, dy.T @ x, None)
    ),
    "dbias: summed over the outputs, axis 1: it is summed over the images, axis 0": lambda x, weight, dy: (
        None,
        None,
        dy.sum(axis=1),
    ),
    "dweight: dy is not used: x was multiplied by weight, so dweight is xᵀ · dy": lambda x, weight, dy: (
        None,
        x.T @ np.ones_like(dy),
        None,
    ),
    "dweight is of the first image alone": lambda x, weight, dy: (None, x[:1].T @ dy[:1], None),
}


def dense_gradient(mine: Function, seed: int) -> str:
    """Twin, with square weights, where a transposed matrix fits, and others, where it doesn't."""
    cases: list[tuple[Any, ...]] = []
    for case, (n, i, o) in enumerate([(1, 3, 2), (4, 4, 4), (5, 4, 4), (2, 7, 3)]):
        rng = generator(seed, 3, 2, case)
        cases.append((rng.normal(size=(n, i)), rng.normal(size=(i, o)), rng.normal(size=(n, o))))
    return twin("dense_gradient", mine, ref.dense_gradient, cases, outputs=("dx", "dweight", "dbias"), suspects=DENSE)
