"""How large the weights are and how strongly they are pulled: the first thing to look at when training goes wrong."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scratchnet.network import Sequential

BLOCK = 2**20  # numbers that are squared in float64 at a time, so that no copy of a large array is needed


class Norms(NamedTuple):
    """Of one parameter: √(Σ w²) of its values and of its gradient."""

    value: float
    gradient: float


def norms(network: Sequential) -> dict[str, Norms]:
    """The norms of every parameter by its name, from the first layer to the last.

    The gradient is that of the last `backward`: of the last batch, without the L2 penalty. A NaN or an infinity among
    the numbers stays one in the norm.

    >>> from scratchnet import Dense
    >>> network = Sequential([Dense(2)])
    >>> _ = network.build((3,))
    >>> network.parameters()[0].value[...] = 2
    >>> norms(network)["dense1.weight"]
    Norms(value=4.898979485566356, gradient=0.0)
    """
    return {one.name: Norms(norm(one.value), norm(one.grad)) for one in network.parameters()}


def norm(array: NDArray[Any]) -> float:
    """√(Σ x²) in float64, whatever the array's type and shape, so that large float32 numbers don't overflow."""
    flat = array.reshape(-1)
    blocks = (flat[start : start + BLOCK].astype(np.float64) for start in range(0, len(flat), BLOCK))
    return math.sqrt(sum(float(np.dot(block, block)) for block in blocks))
