import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_data import save_image

from scratchnet.data.images import (
    CROP,
    EXTENSIONS,
    FORMATS,
    MAX_PIXELS,
    UnusableImage,
    crop_to_content,
    decode,
    fit_to_square,
    preprocess,
    preprocessing,
)
from scratchnet.errors import DataError


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


def palette(path, **options):
    Image.fromarray(np.arange(120, dtype=np.uint8).reshape(10, 12) % 9).quantize(8).save(path, **options)


def alpha(path, mode, value):
    image = Image.new(mode, (12, 10), (9,) * len(mode))
    image.putalpha(value)
    image.save(path)


def with_orientation(path, orientation):
    image = Image.open(save_image(path))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


# Each case: how the file is written, and what is said about it.
CONVERTED = {
    "grey.png": (lambda path: save_image(path, mode="L"), "greyscale"),
    "grey.jpg": (lambda path: save_image(path, mode="L"), "greyscale"),
    "bilevel.png": (lambda path: Image.new("1", (12, 10), 1).save(path), "black and white"),
    "bilevel.tif": (lambda path: Image.new("1", (12, 10), 1).save(path), "black and white"),
    "palette.png": (palette, "palette"),
    "palette.bmp": (palette, "palette"),
    "opaque.png": (lambda path: alpha(path, "RGB", 255), "alpha dropped"),
    "opaque-grey.png": (lambda path: alpha(path, "L", 255), "opaque alpha"),
    "opaque.tif": (lambda path: alpha(path, "RGB", 255), "alpha dropped"),
    "png-named.bmp": (lambda path: save_image(path, format="PNG"), "a PNG file named .bmp, read as PNG"),
    "no-extension": (lambda path: save_image(path, format="PNG"), "a PNG file without extension, read as PNG"),
    "jpeg-named.png": (lambda path: save_image(path, format="JPEG"), "a JPEG file named .png, read as JPEG"),
    "turned.jpg": (lambda path: with_orientation(path, 6), "EXIF orientation 6"),
    "turned.png": (lambda path: with_orientation(path, 3), "EXIF orientation 3"),
}


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


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path, width, height, depth=8, colour=2, data=None):
    """A PNG written by hand, for what Pillow does not write."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    rows = data if data is not None else bytes((1 + width * channels * depth // 8) * height)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def tiff_16_bit(path):
    """16 bits a channel, RGB, 2×1 pixels, uncompressed, little-endian."""
    pixels = bytes(12)
    tags = {
        256: 2,
        257: 1,
        258: 200,
        259: 1,
        262: 2,
        273: 220,
        277: 3,
        278: 1,
        279: 12,
    }  # 258: where the bits stand; 273: the pixels
    entries = [(tag, 4 if tag in (273, 279) else 3, 3 if tag == 258 else 1, value) for tag, value in tags.items()]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    content = b"II*\0" + struct.pack("<I", 8) + table
    Path(path).write_bytes(content.ljust(200, b"\0") + struct.pack("<HHH", 16, 16, 16).ljust(20, b"\0") + pixels)


def cut(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def flipped(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def frames(path, **options):
    images = [Image.new("RGB", (12, 10), (k, 0, 0)) for k in (0, 50)]
    images[0].save(path, save_all=True, append_images=images[1:], **options)


def huge_bmp(path):
    """A header that declares 2³⁰×2³⁰ pixels, and four bytes of them."""
    header = struct.pack("<IiiHHIIiiII", 40, 2**30, 2**30, 1, 24, 0, 4, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + header + bytes(4))


def colour_key(path):
    image = Image.open(save_image(path))
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path, transparency=(1, 2, 3))


LEFT_OUT = {
    "empty.png": (lambda path: path.write_bytes(b""), "zero bytes"),
    "text.png": (lambda path: path.write_text("not an image"), "not an image"),
    "html.jpg": (lambda path: path.write_text("<html>404</html>"), "not an image"),
    "svg.svg": (lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"), "not an image"),
    "postscript.eps": (lambda path: save_image(path, format="EPS"), "not an image"),
    "still.gif": (lambda path: save_image(path, format="GIF"), "not an image"),
    "icon.ico": (lambda path: save_image(path, format="ICO"), "not an image"),
    "head-only.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), ""),
    "cut.png": (lambda path: cut(save_image(path), 0.5), "truncated or damaged"),
    "cut-end.png": (lambda path: cut(save_image(path), 0.98), "truncated or damaged"),
    "cut.bmp": (lambda path: cut(save_image(path), 0.5), "truncated or damaged"),
    "cut.jpg": (lambda path: cut(save_image(path, size=(60, 60)), 0.5), "truncated or damaged"),
    "cut.tif": (lambda path: cut(save_image(path, compression="tiff_lzw"), 0.5), ""),
    "cut.webp": (lambda path: cut(save_image(path), 0.5), ""),
    "flipped.png": (lambda path: flipped(save_image(path, compress_level=0), 200), "truncated or damaged"),
    "16-bit-grey.png": (lambda path: png(path, 4, 4, depth=16, colour=0), "16 bits"),
    "16-bit.png": (lambda path: png(path, 4, 4, depth=16), "16 bits"),
    "16-bit-alpha.png": (lambda path: png(path, 4, 4, depth=16, colour=6), "16 bits"),
    "16-bit-grey.tif": (lambda path: Image.fromarray(np.zeros((4, 4), np.uint16)).save(path), "16 bits"),
    "16-bit.tif": (tiff_16_bit, "16 bits"),
    "32-bit.tif": (lambda path: Image.fromarray(np.zeros((4, 4), np.int32)).save(path), "32 bits"),
    "float.tif": (lambda path: Image.fromarray(np.zeros((4, 4), np.float32)).save(path), "32 bits"),
    "cmyk.jpg": (lambda path: Image.new("CMYK", (12, 10)).save(path), "CMYK"),
    "cmyk.tif": (lambda path: Image.new("CMYK", (12, 10)).save(path), "CMYK"),
    "lab.tif": (lambda path: Image.new("LAB", (12, 10)).save(path), "LAB"),
    "transparent.png": (lambda path: alpha(path, "RGB", 254), "transparent"),
    "transparent.webp": (lambda path: alpha(path, "RGB", 0), "transparent"),
    "transparent-grey.png": (lambda path: alpha(path, "L", 128), "transparent"),
    "transparent-palette.png": (lambda path: palette(path, transparency=0), "transparent"),
    "colour-key.png": (colour_key, "transparent"),
    "pages.tif": (frames, "several frames"),
    "animated.png": (frames, "several frames"),
    "animated.webp": (frames, "several frames"),
    "bomb.png": (lambda path: png(path, 60_000, 60_000, data=b""), "too large"),
    "large.png": (lambda path: png(path, 8000, 8000, data=b""), "too large"),
    "long.png": (lambda path: png(path, 20_000, 1, data=b""), "too large"),
    "no-pixels.png": (lambda path: png(path, 0, 0), ""),
    "huge-header.bmp": (huge_bmp, "too large"),
}


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


def test_preprocessing_is_followed(rng):
    image = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    for fit in ("pad", "stretch"):
        np.testing.assert_array_equal(preprocess(image, preprocessing(8, fit=fit)), fit_to_square(image, 8, fit))
    stored = json.loads(json.dumps(preprocessing(8, crop=True)))
    np.testing.assert_array_equal(preprocess(image, stored), preprocess(image, preprocessing(8, crop=True)))


@pytest.mark.parametrize(
    "changed",
    [{"image_size": 0}, {"image_size": 8.0}, {"image_size": True}, {"image_size": 10**6}, {"image_size": None}, {"fit": "x"},
     {"fit": []}, {"crop": True}, {"crop": {}}, {"crop": {"brighter_than": 8, "margin": 1e9}}],
)  # fmt: skip
def test_preprocessing_that_nobody_made_is_refused(changed):
    with pytest.raises(DataError, match="cannot repeat"):
        preprocess(Image.new("RGB", (4, 4)), preprocessing(8) | changed)


def test_stored_preprocessing_of_before_cropping_still_works():
    old = {"image_size": 8, "fit": "pad", "background": 0, "shrink": "area average", "enlarge": "bilinear"}
    assert preprocess(Image.new("RGB", (4, 4)), old).shape == (8, 8, 3)


def cell_on_black(size, box, noise=0):
    image = Image.new("RGB", size, (noise, 0, noise))
    image.paste((90, 9, 200), box)
    return image


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((450, 450), (100, 200, 300, 300), (240, 240)),  # 200 × 100, 20 on each side
        ((450, 450), (0, 0, 100, 100), (110, 110)),  # in the corner: cut off where the image ends
        ((450, 450), (225, 225, 226, 226), (1, 1)),
        ((60, 40), (10, 0, 50, 40), (48, 40)),
        ((60, 40), (0, 0, 60, 40), (60, 40)),  # nothing black
        ((60, 40), (0, 0, 0, 0), (60, 40)),  # nothing but black
    ],
)
@pytest.mark.parametrize("noise", [0, 8])
def test_cropping_keeps_the_cell_and_a_margin(size, box, expected, noise):
    cropped = crop_to_content(cell_on_black(size, box, noise), **CROP)
    assert cropped.size == expected
    cell = (np.asarray(cropped) == (90, 9, 200)).all(axis=2)
    assert cell.sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_a_cropped_cell_is_in_the_middle_and_large():
    pixels = preprocess(cell_on_black((450, 450), (100, 100, 148, 148)), preprocessing(58, crop=True))
    np.testing.assert_array_equal(pixels.any(axis=2).nonzero()[0][[0, -1]], (5, 52))
    np.testing.assert_array_equal(pixels.any(axis=2).nonzero()[1][[0, -1]], (5, 52))
