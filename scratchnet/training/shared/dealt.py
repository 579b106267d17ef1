"""The images that each rank reads: its own leaves of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.data import Batch, Batches
from scratchnet.data.batches import AHEAD
from scratchnet.data.prefetch import in_order
from scratchnet.ranks import Alone

Indices = NDArray[np.int64]


def leaves_of(count: int, micro_batch: int) -> list[slice]:
    """Where a batch of so many images is cut: the parts that are in memory together.

    >>> leaves_of(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(count, start + micro_batch)) for start in range(0, count, micro_batch)]


class Shares(Batches):
    """Batches to train on, of which each rank reads leaves rank, rank + N, …, one after the other; it may be none.

    whole: the batches that all ranks together see.
    """

    def __init__(self, whole: Batches, micro_batch: int, ranks: Alone) -> None:
        super().__init__(
            whole.dataset, whole.batch_size, whole.scaling, shuffle=whole.shuffle, augment=whole.augment, seed=whole.seed,
            dtype=whole.dtype,
        )  # fmt: skip
        self.micro_batch, self.ranks = micro_batch, ranks

    def batch(self, epoch: int, indices: Indices) -> Batch:
        """This rank's part of the batch of these images; `whole` says how many there are."""
        leaves = [indices[leaf] for leaf in leaves_of(len(indices), self.micro_batch)]
        return self._read(epoch, leaves[self.ranks.rank :: self.ranks.size], len(indices))

    def _read(self, epoch: int, mine: list[Indices], whole: int) -> Batch:
        if mine:
            return replace(super().batch(epoch, np.concatenate(mine)), whole=whole)
        none: NDArray[Any] = np.empty((0, *self.dataset.image_shape), self.dtype)
        return Batch(none, np.empty(0, np.int64), np.empty(0, np.int64), whole)


class Rounds(Shares):
    """Batches to evaluate: in each round one leaf for each rank, which may be none in the last one.

    The leaves are those of one process, counted through all batches; `len` counts the batches, not the rounds.
    """

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Batch]:
        """All rounds, of which each rank has as many."""
        order = self.order(number)
        leaves = [
            order[first : first + self.batch_size][leaf]
            for first in range(0, len(order), self.batch_size)
            for leaf in leaves_of(min(self.batch_size, len(order) - first), self.micro_batch)
        ]
        size, rank = self.ranks.size, self.ranks.rank
        rounds = [leaves[first : first + size] for first in range(start * size, len(leaves), size)]

        def read(one: list[Indices]) -> Batch:
            return self._read(number, one[rank : rank + 1], sum(map(len, one)))

        return in_order(read, rounds, threads=1, ahead=AHEAD)
