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

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

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
EXIF_ORIENTATION = 0x0112
TIFF_BITS_PER_SAMPLE = 258


class UnusableImage(Exception):  # noqa: N818 - not a mistake of anyone's; the message is the reason to list
    """This file cannot be used; the message says why, in words for the summary."""


@dataclass(frozen=True)
class DecodedImage:
    """An RGB image in its original size, and what had to be done to it to become one."""

    image: Image.Image
    alterations: tuple[str, ...]

    def content_hash(self) -> bytes:
        """BLAKE2b of shape and RGB pixels, 16 bytes: equal for two files exactly if they show the same picture."""
        width, height = self.image.size
        return hashlib.blake2b(f"{height} {width} ".encode() + self.image.tobytes(), digest_size=16).digest()


def decode(file: Path) -> DecodedImage:
    """Reads and decodes one file, as the table above says. Raises UnusableImage with the reason, and nothing else."""
    try:
        size = file.stat().st_size
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
        raise UnusableImage(f"too large: more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise UnusableImage(f"not an image in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # Pillow's decoders raise nearly every kind of exception on damaged files
        raise UnusableImage(f"truncated or damaged: {error}") from error


def _decode(data: bytes, extension: str) -> DecodedImage:
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    kind = image.format or ""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnusableImage(f"too large: {width}×{height} pixels")
    if getattr(image, "n_frames", 1) > 1:
        raise UnusableImage(f"several frames or pages ({getattr(image, 'n_frames', 1)})")
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


def preprocess(image: Image.Image, preprocessing: dict[str, Any]) -> NDArray[np.uint8]:
    """An RGB image → (S, S, 3) uint8, in the way that a dataset or a checkpoint has recorded.

    preprocessing: of a manifest, or of a checkpoint's `about`: "image_size" S and "fit".
    """
    return fit_to_square(image, preprocessing["image_size"], preprocessing["fit"])


def fit_to_square(image: Image.Image, size: int, fit: str) -> NDArray[np.uint8]:
    """Scales an RGB image to (size, size, 3) uint8.

    fit "pad": keeps its proportions, in the middle of black. fit "stretch": fills the square.
    Shrinking averages the area that falls into each new pixel; enlarging interpolates linearly.
    """
    width, height = image.size
    if fit == "stretch":
        new_width = new_height = size
    else:
        longer = max(width, height)
        new_width, new_height = (max(1, round(side * size / longer)) for side in (width, height))
    # One axis at a time, since "stretch" may shrink one and enlarge the other.
    image = image.resize((new_width, height), _filter(width, new_width))
    image = image.resize((new_width, new_height), _filter(height, new_height))
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    square[top : top + new_height, left : left + new_width] = np.asarray(image)
    return square


def _filter(old: int, new: int) -> Image.Resampling:
    return Image.Resampling.BOX if new <= old else Image.Resampling.BILINEAR
