"""A network's answers to images whose classes are known, and how far they are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet import reference
from scratchnet.measures import metrics


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images.

    loss: mean cross-entropy, every image counting the same; NaN if it was not asked for. logits (N, classes), labels
    (N,): in the order of the dataset; after averaging over symmetries the logits are logarithms of mean probabilities
    (`averaged_logits`).
    """

    loss: float
    logits: NDArray[Any]
    labels: NDArray[np.int64]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The class with the largest logit, the first among equals: (N,)."""
        return self.logits.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """The share of the images whose prediction is their label."""
        return float(metrics.accuracy(self.confusion()))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The softmax of the logits, in float64: (N, classes)."""
        return reference.softmax(self.logits)

    def confusion(self) -> NDArray[np.int64]:
        """How many images of each class (rows) were given each class (columns): (classes, classes)."""
        return metrics.confusion_matrix(self.labels, self.predictions, self.logits.shape[1]).astype(np.int64)

    @property
    def balanced_accuracy(self) -> float:
        """The mean over the classes of the share of their images that was recognised; 1 / classes for a constant answer."""
        return float(metrics.balanced_accuracy(self.confusion()))
