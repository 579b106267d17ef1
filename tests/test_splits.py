"""Training, validation and test: subjects are never cut, and the sides have their shares."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet.errors import DataError
from scratchnet.prepare import SAMPLE
from scratchnet.prepare.sources import find_images
from scratchnet.prepare.splits import _even_out, fold_groups, split_groups

CLASSES = ("all", "hem")


def cnmc_like(seed, subjects=40):
    """Subjects of very unequal size, each of one class."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 60, subjects)
    groups = np.repeat(np.arange(subjects), sizes)
    return (groups % 2).astype(np.int64), [f"S{g}" for g in groups]


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.1, 0.2, 0.3, 0.5]))
def test_subjects_are_never_cut_and_shares_are_close(seed, split_seed, fraction):
    labels, groups = cnmc_like(seed)
    in_test = split_groups(labels, groups, fraction, split_seed, CLASSES)
    assert not {g for g, t in zip(groups, in_test, strict=True) if t} & {
        g for g, t in zip(groups, in_test, strict=True) if not t
    }
    for label in (0, 1):
        assert abs(in_test[labels == label].mean() - fraction) < 0.02


@given(st.integers(0, 20))
def test_subjects_with_images_of_both_classes(seed):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 50, 1000)
    labels = random.integers(0, 2, 1000)
    in_test = split_groups(labels, groups.tolist(), 0.2, seed, CLASSES)
    assert not set(groups[in_test]) & set(groups[~in_test])
    assert abs(in_test[labels == 0].mean() - 0.2) < 0.02
    assert abs(in_test[labels == 1].mean() - 0.2) < 0.02


def test_the_sample_is_divided_as_asked_whatever_the_seed():
    found = find_images(SAMPLE)
    labels = np.array([image.label for image in found.images])
    subjects = np.array([image.subject for image in found.images])
    sides = set()
    for seed in range(8):
        in_test = split_groups(labels, subjects.tolist(), 0.2, seed, found.class_names)
        for label in (0, 1):
            assert abs(in_test[labels == label].mean() - 0.2) <= 0.01
        assert 8 <= len(set(subjects[in_test])) <= 14  # of 54
        sides.add(frozenset(subjects[in_test]))
    assert len(sides) == 8


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_few_subjects_are_divided_almost_as_well_as_can_be(seed, fraction):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 31, random.integers(2, 9))
    labels = np.zeros(sum(sizes), np.int64)
    share = split_groups(labels, np.repeat(range(len(sizes)), sizes).tolist(), fraction, seed, ["all"]).mean()
    choices = np.array(list(itertools.product((0, 1), repeat=len(sizes)))[1:-1])
    shares = choices @ sizes / sum(sizes)
    costs = (shares - fraction) ** 2 / (shares * (1 - shares))
    assert (share - fraction) ** 2 / (share * (1 - share)) <= costs.min() + 0.005


@pytest.mark.parametrize("seed", range(5))
def test_a_side_is_not_tiny_without_need(seed):
    labels = np.repeat([0, 1], 100)
    in_test = split_groups(labels, np.repeat(range(6), [1, 50, 49, 1, 40, 59]).tolist(), 0.2, seed, CLASSES)
    assert in_test[:100].sum() == 49
    assert in_test[100:].sum() == 40


@pytest.mark.parametrize("groups", [10_000, 200_000])
def test_many_groups_are_divided_quickly(groups):
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200_000)
    members = np.arange(200_000) if groups == 200_000 else random.integers(0, groups, 200_000)
    before = time.perf_counter()
    in_test = split_groups(labels, members.tolist(), 0.2, 0, "abc")
    assert time.perf_counter() - before < 20  # takes a second
    for label in range(3):
        assert abs(in_test[labels == label].mean() - 0.2) < 0.001


def test_single_images_are_divided_to_the_nearest_image():
    labels = np.array([0] * 100 + [1] * 37)
    in_test = split_groups(labels, list(range(137)), 0.2, 3, CLASSES)
    assert in_test[:100].sum() == 20
    assert in_test[100:].sum() == 7


def test_a_function_of_its_arguments():
    labels, groups = cnmc_like(0)
    first = split_groups(labels, groups, 0.2, 5, CLASSES)
    np.testing.assert_array_equal(first, split_groups(labels, groups, 0.2, 5, CLASSES))
    assert (first != split_groups(labels, groups, 0.2, 6, CLASSES)).any()


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_two_subjects_a_class_stand_on_two_sides(fraction, seed):
    labels = np.array([0] * 20 + [1] * 20)
    groups = [f"S{k // 10}" for k in range(40)]
    in_test = split_groups(labels, groups, fraction, seed, CLASSES)
    assert in_test[:20].sum() == in_test[20:].sum() == 10


def test_a_class_with_one_subject_is_refused():
    with pytest.raises(DataError, match=r"'hem' has 1 distinct subject,.* Add images of other subjects\.$"):
        split_groups(np.array([0, 0, 0, 1, 1]), ["a", "b", "c", "d", "d"], 0.2, 0, CLASSES)


def test_a_class_with_one_image_is_refused():
    with pytest.raises(DataError, match=r"'hem' has 1 image to divide,.* Add images of other subjects\.$"):
        split_groups(np.array([0, 0, 0, 1]), ["a", "b", "c", "d"], 0.2, 0, CLASSES)


def test_one_subject_for_everything_is_refused():
    with pytest.raises(DataError):
        split_groups(np.array([0, 1]), ["a", "a"], 0.2, 0, CLASSES)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(2, 6))
def test_folds_keep_groups_whole_and_classes_even(seed, fold_seed, folds):
    labels, groups = cnmc_like(seed)
    fold_of = fold_groups(labels, groups, folds, fold_seed, CLASSES)
    assert len(set(zip(groups, fold_of.tolist(), strict=True))) == len(set(groups))
    for label in (0, 1):
        shares = np.bincount(fold_of[labels == label], minlength=folds) / np.count_nonzero(labels == label)
        assert abs(shares - 1 / folds).max() < 0.02


@given(st.integers(0, 20))
def test_folds_of_subjects_with_images_of_both_classes(seed):
    random = np.random.default_rng(seed)
    groups, labels = random.integers(0, 60, 1000), random.integers(0, 2, 1000)
    fold_of = fold_groups(labels, groups.tolist(), 5, seed, CLASSES)
    assert len(set(zip(groups.tolist(), fold_of.tolist(), strict=True))) == len(set(groups))
    for label in (0, 1):
        assert abs(np.bincount(fold_of[labels == label]) / np.count_nonzero(labels == label) - 0.2).max() < 0.03


@pytest.mark.parametrize("seed", range(15))
def test_few_subjects_are_folded_as_well_as_can_be(seed):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 31, 7)
    labels, groups = np.zeros(sum(sizes), np.int64), np.repeat(range(7), sizes).tolist()
    counts = np.bincount(fold_groups(labels, groups, 3, seed, ["all"]), minlength=3)
    choices = np.array(list(itertools.product(range(3), repeat=7)))
    costs = sum(((choices == fold) @ sizes) ** 2 for fold in range(3))
    assert (counts**2).sum() <= costs.min() * 1.02


def test_a_fold_may_take_several_groups_from_another():
    assert np.bincount(_even_out(np.full((9, 1), 1 / 9), np.zeros(9, np.int64), 3)).tolist() == [3, 3, 3]


def test_folds_are_a_function_of_their_arguments():
    labels, groups = cnmc_like(0)
    first = fold_groups(labels, groups, 5, 1, CLASSES)
    np.testing.assert_array_equal(first, fold_groups(labels, groups, 5, 1, CLASSES))
    assert (first != fold_groups(labels, groups, 5, 2, CLASSES)).any()


@pytest.mark.parametrize("seed", range(5))
def test_one_large_subject_and_four_small_ones_make_five_folds(seed):
    fold_of = fold_groups(np.zeros(54, np.int64), np.repeat(range(5), [50, 1, 1, 1, 1]).tolist(), 5, seed, ["all"])
    assert sorted(np.bincount(fold_of)) == [1, 1, 1, 1, 50]


def test_many_groups_are_folded_quickly():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 100_000)
    before = time.perf_counter()
    fold_of = fold_groups(labels, list(range(100_000)), 10, 0, "abc")
    assert time.perf_counter() - before < 20  # takes a second
    for label in range(3):
        counts = np.bincount(fold_of[labels == label])
        assert counts.max() - counts.min() <= 1


def test_too_few_subjects_for_the_folds():
    with pytest.raises(DataError, match=r"'hem' has 2 distinct subjects, too few for each of 3 folds.*--folds"):
        fold_groups(np.array([0, 0, 0, 1, 1]), list("abcde"), 3, 0, CLASSES)
