"""The difference of two networks on the same images: its value, its interval, and which images are the same."""

import numpy as np
import pytest

from scratchnet.measures.differences import differences, shared_images
from scratchnet.measures.predictions import Predictions
from scratchnet.measures.scores import scores


def said(right, *, labels=None, subjects=True, names=("all", "hem"), paths=None):
    """Predictions of which those marked are right: two images a subject."""
    right = np.asarray(right, bool)
    labels = np.arange(len(right)) // 2 % 2 if labels is None else np.asarray(labels)
    chances = np.full((len(right), 2), 0.2)
    chances[np.arange(len(right)), np.where(right, labels, 1 - labels)] = 0.8
    paths = paths or [f"{k}.png" for k in range(len(right))]
    who = tuple(f"P{k // 2}" for k in range(len(right))) if subjects else None
    return Predictions(names, tuple(paths), who, labels.astype(np.int64), chances)


def found(first, second, **options):
    return differences(first, second, shared_images(first, second), **options)


def test_the_value_is_the_difference_of_the_measures():
    rng = np.random.default_rng(0)
    first, second = said(rng.random(80) < 0.6), said(rng.random(80) < 0.8)
    difference = found(first, second)
    for name, one in difference.items():
        measures = [s.scores(bootstrap=0).images.overall[name].value for s in (first, second)]
        assert one.value == pytest.approx(measures[1] - measures[0])
        assert one.low < one.value < one.high
    assert not found(first, first)["accuracy"].clear
    assert found(first, first)["accuracy"].low == found(first, first)["accuracy"].high == 0


def test_pairing_sees_what_two_intervals_hide():
    """The second network errs on the same images but for some: the intervals overlap, the difference is clear."""
    rng = np.random.default_rng(1)
    first = rng.random(200) < 0.7
    second = first | (rng.random(200) < 0.2)
    one = found(said(first), said(second))["accuracy"]
    assert one.clear
    intervals = [said(right).scores().images.overall["accuracy"] for right in (first, second)]
    assert intervals[0].high > intervals[1].low
    assert one.high - one.low < intervals[0].high - intervals[0].low


def test_subjects_are_drawn_and_not_images():
    """Twins in a subject are no second witness: with their subjects known, the interval is wider."""
    rng = np.random.default_rng(2)
    first, second = np.repeat(rng.random(40) < 0.5, 2), np.repeat(rng.random(40) < 0.7, 2)
    widths = []
    for known in (True, False):
        one = found(said(first, subjects=known), said(second, subjects=known))["accuracy"]
        widths.append(one.high - one.low)
    assert widths[0] > 1.2 * widths[1]


def test_only_the_same_images_are_compared_in_any_order():
    first = said([True] * 8, paths=[f"{k}.png" for k in range(8)])
    order = [5, 4, 7, 6, 1, 0]  # labels and subjects go along
    second = Predictions(first.class_names, tuple(first.paths[k] for k in order), tuple(first.subjects[k] for k in order),
                         first.labels[order], first.probabilities[order])  # fmt: skip
    shared = shared_images(first, second)
    assert [first.paths[k] for k in shared.first] == [second.paths[k] for k in shared.second]
    assert len(shared.first) == 6
    assert found(first, second)["accuracy"].value == 0


@pytest.mark.parametrize(
    "other",
    [
        said([True] * 4, names=("sick", "well")),
        said([True] * 4, paths=["a", "b", "c", "d"]),
        said([True] * 4, labels=[1, 1, 0, 0]),
        said([True] * 4, subjects=False),
    ],
)
def test_other_images_share_nothing(other):
    assert shared_images(said([True] * 4), other) is None


def test_what_is_undefined_is_a_dash():
    one = said([True, True, False, True], labels=[0, 0, 0, 0])
    assert found(one, one)["roc_auc"].text() == "–"
    assert found(one, one, bootstrap=0)["accuracy"].text() == "+0.0 points"
    assert scores(one.labels, one.probabilities, class_names=one.class_names, bootstrap=0).subjects is None
