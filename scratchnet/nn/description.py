"""A network as plain data, which a file can hold: the names of its layers' classes and their arguments, and no code.

| in the network            | as JSON                                                                       |
|---------------------------|-------------------------------------------------------------------------------|
| a layer of this library   | {"layer": "Conv2D", "arguments": {"filters": 8, "kernel_size": 5, …}}         |
| one of a user's own       | {"own_layer": "Square", "arguments": {…}}: whoever reads it passes the class  |
| a function of a user's own| {"own_function": "my_init"}, likewise                                         |
| a tuple, a dictionary     | {"tuple": […]}, {"dict": {…}}                                                 |
| a list, number, text, …   | itself                                                                        |

All arguments are written, also those that are defaults now. What is read back is checked: a file may come from a stranger.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scratchnet.errors import ConfigError, ScratchnetError
from scratchnet.nn.activations import LeakyReLU, Sigmoid, Tanh
from scratchnet.nn.arguments import arguments_of
from scratchnet.nn.average_pool import AveragePool2D, GlobalAveragePool2D
from scratchnet.nn.base import checked_shape
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.depthwise import DepthwiseConv2D
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.initializers import INITIALIZERS
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.residual import Residual
from scratchnet.nn.sequential import Sequential

LAYERS: dict[str, Any] = {
    one.__name__: one
    for one in (
        AveragePool2D, BatchNorm2D, Conv2D, Dense, DepthwiseConv2D, Dropout, Flatten, GlobalAveragePool2D, LeakyReLU, MaxPool2D,
        ReLU, Residual, Sequential, Sigmoid, Tanh,
    )
}  # fmt: skip
OWN: dict[str, Any] = {}
"""Layers and functions of a user's own, by name, that this process knows: those of --model FILE and of --layers FILE."""

MOST_LAYERS, DEEPEST = 10_000, 30  # in one description, and within one another
LARGEST_SIDE, LARGEST = 2**16, 2**27  # of an image that a file asks for, and of a layer's outputs for one


def by_name(own: Iterable[Any]) -> dict[str, Any]:
    """Classes and functions by their names. Raises ConfigError for anything else."""
    if isinstance(own, type) or not isinstance(own, Iterable):
        raise ConfigError(f"layers must be a list of classes, [{getattr(own, '__name__', 'Square')}], got {own!r}")
    found = {}
    for one in own:
        if not (isinstance(one, type) or inspect.isroutine(one)):
            raise ConfigError(f"layers must be classes or functions, got {one!r}: give the class, without brackets")
        found[one.__name__] = one
    return found


def described(network: Sequential) -> str:
    """The layers of a network as a JSON text, without weights and shapes.

    Raises ConfigError, naming layer and argument, for an argument that is not plain data, such as an array.

    >>> described(Sequential([ReLU(), Dropout(0.2)]))[:92]
    '{"layer": "Sequential", "arguments": {"layers": [{"layer": "ReLU", "arguments": {"name": nul'
    """
    return json.dumps(_written(network, "the network"))


def from_description(text: str, own: Mapping[str, Any] | None = None, source: str = "") -> Sequential:
    """The network of a description, not yet built. own: classes of layers by name, besides those in OWN. source: where
    they were defined, for the error.

    Raises ConfigError, in one line, if a class is not known, or the text is not a description.

    >>> from_description(described(Sequential([Dense(3), ReLU()])))
    Sequential([Dense(3), ReLU()])
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not a description of layers: {str(error) or 'brackets nested too deep'}") from error
    reader = _Reader({**OWN, **(own or {})}, source)
    network = reader.read(content, 0)
    if not isinstance(network, Sequential):
        raise ConfigError(f"a description of layers is that of a Sequential, got {type(network).__name__}")
    return network


def own_of(network: Any) -> dict[str, Any]:
    """The classes of layers and the functions in a network that are a user's own, by name."""
    found: dict[str, Any] = {}
    values = [network]
    while values:
        value = values.pop()
        if isinstance(value, list | tuple):
            values += value
        elif inspect.isroutine(value) and value not in INITIALIZERS.values():
            found[value.__name__] = value
        elif hasattr(value, "forward") and not isinstance(value, type):
            values += arguments_of(value).values()
            if LAYERS.get(type(value).__name__) is not type(value):
                found[type(value).__name__] = type(value)
    return found


def build_for(network: Sequential, input_shape: Any, dtype: Any, seed: int, weights: int) -> None:
    """Builds a network of a file, whose weights come from there too; none are drawn. weights: how many the file holds.

    Raises ConfigError, before memory is taken, for a network that needs more of them, or larger arrays than any here.
    """
    shape = checked_shape("the input_shape", input_shape)
    if max(shape) > LARGEST_SIDE:
        raise ConfigError(f"its images have the shape {shape}, larger than any here")
    network.build(shape, Blank(weights), dtype, seed=seed)
    for made in (shape, *(getattr(layer, "output_shape", None) or () for layer in network)):
        if math.prod(made) > LARGEST:
            raise ConfigError(f"a layer has outputs of the shape {made}, larger than any here")


class Blank(np.random.Generator):
    """Draws zeros for weights that are about to be replaced: at most so many as a file holds."""

    def __init__(self, weights: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = self.holds = weights

    def _zeros(self, size: Any) -> Any:
        count = math.prod(size) if isinstance(size, tuple | list) else int(size or 1)
        self.left -= count
        if self.left < 0:
            raise ConfigError(f"its layers have more weights than the {self.holds} that it holds")
        return np.zeros(size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Zeros of that size."""
        return self._zeros(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Zeros of that size."""
        return self._zeros(size)


def _written(value: Any, where: str) -> Any:
    """A value as JSON has it. where: it stands, for the error."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        return _written(value.item(), where)
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list):
        return [_written(one, where) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [_written(one, where) for one in value]}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: _written(one, where) for name, one in value.items()}}
    if inspect.isroutine(value):
        if value in INITIALIZERS.values():
            return value.__name__
        if value.__name__.isidentifier():
            return {"own_function": value.__name__}
    if hasattr(value, "forward") and not isinstance(value, type):
        return _written_layer(value)
    raise ConfigError(
        f"{where} is {_briefly(value)}, which a description of layers cannot hold: numbers, texts, lists and layers are possible"
    )


def _written_layer(layer: Any) -> Any:
    kind = type(layer).__name__
    arguments = arguments_of(layer)
    for name, one in inspect.signature(type(layer).__init__).parameters.items():
        if one.kind is inspect.Parameter.VAR_POSITIONAL and arguments.get(name):
            raise ConfigError(f"{kind}: a description of layers names each argument; write *{name} as one list")
    written = {name: _written(value, f"{kind}: {name}") for name, value in arguments.items()}
    if isinstance(layer, Sequential) and "layers" in written:
        # The layers of a part of a network keep the names that they had in the whole.
        for one, there, usual in zip(written["layers"], layer, layer.automatic_names(), strict=True):
            now = getattr(there, "name", None)
            if one["arguments"].get("name", "") is None and now not in (usual, getattr(there, "kind", None)):
                one["arguments"]["name"] = now
    ours = LAYERS.get(kind) is type(layer)
    return {"layer" if ours else "own_layer": kind, "arguments": written}


class _Reader:
    """Turns a description back into layers."""

    def __init__(self, own: Mapping[str, Any], source: str = "") -> None:
        self.own, self.source, self.count = own, source, 0

    def read(self, value: Any, depth: int) -> Any:
        """A value of the description."""
        if depth > DEEPEST:
            raise ConfigError(f"layers within layers, more than {DEEPEST} deep")
        if isinstance(value, list):
            return [self.read(one, depth + 1) for one in value]
        if not isinstance(value, dict):
            return value
        keys = set(value)
        if keys == {"tuple"} and isinstance(value["tuple"], list):
            return tuple(self.read(value["tuple"], depth + 1))
        if keys == {"dict"} and isinstance(value["dict"], dict):
            return {name: self.read(one, depth + 1) for name, one in value["dict"].items()}
        if keys == {"own_function"}:
            return self._own(value["own_function"])
        for kind in ("layer", "own_layer"):
            if keys == {kind, "arguments"} and isinstance(value["arguments"], dict):
                return self._layer(value[kind], value["arguments"], kind == "own_layer", depth)
        raise ConfigError(f"not a description of layers: {_briefly(value)}")

    def _layer(self, kind: Any, arguments: dict[str, Any], own: bool, depth: int) -> Any:
        self.count += 1
        if self.count > MOST_LAYERS:
            raise ConfigError(f"more than {MOST_LAYERS} layers")
        if not own and (not isinstance(kind, str) or kind not in LAYERS):
            raise ConfigError(f"there is no layer {_briefly(kind)}; this version has {', '.join(LAYERS)}")
        make = self._own(kind) if own else LAYERS[kind]
        given = {name: self.read(one, depth + 1) for name, one in arguments.items()}
        if not isinstance(given.get("name"), str | None):
            raise ConfigError(f"{kind}: a name is a text, got {_briefly(given['name'])}")
        try:
            return make(**given)
        except ScratchnetError:
            raise
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ConfigError(f"{kind} cannot be made as described: {str(error).splitlines()[0][:200]}") from error

    def _own(self, name: Any) -> Any:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"not the name of a class: {_briefly(name)}")
        if name not in self.own:
            whose = f"{self.source}'s" if self.source else "its maker's"
            raise ConfigError(
                f"the network has {name}, which is {whose} own and not stored: pass it in Python, "
                f"load(…, layers=[{name}]), or name the file that defines it, --layers FILE.py"
            )
        return self.own[name]


def _briefly(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:60]} …"
