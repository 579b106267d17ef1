"""`Trainer` for one of several ranks: each computes its leaves, and owns its part of the optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from scratchnet.data import Batch
from scratchnet.data.batches import slices
from scratchnet.errors import ConfigError, NonFiniteError
from scratchnet.measures.evaluation import Evaluation
from scratchnet.nn.base import Array, Parameter
from scratchnet.nn.losses import SoftmaxCrossEntropy
from scratchnet.nn.optimizers import Optimizer
from scratchnet.nn.schedules import Schedule
from scratchnet.nn.sequential import Sequential
from scratchnet.ranks.together import Together
from scratchnet.training.shared.exchange import Exchange
from scratchnet.training.shared.slices import learning
from scratchnet.training.trainer import Trainer

MOMENTS = 9000  # tag of the messages that bring the optimiser's state together


class SharedTrainer(Trainer):
    """Moves a network's weights together with other ranks, to the bits of one process.

    make_optimizer: of the parameters that this rank owns. Batches are this rank's `Shares`, and for evaluation its `Rounds`.
    Every method is a meeting of all ranks.

    Buffers move by what each leaf has observed, in the order of the leaves: after a step, on all ranks alike. Raises
    ConfigError for a layer whose buffers cannot be moved so.
    """

    def __init__(
        self,
        network: Sequential,
        loss: SoftmaxCrossEntropy,
        make_optimizer: Callable[[list[Parameter]], Optimizer],
        schedule: Schedule,
        *,
        micro_batch: int,
        clip_norm: float,
        ranks: Together,
    ) -> None:
        self.exchange: Exchange
        self._make_optimizer = make_optimizer
        self._to_load: dict[str, Array] = {}
        super().__init__(network, loss, make_optimizer([]), schedule, micro_batch=micro_batch, clip_norm=clip_norm)
        self.ranks = ranks
        self.observers = [layer for layer in network.observers() if not getattr(layer, "fixed", False)]
        for layer in self.observers:
            if not (hasattr(layer, "observed") and hasattr(layer, "observe")):
                raise ConfigError(
                    f"{type(layer).__name__} '{layer.name}' has buffers, but no observed and observe(observed), without which "
                    "several ranks cannot train it: give it both (see scratchnet.Layer), or train in one process"
                )

    def prepare(self, way: str) -> None:
        """Deals out the parameters, before the first step. way: how gradients and weights travel, see `Exchange`."""
        steps = self.optimizer.steps
        self.exchange = Exchange(self.network, self.ranks, self.micro_batch, way)
        self.optimizer = self._make_optimizer(self.exchange.parameters)
        self.optimizer.steps = steps
        if self._to_load:
            self._load(self._to_load)
            self._to_load = {}

    def step(self, batch: Batch, epoch: int) -> float:
        """One step of the optimiser on one batch, of which `batch` holds this rank's leaves; the loss is the whole batch's."""
        size, images, parts = self.ranks.size, len(batch), batch.parts(self.micro_batch)
        sizes = [leaf.stop - leaf.start for leaf in slices(images, self.micro_batch)]
        losses, failed, trouble = np.zeros(len(sizes)), np.zeros(size), None
        before = [array.copy() for array in self.network.buffers().values()]
        seen = np.zeros((len(sizes), sum(layer.observed.size for layer in self.observers)))
        for first in range(0, len(sizes), size):
            in_round = sizes[first : first + size]
            self.exchange.begin(in_round, is_first=first == 0)
            if self.ranks.rank < len(in_round) and trouble is None:
                leaf = first + self.ranks.rank
                try:
                    losses[leaf] = self._leaf(next(parts), images, epoch)
                    if self.observers:
                        seen[leaf] = np.concatenate([layer.observed.reshape(-1) for layer in self.observers])
                except NonFiniteError as error:
                    trouble, failed[self.ranks.rank] = error, leaf + 1
            self.exchange.end_round()
        self.exchange.finish()
        parts.close()  # and its thread, also where a leaf went wrong

        squares = self.exchange.squares() if self.clip_norm else np.zeros(0)
        # Of what was seen each number is one rank's and zero on the others: the sum is that number.
        table = self.ranks.sums(np.concatenate([losses, failed, squares, seen.reshape(-1)]))
        losses, failed, squares, every = np.split(table, np.cumsum([len(losses), size, len(squares)]))
        if failed.any():
            self._raise_first(failed, trouble)
        if self.clip_norm:
            self.optimizer.shorten(self.exchange.norm(squares), self.clip_norm)
        self._observe(before, every.reshape(seen.shape))
        self.optimizer.learning_rate = self.schedule.rate(self.optimizer.steps)
        self.optimizer.step()
        self.exchange.send_weights()
        total = 0.0
        for loss in losses.tolist():  # one after the other, as in one process: Python's sum is more exact
            total += loss
        return total / images

    def _leaf(self, part: Batch, images: int, epoch: int) -> float:
        """Forward and backward of one leaf; returns its summed loss."""
        self.network.seed_batch(epoch, part.indices)
        logits = self.network.forward(part.images, training=True)
        loss = self.loss.forward(logits, part.labels) * len(logits)
        with self.network.releasing():
            self.network.backward(self.loss.backward(images), need_dx=False)
        return loss

    def _observe(self, before: list[Array], seen: Array) -> None:
        """Moves the buffers from where they were `before` the step by what each leaf has seen, one row of `seen` after the other."""
        for array, value in zip(self.network.buffers().values(), before, strict=True):
            array[...] = value
        cuts = np.cumsum([layer.observed.size for layer in self.observers])[:-1]
        for row in seen if self.observers else ():
            for layer, part in zip(self.observers, np.split(row, cuts), strict=True):
                layer.observe(part.reshape(layer.observed.shape).astype(layer.observed.dtype))

    def _raise_first(self, failed: Array, trouble: NonFiniteError | None) -> None:
        """Raises on all ranks what one process would have met first. failed (ranks,): each one's leaf that did, from 1; or 0."""
        rank = min((leaf, rank) for rank, leaf in enumerate(failed.tolist()) if leaf)[1]
        text = self.ranks.texts(str(trouble))[rank]
        self.ranks.settle(NonFiniteError(text))

    def evaluate(self, batches: Iterable[Batch], *, symmetries: bool = False) -> Evaluation:
        """`Trainer.evaluate`, each round's leaves on all ranks at once; every rank gets the whole answer."""
        self.exchange.settle()
        self.network.forget()
        logits, labels, losses, trouble = [], [], [], None
        for batch in batches:
            if len(batch.labels) and trouble is None:
                try:
                    answer, loss = self._judged(batch.images, batch.labels, symmetries=symmetries)
                except NonFiniteError as error:
                    trouble = error
                    continue
                logits.append(answer)
                labels.append(batch.labels)
                losses.append(loss)
        self.ranks.settle(trouble)
        classes = (self.network.output_shape or (0,))[0]
        empty = np.empty((0, classes), self.network.dtype)
        own_logits = np.concatenate([empty, *logits]).reshape(-1)
        own_labels = np.concatenate([np.empty(0, np.int64), *labels])
        sizes = self.ranks.collect(np.array([len(one) for one in labels], np.int64))
        every = [
            [np.split(whole, np.cumsum(count)[:-1]) for whole, count in zip(found, sizes, strict=True)]
            for found in (
                [one.reshape(-1, classes) for one in self.ranks.collect(own_logits)],
                self.ranks.collect(own_labels),
            )
        ]
        each_loss = self.ranks.collect(np.array(losses, np.float64))
        total, all_logits, all_labels = 0.0, [], []
        for leaf in range(sum(len(count) for count in sizes)):
            turn, rank = divmod(leaf, self.ranks.size)
            all_logits.append(every[0][rank][turn])
            all_labels.append(every[1][rank][turn])
            total += float(each_loss[rank][turn])
        return Evaluation(total / sum(map(len, all_labels)), np.concatenate(all_logits), np.concatenate(all_labels))

    def gather(self) -> None:
        """The weights, and the summed gradients of the last step, on all ranks."""
        self.exchange.settle()
        self.exchange.gather_gradients()

    def state(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """On rank 0 what `Trainer.state` returns; nothing on the others, who send it there."""
        self.exchange.settle()
        names, first = self.optimizer.moment_names, self.ranks.first
        whole: dict[str, Array] = {"steps": np.array(self.optimizer.steps)}
        if first:
            for name in names:
                whole |= {f"{p.name}.{name}": np.empty_like(p.value) for p in learning(self.network)}
        for name in names:
            mine = dict(zip(map(id, self.exchange.parameters), self.optimizer.moments[name], strict=True))
            sends, receives = [], []
            for bucket in self.exchange.buckets:
                for piece, own in zip(bucket.pieces, bucket.owned, strict=True):
                    if first:
                        whole[f"{own.name}.{name}"].reshape(-1)[piece.inside] = mine[id(own)]
                    else:
                        sends.append((mine[id(own)], 0))
                if first:
                    for peer in self.ranks.others:
                        receives += [
                            (whole[f"{piece.parameter.name}.{name}"].reshape(-1)[piece.inside], peer)
                            for piece in bucket.cut.pieces(peer)
                        ]
            self.ranks.start(sends, receives, MOMENTS).wait("the optimiser's state")
        return (self.network.arrays(), whole) if first else ({}, {})

    def load_state(self, weights: dict[str, Array], state: dict[str, Array]) -> None:
        """Takes over what `state` returned, whichever number of ranks it was; each rank is given all of it, before `prepare`."""
        self.network.load_state_dict(weights)
        names = self.optimizer.moment_names
        expected = {f"{p.name}.{name}": p.value.shape for p in learning(self.network) for name in names}
        found: dict[str, Any] = {name: array.shape for name, array in state.items() if name != "steps"}
        if found != expected:
            raise ConfigError("the state of another optimiser, or of another network: start a new run")
        self.optimizer.steps = int(state["steps"])
        self._to_load = state

    def _load(self, state: dict[str, Array]) -> None:
        """This rank's part of the optimiser's state."""
        for name, moments in self.optimizer.moments.items():
            of = {id(one): moment for one, moment in zip(self.exchange.parameters, moments, strict=True)}
            for bucket in self.exchange.buckets:
                for piece, own in zip(bucket.pieces, bucket.owned, strict=True):
                    of[id(own)][:] = state[f"{own.name}.{name}"].reshape(-1)[piece.inside]
