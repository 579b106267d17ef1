"""The network of a configuration: one of the report's by its name, or a user's own by the description of its layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scratchnet.errors import ConfigError, ScratchnetError
from scratchnet.nn.base import Array
from scratchnet.nn.description import OWN, build_for, described, from_description, own_of
from scratchnet.nn.models import MODELS
from scratchnet.nn.sequential import Sequential
from scratchnet.training.config import Config

GIVEN = ("image_size", "classes", "channels", "dropout", "weight_init")  # what a function that makes a network can take


def make_network(config: Config, classes: int) -> Sequential:
    """The network, built, with the initial weights of the seed.

    Raises ConfigError if it is a user's own and has another number of outputs than classes, or a layer class that this
    process does not know; ShapeError if the images are too small for its layers.
    """
    network = _unbuilt(config, classes)
    network.build(_shape(config), seed=config.seed, dtype=config.dtype)
    return _checked(network, config, classes)


def network_to_fill(
    config: Config, classes: int, weights: int | None = None, own: Mapping[str, Any] | None = None
) -> Sequential:
    """The network, built, for weights that come from a file.

    weights: how many the file holds; None: as many as the network has. own: classes of layers by name. Raises ConfigError
    like `make_network`, and before so large a network is built if the file holds too few for the image size that it names.
    """
    network = _unbuilt(config, classes, own)
    build_for(network, _shape(config), config.dtype, config.seed, 2**40 if weights is None else weights)
    return _checked(network, config, classes)


def initial_weight(config: Config, classes: int, name: str) -> Array | None:
    """The array of that name as `make_network` draws it, without drawing those of later layers; None if there is none."""
    network = _unbuilt(config, classes)
    if type(network) is not Sequential:  # it may be built in a way of its own
        return make_network(config, classes).arrays().get(name)
    network.name_layers()
    names = [layer.name for layer in network]
    layer = name.partition(".")[0]
    if layer not in names:
        return None
    beginning = Sequential(network.layers[: names.index(layer) + 1])
    beginning.build(_shape(config), seed=config.seed, dtype=config.dtype)
    return beginning.arrays().get(name)


def trial_network(config: Config, image_size: int) -> Sequential:
    """A network of the same layers, built, to compile and to time it; of a user's own in its own image size and classes."""
    if config.layers:
        network, image_size = from_description(config.layers, None, config.model), config.image_size
    else:
        network = MODELS[config.model](image_size)
    network.build((image_size, image_size, 3), dtype=config.dtype)
    return network


def _unbuilt(config: Config, classes: int, own: Mapping[str, Any] | None = None) -> Sequential:
    if config.layers:
        return from_description(config.layers, own, config.model)
    return MODELS[config.model](
        config.image_size, classes=classes, dropout=config.dropout, weight_init=config.weight_init
    )


def _shape(config: Config) -> tuple[int, int, int]:
    return (config.image_size, config.image_size, 3)


def _checked(network: Sequential, config: Config, classes: int) -> Sequential:
    if network.output_shape != (classes,):
        came = " × ".join(map(str, network.output_shape or ()))
        raise ConfigError(
            f"{config.model}: the network gives {came} numbers for an image, but there are {classes} classes: "
            f"end it with Dense({classes}), or let a function make it, def network(image_size, classes)"
        )
    return network


def refuse_without_effect(names: Iterable[str]) -> None:
    """Raises ConfigError for the first of these options, which would change nothing: a network of one's own doesn't take it."""
    for name in names:
        raise ConfigError(
            f"{name} has no effect on a network of your own: leave it out, or let the function that makes the network take it"
        )


class Maker:
    """A network of a user's own, for a configuration: a Sequential, or a function that makes one.

    what: the Sequential, whose weights are not taken over, or the function. It is called with those of image_size, classes,
    channels, dropout and weight_init that are among its parameters. name: of it, for a person. Raises ConfigError for
    anything else. takes: the names of what the function wants.
    """

    def __init__(self, what: Any, name: str = "") -> None:
        self.what, self.name = what, name or getattr(what, "__name__", "a network of one's own")
        self.takes: list[str] = []
        if isinstance(what, Sequential):
            return
        if isinstance(what, type) or not callable(what):
            raise ConfigError(
                f"{self.name}: expected a Sequential, or a function that makes one, got {type(what).__name__}"
            )
        for parameter in inspect.signature(what).parameters.values():
            if parameter.name in GIVEN:
                self.takes.append(parameter.name)
            elif parameter.default is parameter.empty and parameter.kind.name not in ("VAR_POSITIONAL", "VAR_KEYWORD"):
                raise ConfigError(
                    f"{self.name}: a function that makes a network can take {', '.join(GIVEN)}; it wants {parameter.name}"
                )

    def config(self, settings: Mapping[str, Any], classes: int) -> Config:
        """The configuration with this network's layers; its classes of layers are then known to this process.

        settings: all others. Raises ConfigError if the network cannot be made or described, or doesn't fit the classes.
        """
        plain = Config(**{**settings, "model": Config.model, "layers": ""})
        given = {
            "channels": 3,
            "classes": classes,
            **{name: getattr(plain, name) for name in GIVEN if hasattr(plain, name)},
        }
        network = self.what
        if not isinstance(network, Sequential):
            try:
                network = self.what(**{name: given[name] for name in self.takes})
            except ScratchnetError:
                raise
            except (Exception, SystemExit) as error:
                said = " ".join(str(error).split())[:200]
                raise ConfigError(f"{self.name} failed: {type(error).__name__}: {said}") from error
        if not isinstance(network, Sequential):
            raise ConfigError(f"{self.name} must return a Sequential, got {type(network).__name__}")
        kind = type(network)
        of_layers = kind.forward is Sequential.forward and kind.backward is Sequential.backward
        text = described(Sequential(network.layers) if of_layers else network)
        OWN.update(own_of(network))
        return replace(plain, model=self.name, layers=text)
