"""The functions that the textbook's network is made of, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from scratchnet import reference
from scratchnet.errors import ConfigError

Function = Callable[..., Any]

_NAMES = (
    "pad", "pad_gradient", "conv2d", "conv2d_gradient", "max_pool2d", "max_pool2d_gradient", "dense", "dense_gradient",
    "relu", "relu_gradient", "dropout_kept", "dropout", "dropout_gradient", "xavier_uniform", "softmax_cross_entropy",
    "softmax_cross_entropy_gradient", "adam",
)  # fmt: skip
_NOT_GIVEN = ("weights", "smoothing", "focus", "decay")  # arguments of the reference's that no layer of this file gives

FUNCTIONS: Mapping[str, Function] = MappingProxyType({name: getattr(reference, name) for name in _NAMES})
"""The table: every function that a network is made of, by its name in `scratchnet.reference`."""


def table(mine: Mapping[str, Function] | None = None) -> dict[str, Function]:
    """All functions by their names, with `mine` in the place of the reference's.

    Raises ConfigError for a name that isn't in the table, and for a function that doesn't take what it will be given.
    """
    mine = {} if mine is None else mine
    for name, function in mine.items():
        if name not in FUNCTIONS:
            raise ConfigError(f"the textbook has no function {name!r}; it has {', '.join(FUNCTIONS)}")
        if not callable(function):
            raise ConfigError(f"{name} must be a function, got {type(function).__name__}")
        _require_fit(name, function)
    return {**FUNCTIONS, **mine}


def _require_fit(name: str, function: Function) -> None:
    """By position, whatever the arguments are called."""
    given = [argument for argument in inspect.signature(FUNCTIONS[name]).parameters if argument not in _NOT_GIVEN]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a function that is not written in Python
        return
    try:
        signature.bind(*given)
    except TypeError:
        raise ConfigError(f"{name} is called as {name}({', '.join(given)}), and this one takes {signature}") from None
