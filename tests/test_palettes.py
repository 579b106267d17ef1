"""Palettes of BMP, PNG and TIFF: their colours are used, and a pixel beyond them is no colour."""

import struct
import zlib

import numpy as np
import pytest
from image_kinds import png_chunk
from PIL import Image
from test_truncated import decoded, reason
from tiff_files import page, tiff


def bmp(colours, pixels, bits=8, said=None, core=False):
    """A BMP of rows of four bytes. colours: triples. said: how many colours the header names."""
    step = 3 if core else 4
    palette = b"".join(bytes(colour[::-1]).ljust(step, b"\0") for colour in colours)
    height, width = len(pixels), 32 // bits
    header = (
        struct.pack("<IHHHH", 12, width, height, 1, bits)
        if core
        else struct.pack(
            "<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, len(colours) if said is None else said, 0
        )
    )
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + header + palette + b"".join(map(bytes, reversed(pixels)))


def png(colours, pixels):
    rows = b"".join(b"\0" + bytes(row) for row in pixels)
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 3, 0, 0, 0)
    parts = (b"IHDR", header), (b"PLTE", bytes(sum(colours, ()))), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


@pytest.mark.parametrize(
    "colours", [(BLACK, WHITE), (BLACK, RED, WHITE), (WHITE, BLACK), ((0, 0, 0), (1, 1, 1), (2, 2, 2))]
)
@pytest.mark.parametrize("make", [png, bmp, lambda colours, pixels: bmp(colours, pixels, core=True)])
def test_a_short_palette_is_followed(tmp_path, make, colours):
    pixels = [[0, 1, 1, 0], [1, 0, 0, 0], [1, 1, len(colours) - 1, 1]]
    np.testing.assert_array_equal(decoded(tmp_path / "a", make(colours, pixels)), np.array(colours)[np.array(pixels)])


def test_four_bits_in_black_and_white(tmp_path):
    pixels = decoded(tmp_path / "a.bmp", bmp([BLACK, WHITE], [[0x01, 0x10, 0x11, 0x00]], bits=4))
    np.testing.assert_array_equal(pixels[0, :, 0], [0, 255, 255, 0, 255, 255, 0, 0])


@pytest.mark.parametrize("said", [None, 0, 200])
@pytest.mark.parametrize("core", [False, True])
def test_a_pixel_beyond_the_palette_of_a_bmp_is_refused(tmp_path, core, said):
    content = bmp([RED, WHITE, BLACK], [[0, 1, 2, 3]], said=said, core=core)
    assert "a pixel of colour 3, of a palette of 3 colours" in reason(tmp_path / "a.bmp", content)


def test_a_pixel_beyond_the_palette_of_a_png_is_refused(tmp_path):
    assert "a pixel of colour 7, of a palette of 2 colours" in reason(
        tmp_path / "a.png", png([RED, WHITE], [[0, 1, 7]])
    )


def test_the_palette_of_a_tiff_with_values_of_8_bits(tmp_path):
    grey = np.arange(192, dtype=np.uint8).reshape(12, 16, 1)
    content = tiff(page(grey, 3, more={320: (3, [*range(256)] * 3)}))
    np.testing.assert_array_equal(decoded(tmp_path / "a.tif", content), grey.repeat(3, axis=2))
    short = tiff(page(grey, 3, more={320: (3, [*range(0, 65536, 1024)] * 3)}))
    assert "its palette has 192 values" in reason(tmp_path / "a.tif", short)


def test_what_pillow_writes_of_two_colours(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 2, (10, 12), dtype=np.uint8) * 255).quantize(2)
    image.save(tmp_path / "a.bmp")
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        decoded(tmp_path / "b", (tmp_path / "a.bmp").read_bytes()), np.asarray(image.convert("RGB"))
    )
    np.testing.assert_array_equal(
        decoded(tmp_path / "b", (tmp_path / "a.png").read_bytes()), np.asarray(image.convert("RGB"))
    )
