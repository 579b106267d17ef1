"""How weights begin: at random, small enough that signals neither grow nor fade from layer to layer."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError

Initializer = Callable[[np.random.Generator, tuple[int, ...], int, int], NDArray[np.float64]]


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> NDArray[np.float64]:
    """Uniform in ±√(6 / (fan_in + fan_out)), of variance 2 / (fan_in + fan_out). Glorot & Bengio 2010, equation 16.

    fan_in, fan_out: inputs that one output sums over, and outputs that one input reaches: KH·KW·C and KH·KW·F for a
    convolution.
    """
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


def xavier_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> NDArray[np.float64]:
    """Normal with variance 2 / (fan_in + fan_out). Glorot & Bengio 2010, equation 12."""
    return rng.normal(0, math.sqrt(2 / (fan_in + fan_out)), shape)


def he_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> NDArray[np.float64]:
    """Uniform in ±√(6 / fan_in), of variance 2 / fan_in, which makes up for the half that ReLU sets to zero. He et al. 2015."""
    limit = math.sqrt(6 / fan_in)
    return rng.uniform(-limit, limit, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> NDArray[np.float64]:
    """Normal with variance 2 / fan_in. He et al. 2015, equation 10."""
    return rng.normal(0, math.sqrt(2 / fan_in), shape)


INITIALIZERS: dict[str, Initializer] = {
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
}


def initializer(choice: str | Initializer, who: object = "") -> Initializer:
    """The initializer of that name, or the function itself. Raises ConfigError, which names `who`, for any other.

    >>> initializer("he_normal") is he_normal
    True
    """
    if callable(choice):
        return choice
    if not isinstance(choice, str) or choice not in INITIALIZERS:
        raise ConfigError(
            f"{who}{': ' if who else ''}weight_init must be one of {', '.join(INITIALIZERS)}, got {choice!r}"
        )
    return INITIALIZERS[choice]
