"""What travels between the ranks in a step: gradients while backward goes on, weights while the next batch is read."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scratchnet.kernels.elementwise import BLOCK, block_squares
from scratchnet.nn.base import Parameter
from scratchnet.nn.dense import Dense
from scratchnet.nn.sequential import Sequential
from scratchnet.nn.watcher import Watcher
from scratchnet.ranks.together import Together
from scratchnet.training.shared.buckets import Bucket, Factors, Round, Rows
from scratchnet.training.shared.slices import Cut, Flat, learning

ENOUGH = 500_000  # numbers that are worth a message of their own


class Exchange(Watcher):
    """All buckets of a network, told by it how far a leaf has come.

    way: "plain"; "factors", where dense layers travel by their factors if these are smaller; or "hybrid", where in addition the
    largest stays with its owners, if it can. micro_batch: images in a leaf at most. parameters: what this rank owns, for the
    optimiser, with the sums of the gradients. The way changes no bit.
    """

    def __init__(self, network: Sequential, ranks: Together, micro_batch: int, way: str) -> None:
        self.network, self.ranks = network, ranks
        self.flat = Flat(network)
        self.buckets: list[Bucket] = []
        waiting: list[tuple[int, Parameter]] = []
        largest = stays_with_owners(network, micro_batch, ranks.size) if way == "hybrid" else None
        for number, parameters in self.flat.steps:
            layer = network.steps[number]
            bucket: Bucket | None = None
            if largest is not None and layer is largest:
                self._close(waiting)
                bucket = Rows(self.flat, largest, ranks, len(self.buckets), number, micro_batch)
            elif (
                way != "plain"
                and isinstance(layer, Dense)
                and layer.weight in parameters
                and Factors.pays(layer, micro_batch, ranks.size)
            ):
                self._close(waiting)
                bucket = Factors(self.flat, layer, ranks, len(self.buckets), number)
            if bucket is not None:
                self.buckets.append(bucket)
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
        self._apart = False  # whether weights are with their owners alone
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
        for bucket in self.buckets:
            if bucket.stays:
                bucket.finish()
            bucket.begin(self._round)

    def before_forward(self, number: int) -> None:
        """The step's weights must have come."""
        for bucket in self._of_step.get(number, ()):
            bucket.arrive()

    def before_backward(self, number: int) -> None:
        """The step's gradients are written over: those of the round before must be added."""
        for bucket in self._of_step.get(number, ()):
            if bucket.number not in self._begun:
                bucket.finish()

    def after_backward(self, number: int) -> None:
        """Buckets that end with this step set out."""
        for bucket in self._of_step.get(number, ()):
            if bucket.steps[-1] == number:
                self._start(bucket)

    def end_round(self) -> None:
        """What has not set out, of a rank without a leaf, or whose leaf went wrong, does so now."""
        for bucket in sorted(self.buckets, key=lambda one: not one.stays):  # others wait for what stays here
            if bucket.number not in self._begun:
                self._start(bucket)

    def _start(self, bucket: Bucket) -> None:
        assert self._round is not None
        bucket.finish()
        bucket.start(self._round)
        self._begun.add(bucket.number)

    def finish(self) -> None:
        """All gradients of the step are summed by their owners, and the weights of the step before have come everywhere."""
        for bucket in self.buckets:
            bucket.finish()
            bucket.arrive()

    def send_weights(self) -> None:
        """The new weights set out, the first layer's first."""
        for bucket in reversed(self.buckets):
            bucket.send_weights()
        self._apart = any(bucket.stays for bucket in self.buckets)

    def settle(self) -> None:
        """All weights are on all ranks, also those that stay with their owners meanwhile."""
        for bucket in self.buckets:
            bucket.arrive()
            if bucket.stays and self._apart:
                bucket.all_to_all(self.flat.values).wait("weights")
        self._apart = False

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
            one.name: np.zeros(_blocks(one.value.size)) for one in learning(self.network)
        }
        for bucket in self.buckets:
            for piece, mine in zip(bucket.pieces, bucket.owned, strict=True):
                first = piece.inside.start // BLOCK
                block_squares(mine.grad, rows[piece.parameter.name][first : first + _blocks(mine.grad.size)])
        return np.concatenate(list(rows.values()))

    def norm(self, squares: NDArray[np.float64]) -> float:
        """The norm of the whole gradient, as `Optimizer.clip` sums it. squares: as above, of all ranks together."""
        counts = [_blocks(parameter.value.size) for parameter in learning(self.network)]
        parts = np.split(squares, np.cumsum(counts)[:-1])
        return math.sqrt(sum(float(part.copy().sum()) for part in parts))


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def dense_of(network: Sequential) -> list[Dense]:
    """The dense layers whose weights are learnt."""
    return [layer for layer in network.steps if isinstance(layer, Dense) and not layer.weight.frozen]


def stays_with_owners(network: Sequential, images: int, ranks: int) -> Dense | None:
    """The largest dense layer, if its rows can stay with their owners."""
    largest = max(dense_of(network), key=lambda layer: layer.weight.value.size, default=None)
    return largest if largest is not None and Rows.possible(largest, images, ranks) else None
