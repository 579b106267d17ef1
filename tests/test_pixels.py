"""How pixels become numbers: the formulas, and what a file says of them."""

import json

import numpy as np
import pytest
from small_data import random_images

from scratchnet.data import PixelScaling
from scratchnet.errors import ConfigError, DtypeError, ShapeError

MEAN, STD = (0.3, 0.5, 0.7), (0.1, 0.2, 0.3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_formulas(dtype):
    images = random_images(5)
    x = images.astype(np.float64)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for scaling, expected in (
        (PixelScaling("unit"), x / 255),
        (PixelScaling("standardised", MEAN, STD), (x / 255 - np.array(MEAN)) / np.array(STD)),
    ):
        scaled = scaling.apply(images, dtype)
        assert scaled.dtype == dtype
        assert scaled.flags.c_contiguous
        np.testing.assert_allclose(scaled, expected, rtol=tolerance, atol=tolerance)


def test_unit_ends_at_exactly_one():
    scaled = PixelScaling("unit").apply(np.full((1, 1, 1, 3), 255, np.uint8))
    assert (scaled == 1).all()


def test_float32_is_computed_in_float32():
    """x/255 rounded once to float32, not computed in float64 and rounded then; bytes prove it for all 256 values."""
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    expected = images.astype(np.float32) / np.float32(255)
    expected = (expected - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(PixelScaling("standardised", MEAN, STD).apply(images), expected)


def test_measured_statistics_standardise():
    images = random_images(50)
    mean = tuple((images / 255).mean(axis=(0, 1, 2)).tolist())
    std = tuple((images / 255).std(axis=(0, 1, 2)).tolist())
    scaled = PixelScaling.measured("standardised", mean, std).apply(images, "float64")
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-12)


def test_a_constant_channel_is_only_shifted():
    scaled = PixelScaling.measured("standardised", (0.2, 0.5, 1), (0, 0.1, 0.1)).apply(
        np.full((1, 1, 1, 3), 51, np.uint8)
    )
    assert scaled[0, 0, 0, 0] == 0


def test_measured_unit_ignores_statistics():
    assert PixelScaling.measured("unit", MEAN, STD) == PixelScaling("unit")


def test_through_json_and_back():
    for scaling in (PixelScaling("unit"), PixelScaling("standardised", MEAN, STD)):
        assert PixelScaling.from_dict(json.loads(json.dumps(scaling.to_dict()))) == scaling


@pytest.mark.parametrize(
    "arguments",
    [
        ("other",),
        ("unit", MEAN, STD),
        ("standardised",),
        ("standardised", MEAN, STD[:2]),
        ("standardised", MEAN, (0.1, 0, 0.1)),
        ("standardised", MEAN, (0.1, float("nan"), 0.1)),
        ("standardised", (float("inf"), 0, 0), STD),
    ],
)
def test_scalings_that_cannot_work(arguments):
    with pytest.raises(ConfigError):
        PixelScaling(*arguments)


@pytest.mark.parametrize(
    "stored",
    [None, {}, {"kind": "unit"}, {"kind": "unit", "mean": ["x"], "std": []}, {"kind": 3, "mean": [], "std": []}],
)
def test_stored_scalings_that_are_none(stored):
    with pytest.raises(ConfigError):
        PixelScaling.from_dict(stored)


def test_wrong_images():
    with pytest.raises(DtypeError, match="float32"):
        PixelScaling("unit").apply(np.zeros((1, 2, 2, 3), np.float32))
    with pytest.raises(ShapeError, match=r"\(1, 2, 2, 1\)"):
        PixelScaling("standardised", MEAN, STD).apply(np.zeros((1, 2, 2, 1), np.uint8))
    with pytest.raises(ShapeError):
        PixelScaling("unit").apply(np.zeros((2, 2, 3), np.uint8))
