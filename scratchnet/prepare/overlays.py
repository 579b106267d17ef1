"""Whether pictures are overlays of others of the same names: masks, contours, cells cut out. Their pixels say it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.container import UnusableImage
from scratchnet.data.images import decode

LOOKED_AT = 5  # pairs
FEW = 6  # colours of a mask, in 16 levels a channel


def are_overlays(pairs: Sequence[tuple[Path, Path]]) -> bool | None:
    """Whether the first of each pair is a mask of the second, or drawn onto it; None if that cannot be told.

    A few pairs are looked at. They must agree.
    """
    step = max(1, len(pairs) // LOOKED_AT)
    answers = {_is_overlay(*pair) for pair in pairs[::step][:LOOKED_AT]}
    return answers.pop() if len(answers) == 1 else None


def _is_overlay(drawing: Path, image: Path) -> bool | None:
    try:
        first, second = (np.asarray(decode(file).image, np.int16) for file in (drawing, image))
    except UnusableImage:
        return None
    if _is_plain(first):
        return None if _is_plain(second) else True
    if first.shape != second.shape:
        return False
    close = (np.abs(first - second) <= 8).all(axis=2)
    outside = _colours(first) == _most_common(_colours(first))  # what is cut off has one colour
    return bool(close[~outside].mean() > 0.5) if not outside.all() else None


def _is_plain(pixels: NDArray[np.int16]) -> bool:
    """Whether the picture (H, W, 3) has only a few colours, or areas of one colour each."""
    colours = _colours(pixels)
    counts = np.sort(np.unique(colours, return_counts=True)[1])
    if counts[-FEW:].sum() >= 0.99 * colours.size:
        return True
    inside = colours[:, :-1] != _most_common(colours)
    same = (pixels[:, 1:] == pixels[:, :-1]).all(axis=2)
    return bool(same[inside].mean() > 0.8) if inside.any() else True


def _colours(pixels: NDArray[np.int16]) -> NDArray[np.int32]:
    """(H, W) int32: each colour as a number, in 16 levels a channel."""
    levels = np.right_shift(pixels, 4).astype(np.int32)
    return (levels[..., 0] << 8) | (levels[..., 1] << 4) | levels[..., 2]


def _most_common(colours: NDArray[np.int32]) -> int:
    return int(np.bincount(colours.ravel()).argmax())
