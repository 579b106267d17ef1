"""What is made small."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet import reference
from scratchnet.errors import DtypeError, LabelError, NonFiniteError, OrderError, ShapeError

Array = NDArray[Any]


class SoftmaxCrossEntropy:
    """The mean over the batch of −log of the probability that the network gives to the right class.

    loss = 1/N Σₙ −log p[n, label[n]],  p = softmax(logits);  dlogits = (p − onehot(labels)) / N

    Softmax and logarithm are one step from the logits, with each row's maximum taken away first, so that no exponential
    overflows. A batch has a few logits an image, so that the textbook's own lines are fast enough and there is no
    kernel.
    Source: Goodfellow, Bengio & Courville 2016, sections 4.1 and 6.2.2.3.

    >>> loss = SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((4, 2), "float32"), np.array([0, 1, 1, 0])), 4)     # two classes, no opinion: ln 2
    0.6931
    """

    def __init__(self) -> None:
        self._batch: tuple[Array, Array] | None = None

    def forward(self, logits: Array, labels: Array) -> float:
        """The mean loss of a batch: logits (N, classes), labels (N,) integers from 0 to classes − 1.

        Raises LabelError, ShapeError, DtypeError, or NonFiniteError where a logit is no number.
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
        self._batch = logits, labels
        return float(reference.softmax_cross_entropy(logits, labels).mean(dtype=np.float64))

    def backward(self, batch_size: int | None = None) -> Array:
        """dlogits (N, classes) of the mean loss. Where the N images are a part of a larger batch, batch_size is that batch's."""
        if self._batch is None:
            raise OrderError("SoftmaxCrossEntropy: backward needs a forward(logits, labels) before it")
        logits, labels = self._batch
        return reference.softmax_cross_entropy_gradient(logits, labels) / logits.dtype.type(batch_size or len(logits))


def checked_labels(labels: Array, images: int, classes: int) -> NDArray[np.int64]:
    """labels (N,) as int64. Raises LabelError where they are not integers from 0 to classes − 1, one for each image."""
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
