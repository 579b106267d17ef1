"""Lesson 7: softmax cross-entropy and its gradient."""

from typing import Any

import numpy as np

from course.judges.comparison import Function, generator, twin
from scratchnet import reference as ref


def _cases(seed: int) -> list[tuple[Any, ...]]:
    """Logits around 0, and such as a float64's exponential cannot hold."""
    cases = []
    for number, (n, k) in enumerate([(4, 2), (5, 3), (1, 2)]):
        rng = generator(seed, 7, number)
        logits = rng.normal(size=(n, k))
        apart = logits + 1000 * np.arange(n)[:, None]
        for these in (logits, 20 * logits, 3 * logits + 2000, logits - 2000, apart):
            cases.append((these, rng.integers(k, size=n)))
    return cases


def _picked(values: Any, labels: Any) -> Any:
    return values[np.arange(len(labels)), labels]


def _over_images(logits: Any) -> Any:
    shifted = logits - logits.max(axis=0)
    return shifted - np.log(np.exp(shifted).sum(axis=0))


# What people add to a probability, or cut it off at, lest the logarithm overflow.
LEAST = tuple(10.0**-n for n in range(3, 17))


def _added(least: float) -> Function:
    return lambda logits, labels: -np.log(_picked(ref.softmax(logits), labels) + least)


def _cut(least: float) -> Function:
    return lambda logits, labels: -np.log(np.maximum(_picked(ref.softmax(logits), labels), least))


LOSS: dict[str, Function] = {
    **{
        f"{least:g} is added to p before the logarithm: take log p from the logits, where nothing needs it": _added(
            least
        )
        for least in LEAST
    },
    **{
        f"p is cut off at {least:g}: take log p from the logits, where nothing needs it": _cut(least) for least in LEAST
    },
    "softmax goes over the images: it goes over the classes, axis 1": (
        lambda logits, labels: -_picked(_over_images(logits), labels)
    ),
    "the logarithm of base 2: the natural one, np.log": lambda logits, labels: (
        ref.softmax_cross_entropy(logits, labels) / np.log(2)
    ),
    "log p: the loss is −log p": lambda logits, labels: -ref.softmax_cross_entropy(logits, labels),
    "−log p of class 0, whatever the label": lambda logits, labels: ref.softmax_cross_entropy(logits, 0 * labels),
}


def softmax_cross_entropy(mine: Function, seed: int) -> str:
    """Twin, with logits around 0 and around ±2000."""
    complaint = twin("softmax_cross_entropy", mine, ref.softmax_cross_entropy, _cases(seed), least=1.0, suspects=LOSS)
    return _overflow(complaint)


def _onehot(logits: Any, labels: Any) -> Any:
    return np.eye(logits.shape[1])[labels]


def _through(logits: Any, labels: Any) -> Any:
    p = ref.softmax(logits)
    return (p - _onehot(logits, labels)) * p * (1 - p)


GRADIENT: dict[str, Function] = {
    "p alone: the 1 at the label is not taken away": lambda logits, labels: ref.softmax(logits),
    "the 1 is taken away at class 0, whatever the label": lambda logits, labels: (
        ref.softmax(logits) - np.eye(logits.shape[1])[0]
    ),
    "softmax's own slope p · (1 − p) is multiplied in once more: softmax and logarithm together give p − 1 at the label": _through,
    "softmax goes over the images: it goes over the classes, axis 1": (
        lambda logits, labels: np.exp(_over_images(logits)) - _onehot(logits, labels)
    ),
}


def softmax_cross_entropy_gradient(mine: Function, seed: int) -> str:
    """Twin: the same logits. The gradient is that of the sum, not of the mean."""
    complaint = twin(
        "softmax_cross_entropy_gradient", mine, ref.softmax_cross_entropy_gradient, _cases(seed), suspects=GRADIENT, least=1.0
    )  # fmt: skip
    return _overflow(complaint)


def _overflow(complaint: str) -> str:
    came = complaint.partition(",")[0]
    if "nan" in came or "inf" in came:
        return f"{complaint}: exp of a large number overflows; take each row's maximum away first"
    return complaint
