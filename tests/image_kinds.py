"""Image files of many kinds, and what `scratchnet.data.images` has to say about each."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from small_data import save_image


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
    "text.png": (lambda path: path.write_text("not an image", encoding="utf-8"), "a text"),
    "html.jpg": (lambda path: path.write_text("<html>404</html>", encoding="utf-8"), "a web page"),
    "svg.svg": (
        lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8"),
        "an SVG drawing",
    ),
    "postscript.eps": (lambda path: save_image(path, format="EPS"), "a PostScript document"),
    "still.gif": (lambda path: save_image(path, format="GIF"), "a GIF image"),
    "icon.ico": (lambda path: save_image(path, format="ICO"), "a Windows icon"),
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
    "cmyk.tif": (lambda path: Image.new("CMYK", (12, 10)).save(path), "CMYK or other printing inks"),
    "lab.tif": (lambda path: Image.new("LAB", (12, 10)).save(path), "Lab"),
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
