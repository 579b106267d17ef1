"""Lesson 1: standardise."""

from typing import Any

import numpy as np

from course.diagnose import Array
from course.judges.comparison import Function, generator, twin


def right(train: Any, images: Any) -> Array:
    """(images − mean) / deviation, each channel's over all pixels of train."""
    mean, deviation = train.mean(axis=(0, 1, 2)), train.std(axis=(0, 1, 2))
    return np.asarray((images - mean) / deviation, np.float64)


def _variance(train: Any, images: Any) -> Array:
    return np.asarray((images - train.mean(axis=(0, 1, 2))) / train.var(axis=(0, 1, 2)), np.float64)


def _wrapped(train: Any, images: Any) -> Array:
    mean = train.mean(axis=(0, 1, 2)).astype(np.uint8)
    return np.asarray((images - mean) / train.std(axis=(0, 1, 2)), np.float64)


SUSPECTS: dict[str, Function] = {
    "mean and deviation are of images, not of train: what is tested must not decide how it is prepared": (
        lambda train, images: right(images, images)
    ),
    "one mean and one deviation for all channels: take them over the axes (0, 1, 2)": (
        lambda train, images: (images - train.mean()) / train.std()
    ),
    "one mean for all channels: take it over the axes (0, 1, 2)": (
        lambda train, images: (images - train.mean()) / train.std(axis=(0, 1, 2))
    ),
    "one deviation for all channels: take it over the axes (0, 1, 2)": (
        lambda train, images: (images - train.mean(axis=(0, 1, 2))) / train.std()
    ),
    "mean and deviation are of images, and of all channels at once: take train's, over the axes (0, 1, 2)": (
        lambda train, images: (images - images.mean()) / images.std()
    ),
    "one mean and one deviation for each pixel: take them over the axes (0, 1, 2)": (
        lambda train, images: (images - train.mean(axis=0)) / train.std(axis=0)
    ),
    "brackets: (images − mean) / deviation": (
        lambda train, images: images - train.mean(axis=(0, 1, 2)) / train.std(axis=(0, 1, 2))
    ),
    "divided by the variance, which is the deviation's square": _variance,
    "each column has a mean and a deviation of its own: take them over the axes (0, 1, 2)": lambda train, images: (
        (images - train.mean(axis=(0, 1))) / train.std(axis=(0, 1))
    ),
    "images are divided by 255, and train is not": lambda train, images: right(train, images / 255),
    "train is divided by 255, and images are not": lambda train, images: right(train / 255, images),
    "the deviation is that of np.std, without ddof": lambda train, images: (
        (images - train.mean(axis=(0, 1, 2))) / train.std(axis=(0, 1, 2), ddof=1)
    ),
    "train comes back: expected images": lambda train, images: right(train, train),
    "scaled from the smallest to the largest: here mean and deviation count": lambda train, images: (
        (images - train.min(axis=(0, 1, 2))) / np.ptp(train, axis=(0, 1, 2))
    ),
    "not divided by the deviation": lambda train, images: images - train.mean(axis=(0, 1, 2)),
    "the mean is not taken away": lambda train, images: images / train.std(axis=(0, 1, 2)),
    "each image has a mean and a deviation of its own: take those of all pixels of train": (
        lambda train, images: (
            (images - images.mean(axis=(1, 2), keepdims=True)) / images.std(axis=(1, 2), keepdims=True)
        )
    ),
    "uint8 wraps round below 0: make the images float64 first": _wrapped,
}


def standardise(mine: Function, seed: int) -> str:
    """Twin, on bytes whose channels, and whose two sets of images, have other means and deviations."""
    cases = []
    for number, (train, images, channels) in enumerate(
        [((6, 5, 4), (3, 5, 4), 3), ((4, 3, 3), (2, 6, 7), 1), ((5, 4, 4), (5, 4, 4), 2)]
    ):
        rng = generator(seed, 1, number)
        middle, spread = rng.integers(60, 180, channels), rng.integers(15, 60, channels)
        draw = lambda shape, by: np.clip(rng.normal(middle + by, spread, (*shape, channels)), 0, 255).astype(np.uint8)  # noqa: E731, B023
        cases.append((draw(train, 0), draw(images, 25)))
    return twin("standardise", mine, right, cases, suspects=SUSPECTS)
