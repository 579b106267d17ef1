"""One step of training, and an evaluation: the heart of the loop, without what is around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet import metrics, reference
from scratchnet.averaging import averaged_logits
from scratchnet.data import Batch
from scratchnet.losses import SoftmaxCrossEntropy
from scratchnet.network import Sequential
from scratchnet.optimizers import Optimizer
from scratchnet.schedules import Schedule

MEMORY = 500_000_000  # bytes that the arrays of one micro-batch may take


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images.

    loss: mean cross-entropy, every image counting the same. logits (N, classes), labels (N,): in the order of the dataset;
    after averaging over symmetries the logits are logarithms of mean probabilities (`averaged_logits`).
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
        """The part of the images whose prediction is their label."""
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
        """The mean over the classes of the part of its images that was recognised; 1 / classes for a constant answer."""
        return float(metrics.balanced_accuracy(self.confusion()))


class Trainer:
    """Moves a network's weights, a batch at a time.

    micro_batch: images that are in memory together; 0 chooses. A batch that is larger is run in parts whose gradients
    are added up, which is the gradient of the whole: the mean over N images is a sum of N terms, and every draw belongs
    to its image. clip_norm: gradients of a greater norm are shortened to it; 0 never does.
    """

    def __init__(
        self,
        network: Sequential,
        loss: SoftmaxCrossEntropy,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        micro_batch: int = 0,
        clip_norm: float = 0.0,
    ) -> None:
        self.network, self.loss, self.optimizer, self.schedule = network, loss, optimizer, schedule
        self.micro_batch = micro_batch or micro_batch_size(network)
        self.clip_norm = clip_norm

    def step(self, batch: Batch, epoch: int) -> float:
        """One step of the optimiser on one batch; returns the batch's mean loss, weighted by class, without the L2 penalty."""
        total = 0.0
        images = len(batch.labels)
        for start in range(0, images, self.micro_batch):
            part = slice(start, start + self.micro_batch)
            self.network.seed_batch(epoch, batch.indices[part])
            logits = self.network.forward(batch.images[part], training=True)
            total += self.loss.forward(logits, batch.labels[part]) * len(logits)
            self.network.backward(self.loss.backward(images), need_dx=False, accumulate=start > 0)
        if self.clip_norm:
            self.optimizer.clip(self.clip_norm)
        self.optimizer.learning_rate = self.schedule.rate(self.optimizer.steps)
        self.optimizer.step()
        return total / images

    def evaluate(self, batches: Iterable[Batch], *, symmetries: bool = False) -> Evaluation:
        """Loss and logits over all batches, without dropout and class weights; if asked, averaged over the 8 symmetries."""
        self.network.forget()
        loss = SoftmaxCrossEntropy()
        logits, labels, total = [], [], 0.0
        for batch in batches:
            for start in range(0, len(batch.labels), self.micro_batch):
                part = slice(start, start + self.micro_batch)
                logits.append(self._logits(batch.images[part], symmetries))
                labels.append(batch.labels[part])
                total += loss.forward(logits[-1], labels[-1]) * len(labels[-1])
        return Evaluation(total / sum(map(len, labels)), np.concatenate(logits), np.concatenate(labels))

    def _logits(self, images: NDArray[Any], symmetries: bool) -> NDArray[Any]:
        """The network's answer to images as they are, or in all their positions."""
        return averaged_logits(self.network, images) if symmetries else self.network.forward(images, training=False)


def micro_batch_size(network: Sequential) -> int:
    """The largest power of two of images whose arrays fit into MEMORY.

    The arrays are, for each layer, its output, that output's gradient, and a padded or packed copy. The answer is a
    function of the network alone, not of the machine: another cut would round differently.
    """
    per_image = 3 * network.bytes_per_image()
    return max(1, 2 ** int(np.log2(max(1, MEMORY // per_image))))
