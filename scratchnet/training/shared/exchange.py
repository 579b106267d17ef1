"""What travels between the ranks in a step: gradients while backward goes on, weights while the next batch is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.kernels.elementwise import BLOCK, add_to, block_squares
from scratchnet.kernels.matmul import dense_backward_weight
from scratchnet.nn.base import Parameter
from scratchnet.nn.dense import Dense
from scratchnet.nn.sequential import Sequential, Watcher
from scratchnet.ranks.together import Together
from scratchnet.training.shared.slices import Cut, Flat, owned

ENOUGH = 500_000  # numbers that are worth a message of their own


@dataclass(frozen=True)
class Round:
    """One leaf for each rank. sizes: images in each leaf; ranks beyond them have none. is_first: of the step's."""

    sizes: list[int]
    is_first: bool


class Bucket:
    """Parameters whose gradients travel together, from the last to the first of `steps`, by numbers of the network's."""

    def __init__(self, flat: Flat, cut: Cut, ranks: Together, tag: int, steps: list[int]) -> None:
        self.flat, self.cut, self.ranks, self.tag, self.steps = flat, cut, ranks, tag, steps
        self.mine = cut.of(ranks.rank)
        self.sum = np.zeros(self.mine.stop - self.mine.start, flat.values.dtype)
        self.pieces = cut.pieces(ranks.rank)
        self.owned = [owned(one, flat.values, self._of_sum(one)) for one in self.pieces]
        self._round: Round | None = None
        self._gradients: Any = None
        self._weights: Any = None
        self._received: dict[int, NDArray[Any]] = {}

    def _of_sum(self, piece: Any) -> NDArray[Any]:
        return self.sum[piece.start - self.mine.start : piece.stop - self.mine.start]

    def start(self, one: Round) -> None:
        """Sends each owner its slice of this rank's gradient, if it has a leaf in this round; gets what belongs here."""
        self._round = one
        rank, others = self.ranks.rank, self.ranks.others
        having = range(len(one.sizes))
        self._received = {peer: self._memory(peer, one) for peer in having if peer != rank}
        sends = [(self._for(peer), peer) for peer in others] if rank in having else []
        self._gradients = self.ranks.start(sends, [(a, peer) for peer, a in self._received.items()], self.tag)

    def _memory(self, peer: int, one: Round) -> NDArray[Any]:
        """Where the peer's message goes; the same memory each time."""
        known = self._received.get(peer)
        return np.empty_like(self.sum) if known is None else known

    def _for(self, peer: int) -> NDArray[Any]:
        """What the peer gets."""
        return self.flat.grads[self.cut.of(peer)]

    def finish(self) -> None:
        """Waits for the round under way, if there is one, and adds it in the order of the ranks, which is that of the leaves."""
        if self._round is None:
            return
        self._gradients.wait("gradients")
        for rank in range(len(self._round.sizes)):
            piece = self.flat.grads[self.mine] if rank == self.ranks.rank else self._received[rank]
            if self._round.is_first and rank == 0:
                self.sum[:] = piece
            else:
                add_to(self.sum, piece)
        self._round = None

    @property
    def started(self) -> bool:
        """Whether a round is under way."""
        return self._round is not None

    def send_weights(self) -> None:
        """Sends the weights that are owned here to all, and gets the others'."""
        self._weights = self.all_to_all(self.flat.values)

    def all_to_all(self, flat: NDArray[Any]) -> Any:
        """Fills a flat array with every owner's slice of it; returns the delivery."""
        peers = self.ranks.others
        return self.ranks.start(
            [(flat[self.mine], peer) for peer in peers],
            [(flat[self.cut.of(peer)], peer) for peer in peers],
            1000 + self.tag,
        )

    def arrive(self) -> None:
        """Waits for the weights."""
        if self._weights is not None:
            self._weights.wait("weights")
            self._weights = None


class Factors(Bucket):
    """A dense layer's weight whose gradient xᵀ · dy is made by its owners: x and dy travel, which are smaller.

    The owner of some rows gets those columns of each leaf's x, and its dy, and computes the rows as the layer itself would.
    """

    def __init__(self, flat: Flat, layer: Dense, ranks: Together, tag: int, step: int) -> None:
        self.units = layer.units
        super().__init__(flat, Cut(flat, [layer.weight], ranks.size, row=layer.units), ranks, tag, [step])
        self.factors: tuple[NDArray[Any], NDArray[Any]] | None = None
        self._kept: list[NDArray[Any]] = []
        layer.hand_over = self.take
        self.features = layer.weight.value.shape[0]

    def take(self, x: NDArray[Any], dy: NDArray[Any]) -> None:
        """The factors of this rank's leaf, in place of their product."""
        self.factors = x, dy

    def start(self, one: Round) -> None:
        """Sends each owner its factors."""
        if self.factors is None and self.ranks.rank < len(
            one.sizes
        ):  # a leaf that went wrong; what it gives is thrown away
            count = one.sizes[self.ranks.rank]
            dtype = self.sum.dtype
            self.factors = np.zeros((count, self.features), dtype), np.zeros((count, self.units), dtype)
        self._received = {}
        super().start(one)

    def rows(self, rank: int) -> slice:
        """The rows of the matrix that belong to a rank."""
        start, (low, high) = self.cut.start, (self.cut.cuts[rank], self.cut.cuts[rank + 1])
        return slice((low - start) // self.units, (high - start) // self.units)

    def _count(self, rank: int) -> int:
        return self.rows(rank).stop - self.rows(rank).start

    def _memory(self, peer: int, one: Round) -> NDArray[Any]:
        mine = self._count(self.ranks.rank)
        return np.empty(one.sizes[peer] * (mine + self.units) if mine else 0, self.sum.dtype)

    def _for(self, peer: int) -> NDArray[Any]:
        assert self.factors is not None
        x, dy = self.factors
        if not self._count(peer):
            return np.empty(0, x.dtype)
        packed = np.concatenate([np.ascontiguousarray(x[:, self.rows(peer)]).reshape(-1), dy.reshape(-1)])
        self._kept.append(packed)
        return packed

    def finish(self) -> None:
        """Waits for the factors, and multiplies them, in the order of the ranks."""
        if self._round is None:
            return
        self._gradients.wait("the factors of a dense layer")
        mine = self._count(self.ranks.rank)
        for rank, count in enumerate(self._round.sizes if mine else []):
            if rank == self.ranks.rank:
                assert self.factors is not None
                x, dy = np.ascontiguousarray(self.factors[0][:, self.rows(rank)]), self.factors[1]
            else:
                x = self._received[rank][: count * mine].reshape(count, mine)
                dy = self._received[rank][count * mine :].reshape(count, self.units)
            accumulate = not (self._round.is_first and rank == 0)
            dense_backward_weight(x, dy, self.sum.reshape(mine, self.units), accumulate)
        self._round, self.factors, self._kept = None, None, []


class Exchange(Watcher):
    """All buckets of a network, told by it how far a leaf has come.

    factors: whether dense layers travel by their factors, where these are smaller. micro_batch: images in a leaf at most.
    parameters: what this rank owns, for the optimiser, with the sums of the gradients.
    """

    def __init__(self, network: Sequential, ranks: Together, micro_batch: int, *, factors: bool) -> None:
        self.network, self.ranks = network, ranks
        self.flat = Flat(network)
        self.buckets: list[Bucket] = []
        waiting: list[tuple[int, Parameter]] = []
        for number, parameters in self.flat.steps:
            layer = network.steps[number]
            if factors and isinstance(layer, Dense) and _pays(layer, micro_batch, ranks.size):
                self._close(waiting)
                self.buckets.append(Factors(self.flat, layer, ranks, len(self.buckets), number))
                parameters = [one for one in parameters if one is not layer.weight]
            waiting += [(number, one) for one in parameters]
            if sum(one.value.size for _, one in waiting) > ENOUGH:
                self._close(waiting)
        self._close(waiting)
        self.parameters = [one for bucket in self.buckets for one in bucket.owned]
        self._of_step = {
            number: [bucket for bucket in self.buckets if number in bucket.steps] for number, _ in self.flat.steps
        }
        self._round: Round | None = None
        self._begun: set[int] = set()
        network.watcher = self

    def _close(self, waiting: list[tuple[int, Parameter]]) -> None:
        """Makes a bucket of what waits."""
        if waiting:
            cut = Cut(self.flat, [one for _, one in waiting], self.ranks.size)
            steps = sorted({number for number, _ in waiting}, reverse=True)
            self.buckets.append(Bucket(self.flat, cut, self.ranks, len(self.buckets), steps))
            waiting.clear()

    def begin(self, sizes: list[int], *, is_first: bool) -> None:
        """A round begins. sizes: of the leaves, one for each rank that has one."""
        self._round, self._begun = Round(sizes, is_first), set()

    def before_forward(self, number: int) -> None:
        """The step's weights must have come."""
        for bucket in self._of_step.get(number, ()):
            bucket.arrive()

    def before_backward(self, number: int) -> None:
        """The step's gradients are written over: those of the round before must be added."""
        for bucket in self._of_step.get(number, ()):
            if bucket.tag not in self._begun:
                bucket.finish()

    def after_backward(self, number: int) -> None:
        """Buckets that end with this step set out."""
        for bucket in self._of_step.get(number, ()):
            if bucket.steps[-1] == number:
                self._start(bucket)

    def end_round(self) -> None:
        """What has not set out, of a rank without a leaf, or whose leaf went wrong, does so now."""
        for bucket in self.buckets:
            if bucket.tag not in self._begun:
                self._start(bucket)

    def _start(self, bucket: Bucket) -> None:
        assert self._round is not None
        bucket.finish()
        bucket.start(self._round)
        self._begun.add(bucket.tag)

    def finish(self) -> None:
        """All gradients of the step are summed by their owners, and the weights of the step before have come everywhere."""
        for bucket in self.buckets:
            bucket.finish()
        self.settle()

    def send_weights(self) -> None:
        """The new weights set out, the first layer's first."""
        for bucket in reversed(self.buckets):
            bucket.send_weights()

    def settle(self) -> None:
        """Waits for all weights."""
        for bucket in self.buckets:
            bucket.arrive()

    def gather_gradients(self) -> None:
        """The summed gradients, on all ranks, where each parameter has its own."""
        deliveries = []
        for bucket in self.buckets:
            self.flat.grads[bucket.mine] = bucket.sum
            deliveries.append(bucket.all_to_all(self.flat.grads))
        for delivery in deliveries:
            delivery.wait("gradients")

    def squares(self) -> NDArray[np.float64]:
        """Σ g² of every block of every parameter, in the network's order; zero where another rank owns the block."""
        rows: dict[str, NDArray[np.float64]] = {
            one.name: np.zeros(_blocks(one.value.size)) for one in self.network.parameters()
        }
        for bucket in self.buckets:
            for piece, mine in zip(bucket.pieces, bucket.owned, strict=True):
                first = piece.inside.start // BLOCK
                block_squares(mine.grad, rows[piece.parameter.name][first : first + _blocks(mine.grad.size)])
        return np.concatenate(list(rows.values()))

    def norm(self, squares: NDArray[np.float64]) -> float:
        """The norm of the whole gradient, as `Optimizer.clip` sums it. squares: as above, of all ranks together."""
        counts = [_blocks(parameter.value.size) for parameter in self.network.parameters()]
        parts = np.split(squares, np.cumsum(counts)[:-1])
        return math.sqrt(sum(float(part.copy().sum()) for part in parts))


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _pays(layer: Dense, images: int, ranks: int) -> bool:
    """Whether the factors of a leaf are smaller than half the gradient."""
    features, units = layer.weight.value.shape
    return 2 * images * (features + ranks * units) < features * units
