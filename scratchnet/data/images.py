"""One file → one square RGB image, or the reason why not. Its content says what kind of file it is, not its name.

| the file                                                        | what happens                                   |
|-----------------------------------------------------------------|------------------------------------------------|
| RGB, 8 bits a channel: BMP, PNG, TIFF, JPEG, WebP               | used as it is                                  |
| greyscale or black and white, 8 bits or fewer                   | converted to RGB, listed                       |
| with a colour palette                                           | converted to RGB, listed                       |
| RGBA or grey with alpha, every pixel opaque                     | alpha dropped, listed                          |
| BMP, or TIFF that does not call it alpha: 0 in every pixel      | alpha dropped, listed                          |
| RGB and a fourth channel without a meaning: TIFF, BMP           | dropped, listed                                |
| BMP with 16 bits a pixel                                        | 5 or 6 bits a channel spread over 8, listed    |
| an EXIF orientation other than upright                          | turned upright, listed                         |
| several pictures of a camera (MPO), a preview in a TIFF         | the primary one is used, listed                |
| metadata that is damaged, or a profile over 1 MiB               | passed over, listed                            |
| a TIFF's palette of values up to 255                            | spread over 65,535, listed                     |
| named with another format's extension, or none                  | read as what it is, listed                     |
| transparent pixels: what colour should they have?               | left out                                       |
| 10 to 16 bits a channel                                         | left out, or with a window all scaled, listed  |
| 32 bits, signed or floating-point numbers                       | left out: reducing them is a decision to take  |
| CMYK, Lab and other colour spaces; 2, or 5 and more channels    | left out                                       |
| several frames or pages                                         | left out                                       |
| a compression that cannot be unpacked, another format           | left out, with what it is                      |
| empty, truncated, damaged, a pixel beyond the palette, not an image | left out                                   |
| more than 2²⁴ pixels, a side over 16,384, a file over 256 MiB   | left out before it is decoded                  |
| cannot be opened                                                | left out                                       |

"Listed" and "left out" mean: by path, with the reason, in the summary and in the manifest. Colour profiles are not applied.
"""

import contextlib
import io
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from scratchnet.data import bmp, jpeg, png, tiff_page
from scratchnet.data.container import LARGE, MAX_METADATA, SEVERAL, Container, UnusableImage
from scratchnet.data.deep import deep_values
from scratchnet.data.orientation import TURNS, UPRIGHT, from_exif, from_xmp, upright
from scratchnet.data.scaling import ENLARGE, FITS, SHRINK, fit_to_square
from scratchnet.data.signatures import FORMATS, LOOKED_AT, image_format, what_it_is
from scratchnet.data.window import Window
from scratchnet.errors import DataError
from scratchnet.terminal.system_error import system_reason

__all__ = ["FORMATS", "UnusableImage"]

EXTENSIONS = {
    ".bmp": "BMP",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",
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
TAKE_MORE = "to train on such files: --bits 16"
MANY_BITS = f"{{}} bits a channel; 8 are expected ({TAKE_MORE})"
FEW_BITS = "8 bits a channel or fewer; more are expected, as --bits 16 was chosen in preparing"
TOO_MANY_BITS = "{} bits a channel: scale it to 8 or 16 bits, all files alike"
EMPTY_ALPHA = "alpha dropped, it was 0 in every pixel, as written by programs that do not use it"
SPACES = {
    "CMYK": "CMYK, the inks of a printer",
    "YCbCr": "YCbCr",
    "LAB": "the colour space LAB",
    "La": "grey multiplied with its transparency",
    "RGBa": "colours multiplied with their transparency",
}
MAX_IMAGE_SIZE = 1024  # width and height of a prepared image
CROP = {"brighter_than": 8, "margin": 0.1}  # noise of JPEG beside black stays below 8 of 255
LIBRARIES = {"PNG": "zlib", "JPEG": "jpg", "WEBP": "webp"}  # Pillow can be built without them, but its wheels never are
TAKE_APART: Mapping[str, Callable[[bytes], Container]] = {
    "BMP": bmp.parse,
    "PNG": png.parse,
    "JPEG": jpeg.parse,
    "TIFF": tiff_page.parse,
}


@dataclass(frozen=True)
class DecodedImage:
    """An RGB image in its original size, and what had to be done to it to become one."""

    image: Image.Image
    alterations: tuple[str, ...]


def decode(file: Path, window: Window | None = None) -> DecodedImage:
    """Reads and decodes one file, as the table above says. Raises UnusableImage with the reason, and nothing else.

    window: of a set whose images have 10 to 16 bits a channel; others are left out then.
    """
    with _named_reasons(file) as (data, kind):
        return _decode(data, kind, file.suffix, window)


def decode_deep(file: Path) -> NDArray[np.uint16]:
    """The values of a file of 10 to 16 bits a channel, uint16: (H, W, 1) for greyscale, (H, W, 3) for RGB; not turned.

    Raises UnusableImage for any other file, and nothing else.
    """
    with _named_reasons(file) as (data, kind):
        container = _parsed(data, kind, deep=True)
        _opened(container, kind)
        return deep_values(container, kind)


@contextlib.contextmanager
def _named_reasons(file: Path) -> Iterator[tuple[bytes, str]]:
    """The content of a file and its format. Whatever is raised while they are used, or before, becomes an UnusableImage."""
    data, kind = _read(file)
    try:
        yield data, kind
    except UnusableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(f"too large (at most {MAX_PIXELS} pixels)") from error
    except Exception as error:  # Pillow's decoders raise nearly every kind of exception on damaged files
        if kind in LIBRARIES and not features.check(LIBRARIES[kind]):
            said = f"a {kind}, for which the Pillow that is installed here was built without {LIBRARIES[kind]}"
            raise UnusableImage(f"{said}: python -m pip install --force-reinstall pillow") from error
        if "nsupported" in str(error):
            raise UnusableImage(f"a {kind} of an unsupported kind ({error}): save it as PNG") from error
        said = f"it begins like a {kind}, but does not continue as one"
        raise UnusableImage(
            f"truncated or damaged: {said if isinstance(error, UnidentifiedImageError) else error}"
        ) from error


def _read(file: Path) -> tuple[bytes, str]:
    """The content of a file, and its format. Raises UnusableImage if it cannot be read, or is of an unknown format."""
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):  # reading a pipe would block
            raise UnusableImage("cannot be opened: not a regular file")
        size = facts.st_size
        if size > MAX_FILE_BYTES:
            raise UnusableImage(f"a file of {size} bytes; at most {MAX_FILE_BYTES} are read")
        data = file.read_bytes()
    except OSError as error:
        raise UnusableImage(f"cannot be opened: {system_reason(error)}") from error
    if not data:
        raise UnusableImage("empty: a file of zero bytes")
    kind = image_format(data[:16])
    if kind is None:
        other = what_it_is(file, data[:LOOKED_AT])
        if other is None:
            raise UnusableImage(f"not an image in a known format ({', '.join(FORMATS)})")
        raise UnusableImage(f"{other[0]}, which is not read: {other[1]}")
    return data, kind


def _parsed(data: bytes, kind: str, *, deep: bool) -> Container:
    """The file without what stands beside its pixels. Raises UnusableImage if it has more bits than asked for, or fewer."""
    container = TAKE_APART[kind](data) if kind in TAKE_APART else Container(data)
    if deep and container.bits <= 8:
        raise UnusableImage(FEW_BITS)
    if container.bits > (16 if deep else 8):
        raise UnusableImage(
            TOO_MANY_BITS.format(container.bits) if container.bits > 16 else MANY_BITS.format(container.bits)
        )
    return container


def _opened(container: Container, kind: str) -> Image.Image:
    """The image, not yet decoded. Raises UnusableImage if it is too large, or one of several."""
    image: Image.Image = Image.open(io.BytesIO(container.content), formats=(kind,))
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnusableImage(f"too large: {width}×{height} pixels (at most {MAX_PIXELS}, and {MAX_SIDE} a side)")
    if _has_second_frame(container.content, kind):
        raise UnusableImage(SEVERAL)
    return image


def _decode(data: bytes, kind: str, extension: str, window: Window | None) -> DecodedImage:
    container = _parsed(data, kind, deep=window is not None)
    image = _opened(container, kind)
    alterations = list(container.remarks)
    if EXTENSIONS.get(extension.lower()) != kind:
        alterations.insert(
            0, f"a {kind} file {f'named {extension}' if extension else 'without extension'}, read as {kind}"
        )
    if window is not None:
        image, converted = _scaled(deep_values(container, kind), window)
    else:
        image, converted = _converted(image, container)
    orientation = container.orientation
    if kind == "WEBP":
        orientation, said = _beside_webp(image)
        alterations += said
    alterations += converted
    if orientation in TURNS:
        image = upright(image, orientation)
        alterations.append(f"turned upright (EXIF orientation {orientation})")
    return DecodedImage(image, tuple(alterations))


def _scaled(values: NDArray[np.uint16], window: Window) -> tuple[Image.Image, list[str]]:
    """Values (H, W, 1 or 3) as an RGB image of 8 bits, and what was done."""
    said = [f"more than 8 bits a channel, scaled from {window.low} … {window.high} to 0 … 255"]
    scaled = window.apply(values)
    if values.shape[2] == 1:
        return Image.fromarray(scaled[:, :, 0]).convert("RGB"), [CONVERSIONS["L"], *said]
    return Image.fromarray(scaled), said


def _converted(image: Image.Image, container: Container) -> tuple[Image.Image, list[str]]:
    """The image as RGB, decoded, and what was done. Raises UnusableImage for other colours and for transparent pixels."""
    if image.mode != "RGB" and image.mode not in CONVERSIONS:
        space = SPACES.get(image.mode, f"colour mode {image.mode}")
        raise UnusableImage(f"{space}; RGB is expected: convert it and save it as RGB")
    image.load()
    if image.mode == "P" and 0 < container.colours <= (number := int(np.asarray(image).max())):
        raise UnusableImage(
            f"truncated or damaged: a pixel of colour {number}, of a palette of {container.colours} colours (0 is the first)"
        )
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, []
    if container.drops_fourth:
        return image.convert("RGB"), []
    with_alpha = image.convert("RGBA")
    alpha = with_alpha.getchannel("A").getextrema()
    if alpha == (0, 0) and image.mode == "RGBA" and not container.alpha_is_named:
        return with_alpha.convert("RGB"), [EMPTY_ALPHA]
    if alpha != (255, 255):
        raise UnusableImage("transparent pixels: their colour is not defined; save it without transparency, as RGB")
    return with_alpha.convert("RGB"), [CONVERSIONS[image.mode]] if image.mode in CONVERSIONS else []


def _beside_webp(image: Image.Image) -> tuple[int, list[str]]:
    """The orientation in a WebP's metadata, and remarks on the rest of it."""
    remarks, orientation, exif = [], UPRIGHT, image.info.get("exif")
    try:
        orientation = from_exif(exif) if exif else from_xmp(image.info.get("xmp", b""))
    except ValueError:
        remarks.append("a damaged EXIF block, not read")
    if len(image.info.get("icc_profile") or b"") > MAX_METADATA:
        remarks.append(LARGE.format("colour profile"))
    return orientation, remarks


def _has_second_frame(data: bytes, kind: str) -> bool:
    """Tries to go there: counting the frames takes time that grows with the square of their number, which may be millions."""
    try:
        Image.open(io.BytesIO(data), formats=(kind,)).seek(1)
    except EOFError:
        return False
    return True


def preprocessing(
    image_size: int, *, fit: str = "pad", crop: bool = False, window: Window | None = None
) -> dict[str, Any]:
    """How a file becomes pixels, in words that JSON holds: what shards and weights keep, and `read_pixels` follows.

    window: of images of more than 8 bits a channel; without one there is no such entry.

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
        **({} if window is None else {"window": window.to_dict()}),
    }


def read_pixels(file: Path, how: Mapping[str, Any]) -> NDArray[np.uint8]:
    """What a file shows a network, (S, S, 3) uint8: decoded and preprocessed as the training images were.

    Raises UnusableImage with the reason, and DataError as `require_repeatable` does.
    """
    return preprocess(decode(file, Window.of(how)).image, how)


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
    """Raises DataError if `preprocessing` makes no such `how`: it is invalid, or of a version that scaled otherwise."""
    Window.of(how)
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
    about its centre and grown by `margin` of its longer side on all four sides. What lies outside the image is cut
    off. An image without black comes back unchanged, and so does one that is all black.

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
