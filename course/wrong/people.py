"""Wrong solutions of lessons 12 and 14."""

import math
from typing import Any

import numpy as np

from course.right.first_steps import split_by_class
from course.wrong.solution import Wrong


def _sorted_and_cut(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    test = np.zeros(len(labels), bool)
    test[np.argsort(subjects, kind="stable")[: int(share * len(labels))]] = True
    return test


def _first_people(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    return split_by_class(labels, subjects, share, np.random.default_rng(0))


def _one_class(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    people = rng.permutation(np.unique(subjects[labels == 1]))
    return np.isin(subjects, people[: max(1, round(2 * share * len(people)))])


def _half_drawn(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    """Class 0 by a generator of its own."""
    drawn, fixed = (split_by_class(labels, subjects, share, g) for g in (rng, np.random.default_rng(0)))
    return np.where(labels == 1, drawn, fixed)


def _half(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    return split_by_class(labels, subjects, 0.5, rng)


def _indices(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    return np.flatnonzero(split_by_class(labels, subjects, share, rng))


def _sorts_in_place(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    test = split_by_class(labels, subjects, share, rng)
    subjects.sort()
    return test


def _binomial(correct: Any, subjects: Any, rng: Any) -> Any:
    p = correct.mean()
    half = 1.96 * math.sqrt(p * (1 - p) / len(correct))
    return p - half, p + half


def _bootstrap(kind: str) -> Any:
    def interval(correct: Any, subjects: Any, rng: Any) -> Any:
        _, owner = np.unique(subjects, return_inverse=True)
        hits, images = np.bincount(owner, correct), np.bincount(owner)
        if kind == "images":
            values = correct[rng.integers(len(correct), size=(200, len(correct)))].mean(axis=1)
        elif kind == "without replacement":
            values = np.array(
                [hits[order].sum() / images[order].sum() for order in (rng.permutation(len(hits)) for _ in range(50))]
            )
        elif kind == "of subjects":
            values = hits / images
        else:
            drawn = rng.integers(len(images), size=(200, len(images)))
            values = hits[drawn].sum(axis=1) / images[drawn].sum(axis=1)
        if kind == "each subject the same":
            values = (hits / images)[drawn].mean(axis=1)
        ends = {"50 %": (25, 75), "90 %": (5, 95), "of 80 %": (10, 90), "98 %": (1, 99), "one end": (0, 95)}
        low, high = np.percentile(values, ends.get(kind, (2.5, 97.5)))
        if kind == "crashes":
            return correct[subjects], 1
        if kind == "standard error":
            low, high = values.mean() - values.std(), values.mean() + values.std()
        return {"exchanged": (high, low), "width": high - low, "text": (f"{low:.3f}", "a")}.get(kind, (low, high))

    return interval


def _parts(kind: str) -> Any:
    def combine(parts: Any) -> Any:
        gradients, counts = [g for g, _ in parts], [n for _, n in parts]
        if kind == "in place":
            total = parts[0][0]
            total *= counts[0]
            for gradient, count in parts[1:]:
                total += count * gradient
            return total / sum(counts)
        whole = sum(g * n for g, n in parts)
        made = {
            "mean of means": np.mean(gradients, axis=0),
            "sum": sum(gradients),
            "not divided": whole,
            "rest dropped": np.mean([g for g, n in parts if n == counts[0]], axis=0),
            "last": gradients[-1],
            "first": gradients[0],
            "by workers": whole / len(parts),
            "sign": -whole / sum(counts),
            "list": None,
        }
        return made[kind]

    return combine


WRONG = (
    Wrong(
        "split_subjects",
        "by image",
        "stand on both sides",
        lambda labels, subjects, share, rng: rng.random(len(labels)) < share,
    ),
    Wrong("split_subjects", "sorted and cut", "stand on both sides", _sorted_and_cut),
    Wrong("split_subjects", "always the same people", "always the same people", _first_people),
    Wrong("split_subjects", "one class alone", "lacks a class", _one_class),
    Wrong("split_subjects", "True for training", "True is for the test side", lambda *given: ~split_by_class(*given)),
    Wrong("split_subjects", "half", "the test side holds", _half),
    Wrong(
        "split_subjects",
        "a quarter, whatever the share",
        "of the images, expected about 50%",
        lambda a, b, c, rng: split_by_class(a, b, 0.25, rng),
    ),
    Wrong("split_subjects", "one class drawn", "of class 0 always the same people", _half_drawn),
    Wrong(
        "split_subjects",
        "crashes",
        "of 40 subjects, labels (",
        lambda labels, subjects, share, rng: rng.permutation(labels, subjects),
    ),
    Wrong("split_subjects", "indices", "one bool for each image", _indices),
    Wrong(
        "split_subjects",
        "another generator",
        "draw from rng",
        lambda a, b, c, rng: split_by_class(a, b, c, np.random.default_rng()),
    ),
    Wrong("split_subjects", "sorts its argument", "changes its arguments in place", _sorts_in_place),
    Wrong("interval", "binomial over images", "subjects, not images, are drawn anew", _binomial),
    *(
        Wrong("interval", kind, line, _bootstrap(kind))
        for kind, line in {
            "images": "subjects, not images, are drawn anew",
            "without replacement": "no width",
            "50 %": "the middle half",
            "90 %": "the middle 90 %",
            "98 %": "the middle 98 %",
            "one end": "it stands too low",
            "each subject the same": "does each subject count the same",
            "standard error": "one standard error to each side",
            "of 80 %": "the middle 80 %",
            "crashes": "of 40 subjects, correct (",
            "of subjects": "too wide",
            "exchanged": "low is above high",
            "width": "must return (low, high)",
            "text": "must return two numbers",
        }.items()
    ),
    Wrong("interval", "everything", "too wide", lambda correct, subjects, rng: (0.0, 1.0)),
    *(
        Wrong("combine", kind, line, _parts(kind))
        for kind, line in {
            "mean of means": "the mean of the parts' means",
            "sum": "the sum of the parts' means",
            "not divided": "not divided by their number",
            "rest dropped": "the rest is dropped",
            "last": "the last part alone",
            "first": "the first part alone",
            "by workers": "divided by the number of workers",
            "sign": "the right one with the other sign",
            "list": "returned nothing",
            "in place": "changes its arguments in place",
        }.items()
    ),
)
