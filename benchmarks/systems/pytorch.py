"""PyTorch in three ways: as it comes, with channels last in memory, and compiled."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from benchmarks.systems.base import System
from benchmarks.work import BETA1, BETA2, CLASSES, DENSE, EPSILON, FILTERS, KERNEL_SIZE, L2, LEARNING_RATE, Work


def make_network(work: Work) -> Any:
    """The same layers. ReLU works in place, because nothing needs its input: less memory, and a little faster."""
    channels = (3, *FILTERS[work.model])
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(channels):
        convolution = nn.Conv2d(inputs, outputs, KERNEL_SIZE, padding=KERNEL_SIZE // 2)
        layers += [convolution, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    side = work.image_size // 2 ** len(FILTERS[work.model])
    for inputs, outputs in itertools.pairwise((channels[-1] * side**2, *DENSE)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(work.dropout)]
    return nn.Sequential(*layers, nn.Linear(DENSE[-1], CLASSES))


def make_optimizer(
    network: Any, kind: Any = torch.optim.Adam, *, l2: float = L2, betas: tuple[float, float] = (BETA1, BETA2)
) -> Any:
    """Adam in its fused form, which is PyTorch's fastest on a processor; L2 on weights, not on biases."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": l2},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return kind(groups, lr=LEARNING_RATE, betas=betas, eps=EPSILON, fused=True)


class PyTorch(System):
    """Images and filters with the channels first in memory."""

    layout: Any = torch.contiguous_format
    compiled = False

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)

    def prepare(self, work: Work) -> None:
        """Builds network, optimiser and data."""
        torch.manual_seed(0)
        self.work = work
        images, labels = work.data()
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        self.labels = torch.from_numpy(labels)
        self.network = make_network(work).to(memory_format=self.layout).train(work.trains)
        self.optimizer = make_optimizer(self.network)
        self.call = self._compiled() if self.compiled else self.network

    def _compiled(self) -> Any:
        if not self.work.trains:
            # Weights that don't change may be laid out once and for all, and convolution and ReLU become one.
            from torch._inductor import config

            config.freezing = True
        return torch.compile(self.network)

    def once(self) -> float:
        """One step."""
        if not self.work.trains:
            with torch.no_grad():
                return float(self.call(self.images)[0, 0])
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.call(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return float(loss)


class ChannelsLast(PyTorch):
    """Images and filters with the channels last in memory, as in scratchnet."""

    layout = torch.channels_last


class Compiled(ChannelsLast):
    """`torch.compile`, with its defaults, of the network with channels last. It needs a C++ compiler."""

    compiled = True
