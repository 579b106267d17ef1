"""A file that ends too early never gives pixels that are not its own: wherever it is cut, it is whole, or it is refused."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image
from tiff_files import page, tiff

from scratchnet.data.images import UnusableImage, decode

DEFLATE = {"compression": 8, "pack": zlib.compress}
RGB = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def saved(form, mode="RGB", **options):
    buffer = io.BytesIO()
    image = Image.fromarray(RGB)
    (image.quantize(16) if mode == "P" else image.convert(mode)).save(buffer, form, **options)
    return buffer.getvalue()


FILES = {
    "BMP": lambda: saved("BMP"),
    "BMP, palette": lambda: saved("BMP", "P"),
    "PNG": lambda: saved("PNG"),
    "WebP": lambda: saved("WEBP"),
    "WebP, lossless": lambda: saved("WEBP", lossless=True),
    "JPEG": lambda: saved("JPEG"),
    "JPEG, progressive": lambda: saved("JPEG", progressive=True),
    "TIFF": lambda: saved("TIFF"),
    "TIFF, palette": lambda: saved("TIFF", "P"),
    "TIFF, LZW, several strips": lambda: saved("TIFF", compression="tiff_lzw", strip_size=200),
    "TIFF, PackBits": lambda: saved("TIFF", compression="packbits"),
    "TIFF, JPEG": lambda: saved("TIFF", compression="jpeg"),
    "TIFF, fax": lambda: saved("TIFF", "1", compression="group4"),
    "TIFF, Deflate, channels apart": lambda: tiff(page(RGB, 2, planar=2, **DEFLATE)),
    "BigTIFF": lambda: tiff(page(RGB, 2), big=True),
    "TIFF, preview behind": lambda: tiff(page(RGB, 2), page(RGB[::2, ::2], 2)),
    "TIFF, preview before": lambda: tiff(page(RGB[::2, ::2], 2), page(RGB, 2)),
    "BigTIFF, preview before": lambda: tiff(page(RGB[::2, ::2], 2), page(RGB, 2), big=True),
}


def decoded(path, content):
    path.write_bytes(content)
    return np.asarray(decode(path).image)


def reason(path, content):
    with pytest.raises(UnusableImage) as caught:
        decoded(path, content)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_wherever_a_file_is_cut_its_pixels_are_its_own_or_refused(tmp_path, name):
    content = FILES[name]()
    whole = decoded(tmp_path / "a", content)
    refused = 0
    for end in {*range(len(content) - 40, len(content)), *range(16, len(content), 7)}:
        try:
            pixels = decoded(tmp_path / "a", content[:end])
        except UnusableImage:
            refused += 1
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert refused > 40


@pytest.mark.parametrize(
    ("kind", "bits", "cut"), [("strips", 8, 6), ("strips", 8, 60), ("tiles", 8, 1), ("tiles", 16, 5)]
)
def test_a_tiff_that_ends_in_pixels(tmp_path, kind, bits, cut):
    """Strips and tiles, with nothing behind them that a decoder may take for pixels."""
    content = saved("TIFF") if kind == "strips" else _tiles(bits)
    assert "beyond the end of the file" in reason(tmp_path / "a.tif", content[:-cut])


def _tiles(bits):
    """A TIFF of one tile whose pixels end the file."""
    pixels = RGB[:, :, :1].astype(np.uint8 if bits == 8 else np.uint16)
    tags, _ = page(pixels, 1)
    tags = {tag: value for tag, value in tags.items() if tag not in (273, 278, 279)}
    tags |= {322: (4, [16]), 323: (4, [16]), 324: (4, [0]), 325: (4, [16 * 16 * bits // 8])}
    content = tiff((tags, []))
    return content.replace(
        b"\x44\1\4\0\1\0\0\0\0\0\0\0", b"\x44\1\4\0\1\0\0\0" + len(content).to_bytes(4, "little")
    ) + bytes(16 * 16 * bits // 8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({278: (4, [4])}, "fewer strips or tiles"),  # twelve rows, of which one strip of four is there
        ({257: (4, [2**32 - 1]), 278: (4, [1])}, "fewer strips or tiles"),
        ({322: (4, [1]), 323: (4, [1]), 324: (4, [8]), 256: (4, [2**31])}, "fewer strips or tiles"),
        ({279: (4, [0]), 259: (3, [8])}, "how long its strips or tiles are"),
    ],
)
def test_strips_that_are_missing_are_not_black(tmp_path, change, said):
    assert said in reason(tmp_path / "a.tif", tiff(page(RGB, 2, more=change)))


@pytest.mark.parametrize("stored", [0, 10, 2**20])
def test_a_wrong_length_of_strips_that_are_not_compressed_changes_nothing(tmp_path, stored):
    np.testing.assert_array_equal(decoded(tmp_path / "a.tif", tiff(page(RGB, 2, more={279: (4, [stored])}))), RGB)


def test_a_jpeg_whose_second_half_was_never_written(tmp_path):
    content = saved("JPEG", quality=95)
    half = len(content) * 3 // 4
    assert "ends in zeros" in reason(tmp_path / "a.jpg", content[:half] + bytes(len(content) - half))
    np.testing.assert_array_equal(
        decoded(tmp_path / "a.jpg", content + bytes(512)), decoded(tmp_path / "b.jpg", content)
    )
