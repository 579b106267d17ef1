"""How long training takes on this machine: measured on a few steps, before anyone waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scratchnet.data import Batch
from scratchnet.training.config import Config
from scratchnet.training.experiment import make_trainer
from scratchnet.training.network import trial_network

REPEATS = 2


@dataclass(frozen=True)
class Speed:
    """Seconds that one image takes: a training step's share, and an evaluation's."""

    training: float
    evaluating: float

    def epoch(self, train_images: int, test_images: int) -> float:
        """Seconds of an epoch, which trains on one side and then evaluates both.

        >>> Speed(training=0.01, evaluating=0.002).epoch(train_images=800, test_images=200)
        10.0
        """
        return train_images * (self.training + self.evaluating) + test_images * self.evaluating


def measure_speed(config: Config) -> Speed:
    """Times the training step and the evaluation of the network that this configuration asks for, on images of noise.

    The kernels must be compiled. A step has as many images as fit in memory together; the optimiser's part, which comes once a
    batch, is timed separately. Each time is the shorter of two. Reading the images, which goes on meanwhile, is not included.
    """
    network = trial_network(config, config.image_size)
    trainer = make_trainer(config, network, steps_per_epoch=1)
    count = min(config.batch_size, trainer.micro_batch)

    def batch_of_noise(count: int) -> Batch:
        images = np.random.default_rng(0).random((count, *(network.input_shape or ()))).astype(config.dtype)
        return Batch(images, np.arange(count) % 2, np.arange(count))

    batch = batch_of_noise(count)
    whole = _shortest(lambda: trainer.step(batch, epoch=0))
    update = _shortest(trainer.optimizer.step)
    judged = batch_of_noise(trainer.evaluation_batch)
    evaluating = _shortest(lambda: trainer.evaluate([judged]))
    return Speed(max(whole - update, 0) / count + update / config.batch_size, evaluating / len(judged))


def _shortest(work: Callable[[], object]) -> float:
    """Seconds of the shorter of two calls, after one that does not count."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times[1:])
