"""A training step of a small residual network here and in PyTorch: `python -m benchmarks.residual`.

Both on one thread, in turns, by the processor's time: the machine may be busy with other things. PyTorch in either layout of
its images, and the faster counts. The networks are the same, layer for layer; the weights are each's own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import scratchnet as sn
from scratchnet.data import Batch
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.training.trainer import Trainer


def network(size: int = 64) -> sn.Sequential:
    """Eight convolutions of 3 × 3, two of 1 × 1 in the shortcuts, 0.19 M weights."""

    def block(filters: int, stride: int, shortcut: bool) -> list[Any]:
        layers = [sn.Conv2D(filters, 3, stride=stride, padding=1), sn.BatchNorm2D(), sn.ReLU()]
        layers += [sn.Conv2D(filters, 3, padding=1), sn.BatchNorm2D()]
        around = [sn.Conv2D(filters, 1, stride=stride), sn.BatchNorm2D()] if shortcut else None
        return [sn.Residual(layers, around), sn.ReLU()]

    layers = [sn.Conv2D(16, 3, padding=1), sn.BatchNorm2D(), sn.ReLU()]
    layers += [*block(16, 1, False), *block(32, 2, True), *block(64, 2, True)]
    layers += [sn.Conv2D(192, 3, stride=2, padding=1), sn.BatchNorm2D(), sn.ReLU()]
    return sn.Sequential([*layers, sn.GlobalAveragePool2D(), sn.Dense(2)], input_shape=(size, size, 3))


def our_step(images: Any, labels: Any) -> Callable[[], object]:
    """A step of ours."""
    net = network(images.shape[1])
    net.build(seed=0)
    schedule = sn.Schedule("constant", peak=1e-3, warmup=0, total=1)
    trainer = Trainer(net, sn.SoftmaxCrossEntropy(), sn.Adam(net.parameters(), 1e-3), schedule, micro_batch=len(images))
    return lambda: trainer.step(Batch(images, labels, np.arange(len(labels))), 0)


def their_step(images: Any, labels: Any, *, channels_last: bool) -> Callable[[], object]:
    """A step of PyTorch's."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, layers: list[Any], around: list[Any]) -> None:
            super().__init__()
            self.layers, self.around = nn.Sequential(*layers), nn.Sequential(*around)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.layers(x) + self.around(x))

    def block(inputs: int, filters: int, stride: int, shortcut: bool) -> Any:
        layers = [nn.Conv2d(inputs, filters, 3, stride, 1), nn.BatchNorm2d(filters), nn.ReLU()]
        layers += [nn.Conv2d(filters, filters, 3, 1, 1), nn.BatchNorm2d(filters)]
        return Residual(layers, [nn.Conv2d(inputs, filters, 1, stride), nn.BatchNorm2d(filters)] if shortcut else [])

    torch.set_num_threads(1)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU(),
        block(16, 16, 1, False), block(16, 32, 2, True), block(32, 64, 2, True),
        nn.Conv2d(64, 192, 3, 2, 1), nn.BatchNorm2d(192), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, 2),
    )  # fmt: skip
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer, targets = torch.optim.Adam(net.parameters(), 1e-3), torch.from_numpy(labels)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), targets).backward()
        optimizer.step()

    return step


def main() -> None:
    """Prints the least and the median of each, and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.residual", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(arguments.batch, 64, 64, 3)).astype("float32")
    labels = rng.integers(2, size=arguments.batch)
    set_threads(1)
    steps = {
        "scratchnet": our_step(images, labels),
        "PyTorch, channels first": their_step(images, labels, channels_last=False),
        "PyTorch, channels last": their_step(images, labels, channels_last=True),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(arguments.rounds + 2):
        for name, step in steps.items():
            began = time.process_time()
            step()
            if turn > 1:
                times[name].append(1e3 * (time.process_time() - began))
    for name, found in times.items():
        print(f"{name:<26} {min(found):7.1f} ms  median {np.median(found):7.1f} ms")
    ours, *theirs = [float(np.median(found)) for found in times.values()]
    print(f"ratio of the medians: {min(theirs) / ours:.2f}")


if __name__ == "__main__":
    main()
