"""Lesson 10: dropout."""

import math
from typing import Any

import numpy as np

from course.judges.comparison import Function, differ, generator, tried

IMAGES, FEATURES = 300, 60
MASKS = 60  # small ones, whose number of kept features must vary as coins do


def dropout(mine: Function, seed: int) -> str:
    """Properties: the share to 5 standard errors, the scale, the mask, x itself at test, fresh masks from the generator."""
    for case, rate in enumerate((0.3, 0.6, 0.0)):
        shape = (IMAGES, 5, 4, 3) if case else (IMAGES, FEATURES)
        x = generator(seed, 10, case).normal(size=shape) + 3
        complaint = _at_test(mine, x, rate, seed) or _in_training(mine, x, rate, seed)
        if complaint:
            return f"{complaint}; for x {'×'.join(map(str, shape))}, rate {rate}"
    return ""


def _called(mine: Function, x: Any, rate: float, rng: np.random.Generator, training: bool) -> tuple[Any, Any, str]:
    """y, kept, and the first complaint about their kind."""
    given = x.copy()
    with tried(f"x {'×'.join(map(str, x.shape))}, rate {rate}, training {training}"):
        answer = mine(given, rate, rng, training)
    if not np.array_equal(given, x):
        return None, None, "changes its arguments in place: x is no longer what it was; work on a copy"
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return None, None, "must return (y, kept)"
    y, kept = np.asarray(answer[0]), np.asarray(answer[1])
    if y.shape != x.shape or kept.shape != x.shape:
        return None, None, f"y has shape {y.shape} and kept {kept.shape}, expected {x.shape} for both"
    if kept.dtype != np.bool_:
        return None, None, f"kept is of {kept.dtype}, expected bool"
    return y, kept, ""


def _at_test(mine: Function, x: Any, rate: float, seed: int) -> str:
    y, kept, complaint = _called(mine, x, rate, generator(seed, 10, 50), False)
    if complaint:
        return complaint
    if not np.array_equal(y, x):
        if np.array_equal(y != 0, kept) and not kept.all():
            return "without training nothing is left out: y is x itself, and kept True everywhere"
        return f"without training y must be x itself: {differ(y, x)}"
    return "" if kept.all() else "without training everything is kept: kept must be True everywhere"


def _in_training(mine: Function, x: Any, rate: float, seed: int) -> str:
    rng = generator(seed, 10, 51)
    y, kept, complaint = _called(mine, x, rate, rng, True)
    if complaint:
        return complaint
    flat = kept.reshape(IMAGES, -1)
    if rate and (flat == flat[0]).all():
        return "one mask for all images: each has its own"
    if rate and (flat == flat[:, :1]).all():
        return "an image is left out whole: each feature has its own coin"
    for axis in range(1, x.ndim) if rate and x.ndim > 2 else ():
        if (kept == kept.take([0], axis)).all():
            return f"features are left out together along axis {axis}: each has its own coin"
    share, error = float((y == 0).mean()), math.sqrt(rate * (1 - rate) / x.size)
    if abs(share - rate) > 5 * error:
        swapped = ": rate is the share that is left out" if abs(share - 1 + rate) <= 5 * error else ""
        return f"{share:.1%} of the features are left out, expected {rate:.0%}{swapped}"
    if not np.array_equal(kept, y != 0):
        return (
            "kept is the wrong way round: True where a feature stays"
            if np.array_equal(kept, y == 0)
            else "kept is not where y is not 0"
        )
    complaint = differ(y[kept], (x / (1 - rate))[kept])
    if complaint:
        return f"the features that stay must be x / (1 − rate), so that the mean stays: {complaint}"
    return _freshness(mine, x, rate, rng, kept, seed) if rate else ""


def _freshness(mine: Function, x: Any, rate: float, rng: np.random.Generator, kept: Any, seed: int) -> str:
    again = _called(mine, x, rate, rng, True)[1]
    if np.array_equal(again, kept):
        return "the same mask in every step: draw a new one from rng"
    if not np.array_equal(_called(mine, x, rate, generator(seed, 10, 51), True)[1], kept):
        return "the same generator gives another mask: draw it from rng, nothing from np.random"
    counts = kept.reshape(IMAGES, -1).sum(axis=1)
    if not 0.5 < counts.var() / (FEATURES * rate * (1 - rate)) < 1.5:
        return _counted("of each image")
    columns = kept.mean(axis=0)
    spread = 6 * math.sqrt(rate * (1 - rate) / IMAGES)
    if np.abs(columns - 1 + rate).max() > spread:
        return "some features are left out more often than others"
    if (columns == columns.flat[0]).all():
        return _counted("at each place")
    small = x[:6].reshape(6, -1)[:, :10].copy()
    totals = np.array([_called(mine, small, rate, rng, True)[1].sum() for _ in range(MASKS)])
    # A sum of squares as small as this comes from coins once in a million times.
    return "" if totals.var() > 0.25 * small.size * rate * (1 - rate) else _counted("of each batch")


def _counted(what: str) -> str:
    return f"the number of features that stay {what} does not vary as with coins: each feature tosses its own"
