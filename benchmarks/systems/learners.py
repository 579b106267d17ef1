"""The same experiment, learnt by scratchnet and by PyTorch.

Images, their order, first weights, dropout's masks, recipe and schedule are shared. What differs is who computes, and rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from benchmarks.work import FILTERS, Work
from scratchnet.data import Batch
from scratchnet.errors import ConfigError
from scratchnet.extras import require
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.losses import SoftmaxCrossEntropy
from scratchnet.training import Evaluation, Experiment
from scratchnet.training.config import Config
from scratchnet.use.exchange.layouts import to_torch


class Learner(Protocol):
    """A network with what trains it."""

    def step(self, batch: Batch, epoch: int) -> float:
        """One step of the optimiser; returns the batch's mean loss without the penalty."""

    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """How it does on all images of the batches, without dropout."""


class Scratchnet:
    """The trainer that `train.py` uses."""

    def __init__(self, experiment: Experiment) -> None:
        self.step, self.evaluate = experiment.trainer.step, experiment.trainer.evaluate


class PyTorch:
    """The same layers and the same Adam of PyTorch, channels last in memory, beginning with the experiment's own weights."""

    def __init__(self, experiment: Experiment) -> None:
        torch = require("torch")
        from benchmarks.systems.pytorch import make_network, make_optimizer

        config = experiment.config
        require_shared(config)
        network = make_network(Work("train", config.model, config.image_size, config.batch_size))
        network.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(experiment.network).items()})
        self.torch, self.config, self.schedule, self.steps = torch, config, experiment.trainer.schedule, 0
        self.ours = experiment.network
        for number, layer in enumerate(self.ours.layers):
            if isinstance(layer, Dropout):
                network[number] = _masked(layer)
        self.network = network.to(memory_format=torch.channels_last)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = make_optimizer(self.network, kind, l2=config.weight_decay, betas=(config.beta1, config.beta2))

    def _images(self, batch: Batch) -> Any:
        return self.torch.from_numpy(batch.images).permute(0, 3, 1, 2)

    def step(self, batch: Batch, epoch: int) -> float:
        """One step on the whole batch."""
        torch = self.torch
        self.network.train()
        self.ours.seed_batch(epoch, batch.indices)
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(self.network(self._images(batch)), torch.from_numpy(batch.labels))
        loss.backward()
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.steps)
        self.optimizer.step()
        self.steps += 1
        return float(loss.detach())

    def evaluate(self, batches: Iterable[Batch]) -> Evaluation:
        """Without gradients."""
        self.network.eval()
        with self.torch.no_grad():
            answers = [(self.network(self._images(batch)).numpy(), batch.labels) for batch in batches]
        logits, labels = map(np.concatenate, zip(*answers, strict=True))
        return Evaluation(SoftmaxCrossEntropy().forward(logits, labels), logits, labels)


def _masked(dropout: Dropout) -> Any:
    """A dropout layer of PyTorch with the masks of one of ours: what ours makes of ones."""
    import torch

    class Masked(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            if not self.training:
                return x
            return x * torch.from_numpy(dropout.forward(np.ones(x.shape, np.float32), training=True))

    return Masked()


LEARNERS: dict[str, Any] = {"scratchnet": Scratchnet, "torch": PyTorch}


def require_shared(config: Config) -> None:
    """Raises ConfigError for a recipe that PyTorch would be told differently."""
    for name, shared in (
        ("model", tuple(FILTERS)),
        ("optimizer", ("adam", "adamw")),
        ("class_weights", ("none",)),
        ("dtype", ("float32",)),
    ):
        if getattr(config, name) not in shared:
            raise ConfigError(
                f"{name} {getattr(config, name)} is not compared with PyTorch, only {' or '.join(shared)}: leave torch out"
            )
