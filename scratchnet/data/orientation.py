"""How a camera was held, from what it wrote beside the picture: EXIF, or XMP."""

import re

from PIL import Image

from scratchnet.data.tiff import ORIENTATION, TiffError, directory, first_directory

Turn = Image.Transpose
TURNS = {2: Turn.FLIP_LEFT_RIGHT, 3: Turn.ROTATE_180, 4: Turn.FLIP_TOP_BOTTOM, 5: Turn.TRANSPOSE,
         6: Turn.ROTATE_270, 7: Turn.TRANSVERSE, 8: Turn.ROTATE_90}  # fmt: skip
UPRIGHT = 1
XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")


def from_exif(block: bytes) -> int:
    """The orientation, 1 … 8, in a block of EXIF; 1 if it is missing there.

    block: a small TIFF, with or without "Exif" before it. Raises ValueError for a block that is damaged.

    >>> from_exif(b"Exif\\0\\0" + bytes.fromhex("49492a00 08000000 0100 1201 0300 01000000 06000000"))
    6
    """
    block = block.removeprefix(b"Exif\0\0")
    try:
        said = directory(block, first_directory(block)).numbers(ORIENTATION, UPRIGHT)[0]
    except TiffError as error:
        raise ValueError(f"damaged EXIF: {error}") from error
    return said if said in TURNS else UPRIGHT


def from_xmp(packet: bytes) -> int:
    """The orientation, 1 … 8, in a packet of XMP; 1 if it is missing there."""
    said = XMP.search(packet)
    return int(said[1]) if said else UPRIGHT


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as it was seen. orientation: 1 … 8, as of EXIF.

    >>> upright(Image.new("RGB", (4, 3)), 6).size
    (3, 4)
    """
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image
