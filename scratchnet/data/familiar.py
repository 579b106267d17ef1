"""Is an image like those that the network learnt from? A network answers to anything, and is often sure of what it never saw.

An image is described by eight numbers (`describe`). Their mean and covariance over the training images are kept with the
weights, and an image is as far from these as its Mahalanobis distance

    d² = (x − m)ᵀ C⁻¹ (x − m)

It counts as unlike them if d exceeds `limit`: FACTOR times the distance that all but one in a hundred of the training
images stay below, each measured against the others (leave-one-out). Images of new subjects lie a little further out than
that, unrelated images much further. docs/using.md says how often that is wrong on cells of new subjects, and how often it is
right on other things.

It notices what looks different as a whole: another stain, microscope or background, a screenshot, a photograph. It does not
notice a cell of another kind that looks alike, and it says nothing of whether the answer is right.

Source: Mahalanobis 1936, "On the generalised distance in statistics"; used on a network's features to detect
out-of-distribution images by Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples
and Adversarial Attacks".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.terminal.wording import counted

KEY = "familiar"  # in what a checkpoint says of itself
MOST = 1024  # training images that are measured, evenly spread
LEAST = 12  # fewer say too little about how images differ
QUANTILE, FACTOR = 0.99, 1.2
RIDGE = 1e-4  # (1/100 of the range of a pixel)²: no measure is taken for exact
CAUTION = "unlike the images of the training"
BLACK = 8  # of 255: darker in all channels is black, as around cells that were cut out

Floats = NDArray[np.float64]


def caution(far: int, images: int) -> str:
    """What is said where `far` of so many images are unlike the training's.

    >>> caution(1, 49)
    'CAUTION: 1 of 49 images is unlike the images of the training'
    """
    return f"CAUTION: {far:,} of {counted(images, 'image')} {'is' if far == 1 else 'are'} {CAUTION}"


class Images(Protocol):
    """Images by number, as `scratchnet.data` has them."""

    def __len__(self) -> int: ...

    def read(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """The images with these numbers: (len(indices), H, W, 3)."""


def describe(pixels: NDArray[np.uint8]) -> Floats:
    """(N, 8) of (N, H, W, 3): mean and deviation of red, green and blue, contrast of neighbours, share of black; from 0 to 1.

    None of them changes when an image is turned or mirrored.

    >>> describe(np.zeros((1, 4, 4, 3), np.uint8)).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    x = pixels.astype(np.float32) / 255
    across, down = np.abs(np.diff(x, axis=2)), np.abs(np.diff(x, axis=1))
    contrast = (across.mean(axis=(1, 2, 3)) + down.mean(axis=(1, 2, 3))) / 2
    black = (pixels.max(axis=3) < BLACK).mean(axis=(1, 2))
    columns = [*x.mean(axis=(1, 2)).T, *x.std(axis=(1, 2)).T, contrast, black]
    return np.stack(columns, axis=1).astype(np.float64)


@dataclass(frozen=True)
class Familiar:
    """What the training images looked like. mean (8,), inverse (8, 8): of their covariance. limit: the distance to stay below."""

    mean: Floats
    inverse: Floats
    limit: float

    @classmethod
    def measured(cls, images: Images) -> Familiar | None:
        """Of up to MOST of the images, evenly spread; None if they are too few to say how images differ."""
        if len(images) < LEAST:
            return None
        numbers = np.unique(np.linspace(0, len(images) - 1, min(MOST, len(images))).round().astype(np.int64))
        cuts = np.array_split(numbers, math.ceil(len(numbers) / 32))
        found = np.concatenate([describe(images.read(cut)) for cut in cuts])
        inverse = np.linalg.inv(np.cov(found, rowvar=False) + RIDGE * np.eye(found.shape[1]))
        usual = float(np.quantile(_from_the_others(found), QUANTILE))
        return cls(found.mean(axis=0), inverse.astype(np.float64), FACTOR * max(usual, 1.0))

    @classmethod
    def from_about(cls, about: Mapping[str, Any]) -> Familiar | None:
        """Read from a checkpoint's description; None if it is missing there, as in older ones, or is something else."""
        stored: Any = about.get(KEY)
        try:
            mean, inverse = (np.array(stored[name], np.float64) for name in ("mean", "inverse"))
            limit = float(stored["limit"])
        except (TypeError, KeyError, ValueError):
            return None
        right = mean.shape == (8,) and inverse.shape == (8, 8) and 0 < limit < math.inf
        return cls(mean, inverse, limit) if right and np.isfinite(inverse).all() and np.isfinite(mean).all() else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"mean": self.mean.tolist(), "inverse": self.inverse.tolist(), "limit": self.limit}

    def distances(self, pixels: NDArray[np.uint8]) -> Floats:
        """How far images lie from those of the training, (N,), as shares of the limit: more than 1 is unlike them.

        pixels (N, S, S, 3): prepared as the training images were.
        """
        off = describe(pixels) - self.mean
        squares: Floats = np.einsum("ij,jk,ik->i", off, self.inverse, off)
        return np.sqrt(np.maximum(squares, 0)) / self.limit


def _from_the_others(found: Floats) -> Floats:
    """The distance of each of (N, 8) from all the others: with few images, each draws mean and covariance towards itself."""
    count = len(found)
    off = found - found.mean(axis=0)
    scatter = off.T @ off - count / (count - 1) * off[:, :, None] * off[:, None, :]  # (N, 8, 8), each without its own
    away = off * count / (count - 1)
    inverse = np.linalg.inv(scatter / (count - 2) + RIDGE * np.eye(found.shape[1]))
    squares: Floats = np.einsum("ij,ijk,ik->i", away, inverse, away)
    return np.sqrt(np.maximum(squares, 0))
