"""Two networks on the same images: how far they differ, and whether that is more than chance.

Both answer the same images, so the interval is of the difference itself, by the paired bootstrap: each resample draws
the same subjects for both networks. What is hard for both then cancels out, and the interval is narrower than the two
networks' own intervals would suggest: these may overlap while the difference is clear.

Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", sections 8 and 13.3; Davison & Hinkley 1997, "Bootstrap
Methods and their Application", section 3.8 (resampling whole groups).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scratchnet.measures.bootstrap import interval, resamples, strata
from scratchnet.measures.observations import Observations
from scratchnet.measures.predictions import Predictions
from scratchnet.measures.scores import NOT_A_SHARE

MEASURES = ("balanced_accuracy", "accuracy", "roc_auc")


@dataclass(frozen=True)
class Shared:
    """The images that two networks have answered: their numbers in the first and in the second, each in the same order."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """Second minus first, and its 95 % interval; NaN where they are not defined. share: whether it is shown in per cent."""

    value: float
    low: float
    high: float
    share: bool

    def text(self) -> str:
        """For people, in percentage points, or in the measure's own unit.

        >>> Difference(0.032, -0.01, 0.075, True).text(), Difference(math.nan, math.nan, math.nan, True).text()
        ('+3.2 points (−1.0 to +7.5)', '–')
        """
        if math.isnan(self.value):
            return "–"
        factor, digits, unit = (100, 1, " points") if self.share else (1, 3, "")
        value, low, high = (
            f"{factor * one:+.{digits}f}".replace("-", "−") for one in (self.value, self.low, self.high)
        )
        return f"{value}{unit}" if math.isnan(self.low) else f"{value}{unit} ({low} to {high})"

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def shared_images(first: Predictions, second: Predictions) -> Shared | None:
    """The images that both have answered, matched by path, class and subject; None if that is impossible, or if there are none.

    A path with another class or subject is another image.
    """
    if [name.casefold() for name in first.class_names] != [name.casefold() for name in second.class_names]:
        return None
    number_of = {key: k for k, key in enumerate(_keys(second))}
    pairs = [(k, number_of[key]) for k, key in enumerate(_keys(first)) if key in number_of]
    if not pairs:
        return None
    numbers = np.array(pairs, np.int64)
    return Shared(numbers[:, 0], numbers[:, 1])


def _keys(said: Predictions) -> list[tuple[str, int, str]]:
    subjects = said.subjects or ("",) * len(said.paths)
    return list(zip(said.paths, said.labels.tolist(), subjects, strict=True))


def differences(
    first: Predictions, second: Predictions, shared: Shared, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    """How far the second network is better than the first on the images that both have answered, by measure.

    shared: of `shared_images`. bootstrap: resamples, 0 for no intervals. seed: the same seed gives the same intervals.
    """
    labels = first.labels[shared.first]
    if first.subjects is None:
        owner = np.arange(len(labels))
    else:
        owner = np.unique([first.subjects[k] for k in shared.first], return_inverse=True)[1].reshape(-1)
    names = first.class_names
    positive = names[0] if len(names) == 2 else None
    both = [
        Observations(labels, chances, owner, names, positive)
        for chances in (first.probabilities[shared.first], second.probabilities[shared.second])
    ]
    values = [case.measure()[0] for case in both]
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in MEASURES}
    for times in resamples(strata(labels, owner, len(names)), bootstrap, seed, images=len(labels)):
        weights = times[:, owner].astype(np.float64)
        old, new = (case.measure(weights)[0] for case in both)
        for name in MEASURES:
            drawn[name].append(new[name] - old[name])
    found = {}
    for name in MEASURES:
        low, high = interval(np.concatenate(drawn[name])) if drawn[name] else (math.nan, math.nan)
        found[name] = Difference(float(values[1][name] - values[0][name]), low, high, name not in NOT_A_SHARE)
    return found
