"""Images that are in memory already: Pillow images by the rules for files, and what to do about an array of another shape."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageOps

from scratchnet.data.images import UnusableImage

CONVERTED = ("1", "L", "P", "LA", "PA", "RGBA")


def rgb_of(image: Image.Image) -> Image.Image:
    """The picture in RGB and upright, as it would be read from a file.

    Raises UnusableImage for one that would be left out: transparent pixels, 16 bits, other colour spaces.

    >>> rgb_of(Image.new("L", (2, 1), 7)).getpixel((0, 0))
    (7, 7, 7)
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode not in (*CONVERTED, "RGB"):
        raise UnusableImage(f"a picture of mode {image.mode}; expected RGB, or greyscale (L): convert it first")
    with_alpha = image.convert("RGBA")
    if with_alpha.getchannel("A").getextrema() != (255, 255):
        raise UnusableImage("transparent pixels: put the picture on a background first")
    return with_alpha.convert("RGB")


def shape_hint(shape: tuple[int, ...], *, batch: bool) -> str:
    """How an array of this shape becomes images (N, H, W, 3), or one (H, W, 3); "" if it cannot be guessed.

    >>> shape_hint((8, 32, 32), batch=True)
    ': greyscale? np.repeat(x[..., None], 3, axis=-1) makes three channels of it'
    """
    axes = 4 if batch else 3
    if batch and len(shape) == 3 and shape[2] == 3:
        return ": one image is a batch of one, x[None]"
    if len(shape) == axes - 1:
        return ": greyscale? np.repeat(x[..., None], 3, axis=-1) makes three channels of it"
    if len(shape) != axes or shape[-1] == 3:
        return ""
    if shape[-1] == 1:
        return ": greyscale? np.repeat(x, 3, axis=-1) makes three channels of it"
    if shape[-1] == 4:
        return ": with alpha? x[..., :3] drops it"
    if shape[-3] == 3:
        return f": channels first? x.transpose({'0, 2, 3, 1' if batch else '1, 2, 0'}) puts them last"
    return ""


def is_picture(image: Any) -> bool:
    """Whether this is a Pillow image."""
    return isinstance(image, Image.Image)
