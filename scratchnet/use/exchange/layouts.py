"""The weights of one architecture in the layouts of other libraries.

| array           | here, and in Keras (channels last) | in PyTorch       | from here to PyTorch                          |
|-----------------|------------------------------------|------------------|-----------------------------------------------|
| filters         | (KH, KW, C, F)                     | (F, C, KH, KW)   | transpose(3, 2, 0, 1)                         |
| dense weights   | (in, out)                          | (out, in)        | transpose(1, 0)                               |
| biases          | (F,), (out,)                       | the same         |                                               |
| first dense     | rows in the order (H, W, C)        | (C, H, W)        | its rows change places too, see below         |
| after Flatten   |                                    |                  |                                               |

Flatten lays an image out in the order of its axes: (H, W, C) here, (C, H, W) in PyTorch. So the H·W·C rows of the dense
layer that follows it are taken as (H, W, C, out), become (out, C, H, W), and then (out, C·H·W).

All three libraries call a cross-correlation a convolution; no filter is flipped. 'same' padding with a stride of 1 is
the same in all; with a larger stride PyTorch doesn't have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scratchnet.errors import ConfigError, DtypeError, ShapeError
from scratchnet.nn.base import Array, Shape, parameters_of
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.sequential import Sequential
from scratchnet.use.exchange.matching import Given, Slot, matched, order_is_lost


def to_torch(network: Sequential) -> dict[str, Array]:
    """The weights as a state dict for an `nn.Sequential` of the same layers, one for one: {"0.weight": …, "0.bias": …, …}.

    In PyTorch: `model.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(network).items()})`.

    >>> from scratchnet.nn.relu import ReLU
    >>> network = Sequential([Conv2D(4, 3), ReLU(), Flatten(), Dense(2)])
    >>> _ = network.build((8, 8, 3))
    >>> {name: array.shape for name, array in to_torch(network).items()}
    {'0.weight': (4, 3, 3, 3), '0.bias': (4,), '3.weight': (2, 256), '3.bias': (2,)}
    """
    state = {}
    for number, layer, flattened in _with_weights(network):
        weight = layer.weight.value
        if isinstance(layer, Conv2D):
            weight = weight.transpose(3, 2, 0, 1)
        elif flattened:
            weight = weight.reshape(*flattened, -1).transpose(3, 2, 0, 1).reshape(weight.shape[1], -1)
        else:
            weight = weight.T
        state[f"{number}.weight"] = np.array(weight, order="C")
        state[f"{number}.bias"] = layer.bias.value.copy()
    return state


def from_torch(state: Mapping[str, Any], network: Sequential, *, ordered: bool = True) -> dict[str, Array]:
    """A state dict of PyTorch in this library's names and layout, for `network.load_state_dict`.

    state: names → arrays, or tensors on the CPU, as `model.state_dict()` returns it; the names may be any that end in
    ".weight" and ".bias". Filters are matched with the network's convolutions, and matrices with its dense layers: in the order
    in which they stand in `state` if they fit so, otherwise by shape (`matching`). ordered: whether that order means
    something; it never does if `state` is sorted by name, as safetensors' `load_file` returns it: then layers of one
    shape need names that differ only in a number.

    Raises ConfigError if the number of layers differs, there is another kind of array, or nothing tells which layer is
    which, ShapeError, naming both shapes and what differs, if one does not fit, DtypeError for other numbers than floats
    of 16, 32 or 64 bits.
    """
    given = _grouped(state)
    ordered = ordered and not order_is_lost(state)
    layers = list(_with_weights(network))
    result = {}
    for kind, axes in ((Conv2D, 4), (Dense, 2)):
        theirs = [prefix for prefix, pair in given.items() if pair["weight"].ndim == axes]
        ours = [(layer, flattened) for _, layer, flattened in layers if isinstance(layer, kind)]
        if len(theirs) != len(ours):
            raise ConfigError(
                f"these weights hold {len(theirs)} arrays of {axes} axes, the network has {len(ours)} "
                f"{kind.kind} layers: is it another architecture?"
            )
        size = (network.input_shape or (0,))[0]
        slots = [
            Slot(layer.name, _torch_shape(layer), layer.bias.value.shape, flattened, size, last=layer is layers[-1][1])
            for layer, flattened in ours
        ]
        there = [Given(prefix, given[prefix]["weight"].shape, given[prefix]["bias"].shape) for prefix in theirs]
        for prefix, (layer, flattened) in zip(matched(there, slots, ordered=ordered), ours, strict=True):
            weight, bias = given[prefix]["weight"], given[prefix]["bias"]
            if isinstance(layer, Conv2D):
                weight = weight.transpose(2, 3, 1, 0)
            elif flattened:
                height, width, channels = flattened
                weight = weight.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, len(weight))
            else:
                weight = weight.T
            result[layer.weight.name] = np.array(weight, order="C")
            result[layer.bias.name] = np.array(bias, order="C")
    return result


def to_keras(network: Sequential) -> list[Array]:
    """The weights in the order of Keras' `model.get_weights()`: kernel and bias of each layer. The layout is the same."""
    return [array.copy() for _, layer, _ in _with_weights(network) for array in (layer.weight.value, layer.bias.value)]


def from_keras(weights: Sequence[Any], network: Sequential) -> dict[str, Array]:
    """What `model.get_weights()` of a Keras model with channels last returned, as a state for `network.load_state_dict`.

    Raises ConfigError if the number of arrays differs, ShapeError if one does not fit.

    >>> network = Sequential([Flatten(), Dense(2)])
    >>> _ = network.build((4, 4, 3))
    >>> network.load_state_dict(from_keras(to_keras(network), network))
    """
    parameters = [p for _, layer, _ in _with_weights(network) for p in parameters_of(layer)]
    if len(weights) != len(parameters):
        raise ConfigError(
            f"these are {len(weights)} arrays, the network has {len(parameters)}: is it another architecture?"
        )
    arrays = [np.asarray(array) for array in weights]
    for number, (parameter, array) in enumerate(zip(parameters, arrays, strict=True)):
        if array.shape != parameter.value.shape:
            raise ShapeError(
                f"array {number} has shape {array.shape}, {parameter.name} has {parameter.value.shape}: "
                "another image size or number of filters, or channels first?"
            )
    return {parameter.name: array for parameter, array in zip(parameters, arrays, strict=True)}


def _with_weights(network: Sequential) -> Iterator[tuple[int, Any, Shape | None]]:
    """The layers with weights: position in the network, layer, and for a dense one right after Flatten the shape before it.

    Raises ConfigError for a layer with weights that other libraries do not have.
    """
    flattened: Shape | None = None
    for number, layer in enumerate(network.layers):
        if isinstance(layer, Flatten):
            flattened = layer.input_shape if len(layer.input_shape or ()) == 3 else None
        elif isinstance(layer, Conv2D | Dense):
            yield number, layer, flattened
            flattened = None
        elif parameters_of(layer):
            raise ConfigError(f"{layer}: only convolutions and dense layers can be exchanged with other libraries")


def _as_array(name: str, value: Any) -> Array:
    """An array of floating-point numbers. Raises DtypeError for anything else, such as a tensor of bfloat16 or with a gradient."""
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except TypeError as error:
        raise DtypeError(f"{name}: NumPy has no type for it ({error}): give the state dict of model.float()") from error
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise DtypeError(f"{name}: expected floats of 16, 32 or 64 bits, got {array.dtype}: is it a quantised model?")
    return array


def _torch_shape(layer: Any) -> Shape:
    axes = (3, 2, 0, 1) if isinstance(layer, Conv2D) else (1, 0)
    return tuple(layer.weight.value.shape[axis] for axis in axes)


def _grouped(state: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
    """The arrays by the part of their name before ".weight" and ".bias", in the order of the weights."""
    pairs: dict[str, dict[str, Array]] = {}
    for name, value in state.items():
        prefix, _, role = name.rpartition(".")
        if role not in ("weight", "bias"):
            raise ConfigError(
                f"{name!r} is neither a weight nor a bias: only convolutions and dense layers can be read"
            )
        pairs.setdefault(prefix, {})[role] = _as_array(name, value)
    for prefix, pair in pairs.items():
        if len(pair) != 2:
            raise ConfigError(f"{prefix!r} has a {next(iter(pair))} alone; expected weight and bias")
        if pair["weight"].ndim not in (2, 4):
            raise ConfigError(f"{prefix}.weight has {pair['weight'].ndim} axes; expected 4 (filters) or 2 (dense)")
    return pairs
