"""One step of training, and an evaluation: the core of the loop."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scratchnet.data import Batch
from scratchnet.kernels.machine import memory
from scratchnet.measures.evaluation import Evaluation
from scratchnet.nn.base import Array
from scratchnet.nn.losses import SoftmaxCrossEntropy
from scratchnet.nn.optimizers import Optimizer
from scratchnet.nn.schedules import Schedule
from scratchnet.nn.sequential import Sequential
from scratchnet.training.averaging import logits_of

MEMORY = 500_000_000  # bytes that the arrays of one micro-batch may take
EVALUATION = 128_000_000  # bytes of all layers' outputs, of the images that are evaluated together
MOST_EVALUATED = 256  # images: more bring nothing


class Trainer:
    """Moves a network's weights, a batch at a time.

    micro_batch: images that are in memory together; 0 chooses. A larger batch is run in parts whose gradients are
    added up, which gives the gradient of the whole: the mean over N images is a sum of N terms, and every random draw
    belongs to its image. clip_norm: gradients of a greater norm are shortened to it (0: never).
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
        self.evaluation_batch = evaluation_batch_size(network)
        self.clip_norm = clip_norm

    def step(self, batch: Batch, epoch: int) -> float:
        """One step of the optimiser on one batch; returns the batch's mean of the training loss, without the L2 penalty."""
        total = 0.0
        images = len(batch.labels)
        for number, part in enumerate(batch.parts(self.micro_batch)):
            self.network.seed_batch(epoch, part.indices)
            logits = self.network.forward(part.images, training=True)
            total += self.loss.forward(logits, part.labels) * len(logits)
            with self.network.releasing():
                self.network.backward(self.loss.backward(images), need_dx=False, accumulate=number > 0)
        if self.clip_norm:
            self.optimizer.clip(self.clip_norm)
        self.optimizer.learning_rate = self.schedule.rate(self.optimizer.steps)
        self.optimizer.step()
        return total / images

    def evaluate(self, batches: Iterable[Batch], *, symmetries: bool = False) -> Evaluation:
        """Plain cross-entropy and logits over all batches, without dropout; if asked, averaged over the 8 symmetries."""
        self.network.forget()
        logits, labels, total = [], [], 0.0
        for batch in batches:
            for part in batch.parts(self.evaluation_batch):
                answer, loss = self._judged(part.images, part.labels, symmetries=symmetries)
                logits.append(answer)
                labels.append(part.labels)
                total += loss
        return Evaluation(total / sum(map(len, labels)), np.concatenate(logits), np.concatenate(labels))

    def _judged(self, images: Array, labels: Array, *, symmetries: bool) -> tuple[Array, float]:
        """The logits of a few images, and their summed loss."""
        logits = logits_of(self.network, images, symmetries=symmetries)
        return logits, SoftmaxCrossEntropy().forward(logits, labels) * len(labels)

    def finish(self) -> None:
        """Lets go of what only another step would need: the optimiser's moments, what layers remember, and the gradients, if they are not
        views of what several ranks exchange."""
        self.network.forget()
        self.optimizer.moments.clear()
        for parameter in self.network.parameters():
            # np.zeros takes no memory until something is written.
            parameter.grad = np.zeros(parameter.grad.shape, parameter.grad.dtype)
        memory.release()

    def gather(self) -> None:
        """Brings together what ranks hold of the weights and gradients: nothing to do for one process (`SharedTrainer`)."""

    def state(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The weights and the optimiser's state, by name: the arrays themselves, to be saved before the next step; nothing on ranks
        other than the first."""
        return self.network.arrays(), self.optimizer.state_dict()

    def load_state(self, weights: dict[str, Array], state: dict[str, Array]) -> None:
        """Takes over what `state` returned. Raises ConfigError or ShapeError if it is another network's."""
        self.network.load_state_dict(weights)
        self.optimizer.load_state_dict(state)


def micro_batch_size(network: Sequential) -> int:
    """The largest power of two of images whose arrays fit into MEMORY.

    The arrays are, for each layer, its output, that output's gradient, and a padded or packed copy. The answer is a
    function of the network alone, not of the machine: another cut would round differently.
    """
    per_image = max(1, 3 * network.bytes_per_image())
    return max(1, 2 ** int(np.log2(max(1, MEMORY // per_image))))


def evaluation_batch_size(network: Sequential) -> int:
    """Images that an evaluation or a prediction takes together: whose layers' outputs come to EVALUATION bytes, 256 at most.

    The more images, the less it matters that each layer reads and transforms its filters once for all of them. A function of the
    network alone, not of the training's batches or of the machine: a network answers the same images with the same bits whoever asks.
    """
    images = min(MOST_EVALUATED, EVALUATION // max(1, network.bytes_per_image()))
    return max(1, images // 8 * 8 or images)
