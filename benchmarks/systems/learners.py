"""The same experiment, learnt by scratchnet and by PyTorch.

Images, their order, first weights, dropout's masks, recipe and schedule are shared. What differs is who computes, and rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from scratchnet.data import Batch
from scratchnet.errors import ConfigError
from scratchnet.extras import require
from scratchnet.nn.base import Array
from scratchnet.nn.losses import SoftmaxCrossEntropy
from scratchnet.nn.models import MODELS
from scratchnet.training import Evaluation, Experiment
from scratchnet.training.averaging import logits_of
from scratchnet.training.config import Config


class Learner(Protocol):
    """A network with what trains it."""

    def step(self, batch: Batch, epoch: int) -> float:
        """One step of the optimiser; returns the batch's mean loss without the penalty."""

    def evaluate(self, batches: Iterable[Batch], *, symmetries: bool = False) -> Evaluation:
        """How it does on all images of the batches, without dropout; if asked, averaged over the 8 symmetries."""


class Scratchnet:
    """The trainer that `train.py` uses."""

    def __init__(self, experiment: Experiment) -> None:
        self.step, self.evaluate = experiment.trainer.step, experiment.trainer.evaluate


class PyTorch:
    """The same layers and the same Adam in PyTorch, channels last in memory, beginning with the experiment's own weights."""

    def __init__(self, experiment: Experiment) -> None:
        torch = require("torch")
        from benchmarks.systems.pytorch import make_optimizer
        from benchmarks.systems.twin import twin

        config = experiment.config
        require_shared(config, experiment.trainer.micro_batch)
        self.torch, self.config, self.schedule, self.steps = torch, config, experiment.trainer.schedule, 0
        self.ours = experiment.network
        self.network = twin(self.ours).to(memory_format=torch.channels_last)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = make_optimizer(self.network, kind, l2=config.weight_decay, betas=(config.beta1, config.beta2))

    def _answer(self, images: Array) -> Any:
        return self.network(self.torch.from_numpy(images).permute(0, 3, 1, 2))

    def step(self, batch: Batch, epoch: int) -> float:
        """One step on the whole batch."""
        torch = self.torch
        self.network.train()
        self.ours.seed_batch(epoch, batch.indices)
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(
            self._answer(batch.images), torch.from_numpy(batch.labels), label_smoothing=self.config.label_smoothing
        )
        loss.backward()
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.steps)
        self.optimizer.step()
        self.steps += 1
        return float(loss.detach())

    def evaluate(self, batches: Iterable[Batch], *, symmetries: bool = False) -> Evaluation:
        """Without gradients."""
        answers = [(logits_of(self, batch.images, symmetries=symmetries), batch.labels) for batch in batches]
        logits, labels = map(np.concatenate, zip(*answers, strict=True))
        return Evaluation(SoftmaxCrossEntropy().forward(logits, labels), logits, labels)

    def forward(self, images: Array, /, *, training: bool) -> Array:
        """The logits, (N, classes): what `logits_of` asks for."""
        self.network.train(training)
        with self.torch.no_grad():
            return self._answer(images).numpy()


LEARNERS: dict[str, Any] = {"scratchnet": Scratchnet, "torch": PyTorch}


def require_shared(config: Config, micro_batch: int = 0) -> None:
    """Raises ConfigError for a recipe that PyTorch would be told differently.

    micro_batch: what a batch is cut into, which it is not there; 0: not known yet.
    """
    for name, shared in (
        ("model", tuple(MODELS)),
        ("optimizer", ("adam", "adamw")),
        ("class_weights", ("none",)),
        ("focus", (0.0,)),
        ("freeze", ("",)),
        ("dtype", ("float32",)),
    ):
        if getattr(config, name) not in shared:
            raise ConfigError(
                f"{name} {getattr(config, name)} is not compared with PyTorch, only {' or '.join(map(str, shared))}: leave torch out"
            )
    if config.model == "residual" and 0 < micro_batch < config.batch_size:
        raise ConfigError(
            f"{micro_batch} images are normalised together here, the whole batch of {config.batch_size} in PyTorch: leave torch out, "
            f"or take a batch_size of {micro_batch}"
        )
