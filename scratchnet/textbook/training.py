"""The textbook's loss and its Adam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from scratchnet.reference import Array
from scratchnet.textbook.parameter import Parameter
from scratchnet.textbook.table import Function, table


class SoftmaxCrossEntropy:
    """As `scratchnet.SoftmaxCrossEntropy` without weights of classes: the mean over the batch."""

    def __init__(self, *, functions: Mapping[str, Function] | None = None) -> None:
        self.functions = table(functions)

    def forward(self, logits: Array, labels: Array) -> float:
        """The mean loss of logits (N, classes) and labels (N,)."""
        self._batch = logits, labels
        return float(np.mean(self.functions["softmax_cross_entropy"](logits, labels), dtype=np.float64))

    def backward(self) -> Array:
        """dlogits (N, classes) of the mean loss."""
        logits, labels = self._batch
        gradient = self.functions["softmax_cross_entropy_gradient"](logits, labels)
        return np.asarray(gradient / logits.dtype.type(len(logits)))


class Adam:
    """As `scratchnet.Adam`: `step` moves every parameter by the table's adam, with l2 where its `decay` is true."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        learning_rate: float = 1e-3,
        *,
        l2: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.l2 = learning_rate, l2
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.functions = table(functions)
        self.steps = 0
        self.moments = [(np.zeros_like(p.value), np.zeros_like(p.value)) for p in self.parameters]

    def step(self) -> None:
        """Moves every parameter once, by the gradients that backward has left."""
        self.steps += 1
        for i, p in enumerate(self.parameters):
            rates = self.learning_rate, self.beta1, self.beta2, self.epsilon, self.l2 if p.decay else 0.0
            value, mean, square = self.functions["adam"](p.value, p.grad, *self.moments[i], self.steps, *rates)
            p.value[...] = value
            self.moments[i] = mean, square
