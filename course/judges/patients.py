"""Lesson 12: whom did we test on? split_subjects and interval."""

import functools
import math
from typing import Any

import numpy as np

from course.judges.comparison import Function, as_float, generator, tried

STUDIES = 24  # in which intervals are tried
TRUTH = 0.78  # the accuracy in each


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
    same = [0, 0]  # in how many studies another generator draws the same people of a class
    for study in range(8):
        rng, share = generator(seed, 12, study), (0.25, 0.5)[study % 2]
        labels, subjects = _people(rng, 40)
        sides = []
        for draw in (0, 0, 1):
            given = labels.copy(), subjects.copy()
            with tried(
                f"{len(labels)} images of 40 subjects, labels {labels.shape}, subjects {subjects.shape}, share {share}"
            ):
                side = mine(*given, share, generator(seed, 12, study, draw))
            if not (np.array_equal(given[0], labels) and np.array_equal(given[1], subjects)):
                return "changes its arguments in place: work on copies"
            side = np.asarray(side)
            if side.shape != labels.shape or side.dtype != np.bool_:
                return f"must return one bool for each image, ({len(labels)},): got shape {side.shape} of {side.dtype}"
            sides.append(side)
        complaint = _side(labels, subjects, sides[0], share)
        if complaint:
            return complaint
        if not np.array_equal(sides[0], sides[1]):
            generators = "the same generator gives another split: draw from rng, nothing from np.random"
        for label in (0, 1):
            same[label] += np.array_equal(sides[0][labels == label], sides[2][labels == label])
    if min(same) == 8:
        return "always the same people: draw them by rng"
    if max(same) == 8:
        return f"of class {same.index(8)} always the same people: draw those too by rng"
    return generators


def _side(labels: Any, subjects: Any, test: Any, share: float) -> str:
    both = sorted(set(subjects[test]) & set(subjects[~test]))
    if both:
        return f"{len(both)} subjects stand on both sides, such as {both[0]}: whole subjects, not images, are drawn"
    for side, name in ((test, "test"), (~test, "training")):
        if len(set(labels[side])) < 2:
            return f"the {name} side lacks a class: draw from each class by itself"
    if abs(test.mean() - share) > 0.17:  # four standard errors
        other = ": True is for the test side" if abs(1 - test.mean() - share) < 0.17 else ""
        return f"the test side holds {test.mean():.0%} of the images, expected about {share:.0%}{other}"
    for label in (0, 1):
        part = len(np.unique(subjects[test & (labels == label)])) / len(np.unique(subjects[labels == label]))
        if abs(part - share) > 0.35:
            sides = f"{part:.0%} of the subjects are on the test side, expected about {share:.0%}"
            return f"of class {label} {sides}: draw from each class by itself"
    return ""


def _study(rng: np.random.Generator) -> tuple[Any, Any]:
    """correct (N,) and subjects (N,) of a study whose true accuracy is TRUTH.

    Of 40 subjects half have 5 to 14 images and are easier, half have 22 to 34; so the mean of the subjects' own accuracies is
    another number, 0.82.
    """
    images = np.concatenate([rng.integers(5, 15, 20), rng.integers(22, 35, 20)])
    easy, hard = 0.9, (TRUTH * (9.5 + 28) - 9.5 * 0.9) / 28
    own = rng.beta(*(4.5 * np.repeat([[easy, hard], [1 - easy, 1 - hard]], 20, axis=1)))
    subjects = np.repeat([f"P{i:02d}" for i in rng.permutation(40)], images)
    order = rng.permutation(len(subjects))
    return (rng.random(len(subjects)) < np.repeat(own, images)).astype(np.int64)[order], subjects[order]


@functools.lru_cache(STUDIES)
def _studied(seed: int, study: int) -> tuple[Any, Any, tuple[float, float]]:
    """A study, and its right interval."""
    correct, subjects = _study(generator(seed, 12, 100, study))
    return correct, subjects, _bootstrap(correct, subjects, generator(seed, 12, 102, study))


def _bootstrap(correct: Any, subjects: Any, rng: np.random.Generator) -> tuple[float, float]:
    """The right interval, drawn so often that what is left of chance in it doesn't count."""
    _, owner = np.unique(subjects, return_inverse=True)
    hits, images = np.bincount(owner, correct), np.bincount(owner)
    drawn = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size=2000)
    low, high = np.percentile((drawn @ hits) / (drawn @ images), (2.5, 97.5))
    return float(low), float(high)


def interval(mine: Function, seed: int) -> str:
    """Width and place, against the right interval, in simulated studies whose truth is known.

    200 draws leave 7 % of chance in a width, and 1.5 % in the mean of 24 of them; a 90 % interval is 16 % narrower.
    """
    ratios, offsets, by_image, held = [], [], [], 0
    for study in range(STUDIES):
        correct, subjects, right = _studied(seed, study)
        given = correct.copy(), subjects.copy()
        with tried(f"{len(correct)} images of 40 subjects, correct {correct.shape}, subjects {subjects.shape}"):
            answer = mine(*given, generator(seed, 12, 101, study))
        if not (np.array_equal(given[0], correct) and np.array_equal(given[1], subjects)):
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
        p, width = correct.mean(), right[1] - right[0]
        ratios.append((high - low) / width)
        by_image.append(2 * 1.96 * math.sqrt(p * (1 - p) / len(correct)) / width)
        offsets.append((low + high - sum(right)) / 2 / width)
        held += low <= TRUTH <= high
    ratio, over_images = float(np.mean(ratios)), float(np.mean(by_image))
    promise = f"in {STUDIES} simulated studies it holds the truth {held} times, promised 95 %"
    if ratio > 2.5:
        return (
            f"too wide, {ratio:.2f} times as wide as it should be: the interval is of the mean, not of single subjects"
        )
    return _place(float(np.mean(offsets))) or _width(ratio, over_images, promise)


# How wide the intervals of usual mistakes are, a 95 % interval being 1.
WIDTHS = {
    0.344: "the middle half, from the percentiles 25 to 75?",
    0.510: "one standard error to each side, which holds 68 %?",
    0.654: "the middle 80 %, from the percentiles 10 to 90?",
    0.839: "the middle 90 %, from the percentiles 5 to 95?",
    1.187: "the middle 98 %, from the percentiles 1 to 99?",
    1.314: "the middle 99 %, from the percentiles 0.5 to 99.5?",
}


def _width(ratio: float, over_images: float, promise: str) -> str:
    """What is said of intervals that are `ratio` times as wide as the right ones; over_images: as those over images are."""
    if abs(ratio - 1) <= 0.1:
        return ""
    times = f"too {'narrow' if ratio < 1 else 'wide'}, {ratio:.2f} times as wide as it should be"
    if abs(ratio / over_images - 1) < 0.06:
        return f"{times}: images of one subject are alike, so that subjects, not images, are drawn anew; {promise}"
    near = min(WIDTHS, key=lambda width: abs(ratio / width - 1))
    known = f"{WIDTHS[near]} " if abs(ratio / near - 1) < 0.08 else ""
    return f"{times}: {known}The middle 95 % lie between the percentiles 2.5 and 97.5; {promise}"


def _place(offset: float) -> str:
    if abs(offset) <= 0.1:
        return ""
    hint = "; does each subject count the same, whatever its images?" if offset > 0 else ""
    side = f"it stands too {'high' if offset > 0 else 'low'}, by {abs(offset):.0%} of its width"
    return f"{side}: the accuracy is the share of right images{hint}"
