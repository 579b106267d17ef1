"""A network of the textbook's layers, and the one that is like another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from scratchnet import random
from scratchnet.errors import ConfigError, OrderError, ShapeError
from scratchnet.reference import Array
from scratchnet.textbook.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU, Shape
from scratchnet.textbook.parameter import Parameter
from scratchnet.textbook.table import Function, table


class Network:
    """Layers in a row, as `scratchnet.Sequential`: the same seed gives the same names and the same first weights.

    layers: of this file. functions: those in the reference's place, in every layer. input_shape: (H, W, C), if known.

    >>> net = Network([Conv2D(4, 3), ReLU(), MaxPool2D(), Flatten(), Dense(2)])
    >>> net.build((8, 8, 3), seed=0)
    (2,)
    >>> [p.name for p in net.parameters()]
    ['conv1.weight', 'conv1.bias', 'dense1.weight', 'dense1.bias']
    """

    kind = "network"
    output_shape: Shape | None = None

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        input_shape: Shape | None = None,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self.layers = list(layers)
        self.input_shape = input_shape
        self.functions = table(functions)
        if functions:
            self.use(functions)

    def use(self, functions: Mapping[str, Function]) -> None:
        """Puts these functions in the reference's place, in every layer; the weights stay."""
        self.functions = table(functions)
        for layer in self.layers:
            layer.functions = self.functions

    def build(
        self,
        input_shape: Shape | None = None,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = "float64",
        *,
        seed: int = 0,
    ) -> Shape:
        """Names the layers and draws their weights; returns the output's shape. seed: of the weights and of dropout's masks."""
        shape = self.input_shape if input_shape is None else input_shape
        if shape is None:
            raise ShapeError("Network.build needs input_shape=(height, width, channels)")
        self.input_shape = shape
        counts: dict[str, int] = {}
        for number, layer in enumerate(self.layers):
            counts[layer.kind] = counts.get(layer.kind, 0) + 1
            if not layer.was_named:
                layer.name = f"{layer.kind}{counts[layer.kind]}"
            layer.seed = seed
            shape = layer.build(shape, random.generator(seed, "weights", number) if rng is None else rng, dtype)
        self.output_shape = shape
        return shape

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """The output (N, …) for a batch x (N, *input_shape)."""
        for layer in self.layers:
            x = layer.forward(x, training=training)
        return x

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx of the last forward(training=True); writes the gradients of all parameters, or adds to them."""
        gradient: Array | None = dy
        for layer in reversed(self.layers):
            assert gradient is not None
            gradient = layer.backward(gradient, accumulate=accumulate)
        return gradient if need_dx else None

    def parameters(self) -> list[Parameter]:
        """All parameters, from the first layer to the last."""
        return [parameter for layer in self.layers for parameter in layer.parameters()]

    def seed_batch(self, epoch: int, images: ArrayLike) -> None:
        """Names the epoch and the images of the next batch, for dropout's masks."""
        for layer in self.layers:
            if isinstance(layer, Dropout):
                layer.seed_batch(epoch, images)

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter's value by its name."""
        return {parameter.name: parameter.value.copy() for parameter in self.parameters()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Takes over the values of a `state_dict`. Raises ConfigError where names or shapes differ."""
        mine = {parameter.name: parameter for parameter in self.parameters()}
        shapes = {name: parameter.value.shape for name, parameter in mine.items()}
        if shapes != {name: np.shape(value) for name, value in state.items()}:
            raise ConfigError(f"these weights are of another network: expected {shapes}")
        for name, parameter in mine.items():
            parameter.value[...] = state[name]


def like(network: Any, mine: Mapping[str, Function] | None = None) -> Network:
    """The textbook's network with the layers, names, seeds and weights of another, over a table with `mine` in it.

    network: a `scratchnet.Sequential` that has been built, or a Network; it stays as it is. mine: {"conv2d": function, …}.
    Raises OrderError where it hasn't been built, ConfigError for a layer that the textbook hasn't, and what `table` raises.
    """
    if network.output_shape is None:
        raise OrderError("like: the network has not been built: call build(seed=0) first")
    functions = table(mine)
    twin = Network([_twin_of(layer) for layer in network.layers], input_shape=network.input_shape)
    weights = network.state_dict()
    twin.build(dtype=next(iter(weights.values())).dtype if weights else "float64")
    for layer, other in zip(twin.layers, network.layers, strict=True):
        layer.seed = getattr(other, "seed", 0)
    twin.load_state_dict(weights)
    twin.use(functions)
    return twin


def _twin_of(layer: Any) -> Layer:
    kind = getattr(layer, "kind", type(layer).__name__)
    if kind == "conv":
        return Conv2D(layer.filters, layer.kernel_size, stride=layer.stride, padding=layer.padding, name=layer.name)
    if kind == "pool":
        return MaxPool2D(layer.pool_size, layer.stride, name=layer.name)
    if kind == "dense":
        return Dense(layer.units, name=layer.name)
    if kind == "dropout":
        return Dropout(layer.rate, seed=layer.seed, name=layer.name)
    if kind in ("relu", "flatten"):
        return (ReLU if kind == "relu" else Flatten)(name=layer.name)
    raise ConfigError(f"the textbook has no layer like {type(layer).__name__} '{getattr(layer, 'name', kind)}'")
