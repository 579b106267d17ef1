"""Each layer's time beside the least time that its multiplications take at the machine's sgemm rate."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from typing import Any

import numpy as np

from benchmarks.systems.ours import make_batch, make_trainer
from benchmarks.work import Work
from scratchnet.data import Batch
from scratchnet.kernels import convolution
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.fused import ConvReluPool
from scratchnet.training import Trainer

REST = "loss, Adam, rest"
Times = dict[str, list[float]]  # seconds forward and backward, by layer


class Layers:
    """The worker that measures both."""

    def __init__(self, threads: int) -> None:
        """The environment has set the threads already."""

    def sgemm(self, size: int, rounds: int) -> float:
        """FLOP/s of NumPy's float32 product of two matrices of size × size, the best of some rounds.

        A multiplication and an addition are two.
        """
        a, b = np.random.default_rng(0).standard_normal((2, size, size), dtype=np.float32)
        product = np.empty_like(a)
        seconds = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            np.matmul(a, b, out=product)
            seconds.append(time.perf_counter() - began)
        return 2 * size**3 / min(seconds[1:])

    def step(self, rounds: int, **work: Any) -> list[dict[str, Any]]:
        """For each layer of a training step: median seconds, and multiplications, forward and backward."""
        asked = Work(**work)
        trainer, batch = make_trainer(asked), make_batch(asked)
        trainer.step(batch, epoch=0)
        measured = [timed_step(trainer, batch) for _ in range(rounds)]
        needed = needed_by(trainer, asked.batch)
        return [
            {
                "layer": name,
                "seconds": [statistics.median(times[name][i] for times in measured) for i in (0, 1)],
                "multiplications": needed.get(name, [0, 0]),
            }
            for name in measured[0]
        ]


def timed_step(trainer: Trainer, batch: Batch) -> Times:
    """`Trainer.step` with a clock around every layer. The step of the optimiser counts as backward."""
    steps, parts = trainer.network._steps, range(0, len(batch), trainer.micro_batch)
    times: Times = defaultdict(lambda: [0.0, 0.0])
    began = time.perf_counter()
    for start in parts:
        part = slice(start, start + trainer.micro_batch)
        trainer.network.seed_batch(0, batch.indices[part])
        x = batch.images[part]
        for step in steps:
            before = time.perf_counter()
            x = step.forward(x, training=True)
            times[name_of(step)][0] += time.perf_counter() - before
        trainer.loss.forward(x, batch.labels[part])
        dy = trainer.loss.backward(len(batch))
        for i, step in reversed(list(enumerate(steps))):
            more = {"accumulate": True} if start > 0 and has_weights(step) else {}
            before = time.perf_counter()
            dy = step.backward(dy, need_dx=i > 0, **more)
            times[name_of(step)][1] += time.perf_counter() - before
    trainer.optimizer.step()
    whole = time.perf_counter() - began
    times[REST] = [0.0, whole - sum(map(sum, times.values()))]
    return dict(times)


def needed_by(trainer: Trainer, images: int) -> dict[str, list[int]]:
    """Multiplications of each layer in a training step on so many images, forward and backward.

    Backward computes two gradients, of the weights and of the input; the first layer has no use for the second.
    """
    needed = {}
    micro = trainer.micro_batch
    sizes = [min(micro, images - start) for start in range(0, images, micro)]
    for i, step in enumerate(trainer.network._steps):
        one_pass = sum(multiplications(step, size) for size in sizes)
        needed[name_of(step)] = [one_pass, one_pass * (2 if i > 0 else 1)]
    return needed


def multiplications(step: Any, images: int) -> int:
    """What the algorithm that the layer takes for so many images needs, in one pass."""
    layer = step.conv if isinstance(step, ConvReluPool) else step
    if isinstance(layer, Conv2D):
        return convolution.multiplications(convolution.algorithm(layer.geometry, images), layer.geometry, images)
    return images * layer.multiplications() if isinstance(layer, Dense) else 0


def name_of(step: Any) -> str:
    """The layer's name; for three that run as one, the convolution's."""
    return str(step.conv.name if isinstance(step, ConvReluPool) else step.name)


def has_weights(step: Any) -> bool:
    """Whether backward writes gradients of weights."""
    return hasattr(step, "parameters") and bool(step.parameters())
