"""Right solutions of lessons 9, 10, 11 and 14."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet import reference


def adam(value: Any, grad: Any, mean: Any, square: Any, step: int, learning_rate: float = 1e-3, beta1: float = 0.9,
         beta2: float = 0.999, epsilon: float = 1e-8, l2: float = 0.0) -> Any:  # fmt: skip
    """m ← m + (1 − β)(g − m); the corrections gathered in one factor."""
    g = grad + l2 * value
    m = mean + (1 - beta1) * (g - mean)
    v = square + (1 - beta2) * (g * g - square)
    rate = learning_rate / (1 - beta1**step)
    return value - rate * m / (np.sqrt(v / (1 - beta2**step)) + epsilon), m, v


def adam_step_by_name(parameters: Any, state: Any, learning_rate: float, l2: float) -> None:
    """Moments under the parameter's name."""
    state["t"] = state.get("t", 0) + 1
    for p in parameters:
        mean, square = state.get(p.name, (np.zeros_like(p.value), np.zeros_like(p.value)))
        decay = l2 if p.decay else 0.0
        p.value[...], *moments = reference.adam(p.value, p.grad, mean, square, state["t"], learning_rate, l2=decay)
        state[p.name] = moments


def adam_step_by_place(parameters: Any, state: Any, learning_rate: float, l2: float) -> None:
    """Two lists, and the formulas written out."""
    if not state:
        state.update(steps=0, m=[0.0] * len(parameters), v=[0.0] * len(parameters))
    state["steps"] += 1
    for i, p in enumerate(parameters):
        g = p.grad + l2 * p.value if p.decay else p.grad
        state["m"][i] = 0.9 * state["m"][i] + 0.1 * g
        state["v"][i] = 0.999 * state["v"][i] + 0.001 * g**2
        m, v = state["m"][i] / (1 - 0.9 ** state["steps"]), state["v"][i] / (1 - 0.999 ** state["steps"])
        p.value -= learning_rate * m / (np.sqrt(v) + 1e-8)


def dropout(x: Any, rate: float, rng: Any, training: bool) -> Any:
    """A number from 0 to 1 for each feature."""
    if not training:
        return x, np.ones(x.shape, bool)
    kept = rng.random(x.shape) >= rate
    return x * kept / (1 - rate), kept


def dropout_by_choice(x: Any, rate: float, rng: Any, training: bool) -> Any:
    """A coin that is not fair; without training as with a rate of 0."""
    rate = rate if training else 0.0
    kept = rng.choice([True, False], size=x.shape, p=[1 - rate, rate])
    return np.where(kept, x / (1 - rate), 0.0), kept


def train_step(network: Any, optimiser: Any, images: Any, labels: Any) -> Any:
    """As the lesson has it."""
    logits = network.forward(images, training=True)
    loss = reference.softmax_cross_entropy(logits, labels).mean()
    network.backward(reference.softmax_cross_entropy_gradient(logits, labels) / len(labels))
    optimiser.step()
    return loss


def train_step_by_sums(network: Any, optimiser: Any, images: Any, labels: Any) -> float:
    """The sum, divided at its end."""
    logits = network.forward(images, training=True)
    dlogits = reference.softmax_cross_entropy_gradient(logits, labels)
    dlogits *= 1 / len(images)
    network.backward(dlogits, need_dx=False)
    optimiser.step()
    return math.fsum(reference.softmax_cross_entropy(logits, labels)) / len(images)


def accuracy(network: Any, images: Any, labels: Any) -> Any:
    """The mean of yes and no."""
    return np.mean(network.forward(images).argmax(axis=1) == labels)


def accuracy_in_parts(network: Any, images: Any, labels: Any) -> float:
    """Image by image."""
    right = 0
    for image, label in zip(images, labels, strict=True):
        right += int(np.argmax(network.forward(image[None], training=False))) == label
    return right / len(labels)


def combine(parts: Any) -> Any:
    """Σ n · g / Σ n."""
    return sum(count * gradient for gradient, count in parts) / sum(count for _, count in parts)


def combine_by_average(parts: Any) -> Any:
    """A weighted mean is a weighted mean."""
    return np.average([gradient for gradient, _ in parts], axis=0, weights=[count for _, count in parts])


SOLUTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "adam": (adam,),
    "adam_step": (adam_step_by_name, adam_step_by_place),
    "dropout": (dropout, dropout_by_choice),
    "train_step": (train_step, train_step_by_sums),
    "accuracy": (accuracy, accuracy_in_parts),
    "combine": (combine, combine_by_average),
}
