"""TensorFlow in graph mode: the whole step is one tf.function, with TensorFlow's own fused Adam."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.systems.base import System
from benchmarks.work import BETA1, BETA2, CLASSES, DENSE, EPSILON, FILTERS, KERNEL_SIZE, L2, LEARNING_RATE, Work


class TensorFlow(System):
    """Channels last, as TensorFlow has them on a processor."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)  # two operations at once would be twice the threads

    def prepare(self, work: Work) -> None:
        """Builds variables, data and graph."""
        self.work = work
        images, labels = work.data()
        self.images, self.labels = tf.constant(images), tf.constant(labels)
        self.weights, self.biases = make_variables(work)
        self.optimizer = Adam([*self.weights, *self.biases])
        self.graph = tf.function(self._train if work.trains else self._infer)

    def once(self) -> float:
        """One step."""
        return float(self.graph(self.images, self.labels).numpy().flat[0])

    def _forward(self, x: Any) -> Any:
        convolutions = len(FILTERS[self.work.model])
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i < convolutions:
                x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, weight, 1, "SAME"), bias))
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
                continue
            if i == convolutions:
                x = tf.reshape(x, (self.work.batch, -1))
            x = tf.nn.bias_add(tf.matmul(x, weight), bias)
            if i < convolutions + len(DENSE):
                x = tf.nn.relu(x)
                if self.work.trains and self.work.dropout > 0:
                    x = tf.nn.dropout(x, self.work.dropout)
        return x

    def _infer(self, images: Any, labels: Any) -> Any:
        return self._forward(images)

    def _train(self, images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = self._forward(images)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(loss, [*self.weights, *self.biases])
        # The gradient of λ/2 · Σ w² is λ · w: added here, it costs less than as a term of the loss.
        decayed = [g + L2 * w for g, w in zip(gradients, self.weights, strict=False)]
        self.optimizer.step([*decayed, *gradients[len(self.weights) :]])
        return loss


def make_variables(work: Work) -> tuple[list[Any], list[Any]]:
    """Weights by Glorot and Bengio's rule, and biases of zero, from the first layer to the last."""
    filters = FILTERS[work.model]
    shapes: list[tuple[int, ...]] = [(KERNEL_SIZE, KERNEL_SIZE, *pair) for pair in itertools.pairwise((3, *filters))]
    side = work.image_size // 2 ** len(filters)
    shapes += itertools.pairwise((filters[-1] * side**2, *DENSE, CLASSES))
    rng = np.random.default_rng(0)
    weights = []
    for shape in shapes:
        limit = (6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
        weights.append(tf.Variable((2 * rng.random(shape, np.float32) - 1) * np.float32(limit)))
    return weights, [tf.Variable(tf.zeros(shape[-1])) for shape in shapes]


class Adam:
    """Kingma and Ba's, by TensorFlow's single operation for it; Keras's would be five for each variable."""

    def __init__(self, variables: list[Any]) -> None:
        self.variables = variables
        self.means = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self.squares = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self.powers = tf.Variable(BETA1), tf.Variable(BETA2)  # β₁ᵗ and β₂ᵗ

    def step(self, gradients: list[Any]) -> None:
        """Adds the operations of one step to the graph."""
        for variable, mean, square, gradient in zip(self.variables, self.means, self.squares, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=self.powers[0],
                beta2_power=self.powers[1],
                lr=LEARNING_RATE,
                beta1=BETA1,
                beta2=BETA2,
                epsilon=EPSILON,
                grad=gradient,
            )
        for power, beta in zip(self.powers, (BETA1, BETA2), strict=True):
            power.assign(power * beta)
