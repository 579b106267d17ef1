"""The images that each rank reads: its own leaves of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.data import Batch, Batches
from scratchnet.data.batches import slices
from scratchnet.ranks import Alone

Indices = NDArray[np.int64]


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
        leaves = [indices[leaf] for leaf in slices(len(indices), self.micro_batch)]
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
        batches = [order[cut] for cut in slices(len(order), self.batch_size)]
        leaves = [batch[leaf] for batch in batches for leaf in slices(len(batch), self.micro_batch)]
        size, rank = self.ranks.size, self.ranks.rank
        rounds = [leaves[cut] for cut in slices(len(leaves), size)][start:]

        def read(one: list[Indices]) -> Batch:
            return self._read(number, one[rank : rank + 1], sum(map(len, one)))

        return self._in_background(read, rounds, self.micro_batch)
