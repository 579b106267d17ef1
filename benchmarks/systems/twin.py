"""A network of ours, layer for layer, in PyTorch, with the same weights: the twin's parameters stand in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from scratchnet.errors import ConfigError
from scratchnet.nn.average_pool import GlobalAveragePool2D
from scratchnet.nn.base import Array
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.residual import Residual
from scratchnet.nn.sequential import Sequential


def twin(network: Sequential) -> Any:
    """The network as modules, which copy its weights; dropout takes its masks. Images are (N, C, H, W).

    Raises ConfigError for a layer that is not among those of `MODELS`.
    """
    made = _chain(network.layers)
    with torch.no_grad():
        for theirs, parameter in zip(made.parameters(), network.parameters(), strict=True):
            theirs.copy_(torch.from_numpy(theirs_of(parameter.value)))
    return made


def theirs_of(value: Array) -> Array:
    """Our filters (KH, KW, C, F) as (F, C, KH, KW), our dense weights (in, out) as (out, in), a row as it is."""
    return np.ascontiguousarray(value.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]))


class Blocks(nn.Module):
    """Layers, and a way around them."""

    def __init__(self, layers: Any, around: Any) -> None:
        super().__init__()
        self.layers, self.around = layers, around

    def forward(self, x: Any) -> Any:
        """Their sum."""
        return self.layers(x) + self.around(x)


class Mean(nn.Module):
    """(N, C, H, W) → (N, C)."""

    def forward(self, x: Any) -> Any:
        """Over all positions."""
        return x.mean((2, 3))


class Rows(nn.Module):
    """(N, C, H, W) → (N, H·W·C), our order of the inputs of a dense layer."""

    def forward(self, x: Any) -> Any:
        """Channels last, in one row."""
        return x.permute(0, 2, 3, 1).flatten(1)


class Masked(nn.Module):
    """Dropout with the masks of ours: what ours makes of ones."""

    def __init__(self, ours: Dropout) -> None:
        super().__init__()
        self.ours = ours

    def forward(self, x: Any) -> Any:
        """While training; else x."""
        if not self.training:
            return x
        return x * torch.from_numpy(self.ours.forward(np.ones(x.shape, np.float32), training=True))


def _chain(layers: Any) -> Any:
    return nn.Sequential(*map(_module, layers))


def _module(layer: Any) -> Any:
    match layer:
        case Conv2D() if len(set(layer.pads)) == 1:
            filters = layer.weight.value
            return nn.Conv2d(*filters.shape[2:], filters.shape[:2], layer.stride, layer.pads[0])
        case BatchNorm2D():
            return nn.BatchNorm2d(len(layer.gamma.value), layer.epsilon, layer.momentum)
        case Dense():
            return nn.Linear(*layer.weight.value.shape)
        case ReLU():
            return nn.ReLU(inplace=True)  # nothing needs its input: less memory, and a little faster
        case MaxPool2D():
            return nn.MaxPool2d(layer.pool_size, layer.stride)
        case GlobalAveragePool2D():
            return Mean()
        case Flatten():
            return Rows()
        case Dropout():
            return Masked(layer)
        case Residual():
            return Blocks(_chain(layer.layers), _chain(layer.shortcut or ()))
    raise ConfigError(f"{layer} has no counterpart here in PyTorch: leave torch out")
