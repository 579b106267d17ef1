"""How far the fast float32 path is from float64 arithmetic by the definition: layer by layer, and over a training."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from benchmarks.systems.ours import make_trainer
from benchmarks.work import Work
from scratchnet.data import Batch
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.fused import ConvReluPool
from scratchnet.nn.models import MODELS
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.reference import Array

POOL = 256  # different images of the training


class Accuracy:
    """The worker that measures both. It chooses the path by SCRATCHNET_CONV, which is read at each call."""

    def __init__(self, threads: int) -> None:
        """The environment has set the threads already."""

    def errors(self, model: str, image_size: int, images: int) -> dict[str, dict[str, float]]:
        """For each layer with weights: the largest error of its output and gradients ÷ the tensor's root mean square."""
        network = MODELS[model](image_size)
        network.build(seed=0)
        found = {}
        for number, layer in enumerate(layer for layer in network.layers if isinstance(layer, Conv2D | Dense)):
            rng = np.random.default_rng(number)
            assert layer.input_shape is not None
            assert layer.output_shape is not None
            x = rng.standard_normal((images, *layer.input_shape), np.float32)
            if number > 0:
                x = np.maximum(x, 0)  # the network's inner layers see what ReLU has left
            dy = rng.standard_normal((images, *layer.output_shape), np.float32)
            found[layer.name] = layer_errors(layer, x, dy)
        return found

    def curve(self, image_size: int, batch: int, steps: int, path: str) -> list[float]:
        """The loss of each of so many training steps, with all convolutions by one path, `direct` or `winograd`."""
        os.environ["SCRATCHNET_CONV"] = path
        trainer = make_trainer(Work("train", "report", image_size, batch))
        images, labels = separable_images(image_size)
        losses = []
        for step in range(steps):
            chosen = np.arange(step * batch, (step + 1) * batch) % POOL
            losses.append(trainer.step(Batch(images[chosen], labels[chosen], chosen), epoch=step * batch // POOL))
        return losses


def layer_errors(layer: Conv2D | Dense, x: Array, dy: Array) -> dict[str, float]:
    """The layer, float32 by its fast path, against itself in float64 by the definition."""
    wide = twin(layer)
    os.environ["SCRATCHNET_CONV"] = "direct"
    exact = passes(wide, x.astype(np.float64), dy.astype(np.float64))
    os.environ["SCRATCHNET_CONV"] = "winograd"
    fast = passes(layer, x, dy)
    if isinstance(layer, Conv2D):
        # Forward as the network runs it, with ReLU and pooling. Not backward: where two pixels of a window differ by
        # less than rounding, another one wins and takes the whole gradient, which is no error of the arithmetic.
        tail = [ReLU(), MaxPool2D(2)]
        shape = layer.output_shape
        for one in tail:
            assert shape is not None
            shape = one.build(shape)
        fused = ConvReluPool(layer, tail[0], tail[1])  # type: ignore[arg-type]
        n, height, width, filters = exact["output"].shape
        windows = exact["output"].reshape(n, height // 2, 2, width // 2, 2, filters)
        fast["pooled output"], exact["pooled output"] = fused.forward(x), np.maximum(windows.max((2, 4)), 0)
    return {name: relative_error(fast[name], exact[name]) for name in exact}


def twin(layer: Conv2D | Dense) -> Conv2D | Dense:
    """The same layer with the same weights in float64."""
    assert layer.input_shape is not None
    filters = layer.bias.value.size
    wide = Conv2D(filters, layer.kernel_size) if isinstance(layer, Conv2D) else Dense(filters)
    wide.build(layer.input_shape, dtype="float64")
    for mine, its in zip(wide.parameters(), layer.parameters(), strict=True):
        mine.value[...] = its.value
    return wide


def passes(layer: Conv2D | Dense, x: Array, dy: Array) -> dict[str, Array]:
    """Output and gradients."""
    y = layer.forward(x, training=True)
    dx = layer.backward(dy)
    assert dx is not None
    return {
        "output": y,
        "weight gradient": layer.weight.grad,
        "bias gradient": layer.bias.grad,
        "input gradient": dx,
    }


def relative_error(found: Array, exact: Array) -> float:
    """The largest error, relative to the root mean square of the whole.

    >>> relative_error(np.array([3.0, 4.5]), np.array([3.0, 4.0])).__round__(4)
    0.1414
    """
    return float(np.abs(found - exact).max() / np.sqrt(np.mean(np.square(exact))))


def separable_images(size: int) -> tuple[Array, NDArray[np.int64]]:
    """POOL images of noise, half of them with the same faint pattern of blots beneath: the two classes."""
    images, labels = Work("train", "report", size, POOL).data()
    blots = np.random.default_rng(1).standard_normal((8, 8, 3)).repeat(size // 8, 0).repeat(size // 8, 1)
    images += 0.3 * (2 * labels - 1)[:, None, None, None] * blots.astype(np.float32)
    return images, labels
