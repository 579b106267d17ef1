import numpy as np
import pytest

from scratchnet.data import random_symmetries, symmetry
from scratchnet.errors import ShapeError

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
