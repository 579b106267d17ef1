"""What validation images teach about a network that has been trained: its temperature, and where it should decide.

**Temperature.** A network that is trained to the end is surer than it is right. Dividing its logits by one number T > 0 changes no
order, so no ROC curve and no answer, only how sure it is. T is the one that makes the validation images' own classes most
probable (Platt scaling with one parameter).

**Operating point.** Of two classes, one is looked for, and to miss it costs more than a false alarm. The threshold is the highest
probability at which a stated share of its validation images is found.

Both come from validation images alone, of subjects that neither train nor test, and stand in the weights' file under `KEY`.

Source: Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks", section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet import reference
from scratchnet.errors import ConfigError, DataError
from scratchnet.measures.metrics import roc_curve
from scratchnet.terminal.wording import counted

Floats = NDArray[np.float64]
KEY = "calibration"
HOTTEST = 20.0  # T lies between its inverse and itself
TINY = 1e-300  # in place of a probability of 0, which has no logarithm


@dataclass(frozen=True)
class Calibration:
    """What was learnt from validation images.

    temperature: T; 1 leaves the probabilities as they are. images, subjects: how many it rests on; subjects is None where they are
    not known. symmetries: whether the logits were averages over the eight positions; it holds only for such. threshold: an image is
    called `positive` if that class has this probability, after scaling, or more; chosen for `sensitivity`. None: the most probable
    class is the answer. Raises ConfigError for values that cannot be.
    """

    temperature: float = 1.0
    images: int = 0
    subjects: int | None = None
    symmetries: bool = False
    positive: str | None = None
    threshold: float | None = None
    sensitivity: float | None = None

    def __post_init__(self) -> None:
        shares = [one for one in (self.threshold, self.sensitivity) if one is not None]
        if not all(isinstance(one, int | float) for one in (self.temperature, self.images, *shares)):
            raise ConfigError(f"a calibration holds numbers, got {asdict(self)}")
        if not 1 / HOTTEST <= self.temperature <= HOTTEST or not all(0 <= one <= 1 for one in shares):
            raise ConfigError(f"a calibration that cannot be: {asdict(self)}")
        if len({self.positive is None, self.threshold is None, self.sensitivity is None}) > 1:
            raise ConfigError("a threshold belongs to a class and to the sensitivity it was chosen for")

    @classmethod
    def from_about(cls, about: Mapping[str, Any]) -> Calibration | None:
        """What a file of weights says; None if nothing. Raises ConfigError for anything else than `to_dict` has written."""
        found = about.get(KEY)
        if found is None:
            return None
        known = {one.name for one in fields(cls)}
        if not isinstance(found, dict) or set(found) != known:
            raise ConfigError(f"{KEY} is a table of {', '.join(sorted(known))}, got {found!r:.100}")
        made = cls(**found)
        if made.positive is not None and made.positive not in about["class_names"][:2]:
            raise ConfigError(f"{KEY}: there is no class {made.positive!r}")
        return made

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def apply(self, probabilities: Floats) -> Floats:
        """The probabilities (N, classes) at this temperature."""
        return tempered(probabilities, self.temperature)

    def whose(self) -> str:
        """On what it rests, in words: "480 validation images of 17 subjects"."""
        people = "" if self.subjects is None else f" of {counted(self.subjects, 'subject')}"
        return f"{counted(self.images, 'validation image')}{people}"


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """softmax(log p / T), (N, classes): T > 1 is less sure, T < 1 surer; 1 / T takes it back.

    >>> tempered(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    if temperature == 1:
        return probabilities
    return reference.softmax(np.log(np.maximum(probabilities, TINY)) / temperature)


def fitted_temperature(labels: ArrayLike, probabilities: Floats) -> float:
    """The T > 0 at which the labels are most probable: argmin of mean −log softmax(z / T)[label], with z = log p.

    The loss is convex in β = 1 / T, and its slope, mean of Σₖ pₖ(β) zₖ − z[label], is bisected. `HOTTEST` if even there it falls with
    T, as when the answers are wrong as often as right: nothing supports being sure. 1 if the surer the better, as when all answers
    are right (β = ∞): too few mistakes say how sure to be. labels (N,), probabilities (N, classes).

    >>> sure = np.array([[0.99, 0.01]] * 3 + [[0.01, 0.99]] * 3)
    >>> round(fitted_temperature([0, 0, 1, 1, 1, 0], sure), 2)          # it is right in 4 of 6: 2/3 and not 99 %
    6.63
    """
    given = np.asarray(labels, np.int64)
    logits = np.log(np.maximum(probabilities, TINY))
    own = logits[np.arange(len(given)), given]

    def slope(beta: float) -> float:
        return float(((reference.softmax(beta * logits) * logits).sum(axis=1) - own).mean())

    low, high = 1 / HOTTEST, HOTTEST
    if slope(low) > 0:
        return HOTTEST
    if not slope(low) < 0 < slope(high):
        return 1.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / math.sqrt(low * high)


def threshold_for(sensitivity: float, positive: ArrayLike, probability: ArrayLike) -> float:
    """The highest threshold at which at least that share of the positive images has its probability or more.

    positive (N,): whether each image is of the class. probability (N,): of it. Raises ConfigError unless 0 < sensitivity ≤ 1,
    DataError without a positive image.

    >>> threshold_for(0.5, [0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9])
    0.9
    """
    if not 0 < sensitivity <= 1:
        raise ConfigError(f"--sensitivity is a share above 0 and up to 1, such as 0.95; got {sensitivity:g}")
    if not np.any(positive):
        raise DataError("the validation side has no image of the class that is looked for: set more aside")
    curve = roc_curve(positive, probability)
    return float(curve.threshold[np.argmax(curve.true_positive_rate >= sensitivity - 1e-12)])
