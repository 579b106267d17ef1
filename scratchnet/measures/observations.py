"""A network's answers for images or for subjects, and their measures, as they are and in resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scratchnet.measures import metrics
from scratchnet.measures.bootstrap import resamples
from scratchnet.measures.metrics import Floats

AREAS = {"roc_auc": metrics.roc_auc, "average_precision": metrics.average_precision}
Measured = tuple[dict[str, Floats], dict[str, Floats]]  # by name (…); by name and class (…, classes)


@dataclass(frozen=True)
class Observations:
    """Images, or subjects, with their answers; owner (N,): the subject that each belongs to.

    threshold: from which probability on the positive class is the answer; None: the most probable class is.
    """

    labels: NDArray[np.int64]
    probabilities: Floats
    owner: NDArray[np.int64]
    names: tuple[str, ...]
    positive: str | None
    threshold: float | None = None

    @property
    def answers(self) -> NDArray[np.int64]:
        """The class that is said of each: (N,)."""
        return decided(self.probabilities, self.names, self.positive, self.threshold)

    def measure(self, weights: Floats | None = None, probabilities: Floats | None = None) -> Measured:
        """Every measure, for each row of weights (…, N); `probabilities` takes the place of the network's, and has no threshold."""
        chances = self.probabilities if probabilities is None else probabilities
        answers = self.answers if probabilities is None else chances.argmax(axis=1)
        classes = len(self.names)
        confusion = metrics.confusion_matrix(self.labels, answers, classes, weights)
        recall = metrics.recall(confusion)
        of_class = {"recall": recall, "precision": metrics.precision(confusion), "f1": metrics.f1(confusion)}
        overall = {"accuracy": metrics.accuracy(confusion), "balanced_accuracy": metrics.balanced_accuracy(confusion)}
        if self.positive is None:
            for name, area_of in AREAS.items():
                areas = [area_of(self.labels == k, chances[:, k], weights) for k in range(classes)]
                of_class[name] = np.stack(areas, axis=-1)
            found = {name: of_class[name].mean(axis=-1) for name in AREAS}  # not defined if that of one class is not
        else:
            index = self.names.index(self.positive)
            overall |= {"sensitivity": recall[..., index], "specificity": recall[..., 1 - index]}
            found = {name: area_of(self.labels == index, chances[:, index], weights) for name, area_of in AREAS.items()}
        overall |= {"weighted_f1": metrics.weighted_f1(confusion), "macro_f1": metrics.macro_f1(confusion)}
        overall |= {**found, "log_loss": metrics.log_loss(self.labels, chances, weights)}
        return overall, of_class

    def behind(self) -> tuple[int, dict[str, int]]:
        """How many subjects there are, and of how many each measure is a share; measures that are not shares are left out.

        Sensitivity rests on the subjects with images of its class, precision on those with images that were given it;
        the measures of a class are called by name and number, such as "recall 0".
        """
        everyone = len(np.unique(self.owner))
        answers = self.answers
        found = {"accuracy": everyone}
        for k in range(len(self.names)):
            found[f"recall {k}"] = len(np.unique(self.owner[self.labels == k]))
            found[f"precision {k}"] = len(np.unique(self.owner[answers == k]))
        if self.positive is not None:
            index = self.names.index(self.positive)
            found |= {"sensitivity": found[f"recall {index}"], "specificity": found[f"recall {1 - index}"]}
        return everyone, found


def decided(
    probabilities: Floats, names: Sequence[str], positive: str | None, threshold: float | None
) -> NDArray[np.int64]:
    """The answer to each image, (N,): the class of the largest probability, the first among equals; with a threshold, the class
    `positive` of two wherever it has that probability or more.

    >>> decided(np.array([[0.3, 0.7], [0.1, 0.9]]), ("all", "hem"), "all", 0.3)
    array([0, 1])
    """
    if threshold is None or positive is None:
        return probabilities.argmax(axis=1)
    wanted = names.index(positive)
    return np.where(probabilities[:, wanted] >= threshold, wanted, 1 - wanted).astype(np.int64)


def of_subjects(
    labels: NDArray[np.int64], probabilities: Floats, owner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]] | None:
    """Label, mean probabilities and number of each subject that has a class; None if one of the classes has no subject."""
    images = np.bincount(owner)
    lowest, highest = np.full(len(images), labels.max()), np.zeros(len(images), np.int64)
    np.minimum.at(lowest, owner, labels)
    np.maximum.at(highest, owner, labels)
    pure = np.flatnonzero(lowest == highest)
    if set(lowest[pure]) != set(labels):
        return None
    sums = [np.bincount(owner, weights=column) for column in probabilities.T]
    return lowest[pure], (np.stack(sums, axis=1) / images[:, None])[pure], pure


def resampled(observations: list[Observations], groups: NDArray[np.int64], count: int, seed: int) -> list[Measured]:
    """The measures of each of `cases` in each resample: by name (B,), by name and class (B, classes)."""
    blocks: list[list[Measured]] = [[] for _ in observations]
    for times in resamples(groups, count, seed, images=len(observations[0].labels)):
        for observed, measured in zip(observations, blocks, strict=True):
            measured.append(observed.measure(times[:, observed.owner].astype(np.float64)))
    return [(_joined([overall for overall, _ in one]), _joined([of_class for _, of_class in one])) for one in blocks]


def _joined(blocks: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else {}
