"""All parameters in one array, and how it is cut into slices that belong to the ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.kernels.elementwise import BLOCK
from scratchnet.kernels.machine.memory import empty
from scratchnet.nn.base import Parameter, parameters_of
from scratchnet.nn.sequential import Sequential

LINE = 64  # bytes: a parameter begins where a cache line does


class Flat:
    """The parameters that a network learns in one array, in the order in which backward finishes them; and their gradients in another.

    Frozen ones are the same on all ranks, have no gradient, and stay where they are. values, grads (size,): the parameters' own
    arrays are views of them from here on. first: where each parameter begins. steps: for each step of the network that learns,
    the last one first, its number and its parameters.
    """

    def __init__(self, network: Sequential) -> None:
        numbered = list(enumerate(network.steps))
        self.steps = [(number, found) for number, step in reversed(numbered) if (found := learning(step))]
        self.first: dict[str, int] = {}
        size, line = 0, LINE // network.dtype.itemsize
        for _, parameters in self.steps:
            for parameter in parameters:
                self.first[parameter.name] = size
                size += -(-parameter.value.size // line) * line
        self.values, self.grads = empty((size,), network.dtype), empty((size,), network.dtype)
        self.values[:], self.grads[:] = 0, 0
        for parameter in learning(network):
            here = slice(self.first[parameter.name], self.first[parameter.name] + parameter.value.size)
            for name, flat in (("value", self.values), ("grad", self.grads)):
                view = flat[here].reshape(parameter.value.shape)
                view[...] = getattr(parameter, name)
                setattr(parameter, name, view)


def learning(step: Any) -> list[Parameter]:
    """The parameters of a network, or of a part of one, that are not frozen."""
    return [parameter for parameter in parameters_of(step) if not parameter.frozen]


@dataclass(frozen=True)
class Piece:
    """The part of a parameter that belongs to one rank: from `start` to `stop` in the flat arrays."""

    parameter: Parameter
    start: int
    stop: int
    first: int  # where the parameter begins

    @property
    def inside(self) -> slice:
        """Where it lies in the parameter's own flat array."""
        return slice(self.start - self.first, self.stop - self.first)


class Cut:
    """Neighbouring parameters, cut into one slice for each rank.

    Cuts are at whole blocks of a parameter, so that a block is updated, and its squares are summed, by one rank and as in one
    process; with `row`, of a single matrix, at whole rows too. A slice may be empty.
    """

    def __init__(self, flat: Flat, parameters: list[Parameter], ranks: int, row: int = 1) -> None:
        self.parameters = parameters
        grain = self.grain(row)
        edges: list[int] = []
        for parameter in parameters:
            first = flat.first[parameter.name]
            edges += range(first, first + parameter.value.size, grain)
        self.start, self.stop = edges[0], first + parameter.value.size
        edges.append(self.stop)
        self.cuts = [edges[(len(edges) - 1) * rank // ranks] for rank in range(ranks + 1)]
        self._firsts = {parameter.name: flat.first[parameter.name] for parameter in parameters}

    @staticmethod
    def grain(row: int) -> int:
        """Numbers between two places where a matrix with such rows may be cut."""
        return math.lcm(BLOCK, row)

    def of(self, rank: int) -> slice:
        """The rank's slice of the flat arrays."""
        return slice(self.cuts[rank], self.cuts[rank + 1])

    def pieces(self, rank: int) -> list[Piece]:
        """The parts of parameters in a rank's slice."""
        found = []
        for parameter in self.parameters:
            first = self._firsts[parameter.name]
            start = max(first, self.cuts[rank])
            stop = min(first + parameter.value.size, self.cuts[rank + 1])
            if start < stop:
                found.append(Piece(parameter, start, stop, first))
        return found


def owned(piece: Piece, values: NDArray[Any], grad: NDArray[Any]) -> Parameter:
    """The piece as a parameter of its own, for the optimiser: a view of the weights, and the summed gradient."""
    parameter = Parameter(piece.parameter.name, np.zeros(0, values.dtype), decay=piece.parameter.decay)
    parameter.value, parameter.grad = values[piece.start : piece.stop], grad
    return parameter
