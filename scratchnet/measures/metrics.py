"""How good are the answers? Every measure of a classifier, as a function on arrays.

Nearly all of them are functions of the **confusion matrix**: row = the class that an image has, column = the class it
was given. They take one matrix (classes, classes), or a stack of them (…, classes, classes), and answer once for each:
so the interval of a measure costs no second formula (see `scratchnet.measures.bootstrap`).

A measure whose denominator is zero is NaN, "not defined", and never a zero that looks like a result: the
precision of a class that was never predicted, the recall of a class without images. For two classes, TP, FP, FN, TN are
the true and false positives and negatives.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.errors import LabelError, ShapeError

Floats = NDArray[np.float64]


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, classes: int, weights: ArrayLike | None = None
) -> Floats:
    """C[i, j] = number of images of class i that were given class j.

    labels, predictions: (N,) integers from 0 to classes − 1. weights (…, N): how often each image counts (None: once).
    Returns (…, classes, classes) float64. Raises ShapeError if labels and predictions are not of one length, LabelError for
    a class that does not exist.
    Source: Fawcett 2006, "An introduction to ROC analysis", section 2.

    >>> confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], classes=2)
    array([[2., 1.],
           [0., 1.]])
    """
    given, answered = _checked_classes("labels", labels, classes), _checked_classes("predictions", predictions, classes)
    if len(given) != len(answered):
        raise ShapeError(f"expected a prediction for each of the {len(given)} labels, got {len(answered)} predictions")
    cell = np.zeros((len(given), classes * classes))
    cell[np.arange(len(given)), given * classes + answered] = 1
    counts: Floats = (np.ones(len(given)) if weights is None else np.asarray(weights, np.float64)) @ cell
    return counts.reshape(*counts.shape[:-1], classes, classes)


def accuracy(confusion: ArrayLike) -> Floats:
    """Σᵢ C[i, i] / Σᵢⱼ C[i, j]: the share of the images that were given their own class.

    >>> float(accuracy([[2, 1], [0, 1]]))
    0.75
    """
    counts = np.asarray(confusion, np.float64)
    return _ratio(_hits(counts).sum(-1), counts.sum((-2, -1)))


def recall(confusion: ArrayLike) -> Floats:
    """C[i, i] / Σⱼ C[i, j] for each class i, (…, classes): the share of its images that were found.

    Of two classes, the positive one's is called **sensitivity**, TP / (TP + FN), the other one's **specificity**,
    TN / (TN + FP).

    >>> recall([[3, 1], [0, 1]])
    array([0.75, 1.  ])
    """
    counts = np.asarray(confusion, np.float64)
    return _ratio(_hits(counts), counts.sum(-1))


def precision(confusion: ArrayLike) -> Floats:
    """C[j, j] / Σᵢ C[i, j] for each class j, (…, classes): how often the answer j is right.

    It depends on the shares of the classes among the images, and so differs on other patients.

    >>> precision([[3, 0], [1, 0]])     # class 1 was never the answer
    array([0.75,  nan])
    """
    counts = np.asarray(confusion, np.float64)
    return _ratio(_hits(counts), counts.sum(-2))


def f1(confusion: ArrayLike) -> Floats:
    """2 TP / (2 TP + FP + FN) for each class, (…, classes): the harmonic mean of its precision and its recall.

    0 for a class that was never found, NaN for one that neither occurs nor was predicted.
    Source: van Rijsbergen 1979, "Information Retrieval", chapter 7 (there E = 1 − F).

    >>> f1([[3, 0], [1, 0]]).round(3)
    array([0.857, 0.   ])
    """
    counts = np.asarray(confusion, np.float64)
    return _ratio(2 * _hits(counts), counts.sum(-1) + counts.sum(-2))


def balanced_accuracy(confusion: ArrayLike) -> Floats:
    """The mean recall of the classes that have images: 1 / classes for a constant answer, however unequal the classes are.

    Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".

    >>> float(balanced_accuracy([[90, 0], [10, 0]])), float(accuracy([[90, 0], [10, 0]]))
    (0.5, 0.9)
    """
    return _mean(recall(confusion))


def macro_f1(confusion: ArrayLike) -> Floats:
    """The mean of the F1 of the classes that occur or were predicted, each class counting the same.

    >>> round(float(macro_f1([[3, 0], [1, 0]])), 3)
    0.429
    """
    return _mean(f1(confusion))


def weighted_f1(confusion: ArrayLike) -> Floats:
    """Σᵢ nᵢ F1ᵢ / Σᵢ nᵢ with nᵢ images of class i: the measure by which the C-NMC challenge ranked.

    Source: Gupta & Gupta (eds.) 2019, "ISBI 2019 C-NMC Challenge: Classification in Cancer Cell Imaging".

    >>> round(float(weighted_f1([[3, 0], [1, 0]])), 3)
    0.643
    """
    counts = np.asarray(confusion, np.float64)
    images = counts.sum(-1)
    return _ratio((images * np.nan_to_num(f1(counts))).sum(-1), images.sum(-1))


class RocCurve(NamedTuple):
    """A point for each threshold, from (0, 0) to (1, 1): an image is called positive if its score ≥ the threshold."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats


def roc_curve(positive: ArrayLike, score: ArrayLike) -> RocCurve:
    """The rates of true and false positives at every threshold that makes a difference.

    TPR = TP / (TP + FN), FPR = FP / (FP + TN)

    positive (N,): whether each image is of the positive class. score (N,): larger where the network thinks so, such as
    its probability of that class. Images of equal score cross the threshold together. The first threshold is ∞. A rate
    whose class has no images is NaN.
    Source: Fawcett 2006, algorithm 1.

    >>> roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9]).true_positive_rate
    array([0. , 0.5, 1. , 1. ])
    """
    is_positive, order, starts = _tied_groups(positive, score)
    positives = np.add.reduceat(is_positive.astype(np.float64), starts)[::-1]
    negatives = np.add.reduceat((~is_positive).astype(np.float64), starts)[::-1]
    threshold = np.asarray(score, np.float64)[order][starts][::-1]
    return RocCurve(
        _ratio(np.r_[0, negatives.cumsum()], negatives.sum()),
        _ratio(np.r_[0, positives.cumsum()], positives.sum()),
        np.r_[np.inf, threshold],
    )


def roc_auc(positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The area under the ROC curve: how often a positive image has a larger score than a negative one.

    AUC = P(s⁺ > s⁻) + ½ P(s⁺ = s⁻) over all pairs of a positive and a negative image

    positive, score: (N,) as in `roc_curve`. weights (…, N): how often each image counts (None: once).
    Returns one number for each row of weights: ½ for scores that say nothing, NaN where a class has no images.
    Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve".

    >>> float(roc_auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9]))
    0.875
    """
    is_positive, order, starts = _tied_groups(positive, score)
    counts = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[..., order]
    positives = np.add.reduceat(counts * is_positive, starts, axis=-1)  # for each value of the score, from the lowest
    negatives = np.add.reduceat(counts * ~is_positive, starts, axis=-1)
    below = negatives.cumsum(-1) - negatives
    wins = (positives * (below + negatives / 2)).sum(-1)
    return _ratio(wins, positives.sum(-1) * negatives.sum(-1))


class PrecisionRecall(NamedTuple):
    """A point for each threshold, from the strictest: an image is called positive if its score ≥ the threshold."""

    recall: Floats
    precision: Floats
    threshold: Floats


def precision_recall_curve(positive: ArrayLike, score: ArrayLike) -> PrecisionRecall:
    """Recall TP / (TP + FN) and precision TP / (TP + FP) at every threshold that makes a difference.

    positive, score: (N,) as in `roc_curve`. Unlike the ROC curve, it changes with the share of positives: among few sick cells,
    even a small rate of false alarms makes most alarms false. The first point, at recall 0 and threshold ∞, repeats the
    precision of the second. NaN where there is no positive image.
    Source: Davis & Goadrich 2006, "The relationship between precision-recall and ROC curves".

    >>> precision_recall_curve([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9]).precision.round(3)
    array([1.   , 1.   , 0.667, 0.5  ])
    """
    is_positive, order, starts = _tied_groups(positive, score)
    hits = np.add.reduceat(is_positive.astype(np.float64), starts)[::-1].cumsum()
    called = np.add.reduceat(np.ones(len(order)), starts)[::-1].cumsum()
    precision, threshold = _ratio(hits, called), np.asarray(score, np.float64)[order][starts][::-1]
    return PrecisionRecall(_ratio(np.r_[0, hits], hits[-1]), np.r_[precision[0], precision], np.r_[np.inf, threshold])


def average_precision(positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The area under the precision-recall curve, as a sum of steps: the mean precision over the positive images.

    AP = Σₜ (Rₜ − Rₜ₋₁) · Pₜ over the thresholds t, from the strictest, with recall R and precision P

    positive, score: (N,) as in `roc_curve`. weights (…, N): how often each image counts (None: once).
    Returns one number for each row of weights: the share of positives for scores that say nothing, NaN without a positive.
    Source: Zhu 2004, "Recall, precision and average precision".

    >>> round(float(average_precision([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])), 4)
    0.8333
    """
    is_positive, order, starts = _tied_groups(positive, score)
    counts = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[..., order]
    found = np.add.reduceat(counts * is_positive, starts, axis=-1)[..., ::-1]  # from the highest score
    called = np.add.reduceat(counts, starts, axis=-1)[..., ::-1].cumsum(-1)
    precision = np.nan_to_num(_ratio(found.cumsum(-1), called))  # none called yet: nothing was found either
    return _ratio((found * precision).sum(-1), found.sum(-1))


def image_losses(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """−log p[n, label[n]] of each image, (N,): its surprise. Their mean is the log loss, or cross-entropy.

    probabilities (N, classes). One of 0 would give an infinite loss: they are taken as at least 2.2e-16, the step of float64.
    Source: Good 1952, "Rational decisions".

    >>> image_losses([0, 1], [[0.5, 0.5], [0.75, 0.25]]).round(4)
    array([0.6931, 1.3863])
    """
    chances = np.asarray(probabilities, np.float64)
    given = _checked_classes("labels", labels, chances.shape[1])
    return -np.log(np.maximum(chances[np.arange(len(given)), given], np.finfo(np.float64).eps))


def log_loss(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Σₙ wₙ · −log p[n, label[n]] / Σₙ wₙ: log(classes) for equal probabilities, 0 for a network that is always sure and right.

    labels (N,), probabilities (N, classes), weights (…, N): how often each image counts (None: once).

    >>> round(float(log_loss([0, 1, 1], [[0.5, 0.5]] * 3)), 4)
    0.6931
    """
    losses = image_losses(labels, probabilities)
    counts = np.ones(len(losses)) if weights is None else np.asarray(weights, np.float64)
    return _ratio(counts @ losses, counts.sum(-1))


def _tied_groups(positive: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]:
    """Images in ascending order of score: whether each is positive, the order, and where each group of equals starts."""
    is_positive, values = np.asarray(positive, bool), np.asarray(score, np.float64)
    if is_positive.ndim != 1 or is_positive.shape != values.shape or len(values) == 0:
        raise ShapeError(
            f"expected one score for each image, at least one; got {values.shape} scores for {is_positive.shape} images"
        )
    order = np.argsort(values, kind="stable")
    return is_positive[order], order, np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])


def _checked_classes(what: str, numbers: ArrayLike, classes: int) -> NDArray[np.int64]:
    given = np.asarray(numbers)
    if given.ndim != 1 or given.dtype.kind not in "iu" or (len(given) and (given.min() < 0 or given.max() >= classes)):
        raise LabelError(f"{what} must be (N,) integers from 0 to {classes - 1}, got {given.dtype} {given.shape}")
    return given.astype(np.int64)


def _hits(counts: Floats) -> Floats:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(numerator: Any, denominator: Any) -> Floats:
    """numerator / denominator; NaN for a division by zero."""
    above, below = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


def _mean(values: Floats) -> Floats:
    """The mean over the last axis without NaN; NaN if there is nothing else."""
    exists = ~np.isnan(values)
    return _ratio(np.where(exists, values, 0).sum(-1), exists.sum(-1))
