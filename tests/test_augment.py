"""Augmentation: the eight symmetries and brightness, each drawn for an image and not for a batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import random_images

from scratchnet.data import Augmentation, brighten, random_symmetries, symmetry
from scratchnet.errors import ConfigError, DtypeError, ShapeError

IMAGE = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)


def name_of(image):
    """Which of the eight symmetries this is of IMAGE."""
    return next(s for s in range(8) if np.array_equal(symmetry(IMAGE, s), image))


def test_they_are_the_dihedral_group_of_the_square():
    assert len({symmetry(IMAGE, s).tobytes() for s in range(8)}) == 8
    product = np.array(
        [[name_of(symmetry(symmetry(IMAGE, a), b)) for b in range(8)] for a in range(8)]
    )  # closed, or name_of fails
    np.testing.assert_array_equal(product[0], np.arange(8))  # 0 is the identity
    np.testing.assert_array_equal(product[:, 0], np.arange(8))
    assert all(sorted(row) == list(range(8)) for row in product.tolist())  # each has an inverse

    def order_of(s):
        power, count = s, 1
        while power != 0:
            power, count = product[power, s], count + 1
        return count

    assert [order_of(s) for s in range(8)] == [1, 4, 2, 4, 2, 2, 2, 2]
    assert (product != product.T).any()


def test_each_by_its_definition():
    image = IMAGE[0, :, :, 0]
    for s in range(8):
        expected = np.rot90(image[:, ::-1] if s >= 4 else image, s % 4)
        np.testing.assert_array_equal(symmetry(IMAGE, s)[0, :, :, 0], expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_each_image_its_own(dtype):
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3)).astype(dtype)
    which = np.array([0, 1, 2, 3, 4, 5, 6, 7, 3, 0])
    turned = symmetry(images, which)
    assert turned.dtype == dtype
    assert turned.flags.c_contiguous
    for k, s in enumerate(which):
        np.testing.assert_array_equal(turned[k : k + 1], symmetry(images[k : k + 1], s))


def test_draws_depend_on_seed_epoch_and_image_only():
    images = np.random.default_rng(0).integers(0, 256, (64, 4, 4, 3), dtype=np.uint8)
    numbers = np.arange(64)
    whole = random_symmetries(images, 1, 2, numbers)
    np.testing.assert_array_equal(whole[20:30], random_symmetries(images[20:30], 1, 2, numbers[20:30]))
    np.testing.assert_array_equal(whole[::-1], random_symmetries(images[::-1], 1, 2, numbers[::-1]))
    assert (whole != random_symmetries(images, 1, 3, numbers)).any()
    assert (whole != random_symmetries(images, 2, 2, numbers)).any()


def test_all_eight_come_equally_often():
    turned = random_symmetries(np.repeat(IMAGE, 8000, axis=0), 0, 0, np.arange(8000))
    _, counts = np.unique(turned.reshape(8000, -1), axis=0, return_counts=True)
    assert len(counts) == 8
    assert abs(counts - 1000).max() < 120


def test_no_images():
    assert symmetry(np.empty((0, 4, 4, 3), np.uint8), 1).shape == (0, 4, 4, 3)


def test_what_cannot_be_turned():
    with pytest.raises(ShapeError, match=r"\(1, 3, 4, 1\)"):
        symmetry(np.zeros((1, 3, 4, 1)), 1)
    with pytest.raises(ValueError, match="0 to 7"):
        symmetry(IMAGE, 8)


def test_rotations_are_the_four_quarter_turns_equally_often():
    turned = Augmentation("rotations").apply(np.repeat(IMAGE, 4000, axis=0), 0, 0, np.arange(4000))
    found, counts = np.unique(turned.reshape(4000, -1), axis=0, return_counts=True)
    assert {image.tobytes() for image in found} == {symmetry(IMAGE, s).tobytes() for s in range(4)}
    assert abs(counts - 1000).max() < 120


def test_symmetries_are_drawn_as_they_always_were():
    """Runs of version 0.1 can be resumed: the same bits decide."""
    images, numbers = random_images(20), np.arange(20)
    np.testing.assert_array_equal(Augmentation().apply(images, 3, 4, numbers), random_symmetries(images, 3, 4, numbers))


def test_no_augmentation_changes_nothing():
    images = random_images(20)
    np.testing.assert_array_equal(Augmentation("none").apply(images, 3, 4, np.arange(20)), images)


@given(st.floats(0, 3))
def test_brightness_by_its_formula_for_every_grey_level(factor):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    brighter = brighten(levels, [factor])
    assert brighter.dtype == np.uint8
    exact = np.minimum(255, factor * np.arange(256))
    assert np.abs(brighter.ravel() - exact).max() <= 0.5
    assert brighter.ravel()[0] == 0
    assert (np.diff(brighter.ravel().astype(int)) >= 0).all()


def test_brightness_belongs_to_the_image_and_reaches_from_end_to_end():
    """Grey 100 times the factor: the factors are spread evenly over [0.8, 1.2], and no channel or pixel has its own."""
    grey, numbers = np.full((5000, 4, 4, 3), 100, np.uint8), np.arange(5000)
    changed = Augmentation("none", 0.2).apply(grey, 1, 2, numbers)
    levels = changed[:, 0, 0, 0].astype(int)
    assert (changed == changed[:, :1, :1, :1]).all()
    counts = np.bincount(levels)[80:121]
    assert counts.sum() == 5000
    assert counts[0] > 0
    assert counts[-1] > 0
    assert abs(counts[1:-1] - 125).max() < 50
    assert (Augmentation("none", 0.2).apply(grey, 1, 3, numbers) != changed).any()
    assert (Augmentation("none", 0.2).apply(grey, 2, 2, numbers) != changed).any()


def test_brightness_and_turn_are_drawn_apart():
    """Among images turned alike there are all brightnesses."""
    images, numbers = np.repeat(100 + IMAGE, 800, axis=0), np.arange(800)
    turn = np.array([name_of(image[None] - 100) for image in random_symmetries(images, 0, 0, numbers)])
    bright = Augmentation("none", 0.5).apply(images, 0, 0, numbers)[:, 0, 0, 0] > 100
    assert all(0.3 < bright[turn == s].mean() < 0.7 for s in range(8))


@given(st.integers(0, 2**31), st.permutations(range(12)), st.integers(0, 12))
def test_an_image_changes_alike_in_any_batch(seed, order, cut):
    images, order = random_images(12, size=4), np.array(order)
    augmentation = Augmentation("symmetries", 0.4)
    whole = augmentation.apply(images, seed, 5, np.arange(12))
    parts = [augmentation.apply(images[part], seed, 5, part) for part in (order[:cut], order[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole[order])


def test_augmentations_that_cannot_be():
    with pytest.raises(ConfigError, match="turns must be one of none, rotations, symmetries, got 'spin'"):
        Augmentation("spin")
    for brightness in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="brightness must be at least 0 and less than 1"):
            Augmentation(brightness=brightness)
    with pytest.raises(DtypeError, match="float32: brighten before scaling"):
        brighten(np.zeros((1, 2, 2, 3), np.float32), [1])
