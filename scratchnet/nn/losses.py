"""Losses: what training minimises."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet import reference
from scratchnet.errors import ConfigError, DtypeError, LabelError, NonFiniteError, OrderError, ShapeError
from scratchnet.nn.arguments import Remembers
from scratchnet.nn.thread_check import BOOKKEEPING, ThreadCheck
from scratchnet.reference import Array


class Loss(ThreadCheck, Remembers):
    """What the losses share: forward remembers its batch for backward, and belongs to the thread that called it."""

    arguments = ""  # of forward, for an error
    _batch: tuple[Any, ...] | None = None

    def _remember(self, *batch: Any) -> None:
        with BOOKKEEPING:
            self._batch = batch
            self.note_forward()

    def _remembered(self) -> tuple[Any, ...]:
        """The batch of the last forward. Raises OrderError without one, or if another thread has called it since."""
        with BOOKKEEPING:
            if self._batch is None:
                raise OrderError(f"{self}: backward needs a forward({self.arguments}) before it")
            self.require_own_forward()
            return self._batch

    def __str__(self) -> str:
        return type(self).__name__


class SoftmaxCrossEntropy(Loss):
    """The mean over the batch of −log of the probability that the network gives to the right class, weighted by class.

    loss = 1/N Σₙ −w[label[n]] · log p[n, label[n]],  p = softmax(logits);  dlogits = w[label] · (p − onehot(labels)) / N

    class_weights w (classes,): None is 1 for all; `balanced_class_weights` makes a rare class count as much as a frequent
    one. The sum is divided by N, the images, and not by Σₙ w[label[n]], as PyTorch does it: so the parts of a batch
    add up to the batch whatever their classes, and an image moves the weights equally in any batch.

    label_smoothing s: the network is asked for 1 − s at the label and s spread evenly over all classes, so that it need not
    be ever surer: −(1 − s) · log p[label] − s · mean over the classes of log p stands for −log p[label], and dlogits becomes
    w[label] · (p − (1 − s) · onehot − s / classes) / N (Szegedy et al. 2016, section 7).
    focus f: each image's loss times (1 − p[label])^f, so that those that are right already count less; 0 is none, 2 the
    authors' (Lin et al. 2017, section 3; there it is γ). One of the two at a time.

    Softmax and logarithm are one step from the logits, with each row's maximum taken away first, so that no exponential
    overflows. There are few logits an image, so the textbook's own lines are fast enough and no kernel is needed.
    Raises ConfigError for weights that are not a row of finite numbers ≥ 0, a smoothing outside 0 … 1, a focus below 0, or both.
    Source: Goodfellow, Bengio & Courville 2016, sections 4.1 and 6.2.2.3.

    >>> loss = SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((4, 2), "float32"), np.array([0, 1, 1, 0])), 4)     # two classes, no opinion: ln 2
    0.6931
    """

    arguments = "logits, labels"

    def __init__(
        self, class_weights: ArrayLike | None = None, *, label_smoothing: float = 0.0, focus: float = 0.0
    ) -> None:
        self.class_weights = None if class_weights is None else _checked_weights(class_weights)
        if not (_is_number(label_smoothing) and 0 <= label_smoothing <= 1 and _is_number(focus) and focus >= 0):
            raise ConfigError(
                f"label_smoothing must be from 0 to 1 and focus at least 0, got {label_smoothing!r} and {focus!r}"
            )
        if label_smoothing and focus:
            raise ConfigError(
                f"label_smoothing and focus are not offered together: set one of them to 0, got {label_smoothing} and {focus}"
            )
        self.label_smoothing, self.focus = float(label_smoothing), float(focus)

    def forward(self, logits: Array, labels: Array) -> float:
        """The mean loss of a batch: logits (N, classes), labels (N,) integers from 0 to classes − 1.

        Raises LabelError, ShapeError, DtypeError, or NonFiniteError if a logit is NaN or infinite.
        """
        if not isinstance(logits, np.ndarray) or logits.dtype not in (np.float32, np.float64):
            came = getattr(logits, "dtype", type(logits).__name__)
            raise DtypeError(f"SoftmaxCrossEntropy: logits must be an array of float32 or float64, got {came}")
        if logits.ndim != 2 or len(logits) == 0:
            raise ShapeError(
                f"SoftmaxCrossEntropy: logits must be (N, classes) with N at least 1, got shape {logits.shape}"
            )
        labels = checked_labels(labels, *logits.shape)
        if not np.isfinite(logits).all():
            raise NonFiniteError(
                "SoftmaxCrossEntropy: the logits hold a NaN or an infinity: lower the learning rate, or look at the input's scaling"
            )
        weights = self._weights_for(logits)
        self._remember(logits, labels, weights)
        losses = reference.softmax_cross_entropy(logits, labels, weights, self.label_smoothing, self.focus)
        return float(losses.mean(dtype=np.float64))

    def backward(self, batch_size: int | None = None) -> Array:
        """dlogits (N, classes) of the mean loss. If the N images are a part of a larger batch, batch_size is that batch's."""
        logits, labels, weights = self._remembered()
        gradient = reference.softmax_cross_entropy_gradient(logits, labels, weights, self.label_smoothing, self.focus)
        return gradient / gradient.dtype.type(batch_size or len(gradient))

    def _weights_for(self, logits: Array) -> Array | None:
        """The weights in the dtype of the logits, one for each of their classes."""
        if self.class_weights is None:
            return None
        if len(self.class_weights) != logits.shape[1]:
            raise ShapeError(
                f"SoftmaxCrossEntropy: {len(self.class_weights)} class weights for logits of {logits.shape[1]} classes: "
                "give one weight for each output of the network"
            )
        return self.class_weights.astype(logits.dtype)


class MeanSquaredError(Loss):
    """The mean over the batch of the mean squared distance between what the network says and what it should say.

    loss = 1/N Σₙ mean over the numbers of an image of (y[n] − target[n])²;  dy = 2 · (y − target) / (numbers of an image · N)

    For a network whose outputs are quantities, not classes.
    Source: Goodfellow, Bengio & Courville 2016, section 5.1.4.

    >>> loss = MeanSquaredError()
    >>> loss.forward(np.array([[1.0, 2.0]], "float32"), np.array([[1.0, 4.0]], "float32"))
    2.0
    >>> loss.backward()
    array([[ 0., -2.]], dtype=float32)
    """

    arguments = "y, targets"

    def forward(self, y: Array, targets: Array) -> float:
        """The mean loss of a batch: y and targets of one shape, (N, …), the targets of any real dtype.

        Raises DtypeError, ShapeError, or NonFiniteError if a number is NaN or infinite.
        """
        if not isinstance(y, np.ndarray) or y.dtype not in (np.float32, np.float64):
            came = getattr(y, "dtype", type(y).__name__)
            raise DtypeError(f"MeanSquaredError: y must be an array of float32 or float64, got {came}")
        targets = np.asarray(targets)
        if targets.dtype.kind not in "iuf":
            raise DtypeError(f"MeanSquaredError: the targets must be real numbers, got {targets.dtype}")
        if targets.shape != y.shape or y.size == 0:
            raise ShapeError(
                f"MeanSquaredError: y and targets must have one shape, (N, …) with N at least 1, got {y.shape} and {targets.shape}"
            )
        for name, array in (("y", y), ("targets", targets)):
            if not np.isfinite(array).all():
                raise NonFiniteError(f"MeanSquaredError: {name} holds a NaN or an infinity; expected finite numbers")
        targets = targets.astype(y.dtype, copy=False)
        self._remember(y, targets)
        return float(reference.mean_squared_error(y, targets).mean(dtype=np.float64))

    def backward(self, batch_size: int | None = None) -> Array:
        """dy (N, …) of the mean loss. If the N images are a part of a larger batch, batch_size is that batch's."""
        gradient = reference.mean_squared_error_gradient(*self._remembered())
        return gradient / gradient.dtype.type(batch_size or len(gradient))


def balanced_class_weights(labels: ArrayLike, classes: int) -> NDArray[np.float64]:
    """One weight for each class, so that every class counts the same in the loss however many images it has.

    w[c] = n / (k · n[c]): n images, n[c] of class c, k classes that have images; 0 for a class that has none. The
    mean of the weights over the n images is 1, so that the learning rate means the same as without them.

    labels (n,) integers from 0 to classes − 1. Returns (classes,). Raises LabelError if a label is outside that range.
    Source: King & Zeng 2001, "Logistic Regression in Rare Events Data", on weighting.

    >>> balanced_class_weights([0, 0, 1, 1, 1, 1], classes=2)
    array([1.5 , 0.75])
    """
    labels = checked_labels(np.asarray(labels), np.size(labels), classes)
    counts = np.bincount(labels, minlength=classes)
    present = counts > 0
    return np.divide(len(labels), present.sum() * counts, out=np.zeros(classes), where=present)


def _is_number(value: object) -> bool:
    """As `is_number` of nn.base, which loads Numba; measures use this module without it."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _checked_weights(weights: ArrayLike) -> NDArray[np.float64]:
    """The weights as float64 (classes,)."""
    refusal = ConfigError(f"class weights must be a row of finite numbers of at least 0, got {weights!r}")
    try:
        checked = np.asarray(weights, np.float64)
    except (TypeError, ValueError) as error:
        raise refusal from error
    if checked.ndim != 1 or not np.isfinite(checked).all() or (checked < 0).any():
        raise refusal
    return checked


def checked_labels(labels: Array, images: int, classes: int) -> NDArray[np.int64]:
    """labels (N,) as int64. Raises LabelError if they are not integers from 0 to classes − 1, one for each image."""
    labels = np.asarray(labels)
    if labels.shape != (images,):
        remedy = ": labels.argmax(axis=1)" if labels.shape == (images, classes) else ""
        raise LabelError(f"labels must have the shape ({images},), one for each image, got {labels.shape}{remedy}")
    if labels.dtype.kind not in "iu":
        raise LabelError(f"labels must be integers, got {labels.dtype}: convert with labels.astype('int64')")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise LabelError(
            f"label {labels[wrong][0]} of image {int(np.argmax(wrong))} is out of range: "
            f"{classes} outputs are for labels 0 to {classes - 1}"
        )
    return labels.astype(np.int64)
