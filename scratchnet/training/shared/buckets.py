"""Parameters that travel together: their gradients to the owners, their weights back; plain, or in a dense layer's cheaper ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.kernels.elementwise import add_to
from scratchnet.kernels.matmul import (
    chunk_count,
    dense_backward_input,
    dense_backward_weight,
    dense_forward,
    products_of_chunks,
    sum_of_chunks,
)
from scratchnet.nn.dense import Dense
from scratchnet.ranks.mail import Delivery
from scratchnet.ranks.together import Together
from scratchnet.training.shared.slices import Cut, Flat, Piece, owned

Numbers = NDArray[Any]
# Tags of messages; a bucket's own number is added.
GRADIENTS, WEIGHTS, INPUTS, PARTS, OUTER, INNER = range(0, 6000, 1000)


@dataclass(frozen=True)
class Round:
    """One leaf for each rank. sizes: images in each leaf; ranks beyond them have none. is_first: of the step's."""

    sizes: list[int]
    is_first: bool


class Bucket:
    """Parameters whose gradients travel together. steps: the numbers of the network's steps they are of, the last one first."""

    stays = False  # whether the weights stay with their owners

    def __init__(self, flat: Flat, cut: Cut, ranks: Together, number: int, steps: list[int]) -> None:
        self.flat, self.cut, self.ranks, self.number, self.steps = flat, cut, ranks, number, steps
        self.mine = cut.of(ranks.rank)
        self.sum = np.zeros(self.mine.stop - self.mine.start, flat.values.dtype)
        self.pieces = cut.pieces(ranks.rank)
        self.owned = [owned(one, flat.values, self._of_sum(one)) for one in self.pieces]
        self.round: Round | None = None
        self._gradients: Delivery | None = None
        self._weights: Delivery | None = None
        self._received: dict[int, Numbers] = {}

    def _of_sum(self, piece: Piece) -> Numbers:
        return self.sum[piece.start - self.mine.start : piece.stop - self.mine.start]

    def begin(self, one: Round) -> None:
        """A round begins, before anything is computed."""

    def start(self, one: Round) -> None:
        """Sends each owner its slice of this rank's gradient, if it has a leaf in this round; gets what belongs here."""
        self.round = one
        rank, having = self.ranks.rank, range(len(one.sizes))
        for peer in having:
            if peer != rank and peer not in self._received:
                self._received[peer] = np.empty_like(self.sum)
        receives = [(self._received[peer], peer) for peer in having if peer != rank]
        grads = self.flat.grads
        sends = [(grads[self.cut.of(peer)], peer) for peer in self.ranks.others] if rank in having else []
        self._gradients = self.ranks.start(sends, receives, GRADIENTS + self.number)

    def finish(self) -> None:
        """Waits for the round under way, if there is one, and adds it in the order of the ranks, which is that of the leaves."""
        if self.round is None:
            return
        assert self._gradients is not None
        self._gradients.wait("gradients")
        for rank in range(len(self.round.sizes)):
            piece = self.flat.grads[self.mine] if rank == self.ranks.rank else self._received[rank]
            if self.round.is_first and rank == 0:
                self.sum[:] = piece
            else:
                add_to(self.sum, piece)
        self.round = None

    def send_weights(self) -> None:
        """Sends the weights that are owned here to all, and gets the others'."""
        self._weights = self.all_to_all(self.flat.values)

    def all_to_all(self, flat: Numbers) -> Delivery:
        """Fills a flat array with every owner's slice of it."""
        peers = self.ranks.others
        sends = [(flat[self.mine], peer) for peer in peers]
        return self.ranks.start(sends, [(flat[self.cut.of(peer)], peer) for peer in peers], WEIGHTS + self.number)

    def arrive(self) -> None:
        """Waits for the weights, if they are under way."""
        if self._weights is not None:
            self._weights.wait("weights")
            self._weights = None


class Factors(Bucket):
    """A dense layer's weight whose gradient xᵀ · dy is made by its owners: x and dy travel, which are smaller.

    The owner of some rows gets those columns of each leaf's x, and its dy, and computes the rows as the layer itself would. It is
    the layer's keeper.
    """

    def __init__(self, flat: Flat, layer: Dense, ranks: Together, number: int, step: int, rows: int = 1) -> None:
        super().__init__(flat, Cut(flat, [layer.weight], ranks.size, row=rows * layer.units), ranks, number, [step])
        self.layer = layer
        self.features, self.units = layer.weight.value.shape
        self.counts = [self.rows(rank).stop - self.rows(rank).start for rank in range(ranks.size)]
        self.factors: tuple[Numbers, Numbers] | None = None
        layer.keeper = self

    @staticmethod
    def pays(layer: Dense, images: int, ranks: int) -> bool:
        """Whether the factors of a leaf are smaller than half the gradient."""
        features, units = layer.weight.value.shape
        return bool(2 * images * (features + ranks * units) < features * units)

    def rows(self, rank: int) -> slice:
        """The rows of the matrix that belong to a rank."""
        start, (low, high) = self.cut.start, (self.cut.cuts[rank], self.cut.cuts[rank + 1])
        return slice((low - start) // self.units, (high - start) // self.units)

    def forward(self, x: Numbers) -> Numbers:
        """y: the weights have come."""
        return dense_forward(x, self.layer.weight.value, self.layer.bias.value)

    def backward(self, x: Numbers, dy: Numbers) -> Numbers:
        """dx; and keeps the factors of dW."""
        self.factors = x, dy
        return dense_backward_input(dy, self.layer.weight.value)

    def start(self, one: Round) -> None:
        """Sends each owner its part of the factors."""
        self.round = one
        rank, mine = self.ranks.rank, self.counts[self.ranks.rank]
        having = range(len(one.sizes))
        if self.factors is None and rank in having:  # a leaf that went wrong: what it gives is thrown away
            self.factors = self.zeros(one.sizes[rank], self.features), self.zeros(one.sizes[rank], self.units)
        self._received = {
            peer: np.empty(one.sizes[peer] * (mine + self.units), self.sum.dtype)
            for peer in having
            if peer != rank and mine
        }
        sends = []
        if self.factors is not None:
            x, dy = self.factors
            for peer in self.ranks.others:
                if self.counts[peer]:
                    columns = np.ascontiguousarray(x[:, self.rows(peer)])
                    sends.append((np.concatenate([columns.reshape(-1), dy.reshape(-1)]), peer))
        receives = [(array, peer) for peer, array in self._received.items()]
        self._gradients = self.ranks.start(sends, receives, GRADIENTS + self.number)

    def finish(self) -> None:
        """Waits for the factors, and multiplies them, in the order of the ranks."""
        if self.round is None:
            return
        assert self._gradients is not None
        self._gradients.wait("the factors of a dense layer")
        mine = self.counts[self.ranks.rank]
        for rank, count in enumerate(self.round.sizes if mine else []):
            x, dy = self._factors_of(rank, count)
            accumulate = not (self.round.is_first and rank == 0)
            dense_backward_weight(x, dy, self.sum.reshape(mine, self.units), accumulate)
        self.round, self.factors = None, None

    def _factors_of(self, rank: int, count: int) -> tuple[Numbers, Numbers]:
        """The columns of a leaf's x that belong here, and its dy."""
        mine = self.counts[self.ranks.rank]
        if rank == self.ranks.rank:
            assert self.factors is not None
            return np.ascontiguousarray(self.factors[0][:, self.rows(rank)]), self.factors[1]
        packed = self._received[rank]
        return packed[: count * mine].reshape(count, mine), packed[count * mine :].reshape(count, self.units)

    def zeros(self, *shape: int) -> Numbers:
        """Zeros of the network's dtype."""
        return np.zeros(shape, self.sum.dtype)


class Rows(Factors):
    """A dense layer whose rows stay with their owners, also while it computes: activations travel, in both directions.

    Forward, an owner multiplies every leaf's columns by its rows, chunk by chunk as `dense_forward` does, and sends the products of
    the chunks back; backward, it gets dy and sends its columns of dx. Each leaf's rank waits for that; nothing hides it.
    """

    stays = True

    def __init__(self, flat: Flat, layer: Dense, ranks: Together, number: int, step: int, images: int) -> None:
        features = layer.weight.value.shape[0]
        self.chunks = chunk_count(images, features)
        self.of_chunk = features // self.chunks
        super().__init__(flat, layer, ranks, number, step, rows=self.of_chunk)
        self._now: Round | None = None
        self._inputs: dict[int, Numbers] = {}
        self._outer: dict[int, Numbers] = {}
        self._served = {"forward", "backward"}

    @staticmethod
    def possible(layer: Dense, images: int, ranks: int) -> bool:
        """Whether forward is cut into equal chunks, so many that each rank can own some."""
        features, units = layer.weight.value.shape
        chunks = chunk_count(images, features)
        if not chunks or features % chunks:
            return False
        trial = Cut.grain(features // chunks * units)
        return bool(features * units >= trial * ranks)

    def begin(self, one: Round) -> None:
        """Nothing of this round has been computed yet."""
        self._now, self._served = one, set()

    def forward(self, x: Numbers) -> Numbers:
        """y, with every other rank's leaf computed on the way as far as it belongs here."""
        self._served.add("forward")
        count, rank = self._count(), self.ranks.rank
        self._inputs = self._swap_in(x, count, INPUTS, self.counts[rank], by_rows=True)
        chunks = [number // self.of_chunk for number in self.counts]
        weight = self.layer.weight.value[self.rows(rank)]
        products: dict[int, Numbers] = {
            peer: products_of_chunks(columns, weight, chunks[rank])
            for peer, columns in self._inputs.items()
            if chunks[rank]
        }
        parts = np.empty((self.chunks, count, self.units), self.sum.dtype)
        first = np.concatenate([[0], np.cumsum(chunks)])
        if count and chunks[rank]:
            parts[first[rank] : first[rank + 1]] = products.pop(rank)
        receives = [(parts[first[p] : first[p + 1]], p) for p in self.ranks.others] if count else []
        sends = [(products[peer], peer) for peer in self.ranks.others if peer in products]
        self.ranks.start(sends, receives, PARTS + self.number).wait("a dense layer's sums")
        return sum_of_chunks(parts, self.layer.bias.value) if count else parts[0]

    def backward(self, x: Numbers, dy: Numbers) -> Numbers:
        """dx, with every other rank's; keeps the factors of dW."""
        self._served.add("backward")
        count, rank = self._count(), self.ranks.rank
        self._outer = self._swap_in(dy, count, OUTER, self.units, by_rows=False)
        weight, mine = self.layer.weight.value[self.rows(rank)], self.counts[rank]
        columns = {peer: dense_backward_input(one, weight) for peer, one in self._outer.items() if mine}
        parts = {peer: np.empty((count, self.counts[peer]), self.sum.dtype) for peer in range(self.ranks.size)}
        if count and mine:
            parts[rank] = columns.pop(rank)
        sends = [(columns[peer], peer) for peer in self.ranks.others if peer in columns]
        receives = [(parts[peer], peer) for peer in self.ranks.others] if count else []
        self.ranks.start(sends, receives, INNER + self.number).wait("a dense layer's gradients")
        return np.concatenate([parts[peer] for peer in range(self.ranks.size)], axis=1)

    def _count(self) -> int:
        """Images of this rank's leaf in this round."""
        assert self._now is not None
        return self._now.sizes[self.ranks.rank] if self.ranks.rank < len(self._now.sizes) else 0

    def _swap_in(self, array: Numbers, count: int, tag: int, width: int, *, by_rows: bool) -> dict[int, Numbers]:
        """Sends this leaf's array to the owners (by_rows: to each its columns); returns every leaf's, as far as it belongs here."""
        assert self._now is not None
        rank = self.ranks.rank
        found = {
            peer: np.empty((size, width), self.sum.dtype)
            for peer, size in enumerate(self._now.sizes)
            if peer != rank and self.counts[rank]
        }
        sends = [
            (np.ascontiguousarray(array[:, self.rows(peer)]) if by_rows else array, peer)
            for peer in self.ranks.others
            if count and self.counts[peer]
        ]
        self.ranks.start(sends, [(one, peer) for peer, one in found.items()], tag + self.number).wait("a dense layer")
        if count and self.counts[rank]:
            found[rank] = np.ascontiguousarray(array[:, self.rows(rank)]) if by_rows else array
        return found

    def start(self, one: Round) -> None:
        """What a rank without a leaf, or with one that went wrong, has not done for the others it does now."""
        self.round = one
        count = self._count()
        if "forward" not in self._served:
            self.forward(self.zeros(count, self.features))
        if "backward" not in self._served:
            self.backward(self.zeros(count, self.features), self.zeros(count, self.units))

    def finish(self) -> None:
        """Multiplies the factors, which are here already."""
        if self.round is None:
            return
        mine = self.counts[self.ranks.rank]
        for rank in range(len(self.round.sizes) if mine else 0):
            accumulate = not (self.round.is_first and rank == 0)
            target = self.sum.reshape(mine, self.units)
            dense_backward_weight(self._inputs[rank], self._outer[rank], target, accumulate)
        self.round, self._inputs, self._outer = None, {}, {}

    def send_weights(self) -> None:
        """They stay, until all are asked for."""
