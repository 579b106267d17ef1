"""One file → one square RGB image, or the reason why not. What kind of file it is, its content says, not its name.

| the file                                                        | what happens                                   |
|-----------------------------------------------------------------|------------------------------------------------|
| RGB, 8 bits a channel: BMP, PNG, TIFF, JPEG, WebP               | used as it is                                  |
| greyscale or black and white, 8 bits or fewer                   | converted to RGB, listed                       |
| with a colour palette                                           | converted to RGB, listed                       |
| RGBA or grey with alpha, every pixel opaque                     | alpha dropped, listed                          |
| an EXIF orientation other than upright                          | turned upright, listed                         |
| named with another format's extension, or none                  | read as what it is, listed                     |
| transparent pixels: what colour should they have?               | left out                                       |
| 16 or 32 bits a channel, CMYK, Lab and other colour spaces      | left out: reducing them is a decision to take  |
| several frames or pages                                         | left out                                       |
| empty, truncated, damaged, not an image, another format         | left out                                       |
| more than 2²⁴ pixels, a side over 16,384, a file over 256 MiB   | left out before it is decoded                  |
| cannot be opened                                                | left out                                       |

"Listed" and "left out" mean: by path, with the reason, in the summary and in the manifest. Colour profiles are not applied.
"""

import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from scratchnet.data.scaling import ENLARGE, FITS, SHRINK, fit_to_square
from scratchnet.errors import DataError

FORMATS = ("BMP", "PNG", "TIFF", "JPEG", "WEBP")
EXTENSIONS = {
    ".bmp": "BMP",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
}
MAX_FILE_BYTES = 2**28
MAX_PIXELS = 2**24
MAX_SIDE = 2**14
CONVERSIONS = {
    "1": "black and white, converted to RGB",
    "L": "greyscale, converted to RGB",
    "P": "palette colours, converted to RGB",
    "LA": "greyscale with opaque alpha, converted to RGB",
    "PA": "palette colours with opaque alpha, converted to RGB",
    "RGBA": "alpha dropped, every pixel was opaque",
}
MAX_IMAGE_SIZE = 1024  # width and height of a prepared image
CROP = {"brighter_than": 8, "margin": 0.1}  # noise of JPEG beside black stays below 8 of 255
EXIF_ORIENTATION = 0x0112
TIFF_BITS_PER_SAMPLE = 258


class UnusableImage(Exception):  # noqa: N818 - not a mistake of anyone's; the message is the reason to list
    """This file cannot be used; the message says why, in words for the summary."""


@dataclass(frozen=True)
class DecodedImage:
    """An RGB image in its original size, and what had to be done to it to become one."""

    image: Image.Image
    alterations: tuple[str, ...]


def decode(file: Path) -> DecodedImage:
    """Reads and decodes one file, as the table above says. Raises UnusableImage with the reason, and nothing else."""
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for, for ever
            raise UnusableImage("cannot be opened: not a regular file")
        size = facts.st_size
        if size > MAX_FILE_BYTES:
            raise UnusableImage(f"a file of {size} bytes; at most {MAX_FILE_BYTES} are read")
        data = file.read_bytes()
    except OSError as error:
        raise UnusableImage(f"cannot be opened: {error.strerror or error}") from error
    if not data:
        raise UnusableImage("empty: a file of zero bytes")
    try:
        return _decode(data, file.suffix)
    except UnusableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(f"too large (at most {MAX_PIXELS} pixels)") from error
    except UnidentifiedImageError as error:
        raise UnusableImage(f"not an image in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # Pillow's decoders raise nearly every kind of exception on damaged files
        raise UnusableImage(f"truncated or damaged: {error}") from error


def _decode(data: bytes, extension: str) -> DecodedImage:
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    kind = image.format or ""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnusableImage(f"too large: {width}×{height} pixels (at most {MAX_PIXELS}, and {MAX_SIDE} a side)")
    if _has_second_frame(data):
        raise UnusableImage("several frames or pages")
    if _bits_per_channel(image, data) > 8:
        raise UnusableImage(f"{_bits_per_channel(image, data)} bits a channel; 8 are expected")
    if image.mode != "RGB" and image.mode not in CONVERSIONS:
        raise UnusableImage(f"colour mode {image.mode}; RGB is expected")
    if kind == "PNG":
        Image.open(io.BytesIO(data), formats=("PNG",)).verify()  # loading alone does not compare the checksums

    alterations = []
    if EXTENSIONS.get(extension.lower()) != kind:
        alterations.append(
            f"a {kind} file {f'named {extension}' if extension else 'without extension'}, read as {kind}"
        )
    image.load()
    if image.mode in CONVERSIONS:
        alterations.append(CONVERSIONS[image.mode])
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    if orientation in range(2, 9):
        image = ImageOps.exif_transpose(image)
        alterations.append(f"turned upright (EXIF orientation {orientation})")
    if image.mode != "RGB" or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        if with_alpha.getchannel("A").getextrema() != (255, 255):
            raise UnusableImage("transparent pixels: their colour is not defined")
        image = with_alpha.convert("RGB")
    return DecodedImage(image, tuple(alterations))


def _has_second_frame(data: bytes) -> bool:
    """Asked by going there: counting frames takes a time that grows with the square of their number, which may be millions."""
    try:
        Image.open(io.BytesIO(data), formats=FORMATS).seek(1)
    except EOFError:
        return False
    return True


def _bits_per_channel(image: Image.Image, data: bytes) -> int:
    """What the file stores. Pillow opens a 16-bit RGB PNG as if it had 8 bits, so the file's own header is asked."""
    if image.mode.startswith(("I", "F")):
        return 16 if "16" in image.mode else 32
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(TIFF_BITS_PER_SAMPLE, 8)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8


def preprocessing(image_size: int, *, fit: str = "pad", crop: bool = False) -> dict[str, Any]:
    """How a decoded image becomes pixels, in words that JSON holds: what shards and weights keep, and `preprocess` follows.

    >>> preprocessing(64)["fit"]
    'pad'
    """
    return {
        "image_size": image_size,
        "fit": fit,
        "crop": dict(CROP) if crop else None,
        "background": 0,
        "shrink": SHRINK,
        "enlarge": ENLARGE,
    }


def preprocess(image: Image.Image, how: Mapping[str, Any]) -> NDArray[np.uint8]:
    """What every image goes through, while preparing and when it is predicted alike: cropped if asked, scaled to a square.

    image: RGB of any size. how: from `preprocessing`, or as it was stored with the weights. Returns (S, S, 3) uint8, S =
    how["image_size"]. Raises what `require_repeatable` raises.

    >>> preprocess(Image.new("RGB", (450, 300)), preprocessing(64)).shape
    (64, 64, 3)
    """
    require_repeatable(how)
    if how.get("crop"):
        image = crop_to_content(image, **how["crop"])
    return fit_to_square(image, how["image_size"], how["fit"])


def require_repeatable(how: Mapping[str, Any]) -> None:
    """Raises DataError if `how` is nothing that `preprocessing` makes: made up, or of a version that scaled otherwise."""
    size, fit, crop, shrink = how.get("image_size"), how.get("fit"), how.get("crop"), how.get("shrink")
    if (
        not (type(size) is int and 1 <= size <= MAX_IMAGE_SIZE)
        or fit not in FITS
        or crop not in (None, CROP)
        or shrink != SHRINK
    ):
        raise DataError(
            f"images were prepared with image_size {size!r}, fit {fit!r}, crop {crop!r}, shrink {shrink!r}, which this program "
            "cannot repeat: use the version of scratchnet that prepared them, or prepare them again and train"
        )


def crop_to_content(image: Image.Image, *, brighter_than: int, margin: float) -> Image.Image:
    """The square around all that is not black, such as a cell that was cut out, as far as it lies in the image.

    The smallest box around the pixels that are brighter than `brighter_than` (of 255) in any channel is made a square
    about its centre and grown by `margin` of its longer side on all four sides. What of it would lie outside the image is
    cut off. An image without black comes back unchanged, and so does one that is black all over.

    >>> cell = Image.new("RGB", (100, 100))
    >>> cell.paste((200, 100, 200), (40, 50, 60, 60))           # 20 × 10 pixels
    >>> crop_to_content(cell, brighter_than=8, margin=0.1).size
    (24, 24)
    """
    not_black = [int(value > brighter_than) for value in range(256)] * 3
    box = image.point(not_black).getbbox()
    if box is None:
        return image
    left, top, right, bottom = box
    longer = max(right - left, bottom - top)
    side = longer + 2 * round(margin * longer)
    left, top = (left + right - side) // 2, (top + bottom - side) // 2
    width, height = image.size
    return image.crop((max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)))
