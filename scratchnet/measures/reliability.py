"""Are probabilities what they say? Of the images that are given 80 %, eight of ten should be what they are called.

Sources: Naeini, Cooper & Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning"; Guo, Pleiss, Sun &
Weinberger 2017, "On calibration of modern neural networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet import random
from scratchnet.errors import ShapeError
from scratchnet.measures.predictions import Predictions
from scratchnet.terminal.wording import percent

Floats = NDArray[np.float64]
BINS = 15  # as in Guo et al.


class Reliability(NamedTuple):
    """Images in bins of equal width by their probability. images: how many. probability, share: their mean, and how many of them
    are so; NaN in an empty bin. Each (bins,)."""

    images: Floats
    probability: Floats
    share: Floats

    @property
    def error(self) -> float:
        """The expected calibration error: Σ over the bins of images / N · |share − probability|. 0 is best."""
        gaps = np.abs(self.share - self.probability)
        return float(np.nansum(self.images * gaps) / self.images.sum())


def reliability(true: ArrayLike, probability: ArrayLike, bins: int = BINS) -> Reliability:
    """How often what has a probability is so, by that probability.

    true (N,): whether it is so. probability (N,): of that, from 0 to 1. A probability on the edge of two bins belongs to the
    upper one. Raises ShapeError if there is not one probability for each, or none at all.

    >>> found = reliability([0, 1, 1, 1], [0.1, 0.6, 0.6, 0.9], bins=2)
    >>> found.share, round(found.error, 3)
    (array([0., 1.]), 0.25)
    """
    so, chances = np.asarray(true, np.float64), np.asarray(probability, np.float64)
    if so.ndim != 1 or so.shape != chances.shape or not len(so):
        raise ShapeError(f"expected a probability for each image, at least one; got {chances.shape} for {so.shape}")
    number = np.minimum((chances * bins).astype(np.int64), bins - 1)
    count = np.bincount(number, minlength=bins).astype(np.float64)
    empty = np.where(count, count, np.nan)
    sums = (np.bincount(number, weights=values, minlength=bins) for values in (chances, so))
    return Reliability(count, *(one / empty for one in sums))


def by_chance(probability: ArrayLike, draws: int = 200) -> float:
    """The mean error of a network that is right to say these probabilities, (N,), on as many images: what is not its fault.

    >>> by_chance([0.5] * 100) > 4 * by_chance([0.5] * 10000)
    True
    """
    chances = np.asarray(probability, np.float64)
    rng = random.generator(0, "reliability")
    return float(np.mean([reliability(rng.random(len(chances)) < chances, chances).error for _ in range(draws)]))


@dataclass(frozen=True)
class Reliabilities:
    """Of one probability, before and after it was calibrated.

    of: the class whose probability is meant, with how often it is there (Naeini et al.); None for that of the answer, with how often
    it is right (Guo et al.). raw; scaled: None if there is no calibration. chance: `by_chance`.
    """

    of: str | None
    raw: Reliability
    scaled: Reliability | None
    chance: float

    @classmethod
    def all_of(cls, said: Predictions, positive: str | None) -> list[Reliabilities]:
        """Of the class that is looked for, if there are two, and of the answer."""
        return [cls._one(said, name) for name in ((positive, None) if positive is not None else (None,))]

    @classmethod
    def _one(cls, said: Predictions, name: str | None) -> Reliabilities:
        pairs = []
        for p in (said.raw, said.probabilities):
            if name is not None:
                number = said.class_names.index(name)
                pairs.append((said.labels == number, p[:, number]))
            else:
                pairs.append((said.labels == p.argmax(axis=1), p.max(axis=1)))
        raw, scaled = (reliability(*pair) for pair in pairs)
        return cls(name, raw, scaled if said.calibration else None, by_chance(pairs[1][1]))

    def sentence(self, shown: str | None = None) -> str:
        """The errors, for people. shown: what they call the class."""
        raw, chance = percent(self.raw.error), percent(self.chance)
        errors = f"{percent(self.scaled.error)} (raw: {raw})" if self.scaled else raw
        of = "the most probable class" if self.of is None else repr(shown or self.of)
        return f"Of the probability of {of}: {errors}; exactly right ones would have {chance} on so many images."

    def to_dict(self) -> dict[str, Any]:
        """For JSON: empty bins are None."""
        both = {"raw": self.raw, **({"scaled": self.scaled} if self.scaled else {})}
        found: dict[str, Any] = {"of": self.of, "by_chance": self.chance}
        for name, one in both.items():
            bins = {k: [None if np.isnan(v) else v for v in values.tolist()] for k, values in one._asdict().items()}
            found[name] = {"expected_calibration_error": one.error, **bins}
        return found


def in_words(found: list[Reliabilities], shown: str | None = None) -> str:
    """All of them for people. shown: what they call the class that is looked for."""
    errors = " ".join(one.sentence(shown) for one in found)
    return f"Expected calibration error, in {BINS} bins. {errors}"
