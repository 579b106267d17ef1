"""PyTorch in four ways: as it comes, with channels last in memory, compiled, and in bfloat16."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import numpy as np
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
    precision: Any = None  # of products, where it is not that of the weights

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
        if work.weights:
            with np.load(work.weights) as arrays:
                self._load(arrays)
        self.optimizer = make_optimizer(self.network)
        self.call = self._compiled() if self.compiled else self.network

    def _compiled(self) -> Any:
        if not self.work.trains:
            # Weights that don't change may be laid out once and for all, and convolution and ReLU become one.
            from torch._inductor import config

            config.freezing = True
        return torch.compile(self.network)

    def _layers(self) -> list[tuple[str, Any]]:
        """The layers with weights, by our names."""
        convolutions = [layer for layer in self.network if isinstance(layer, nn.Conv2d)]
        denses = [layer for layer in self.network if isinstance(layer, nn.Linear)]
        return [
            *((f"conv{i}", layer) for i, layer in enumerate(convolutions, 1)),
            *((f"dense{i}", layer) for i, layer in enumerate(denses, 1)),
        ]

    def _load(self, arrays: Any) -> None:
        """The order of the first dense layer's inputs is another one in ours: for the clock that is all the same."""
        with torch.no_grad():
            for name, layer in self._layers():
                weight = torch.from_numpy(arrays[f"{name}.weight"])
                layer.weight.copy_(weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight.T)
                layer.bias.copy_(torch.from_numpy(arrays[f"{name}.bias"]))

    def set_rate(self, rate: float) -> None:
        """Of every step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def give(self, images: Any, labels: Any) -> None:
        """In this layout."""
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        self.labels = torch.from_numpy(labels).long()

    def learnt(self) -> dict[str, Any]:
        """In our layout, but for the order of the first dense layer's inputs."""
        found = {}
        for name, layer in self._layers():
            weight = layer.weight.detach()
            found[f"{name}.weight"] = (
                (weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight.T).contiguous().numpy()
            )
            found[f"{name}.bias"] = layer.bias.detach().numpy()
        return found

    def once(self) -> float:
        """One step."""
        products = torch.autocast("cpu", self.precision) if self.precision else contextlib.nullcontext()
        if not self.work.trains:
            with torch.no_grad(), products:
                return float(self.call(self.images)[0, 0])
        self.optimizer.zero_grad(set_to_none=True)
        with products:
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


class BFloat16(ChannelsLast):
    """`torch.autocast`: products of numbers with 8 bits, added up in float32. Not the arithmetic of the others: a row of its own."""

    precision = torch.bfloat16


class Flushing(ChannelsLast):
    """`torch.set_flush_denormal(True)`: denormal numbers count as zero, which few programs ask for."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_flush_denormal(True)
