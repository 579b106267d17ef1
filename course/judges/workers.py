"""Lesson 14: two workers, one gradient."""

from typing import Any

import numpy as np

from course import broken
from course.judges.comparison import Function, differ, generator, suspected, tried
from scratchnet import reference as ref

SUSPECTS: dict[str, Function] = {
    "the mean of the parts' means: a part counts as many times as it has images": broken.combine_mean_of_means,
    "the sum of the parts' means: weigh each by its images, and divide by all": broken.combine_sum_of_means,
    "the sum over all images, not divided by their number": lambda parts: sum(n * g for g, n in parts),
    "the sum over all images, divided by the number of workers, not of images": (
        lambda parts: sum(n * g for g, n in parts) / len(parts)
    ),
    "only the parts of the first one's size count: the rest is dropped": (
        lambda parts: np.mean([g for g, n in parts if n == parts[0][1]], axis=0)
    ),
    "the first part alone": lambda parts: parts[0][0],
    "the last part alone": lambda parts: parts[-1][0],
}


def combine(mine: Function, seed: int) -> str:
    """The gradient of one worker that has all images, for parts that are even and parts that aren't."""
    for case, (images, workers) in enumerate([(12, 3), (10, 3), (7, 2), (5, 5), (9, 1)]):
        rng = generator(seed, 14, case)
        weight, x, labels = rng.normal(size=(6, 3)), rng.normal(size=(images, 6)), rng.integers(3, size=images)
        parts = [_part(weight, x[rows], labels[rows]) for rows in np.array_split(np.arange(images), workers)]
        given = [(gradient.copy(), count) for gradient, count in parts]
        with tried(f"{workers} workers, {images} images"):
            got = mine(given)
        if len(given) != len(parts) or any(not np.array_equal(a[0], b[0]) for a, b in zip(given, parts, strict=True)):
            return "changes its arguments in place: a worker's gradient is no longer what it was; begin with zeros or a copy"
        right = _part(weight, x, labels)[0]
        complaint = differ(got, right)
        if complaint:
            sizes = ", ".join(str(count) for _, count in parts)
            return f"{suspected(SUSPECTS, (parts,), got, right) or complaint}; for parts of {sizes} images"
    return ""


def _part(weight: Any, x: Any, labels: Any) -> tuple[Any, int]:
    """What a worker sends: the gradient of its images' mean loss, and how many they are."""
    return x.T @ ref.softmax_cross_entropy_gradient(x @ weight, labels) / len(x), len(x)
