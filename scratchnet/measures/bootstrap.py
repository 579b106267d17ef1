"""How sure is a measure? Intervals by the bootstrap over subjects.

Cells of one patient are alike, so a test set of 2,000 cells of 20 patients says what 20 patients say, not 2,000. The
bootstrap imitates "the same study with other patients": it draws as many subjects as there are, **with replacement**, each
with all of its images, and measures again; the middle 95 % of a thousand such measures are the interval.

One measure is biased in resamples: copies of an image share a threshold, which raises the average precision. Its interval is
moved, so that the median of the resamples is the value of the study (a shift of our own: in 8 of 9 simulated settings it held
the true value more often than before).

Strata. Subjects are drawn within their group: those whose images are all of class 0, all of class 1, …, of several
classes. Each resample has then as many subjects of each kind as the study had, so that no resample of a small test
set lacks a class (which has neither recall nor ROC), and the interval leaves out the randomness of the number of
patients in a class, which the study's design has fixed. A group of a single subject is in every resample unchanged:
it adds nothing to the width, and the interval is then too narrow. And no resample holds a mistake that is not in the
study: a share of 100 % or of 0 % would have an interval of width zero. It has a `margin` instead.

Sources: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3 (percentile interval); Davison &
Hinkley 1997, "Bootstrap Methods and their Application", section 3.8 (resampling whole groups, with replacement).
For `margin`: Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial";
Hanley & Lippman-Hand 1983, "If nothing goes wrong, is everything all right?".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scratchnet import random

BLOCK = 2**22  # numbers in memory at a time


def strata(labels: NDArray[np.int64], subjects: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The group of each subject, (S,): subjects are in one group if their images have the same set of classes.

    labels (N,): of the images. subjects (N,): each image's subject, numbers from 0 to S − 1.

    >>> strata(np.array([0, 0, 1, 0, 1]), np.array([0, 1, 2, 3, 3]), classes=2)    # subject 3 has images of both
    array([1, 1, 0, 2])
    """
    has = np.zeros((subjects.max() + 1, classes), bool)
    has[subjects, labels] = True
    return np.unique(has, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def resamples(groups: NDArray[np.int64], count: int, seed: int, images: int = 0) -> Iterator[NDArray[np.int64]]:
    """How often each subject is in each of `count` resamples: blocks (b, S), b adding up to `count`.

    groups (S,): of `strata`; each resample draws as many subjects from a group as it has. seed: the same seed gives the
    same resamples. images: the caller's arrays are (b, images), and b is such that they stay small.

    >>> block = next(resamples(np.array([0, 0, 0, 1, 1]), 1000, seed=0))
    >>> block.shape, set(block[:, :3].sum(axis=1).tolist()), set(block[:, 3:].sum(axis=1).tolist())
    ((1000, 5), {3}, {2})
    """
    rng = random.generator(seed, "bootstrap")
    size = max(1, BLOCK // max(len(groups), images))
    for start in range(0, count, size):
        rows = min(size, count - start)
        times = np.zeros((rows, len(groups)), np.int64)
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group)
            drawn = rng.integers(len(members), size=(rows, len(members))) + len(members) * np.arange(rows)[:, None]
            counts = np.bincount(drawn.reshape(-1), minlength=rows * len(members))
            times[:, members] = counts.reshape(rows, len(members))
        yield times


def interval(values: NDArray[np.float64], confidence: float = 0.95, middle: float | None = None) -> tuple[float, float]:
    """The percentile interval: between the (1 − confidence)/2 and (1 + confidence)/2 quantiles of the values (B,).

    middle: of a measure from 0 to 1 that is biased in resamples, its value in the study: the interval is moved, so that the
    median of the values comes to lie there, as far as 0 and 1 let it. Average precision needs it: the copies of a positive image
    share a threshold, so each finds the others at its side, and a resample looks better than the study. Without, the interval of
    a network that is worse than chance can lie beside its value.

    Resamples in which the measure is not defined (NaN) are left out; if it is defined in none, the interval is (NaN, NaN).

    >>> low, high = interval(np.arange(1001.0))
    >>> round(low), round(high)
    (25, 975)
    """
    exists = values[~np.isnan(values)]
    if len(exists) == 0:
        return np.nan, np.nan
    low, high = np.quantile(exists, [(1 - confidence) / 2, (1 + confidence) / 2])
    if middle is not None:
        low, high = np.clip(np.array([low, high]) + middle - np.median(exists), 0, 1)
    return float(low), float(high)


def margin(subjects: int, confidence: float = 0.95) -> float:
    """An upper bound for the share of what was not seen once among n subjects.

    p = 1 − (1 − confidence)^(1/n): with that share, n subjects show none with a probability of 1 − confidence. This is the
    exact one-sided bound of Clopper and Pearson, and about 3 / n at 95 %, the "rule of three".

    >>> round(margin(6), 3), round(margin(100), 4)
    (0.393, 0.0295)
    """
    return float(1 - (1 - confidence) ** (1 / subjects))
