"""Pictures that are made of pixels: filters, and sheets of cells with a caption under each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from scratchnet.drawing.heat import Pixels

PAPER, INK = (255, 255, 255), (43, 47, 54)


def png(pixels: Pixels) -> bytes:
    """An image (H, W, 3) uint8, or (H, W, 4) with opacity, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def fitted(image: Pixels, size: int) -> Pixels:
    """The image (H, W, 3) uint8 shrunk so that no side is longer than `size`; a smaller one stays as it is."""
    picture = Image.fromarray(image)
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def filters(weight: NDArray[Any], largest: float, columns: int = 16, scale: int = 8, gap: int = 4) -> Pixels:
    """Filters of colour channels: weight (KH, KW, 3, F) → a sheet (H, W, 4) uint8 of F squares, transparent between them.

    Grey is a weight of 0; `largest`, more than 0, and all beyond it have full brightness. One scale for all.

    >>> filters(np.zeros((5, 5, 3, 8)), 1.0, columns=4, scale=1, gap=0).shape
    (10, 20, 4)
    """
    height, width, _, count = weight.shape
    rows, columns = -(-count // columns), min(columns, count)
    values = (255 * (0.5 + 0.5 * (weight / largest).clip(-1, 1))).round().astype(np.uint8)
    tiles = values.repeat(scale, axis=0).repeat(scale, axis=1)
    sheet = np.zeros((rows * (height * scale + gap) - gap, columns * (width * scale + gap) - gap, 4), np.uint8)
    for k in range(count):
        top, left = k // columns * (height * scale + gap), k % columns * (width * scale + gap)
        area = sheet[top : top + height * scale, left : left + width * scale]
        area[..., :3], area[..., 3] = tiles[..., k], 255
    return sheet


def sheet(images: Sequence[Pixels], captions: Sequence[str], columns: int = 3, size: int = 150) -> Pixels:
    """Images (H, W, 3) uint8 in a grid, each enlarged or shrunk to `size` pixels, with its caption of a few lines below.

    >>> sheet([np.zeros((32, 32, 3), np.uint8)], ["one\\nline more"], columns=2).shape[1] > 256
    True
    """
    font = ImageFont.load_default(13)
    gap, line = 10, 17
    wide, high = size + 4 * gap, size + gap + line * max(1 + text.count("\n") for text in captions)
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * wide + gap, rows * (high + gap) + gap), PAPER)
    draw = ImageDraw.Draw(canvas)
    for k, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = gap + k % columns * wide, gap + k // columns * (high + gap)
        factor = size / max(image.shape[:2])
        shape = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        canvas.paste(Image.fromarray(image).resize(shape, Image.Resampling.BICUBIC), (left, top))
        for row, text in enumerate(caption.split("\n")):
            draw.text((left, top + size + 4 + row * line), shortened(text, draw, font, wide - gap), INK, font)
    return np.asarray(canvas)


def message(text: str, width: int = 520, height: int = 60) -> Pixels:
    """One line of text in place of a picture, (H, W, 3) uint8.

    >>> message("No mistakes.").shape
    (60, 520, 3)
    """
    canvas = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    draw.text((16, height // 2 - 10), shortened(text, draw, font, width - 32), INK, font)
    return np.asarray(canvas)


def shortened(text: str, draw: ImageDraw.ImageDraw, font: Any, width: float) -> str:
    """The text, or its end after an ellipsis, at most `width` pixels wide: the end of a path tells most."""
    if draw.textlength(text, font) <= width:
        return text
    start = next(k for k in range(1, len(text) + 1) if draw.textlength("…" + text[k:], font) <= width)
    return "…" + text[start:]
