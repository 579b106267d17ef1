"""scratchnet, through the classes that a user has, with the micro-batches that the trainer chooses."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.systems.base import System
from benchmarks.work import L2, LEARNING_RATE, Work
from scratchnet.data import Batch
from scratchnet.nn.losses import SoftmaxCrossEntropy
from scratchnet.nn.models import MODELS
from scratchnet.nn.optimizers import Adam
from scratchnet.nn.schedules import Schedule
from scratchnet.training import Trainer, compile_kernels
from scratchnet.training.config import Config


def make_trainer(work: Work) -> Trainer:
    """A network with the weights of seed 0, and what trains it."""
    network = MODELS[work.model](work.image_size, dropout=work.dropout)
    network.build(seed=0)
    schedule = Schedule("constant", peak=LEARNING_RATE, warmup=0, total=1)
    return Trainer(network, SoftmaxCrossEntropy(), Adam(network.parameters(), LEARNING_RATE, l2=L2), schedule)


def make_batch(work: Work) -> Batch:
    """The images that every system gets."""
    images, labels = work.data()
    return Batch(images, labels, np.arange(work.batch))


class Ours(System):
    """`Trainer.step`, or `Sequential.forward`."""

    def prepare(self, work: Work) -> None:
        """Builds network, trainer and batch."""
        self.work, self.trainer, self.batch = work, make_trainer(work), make_batch(work)
        if work.weights:
            with np.load(work.weights) as arrays:
                self.trainer.network.load_state_dict(dict(arrays))

    def once(self) -> float:
        """One step."""
        if self.work.trains:
            return self.trainer.step(self.batch, epoch=0)
        return float(self.trainer.network.forward(self.batch.images).flat[0])

    def set_rate(self, rate: float) -> None:
        """Of every step."""
        self.trainer.schedule = Schedule("constant", peak=rate, warmup=0, total=1)

    def give(self, images: Any, labels: Any) -> None:
        """As the trainer takes them."""
        self.batch = Batch(images, labels, np.arange(len(labels)))

    def learnt(self) -> dict[str, Any]:
        """As they are."""
        return self.trainer.network.state_dict()

    def compile(self) -> float:
        """Seconds to compile all kernels that training needs."""
        began = time.perf_counter()
        compile_kernels(Config())
        return time.perf_counter() - began
