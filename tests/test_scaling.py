"""Images to the network's size: means over areas, exactly, without turning or stretching."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_data import mean_over_areas

from scratchnet.data.scaling import fit_to_square, shrink


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(0, 2**32 - 1),
)
def test_shrinking_is_the_mean_over_areas_rounded_half_up(old, new, seed):
    """Held against the definition, in fractions: an integral over each new pixel."""
    height, width = map(min, new, old)
    pixels = np.random.default_rng(seed).integers(0, 256, (*old, 1), dtype=np.uint8)
    found = shrink(pixels, height, width)
    for i, j in np.ndindex(height, width):
        mean = Fraction(0)
        for p, q in np.ndindex(*old):
            part = overlap(i, p, old[0], height) * overlap(j, q, old[1], width)
            mean += part * int(pixels[p, q, 0]) * height * width / (old[0] * old[1])
        assert found[i, j, 0] == int(mean + Fraction(1, 2))


def overlap(k, p, old, new):
    """How much of old pixel p lies within new pixel k, whose sides are old/new long."""
    return max(
        Fraction(0), min(Fraction(p + 1), Fraction((k + 1) * old, new)) - max(Fraction(p), Fraction(k * old, new))
    )


@pytest.mark.parametrize("size", [32, 64, 128, 256, 449])
def test_cells_of_450_pixels(size, rng):
    pixels = rng.integers(0, 256, (450, 450, 3), dtype=np.uint8)
    exact = mean_over_areas(pixels, size)
    assert abs(fit_to_square(Image.fromarray(pixels), size, "pad") - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("shape", [(4096, 4096, 1), (16_384, 1024, 1), (1024, 16_384, 1)])
def test_the_largest_images_do_not_overflow(shape):
    white = np.full(shape, 255, np.uint8)
    for new in ((1, 1), (1023, 7), (7, 1023), (512, 1024)):
        assert (shrink(white, *new) == 255).all()


def test_an_array_may_be_larger_than_a_file(rng):
    """Files have at most 2²⁴ pixels, arrays that are predicted any number."""
    pixels = rng.integers(200, 256, (5000, 4100, 1), dtype=np.uint8)
    exact = pixels.reshape(10, 500, 10, 410).mean(axis=(1, 3))
    assert abs(shrink(pixels, 10, 10)[..., 0] - exact).max() <= 0.5


def test_one_axis_may_shrink_while_the_other_grows():
    image = np.array([[[0], [100]], [[50], [150]], [[100], [200]], [[150], [250]]], np.uint8).repeat(3, axis=2)
    rows = np.array([[25, 125], [125, 225]], np.uint8)
    tall = fit_to_square(Image.fromarray(image[:, :1]), 2, "stretch")
    np.testing.assert_array_equal(tall[..., 0], [[25, 25], [125, 125]])
    np.testing.assert_array_equal(fit_to_square(Image.fromarray(image), 2, "stretch")[..., 0], rows)


def test_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for fit in ("pad", "stretch"):
        np.testing.assert_array_equal(fit_to_square(Image.fromarray(image), 8, fit), image)


@pytest.mark.parametrize(
    ("size", "box"), [((40, 20), np.s_[2:6, :]), ((20, 40), np.s_[:, 2:6]), ((4, 2), np.s_[2:6, :])]
)
def test_padding_is_black_and_keeps_proportions(size, box):
    square = fit_to_square(Image.new("RGB", size, (200, 100, 50)), 8, "pad")
    expected = np.zeros((8, 8, 3), np.uint8)
    expected[box] = (200, 100, 50)
    np.testing.assert_array_equal(square, expected)


@pytest.mark.parametrize("size", [(40, 20), (3, 50), (1, 1), (1, 16_384)])
def test_stretching_fills_the_square(size):
    square = fit_to_square(Image.new("RGB", size, (200, 100, 50)), 8, "stretch")
    assert (square == (200, 100, 50)).all()


def test_enlarging_is_linear():
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 100
    large = fit_to_square(Image.fromarray(image), 4, "pad")
    np.testing.assert_array_equal(large[0, :, 0], [0, 25, 75, 100])
