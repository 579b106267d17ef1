"""Angle, zoom, stain and contrast: each beside its plain form, and each does what it says."""

import numpy as np
import pytest

from scratchnet import reference
from scratchnet.data import Augmentation, symmetry
from scratchnet.data.stain import TO_STAINS, contrast, restain
from scratchnet.data.warp import warp
from scratchnet.errors import ConfigError, DtypeError, ShapeError
from tests.small_data import random_images

EACH = {"angle": 20.0, "zoom": 0.2, "stain": 0.1, "contrast": 0.3, "brightness": 0.2}


def smooth(count=2, size=64):
    """Coloured waves, which lose little between pixels."""
    y, x = np.mgrid[:size, :size] / size
    waves = [128 + 90 * np.sin(2 * np.pi * (k * x + (3 - k) * y) + k) for k in range(3)]
    return np.stack([np.stack(waves, axis=-1)] * count).astype(np.uint8)


def test_warp_is_the_textbooks_to_the_bit():
    images = random_images(5, 13)
    angles, zooms = [0.0, 14.2, -33.0, 90.0, 180.0], [1.0, 0.8, 1.25, 1.0, 0.5]
    for image, turned, angle, zoom in zip(images, warp(images, angles, zooms), angles, zooms, strict=True):
        np.testing.assert_array_equal(turned, reference.warped(image.astype(float), angle, zoom))


def test_stain_is_the_textbooks(rng):
    images, scales, shifts = random_images(4, 16), rng.uniform(0.7, 1.3, (4, 3)), rng.uniform(-0.2, 0.2, (4, 3))
    images[:, :4] = 0
    for image, made, scale, shift in zip(images, restain(images, scales, shifts), scales, shifts, strict=True):
        expected = reference.restained(image, TO_STAINS, scale, shift)
        assert np.abs(made - expected).max() <= 1  # float32 against float64, at the edge of two levels
        assert (made != expected).mean() < 0.01
        assert not made[:4].any()


@pytest.mark.parametrize("size", [8, 9])
def test_quarter_turns_by_angle_are_the_symmetries(size):
    images = random_images(4, size)
    turned = warp(images, [0, 90, 180, 270], [1.0] * 4)
    np.testing.assert_array_equal(turned, symmetry(images, [0, 1, 2, 3]))


@pytest.mark.parametrize("angle", [-25.0, 4.0, 40.0])
def test_a_turned_picture_is_turned_by_that_angle(angle):
    """A bar to the right of the middle: its direction is measured by its centre of mass."""
    image = np.zeros((1, 65, 65, 3), np.uint8)
    image[0, 31:34, 45:60] = 255
    light = warp(image, [angle], [1.0])[0, :, :, 0].astype(float)
    y, x = (np.arange(65) - 32) @ light.sum(1), (np.arange(65) - 32) @ light.sum(0)
    assert np.degrees(np.arctan2(-y, x)) == pytest.approx(angle, abs=0.2)
    assert light.sum() == pytest.approx(image[..., 0].sum(), rel=0.01)


def test_a_zoomed_picture_has_that_size():
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[0, 22:42, 22:42] = 200
    for zoom in (0.8, 1.3):
        assert warp(image, [0.0], [zoom])[..., 0].sum() == pytest.approx(zoom**2 * image[..., 0].sum(), rel=0.02)


def test_there_and_back():
    """Within a level or two where a picture is smooth, away from its edges."""
    images, middle = smooth(), np.s_[:, 16:-16, 16:-16]
    back = warp(warp(images, [12.0, -9.0], [1.1, 1.0]), [-12.0, 9.0], [1 / 1.1, 1.0])
    assert np.abs(back[middle].astype(int) - images[middle]).max() <= 3
    scale, shift = np.array([[1.1, 0.95, 1.05]] * 2), np.array([[0.05, -0.02, 0.01]] * 2)
    back = restain(restain(images, scale, shift), 1 / scale, -shift / scale)
    assert np.abs(back.astype(int) - images).max() <= 3
    back = contrast(contrast(images, [0.8, 0.9]), [1 / 0.8, 1 / 0.9])
    assert np.abs(back.astype(int) - images).max() <= 2


def test_drawing_nothing_changes_no_bit():
    images, count = random_images(3, 32), 3
    images[:, :5] = 0
    for same in (
        warp(images, np.zeros(count), np.ones(count)),
        restain(images, np.ones((count, 3)), np.zeros((count, 3))),
        contrast(images, np.ones(count)),
        Augmentation("none").apply(images, 0, 0, range(count)),
    ):
        np.testing.assert_array_equal(same, images)


@pytest.mark.parametrize("name", EACH)
def test_a_plain_image_stays_plain_and_black_stays_black(name):
    augment = Augmentation("none", **{name: EACH[name]})
    plain = np.broadcast_to(np.array([170, 90, 160], np.uint8), (6, 16, 16, 3))
    made = augment.apply(plain, 0, 0, range(6))
    assert (made == made[:, :1, :1]).all()
    if name in ("angle", "zoom", "contrast"):
        np.testing.assert_array_equal(made, plain)
    assert not augment.apply(np.zeros((2, 16, 16, 3), np.uint8), 0, 0, [0, 1]).any()


def test_contrast_by_its_formula():
    images = random_images(2, 8)
    images[0, :2] = 0
    for image, made, factor in zip(images, contrast(images, [0.7, 1.4]), [0.7, 1.4], strict=True):
        seen = image.any(axis=-1)
        mean = image[seen].mean(axis=0)
        expected = np.rint(np.clip(mean + factor * (image - mean), 0, 255)) * seen[..., None]
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("name", EACH)
def test_a_draw_belongs_to_the_image_and_the_epoch(name):
    """Whatever batch it stands in, in whatever order: cut on ranks, after a resume, in a micro-batch."""
    images, augment = smooth(12, 16), Augmentation("none", **{name: EACH[name]})
    whole = augment.apply(images, 3, 5, np.arange(12))
    order = np.array([7, 2, 11, 0])
    np.testing.assert_array_equal(augment.apply(images[order], 3, 5, order), whole[order])
    assert len({one.tobytes() for one in whole}) > 9
    assert not np.array_equal(augment.apply(images, 3, 6, np.arange(12)), whole)
    assert not np.array_equal(augment.apply(images, 4, 5, np.arange(12)), whole)


def test_what_cannot_be():
    for wrong in ({"angle": -1.0}, {"angle": 181.0}, {"zoom": 1.0}, {"stain": -0.1}, {"contrast": float("nan")}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Augmentation(**wrong)
    with pytest.raises(DtypeError, match="before scaling"):
        warp(np.zeros((1, 4, 4, 3), np.float32), [0], [1])
    with pytest.raises(ShapeError, match="square"):
        warp(np.zeros((1, 4, 5, 3), np.uint8), [0], [1])
    for change in (
        lambda images: restain(images, np.ones((1, 3)), np.zeros((1, 3))),
        lambda images: contrast(images, [1]),
    ):
        with pytest.raises(DtypeError, match="before scaling"):
            change(np.zeros((1, 4, 4, 3), np.float32))
