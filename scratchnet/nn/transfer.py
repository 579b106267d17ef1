"""Going on from what was learnt: weights taken over from another network, and layers that stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from scratchnet.errors import ConfigError
from scratchnet.nn.base import Array, observers_of, parameters_of


def take_over(network: Any, state: Mapping[str, Array], *, new_head: bool = False) -> tuple[list[str], dict[str, str]]:
    """Takes weights and buffers over, layer by layer, where names and shapes agree; all of a layer or nothing.

    network: a Sequential that is built. state: of the other network, as `state_dict` returns it; numbers are cast to the
    dtype of this one. new_head: leave the last layer with weights new. Returns the names of the layers that were taken, and those
    that were not with the reason. Raises ConfigError if nothing fits.
    """
    mine = network.state_dict()
    with_weights = [layer.name for layer in network if parameters_of(layer)]
    taken: list[str] = []
    left: dict[str, str] = {}
    for layer in with_weights:
        names = [name for name in mine if name.startswith(f"{layer}.")]
        lacking = [name for name in names if name not in state]
        other = [name for name in names if name not in lacking and np.shape(state[name]) != mine[name].shape]
        if new_head and layer == with_weights[-1]:
            left[layer] = "other classes"
        elif lacking:
            left[layer] = "not there"
        elif other:
            left[layer] = f"{np.shape(state[other[0]])} there, {mine[other[0]].shape} here"
        else:
            taken.append(layer)
            mine |= {name: np.asarray(state[name], network.dtype) for name in names}
    if not taken:
        raise ConfigError(f"no layer fits: {', '.join(f'{name} ({why})' for name, why in left.items())}")
    network.load_state_dict(mine)
    return taken, left


def freeze(network: Any, patterns: Iterable[str]) -> list[str]:
    """Layers that are not learnt from now on: optimisers pass them over, also their L2, and backward spares their gradients.

    patterns: names of layers, or patterns such as "conv*". Batch normalisation in them keeps its running statistics, and uses
    them. Returns the names. Raises ConfigError for a pattern that fits no layer, or if nothing is left to learn.
    """
    names = [layer.name for layer in network]
    wanted: set[str] = set()
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            raise ConfigError(f"freeze: no layer is called {pattern!r}; the layers are {', '.join(names)}")
        wanted |= set(found)
    frozen = [name for name in names if name in wanted]
    learning = [layer for layer in network if parameters_of(layer) and layer.name not in frozen]
    if not any(not parameter.frozen for layer in learning for parameter in parameters_of(layer)):
        raise ConfigError(f"freeze {', '.join(frozen)}: nothing is left to learn")
    for layer in network:
        if layer.name in frozen:
            set_frozen(layer, True)
    return frozen


def set_frozen(layer: Any, frozen: bool) -> None:
    """Freezes a layer, with its running statistics, or lets it learn again."""
    for parameter in parameters_of(layer):
        parameter.frozen = frozen
        parameter.grad[...] = 0
    for observer in observers_of(layer):
        observer.fixed = frozen
