import hashlib
import io

import numpy as np
import pytest
from image_kinds import CONVERTED, LEFT_OUT, alpha, with_orientation
from PIL import Image
from small_data import save_image

from scratchnet.data.images import EXTENSIONS, FORMATS, MAX_PIXELS, UnusableImage, decode, fit_to_square


def pixels_of(decoded):
    assert decoded.image.mode == "RGB"
    return np.asarray(decoded.image)


def reason(path):
    with pytest.raises(UnusableImage) as caught:
        decode(path)
    return str(caught.value)


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_format_is_used_as_it_is(tmp_path, extension):
    options = {"lossless": True} if extension == ".webp" else {}
    decoded = decode(save_image(tmp_path / f"a{extension}", **options))
    assert decoded.alterations == ()
    assert decoded.image.size == (12, 10)
    if EXTENSIONS[extension] != "JPEG":
        expected = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        np.testing.assert_array_equal(pixels_of(decoded), expected)


def test_upper_case_extension(tmp_path):
    assert decode(save_image(tmp_path / "a.BMP")).alterations == ()


@pytest.mark.parametrize("name", sorted(CONVERTED))
def test_converted_and_said(tmp_path, name):
    write, said = CONVERTED[name]
    write(tmp_path / name)
    decoded = decode(tmp_path / name)
    assert pixels_of(decoded).dtype == np.uint8
    assert any(said in alteration for alteration in decoded.alterations)


def test_conversions_keep_the_picture(tmp_path):
    save_image(tmp_path / "grey.png", mode="L")
    grey = np.asarray(Image.open(tmp_path / "grey.png"))
    np.testing.assert_array_equal(pixels_of(decode(tmp_path / "grey.png")), grey[:, :, None].repeat(3, axis=2))
    alpha(tmp_path / "opaque.png", "RGB", 255)
    np.testing.assert_array_equal(pixels_of(decode(tmp_path / "opaque.png")), np.full((10, 12, 3), 9))


def test_turned_upright(tmp_path):
    plain = np.asarray(Image.open(save_image(tmp_path / "a.png")))
    with_orientation(tmp_path / "b.png", 6)  # the camera lay on its side: turn clockwise
    np.testing.assert_array_equal(pixels_of(decode(tmp_path / "b.png")), np.rot90(plain, -1))
    with_orientation(tmp_path / "c.png", 1)
    assert decode(tmp_path / "c.png").alterations == ()


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_left_out_with_the_reason(tmp_path, name):
    write, said = LEFT_OUT[name]
    write(tmp_path / name)
    assert said in reason(tmp_path / name)


def test_a_file_that_cannot_be_opened(tmp_path):
    assert "cannot be opened" in reason(tmp_path / "missing.png")
    (tmp_path / "folder.png").mkdir()
    assert "cannot be opened" in reason(tmp_path / "folder.png")


def test_a_picture_at_the_limit_is_read(tmp_path):
    side = int(MAX_PIXELS**0.5)
    Image.new("RGB", (side, side)).save(tmp_path / "a.png", compress_level=1)
    assert decode(tmp_path / "a.png").image.size == (side, side)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_either_named_or_yields_an_image(tmp_path, kind):
    """No damage to a file gets out of `decode` as anything but UnusableImage."""
    buffer = io.BytesIO()
    Image.open(save_image(tmp_path / "a.png", size=(20, 20))).save(buffer, kind)
    good, random = buffer.getvalue(), np.random.default_rng(0)
    path = tmp_path / "damaged"
    for _ in range(100):
        bad = bytearray(good)
        for position in random.integers(len(bad), size=3):
            bad[position] = random.integers(256)
        path.write_bytes(bad[: random.integers(1, len(bad) + 1)])
        try:
            assert pixels_of(decode(path)).ndim == 3
        except UnusableImage as caught:
            said = str(caught)
            assert said


def test_content_hash_is_of_pixels_and_shape(tmp_path):
    png_file, bmp_file = save_image(tmp_path / "a.png"), save_image(tmp_path / "b.bmp")
    assert decode(png_file).content_hash() == decode(bmp_file).content_hash()
    assert decode(png_file).content_hash() != decode(save_image(tmp_path / "c.png", seed=1)).content_hash()
    hashes = {hashlib.sha256(decode_shape(tmp_path, shape)).digest() for shape in ((2, 8), (4, 4), (8, 2))}
    assert len(hashes) == 3


def decode_shape(folder, size):
    Image.new("RGB", size).save(folder / "shape.png")
    return decode(folder / "shape.png").content_hash()


def test_shrinking_averages_areas():
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    small = fit_to_square(Image.fromarray(image), 4, "pad")
    expected = image.reshape(4, 3, 4, 3, 3).mean(axis=(1, 3))
    assert abs(small - expected).max() <= 1


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
