"""Right solutions of lessons 1, 3, 4, 8 and 12."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def standardise_by_channel(train: Any, images: Any) -> Any:
    """Channel by channel."""
    result = np.empty(images.shape)
    for c in range(images.shape[-1]):
        result[..., c] = (images[..., c].astype(float) - train[..., c].mean()) / train[..., c].std()
    return result


def standardise_by_sums(train: Any, images: Any) -> Any:
    """Var x = mean of x² − (mean of x)²."""
    flat = train.reshape(-1, train.shape[-1]).astype(float)
    mean = flat.mean(axis=0)
    return (images.astype(float) - mean) / np.sqrt((flat**2).mean(axis=0) - mean**2)


def slope_in_place(f: Any, x: Any, place: Any) -> float:
    """Moves the number in x and puts it back."""
    kept, h = x[place], 1e-5
    x[place] = kept + h
    above = f(x)
    x[place] = kept - h
    below = f(x)
    x[place] = kept
    return float((above - below) / (2 * h))


def slope_on_copies(f: Any, x: Any, place: Any) -> float:
    """Two copies; another h."""
    step = np.zeros_like(x)
    step[place] = 1e-6
    return (f(x + step) - f(x - step)) / 2e-6


def slope_of_five(f: Any, x: Any, place: Any) -> float:
    """The five-point formula."""

    def at(h: float) -> float:
        y = x.copy()
        y[place] += h
        return float(f(y))

    h = 1e-4
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


def check_by_numbers(layer: Any) -> bool:
    """Every number of x and of every parameter, with a dy drawn at random."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, *layer.input_shape))
    dy = rng.normal(size=layer.forward(x, training=True).shape)
    for parameter in layer.parameters():
        parameter.grad[...] = 1e3
    given = dy.copy()
    dx = layer.backward(given)
    if not np.array_equal(given, dy):
        return False
    pairs = [(x, dx.copy()), *((p.value, p.grad.copy()) for p in layer.parameters())]
    for value, gradient in pairs:
        for place in np.ndindex(value.shape):
            found = slope_in_place(lambda _: float(np.sum(dy * layer.forward(x))), value, place)
            if abs(found - gradient[place]) > 1e-6 * max(1.0, abs(found)):
                return False
    return True


def check_by_directions(layer: Any) -> bool:
    """Three random directions of each array, in which every number has a part. Raises where they disagree."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, *layer.input_shape))
    dy = rng.normal(size=layer.forward(x, training=True).shape)
    before = dy.copy()
    dx = layer.backward(dy).copy()
    np.testing.assert_array_equal(dy, before)
    once = [p.grad.copy() for p in layer.parameters()]
    layer.backward(dy)
    gradients = [(x, dx), *((p.value, grad) for p, grad in zip(layer.parameters(), once, strict=True))]
    for p, grad in zip(layer.parameters(), once, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    for value, gradient in gradients:
        for _ in range(3):
            direction, kept = rng.normal(size=value.shape), value.copy()
            value += 1e-6 * direction
            above = np.sum(dy * layer.forward(x))
            value -= 2e-6 * direction
            below = np.sum(dy * layer.forward(x))
            value[...] = kept
            np.testing.assert_allclose((above - below) / 2e-6, np.sum(gradient * direction), rtol=1e-5, atol=1e-6)
    return True


def xavier_from_random(rng: Any, shape: Any) -> Any:
    """From numbers of 0 to 1."""
    receptive = math.prod(shape[:-2])
    limit = math.sqrt(6 / (receptive * shape[-2] + receptive * shape[-1]))
    return (2 * rng.random(shape) - 1) * limit


def split_by_class(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    """A share of the people of each class."""
    test: list[Any] = []
    for label in np.unique(labels):
        people = rng.permutation(np.unique(subjects[labels == label]))
        test += list(people[: max(1, round(share * len(people)))])
    return np.isin(subjects, test)


def split_by_images(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    """People of a class, in a random order, until the share of its images is reached."""
    side = np.zeros(len(labels), bool)
    for label in (0, 1):
        wanted = share * (labels == label).sum()
        for name in rng.permutation(sorted(set(subjects[labels == label]))):
            if (side & (labels == label)).sum() >= wanted:
                break
            side |= subjects == name
    return side


def bootstrap(correct: Any, subjects: Any, rng: Any) -> tuple[float, float]:
    """Sums and counts of each subject, drawn anew with replacement."""
    _, owner = np.unique(subjects, return_inverse=True)
    hits, images = np.bincount(owner, correct), np.bincount(owner)
    drawn = rng.integers(len(images), size=(500, len(images)))
    low, high = np.percentile(hits[drawn].sum(axis=1) / images[drawn].sum(axis=1), (2.5, 97.5))
    return low, high


def bootstrap_by_loop(correct: Any, subjects: Any, rng: Any) -> list[float]:
    """As one would first write it."""
    people = [correct[subjects == name] for name in np.unique(subjects)]
    means = []
    for _ in range(200):
        means.append(np.concatenate([people[i] for i in rng.choice(len(people), len(people))]).mean())
    return sorted(means)[5:196:190]


SOLUTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "standardise": (standardise_by_channel, standardise_by_sums),
    "slope": (slope_in_place, slope_on_copies, slope_of_five),
    "check": (check_by_numbers, check_by_directions),
    "xavier_uniform": (xavier_from_random,),
    "split_subjects": (split_by_class, split_by_images),
    "interval": (bootstrap, bootstrap_by_loop),
}
