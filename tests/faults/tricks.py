"""Files that look like images and play tricks, and odd ones that are as good as any: each is written by `function(seed)`."""

import io
import struct
import zlib

import numpy as np
from image_kinds import png_chunk
from PIL import Image, PngImagePlugin


def bytes_of(seed, kind, **options):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def with_chunk(content, chunk):
    """A PNG with one more chunk, before its pixels."""
    position = content.index(b"IDAT") - 4
    return content[:position] + chunk + content[position:]


def png_text_bomb(seed):
    return with_chunk(bytes_of(seed, "PNG"), png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(2**27), 9)))


def png_profile_bomb(seed):
    return with_chunk(bytes_of(seed, "PNG"), png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2**27), 9)))


def png_pixel_bomb(seed):
    """A small picture whose pixels are a hundred megabytes of zeros."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 12, 10, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(10**8), 9)) + png_chunk(b"IEND", b"")


def png_wrong_sum(seed):
    content = bytearray(bytes_of(seed, "PNG"))
    content[29] ^= 1  # the checksum of the header
    return bytes(content)


def png_interlaced_in_name_only(seed):
    return bytes_of(seed, "PNG") + b"what follows the end of a PNG belongs to nobody"


def png_long_comment(seed):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 10_000)
    return bytes_of(seed, "PNG", pnginfo=info)


def bmp_top_down(seed):
    """The same picture with its first row first, which a negative height says."""
    content = bytearray(bytes_of(seed, "BMP"))
    start, width = struct.unpack_from("<I", content, 10)[0], 36
    rows = [content[start + width * row : start + width * (row + 1)] for row in range(10)]
    struct.pack_into("<i", content, 22, -10)
    content[start:] = b"".join(reversed(rows))
    return bytes(content)


def bmp_wrong_length(seed):
    content = bytearray(bytes_of(seed, "BMP"))
    struct.pack_into("<I", content, 2, 2**31)
    return bytes(content)


def bmp_pixels_far_away(seed):
    content = bytearray(bytes_of(seed, "BMP"))
    struct.pack_into("<I", content, 10, 2**31)
    return bytes(content)


def tiff_circle(seed):
    """A directory of tags that is its own successor: endless pages."""
    content = bytearray(bytes_of(seed, "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * entries, first)
    return bytes(content)


def tiff_many_pages(seed):
    """Fifty thousand pages that all show the same pixels."""
    content = bytearray(bytes_of(seed, "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    length = 2 + 12 * struct.unpack_from("<H", content, first)[0]
    tags = bytes(content[first : first + length])
    struct.pack_into("<I", content, first + length, len(content))
    for _ in range(50_000):
        content += tags + struct.pack("<I", len(content) + length + 4)
    return bytes(content)


def tiff_many_tags(seed):
    content = bytearray(bytes_of(seed, "TIFF"))
    struct.pack_into("<H", content, struct.unpack_from("<I", content, 4)[0], 65535)
    return bytes(content)


def tiff_many_full_pages(seed):
    """A hundred pages of 65,535 tags each, in under a megabyte: the tags of one are those of the next, but for the first."""
    header = b"II*\0" + struct.pack("<IH", 8, 65535)
    tags = b"".join(
        struct.pack("<HHII", k, 4, 1, 0xFFFF0000) for k in range(65535)
    )  # whose end is the next page's count
    return header + tags + b"".join(struct.pack("<IQ", 8 + 12 * (k + 1), 0) for k in range(100))


def png_many_texts(seed):
    """Three thousand comments of a megabyte each."""
    return with_chunk(bytes_of(seed, "PNG"), png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(2**20), 9)) * 3000)


def png_16_bits(seed):
    """The largest picture of 16 bits a channel, all of it black."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4096, 4096, 16, 2, 0, 0, 0))
    rows = zlib.compressobj(9)
    packed = b"".join([*(rows.compress(bytes(1 + 4096 * 6)) for _ in range(4096)), rows.flush()])
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def jpeg_sides(width, height):
    """A JPEG whose header declares other sides than it has pixels for."""

    def write(seed):
        content = bytearray(bytes_of(seed, "JPEG"))
        struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, height, width)
        return bytes(content)

    return write


def exif(orientation):
    def write(seed):
        tags = Image.Exif()
        tags[0x0112] = orientation
        return bytes_of(seed, "PNG", exif=tags)

    return write


def broken_exif(seed):
    return bytes_of(seed, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")


def animated_gif(seed):
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10)).save(buffer, "GIF", save_all=True, append_images=[Image.new("RGB", (12, 10), (9, 9, 9))])
    return buffer.getvalue()


def several_pictures(seed):
    buffer = io.BytesIO()
    Image.new("RGB", (12, 10)).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (12, 10), (9, 9, 9))])
    return buffer.getvalue()
