"""Lesson 12: whom did we test on? split_subjects and interval."""

from typing import Any

import numpy as np

from course.judges.comparison import Function, as_float, generator

STUDIES = 60


def _people(rng: np.random.Generator, subjects: int) -> tuple[Any, Any]:
    """labels (N,) and subjects (N,) of a study: some people have one image, some a dozen, and images come in any order."""
    names = np.array([f"P{i:02d}" for i in rng.permutation(subjects)])
    sizes = rng.integers(1, 13, subjects)
    labels = rng.permutation(np.arange(subjects) % 2)
    order = rng.permutation(int(sizes.sum()))
    return np.repeat(labels, sizes)[order], np.repeat(names, sizes)[order]


def split_subjects(mine: Function, seed: int) -> str:
    """Properties, in eight studies: nobody on both sides, both classes on both, the share, and other people by another rng."""
    generators = ""  # what is wrong with them; a subject on both sides is worse, and found in any study
    for study in range(8):
        rng = generator(seed, 12, study)
        labels, subjects = _people(rng, 40)
        sides = []
        for draw in (0, 0, 1):
            given = labels.copy(), subjects.copy()
            side = mine(*given, 0.25, generator(seed, 12, study, draw))
            if not (np.array_equal(given[0], labels) and np.array_equal(given[1], subjects)):
                return "changes its arguments in place: work on copies"
            side = np.asarray(side)
            if side.shape != labels.shape or side.dtype != np.bool_:
                return f"must return one bool for each image, ({len(labels)},): got shape {side.shape} of {side.dtype}"
            sides.append(side)
        complaint = _side(labels, subjects, sides[0])
        if complaint:
            return complaint
        if not np.array_equal(sides[0], sides[1]):
            generators = "the same generator gives another split: draw from rng, nothing from np.random"
        if np.array_equal(sides[0], sides[2]):
            generators = "always the same people: draw them by rng"
    return generators


def _side(labels: Any, subjects: Any, test: Any) -> str:
    both = sorted(set(subjects[test]) & set(subjects[~test]))
    if both:
        return f"{len(both)} subjects stand on both sides, such as {both[0]}: whole subjects, not images, are drawn"
    for side, name in ((test, "test"), (~test, "training")):
        if len(set(labels[side])) < 2:
            return f"the {name} side lacks a class: draw from each class by itself"
    if not 0.12 < test.mean() < 0.38:
        other = ": True is for the test side" if 0.62 < test.mean() < 0.88 else ""
        return f"the test side holds {test.mean():.0%} of the images, expected about 25 %{other}"
    people = {name: labels[subjects == name][0] for name in np.unique(subjects)}
    for label in (0, 1):
        share = len({name for name in subjects[test] if people[name] == label}) / sum(
            value == label for value in people.values()
        )
        if not 0.05 <= share <= 0.6:
            return f"of class {label} {share:.0%} of the subjects are on the test side, expected about 25 %: draw from each class by itself"
    return ""


def interval(mine: Function, seed: int) -> str:
    """Coverage: of 60 simulated studies, whose truth is known, the interval must hold it in nearly all.

    In each, 40 subjects have an accuracy of their own, 80 % in the mean, and 5 to 39 images. Among 60 intervals of 95 % ten
    misses are rarer than once in 2000; half of the studies are enough where two at most have missed.
    """
    misses, widths = 0, []
    for study in range(STUDIES):
        rng = generator(seed, 12, 100, study)
        own, images = rng.beta(4, 1, 40), rng.integers(5, 40, 40)
        subjects = np.repeat([f"P{i:02d}" for i in range(40)], images)
        correct = (rng.random(len(subjects)) < np.repeat(own, images)).astype(np.int64)
        given = correct.copy()
        answer = mine(given, subjects.copy(), generator(seed, 12, 101, study))
        if not np.array_equal(given, correct):
            return "changes its arguments in place: work on a copy"
        if not isinstance(answer, tuple | list | np.ndarray) or len(answer) != 2:
            return "must return (low, high)"
        low, high = as_float(answer[0]), as_float(answer[1])
        if low is None or high is None or not np.isfinite([low, high]).all():
            return f"must return two numbers (low, high), got {answer!r}"
        if low > high:
            return f"low is above high: {low:.3f}, {high:.3f}"
        if high - low < 1e-6:
            return "the interval has no width: are the subjects drawn with replacement?"
        misses += not low <= 0.8 <= high
        widths.append(high - low)
        if misses >= 10:
            held = f"in {study + 1} simulated studies the interval holds the truth {study + 1 - misses} times, promised 95 %"
            return f"{held}: too narrow; images of one subject are alike, so that subjects, not images, are drawn anew"
        if study + 1 == STUDIES // 2 and misses <= 2 and np.mean(widths) <= 0.2:
            break
        if study >= 9 and np.mean(widths) > 0.2:
            return f"too wide: {np.mean(widths):.2f} in the mean, expected about 0.11: the interval is of the mean, not of single subjects"
    return ""
