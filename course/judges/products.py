"""Lesson 13: im2col, F(2, 3), and the adjoint of its input transform."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from course.judges.comparison import Function, generator, tried, twin

# Images, height, width, channels, window's height and width, stride.
SHAPES = [
    (1, 4, 5, 1, 2, 3, 1),
    (2, 5, 6, 3, 3, 2, 1),
    (2, 7, 6, 2, 3, 3, 2),
    (1, 3, 4, 3, 1, 1, 1),
    (2, 5, 5, 1, 5, 5, 1),
]


def _columns(x: Any, size: tuple[int, int], stride: int, order: str) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))[:, ::stride, ::stride]
    axes = "nijcuv"
    moved = windows.transpose([axes.index(letter) for letter in order])
    return moved.reshape(-1, x.shape[-1] * size[0] * size[1])


def _in_order(order: str) -> Function:
    return lambda x, size, stride: _columns(x, size, stride, order)


def _one_apart(x: Any, size: tuple[int, int], stride: int) -> Any:
    rows, columns = ((x.shape[1 + axis] - size[axis]) // stride + size[axis] for axis in (0, 1))
    return _columns(x[:, :rows, :columns], size, 1, RIGHT_ORDER)


RIGHT_ORDER = "nijuvc"
IM2COL: dict[str, Function] = {
    "the channels stand first in each row: the order is (u, v, c), as in the filters": _in_order("nijcuv"),
    "the window's rows and columns are exchanged: the order is (u, v, c)": _in_order("nijvuc"),
    "the windows go down the columns: the order of the rows is (n, i, j)": _in_order("njiuvc"),
    "the images stand side by side: the order of the rows is (n, i, j)": _in_order("ijnuvc"),
    "the windows stand one pixel apart, not stride": _one_apart,
    "the stride is forgotten: window i begins at row i · stride": lambda x, size, stride: _columns(
        x, size, 1, RIGHT_ORDER
    ),
}


def im2col(mine: Function, seed: int) -> str:
    """Twin; and what is returned may be written to, without a trace in x."""
    cases = []
    for number, (n, h, w, c, kh, kw, s) in enumerate(SHAPES):
        cases.append((generator(seed, 13, number).normal(size=(n, h, w, c)), (kh, kw), s))
    for x, size, stride in cases:
        given = x.copy()
        with tried(f"x {'×'.join(map(str, x.shape))}, size {size}, stride {stride}"):
            columns = mine(given, size, stride)
        if not np.array_equal(given, x):
            return "changes its arguments in place: x is no longer what it was; copy the windows before you write"
        if isinstance(columns, np.ndarray) and columns.flags.writeable and columns.size:
            columns[...] = 0
            if not np.array_equal(given, x):
                return f"a view of x: whoever writes into it changes the image; return a copy; for size {size}, stride {stride}"
    return twin("im2col", mine, _in_order(RIGHT_ORDER), cases, suspects=IM2COL)


class Counted:
    """A fraction that notes where it comes from, and counts the products of one that comes from d with one from g.

    comes: "d", "g", both or "" for a constant.
    """

    def __init__(self, value: Any, comes: frozenset[str], counter: list[int]) -> None:
        self.value, self.comes, self.counter = Fraction(value), comes, counter

    def _other(self, other: Any) -> Counted:
        if isinstance(other, Counted):
            return other
        if isinstance(other, np.generic):
            other = other.item()
        return Counted(Fraction(other), frozenset(), self.counter)

    def __add__(self, other: Any) -> Counted:
        other = self._other(other)
        return Counted(self.value + other.value, self.comes | other.comes, self.counter)

    __radd__ = __add__

    def __neg__(self) -> Counted:
        return Counted(-self.value, self.comes, self.counter)

    def __pos__(self) -> Counted:
        return self

    def __sub__(self, other: Any) -> Counted:
        return self + -self._other(other)

    def __rsub__(self, other: Any) -> Counted:
        return -self + other

    def __mul__(self, other: Any) -> Counted:
        other = self._other(other)
        self.counter[0] += bool(self.comes and other.comes)
        return Counted(self.value * other.value, self.comes | other.comes, self.counter)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Counted:
        other = self._other(other)
        self.counter[0] += bool(other.comes)
        return Counted(self.value / other.value, self.comes | other.comes, self.counter)


def _exact(d: Any, g: Any) -> list[int]:
    return [sum(g[u] * d[i + u] for u in range(3)) for i in range(2)]


def winograd_f23(mine: Function, seed: int) -> str:
    """Exact, on fractions that count: at most four multiplications of what comes from d by what comes from g."""
    for case in range(5):
        rng = generator(seed, 13, 50, case)
        d, g = (
            [int(v) for v in rng.integers(1, 10, 4) * rng.choice([-1, 1], 4)],
            [int(v) for v in rng.integers(1, 10, 3) * rng.choice([-1, 1], 3)],
        )
        counter = [0]
        make = lambda values, comes: np.array([Counted(v, frozenset(comes), counter) for v in values], object)  # noqa: E731, B023
        with tried(f"d = {d}, g = {g}"):
            answer = mine(make(d, "d"), make(g, "g"))
        if answer is None or not hasattr(answer, "__len__") or len(answer) != 2:
            return "must return two numbers, y[0] and y[1]"
        if not all(isinstance(y, Counted) for y in answer):
            return "must work on fractions: use + − · / on the numbers themselves, no float and no NumPy function that makes one"
        found, right = [y.value for y in answer], _exact(d, g)
        if found != right:
            return f"{_wrong(found, right, d, g)}: d = {d}, g = {g} gives {[str(v) for v in found]}, expected {right}"
        if counter[0] > 4:
            return f"{counter[0]} multiplications of data with filter, where 4 are enough"
    return ""


def _wrong(found: list[Fraction], right: list[int], d: list[int], g: list[int]) -> str:
    if found == _exact(d, g[::-1]):
        return "the filter is read from its end"
    if found == right[::-1]:
        return "y[0] and y[1] are exchanged"
    right_ones = [i for i in range(2) if found[i] == right[i]]
    if right_ones:
        return f"y[{right_ones[0]}] is right, y[{1 - right_ones[0]}] is not: a sign?"
    m = [(d[1] + d[2]) * sum(g), (d[2] - d[1]) * (g[0] - g[1] + g[2])]
    if found[0] - right[0] == Fraction(m[0] + m[1], 2):
        return "the ½ of the filter's sums is missing"
    return "not the two sums"


BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float64)

ADJOINT: dict[str, Function] = {
    "the inverse of the transform: the adjoint is its transpose, B · dv · Bᵀ": lambda dv: (
        np.linalg.inv(BT) @ dv @ np.linalg.inv(BT).T
    ),
    "the forward transform once more: on the way back each matrix stands transposed, B · dv · Bᵀ": lambda dv: (
        BT @ dv @ BT.T
    ),
    "one side only: rows and columns both go back, B · dv · Bᵀ": lambda dv: BT.T @ dv,
    "one side alone: rows and columns both go back, B · dv · Bᵀ": lambda dv: dv @ BT,
    "one side is transposed and the other is not: B · dv · Bᵀ": lambda dv: BT.T @ dv @ BT.T,
    "the sides have changed places: B · dv · Bᵀ": lambda dv: BT @ dv @ BT,
}


def winograd_f23_adjoint(mine: Function, seed: int) -> str:
    """Twin; and for what is neither right nor known, the test of an adjoint: ⟨Bᵀ d B, dv⟩ = ⟨d, dd⟩."""
    cases = [(generator(seed, 13, 80, case).normal(size=(4, 4)),) for case in range(4)]
    complaint = twin("winograd_f23_adjoint", mine, lambda dv: BT.T @ dv @ BT, cases, suspects=ADJOINT)
    if complaint and "wrong" in complaint:
        dv, d = cases[0][0], generator(seed, 13, 90).normal(size=(4, 4))
        there, back = np.sum(BT @ d @ BT.T * dv), np.sum(d * np.asarray(mine(dv.copy())))
        return f"not the adjoint: ⟨v, dv⟩ = {there:.6g}, but ⟨d, dd⟩ = {back:.6g}; {complaint}"
    return complaint
