"""The values of an image of 10 to 16 bits a channel. Pillow alone keeps all bits of greyscale, but only the upper 8 of colours."""

import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scratchnet.data.container import Container, UnusableImage

OTHER_HALF = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}  # orders of bytes
TRANSPARENT = "transparent pixels: their colour is not defined; save it without transparency"


def deep_values(container: Container, kind: str) -> NDArray[np.uint16]:
    """The values of a file as it stores them, black at 0: (H, W, 1) for greyscale and (H, W, 3) for RGB.

    kind: "PNG" or "TIFF". Raises UnusableImage for transparent pixels and for colours other than RGB, and whatever Pillow's
    decoders raise for a damaged file.
    """
    if container.planes:
        values = np.dstack([_grey(_opened(plane, kind)) for plane in container.planes()])
    else:
        image = _opened(container.content, kind)
        values = (
            _grey(image)[:, :, None]
            if image.mode.startswith("I")
            else _colours(image, _opened(container.content, kind))
        )
        key = image.info.get("transparency")
        if key is not None and (values == np.array(key, np.int64)).all(axis=2).any():
            raise UnusableImage(TRANSPARENT)
    if values.shape[2] == 4:
        if not container.drops_fourth and (values[:, :, 3] < 2**16 - 1).any():
            raise UnusableImage(TRANSPARENT)
        values = values[:, :, :3]
    return np.subtract(2**container.bits - 1, values, dtype=np.uint16) if container.white_is_zero else values


def _opened(content: bytes, kind: str) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=(kind,))


def _grey(image: Image.Image) -> NDArray[np.uint16]:
    return np.asarray(image).astype(np.uint16)


def _colours(image: Image.Image, again: Image.Image) -> NDArray[np.uint16]:
    """The values (H, W, 3), or (H, W, 4) with alpha, of an RGB image that is opened twice.

    Pillow takes the upper byte of each pair. Told that the bytes are in the other order, it takes the lower.
    """
    tiles = list(_in_other_order(again))
    if image.mode not in ("RGB", "RGBA") or not tiles:
        raise UnusableImage(
            "16 bits a channel in colours other than RGB, or grey with transparency: save it as RGB or greyscale"
        )
    again.tile = tiles  # type: ignore[attr-defined]
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(again)


def _in_other_order(image: Image.Image) -> Iterator[tuple[Any, ...]]:
    """The pieces of an image with the order of their bytes changed; an empty list if that cannot be told."""
    for piece in getattr(image, "tile", []):
        name, box, offset, arguments = piece
        first, *rest = (arguments,) if isinstance(arguments, str) else arguments
        if first[:-1] not in ("RGB;16", "RGBA;16", "RGBX;16", "RGBa;16"):
            return
        first = first[:-1] + OTHER_HALF[first[-1]]
        changed = (name, box, offset, first if isinstance(arguments, str) else (first, *rest))
        yield piece._make(changed) if hasattr(piece, "_make") else changed  # a named tuple since Pillow 11
