"""What kind of wrong it is: a wrong result says more than that it is wrong."""

from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def diagnose(mine: Array, right: Array, *, tolerance: float = 1e-9, least: float = 0.0, images: int = 0) -> str:
    """One line on what `mine` is beside `right`, arrays of one shape, finite, float64; "" where they agree.

    tolerance: the largest difference that passes, relative to the root mean square of `right`, or to `least` where that is
    larger. images: how many images both were made of, where that is known: a factor of 1/images or images has then a likely
    reason.

    >>> diagnose(np.array([1.0, 2.0]), np.array([2.0, 4.0]), images=2)
    '0.5 times the right one, everywhere: divided by the number of images?'
    """
    scale = max(float(np.sqrt(np.mean(right**2))), least, 1e-300) if right.size else 1.0
    wrong = np.abs(mine - right) > tolerance * scale
    if not wrong.any():
        return ""
    if not mine.any():
        return "all zero"
    near = 1e-6 * scale
    return (
        _factor(mine, right, near, images)
        or _rounded(mine, right, scale)
        or _moved(mine, right, near)
        or _constant(mine, right, near)
        or _whole(mine, right)
        or _part(wrong)
        or _unfinished(mine, wrong)
        or _permuted(mine, right, near)
        or _first(mine, right, wrong)
    )


def number(value: float) -> str:
    """The value as it stands in a line: six digits."""
    return f"{float(value):.6g}"


def both(mine: float, right: float) -> str:
    """What came and what was expected, with as many digits as it takes to tell them apart."""
    digits = next((digits for digits in (6, 9, 12) if f"{mine:.{digits}g}" != f"{right:.{digits}g}"), 17)
    return f"{float(mine):.{digits}g}, expected {float(right):.{digits}g}"


def place(mine: NDArray[np.bool_]) -> tuple[int, ...]:
    """The first place, in reading order, that is True."""
    return tuple(int(i) for i in np.argwhere(mine)[0])


def _factor(mine: Array, right: Array, near: float, images: int) -> str:
    norm = float(np.sum(right * right))
    if right.size < 2 or norm == 0:
        return ""
    factor = float(np.sum(mine * right)) / norm
    if factor == 0 or not _same(mine, factor * right, near * min(1.0, abs(factor))):
        return ""
    if abs(factor + 1) < 1e-6:
        return "the right one with the other sign"
    if abs(factor - 1) < 1e-4:
        return ""
    why = ""
    if images > 1 and abs(factor * images - 1) < 1e-6:
        why = ": divided by the number of images?"
    elif images > 1 and abs(factor / images - 1) < 1e-6:
        why = ": not divided by the number of images?"
    return f"{number(factor)} times the right one, everywhere{why}"


def _rounded(mine: Array, right: Array, scale: float) -> str:
    """Single precision leaves its trace: numbers that it can hold, or errors of its size in nearly all places."""
    if float(np.abs(mine - right).max()) > 3e-7 * scale:
        return ""
    with np.errstate(over="ignore"):
        if (mine.astype(np.float32) == mine).all():
            return "right to about 7 digits: it is of float32, or made of float32"
    at = tuple(int(i) for i in np.unravel_index(np.abs(mine - right).argmax(), right.shape))
    return f"right to about 7 digits only: something small is wrong, or float32 on the way{_at(at)}: {both(mine[at], right[at])}"


def _moved(mine: Array, right: Array, near: float) -> str:
    axes = range(right.ndim)
    for a, b in combinations(axes, 2):
        if _same(mine, right.swapaxes(a, b), near):
            return "the right one, transposed" + (f" (axes {a} and {b} exchanged)" if right.ndim > 2 else "")
    for a, b in combinations(axes, 2):
        if _same(mine, np.flip(right, (a, b)), near):
            return f"the right one, turned by 180° (axes {a} and {b})"
    for a in axes:
        if right.shape[a] > 1 and _same(mine, np.flip(right, a), near):
            return "the right one, from its end" + (f" (axis {a})" if right.ndim > 1 else "")
    return ""


def _constant(mine: Array, right: Array, near: float) -> str:
    off = mine - right
    return f"off by {number(off.mean())}, everywhere" if right.size > 1 and float(np.ptp(off)) < near else ""


def _whole(mine: Array, right: Array) -> str:
    for made in (np.trunc(right), np.rint(right), np.trunc(right) % 256):
        if (mine == made).all():
            return "the right one, cut to whole numbers: is an array of integers on the way?"
    return ""


def _unfinished(mine: Array, wrong: NDArray[np.bool_]) -> str:
    if wrong.all() or mine[wrong].any():
        return ""
    return f"0 in {wrong.mean():.0%} of the places, and right in the others: does `return` stand inside a loop, or does one end too early?"


def _part(wrong: NDArray[np.bool_]) -> str:
    """A part of the places that has a name, where all wrong ones are and a quarter is wrong: the border, some images or channels."""
    if wrong.ndim < 2:
        return ""
    if wrong.ndim == 4 and min(wrong.shape[1:3]) > 2:
        border = np.ones(wrong.shape, bool)
        border[:, 1:-1, 1:-1] = False
        if _all_in(wrong, border):
            return "right inside, wrong on the border"
    names = ("row", "column") if wrong.ndim == 2 else ("image", "channel")
    for axis, what in zip((0, wrong.ndim - 1), names, strict=True):
        numbers = np.arange(wrong.shape[axis]).reshape([-1 if a == axis else 1 for a in range(wrong.ndim)])
        for right, words in ((0, f"{what} 0"), (wrong.shape[axis] - 1, f"the last {what}")):
            if _all_in(wrong, np.broadcast_to(numbers != right, wrong.shape)):
                return f"right in {words}, wrong in the others"
    return ""


def _all_in(wrong: NDArray[np.bool_], part: NDArray[np.bool_]) -> bool:
    return bool(part.any() and not wrong[~part].any() and wrong[part].mean() > 0.25)


def _permuted(mine: Array, right: Array, near: float) -> str:
    channels = right.shape[-1] if right.ndim else 0
    if right.ndim > 1 and 2 <= channels <= 4:
        for order in permutations(range(channels)):
            if _same(mine, right[..., list(order)], near):
                return f"the right one with its last axis in the order {list(order)}"
    elsewhere = np.abs(mine - right) > near
    if right.size > 2 and elsewhere.any() and _same(np.sort(mine, axis=None), np.sort(right, axis=None), near):
        return f"the right numbers in other places; {_first(mine, right, elsewhere)}"
    return ""


def _first(mine: Array, right: Array, wrong: NDArray[np.bool_]) -> str:
    if right.size == 1:
        return both(mine.item(), right.item())
    at = place(wrong)
    share = (
        f"{wrong.mean():.0%} of the numbers are wrong"
        if wrong.mean() >= 0.005
        else f"{wrong.sum()} of {wrong.size} numbers are wrong"
    )
    return f"{share}; the first is{_at(at)}: {both(mine[at], right[at])}"


def _at(at: tuple[int, ...]) -> str:
    return f" [{', '.join(map(str, at))}]" if at else ""


def _same(a: Array, b: Array, near: float) -> bool:
    return a.shape == b.shape and bool((np.abs(a - b) <= near).all())
