"""One page to play with: a filter over a real cell, max-pooling and its way back, F(2, 3) in exact fractions.

`page()` is the whole page as one text. It loads nothing, and runs nothing but its own two programs: arithmetic.js, which
computes, and play.js, which draws. Tests hold the first equal to `scratchnet.reference`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.data.images import preprocessing, read_pixels
from scratchnet.drawing.pictures import png
from scratchnet.pages.html import data_script, data_uri, document
from scratchnet.prepare import SAMPLE

HERE = Path(__file__).resolve().parent
SIZE, SIDE = 64, 8  # pixels of a cell, and of the part that is shown as numbers
CHOSEN = (
    (
        "the edge of a leukaemic cell",
        "fold_0/all/UID_14_29_2_all.webp",
        10,
        15,
        "Outside the cell all is black: it was cut out before.",
    ),
    (
        "inside a normal cell",
        "fold_0/hem/UID_H6_10_1_hem.webp",
        24,
        28,
        "Its nucleus has a texture, which filters can find.",
    ),
    ("the edge of a normal cell", "fold_2/hem/UID_H4_1_2_hem.webp", 20, 4, "Here the edge runs from top to bottom."),
)
"""Part of which cell: its name, the file in the sample, the part's top and left in the cell of 64 × 64 pixels, a remark."""


def page() -> str:
    """The page as HTML. It reads the sample's cells, and nothing else."""
    body = _read("play.html") + data_script("crops", [_crop(*one) for one in CHOSEN])
    return document(
        "What a network does to a cell", body, style=_read("play.css"), script=_read("arithmetic.js") + _read("play.js")
    )


def _crop(name: str, file: str, top: int, left: int, said: str) -> dict[str, Any]:
    """A cell with its part as numbers: 0 is black, 9 the brightest pixel of the cell."""
    pixels = read_pixels(SAMPLE / file, preprocessing(SIZE, crop=True))
    grey = pixels.mean(axis=2)
    values = np.round(9 * grey[top : top + SIDE, left : left + SIDE] / grey.max()).astype(int)
    bright = np.minimum(pixels * (255 / pixels.max()), 255).astype(np.uint8)
    picture = data_uri(png(bright), "png")
    return {"name": name, "said": said, "top": top, "left": left, "values": values.tolist(), "picture": picture}


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
