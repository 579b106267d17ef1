"""An image of any size → a square of a given one: shrinking averages areas, enlarging interpolates linearly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FITS = ("pad", "stretch")
# Stored with prepared images, to tell them from those that were scaled in another way.
SHRINK = "area average, pixels cut in parts"
ENLARGE = "bilinear"


def fit_to_square(image: Image.Image, size: int, fit: str) -> NDArray[np.uint8]:
    """Scales an RGB image to (size, size, 3) uint8.

    fit "pad": keeps its proportions, centred on black. fit "stretch": fills the square, and so may shrink one axis and
    enlarge the other.

    >>> fit_to_square(Image.new("RGB", (450, 300), "white"), 3, "pad")[..., 0]
    array([[255, 255, 255],
           [255, 255, 255],
           [  0,   0,   0]], dtype=uint8)
    """
    width, height = image.size
    if fit == "stretch":
        new_width = new_height = size
    else:
        longer = max(width, height)
        new_width, new_height = (max(1, round(side * size / longer)) for side in (width, height))
    enlarged = image.resize((max(width, new_width), max(height, new_height)), Image.Resampling.BILINEAR)
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    square[top : top + new_height, left : left + new_width] = shrink(np.asarray(enlarged), new_height, new_width)
    return square


def shrink(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The mean over the area that each new pixel covers, where a pixel on its edge counts by the part that lies inside.

    y[i, j] = 1/area · Σ over (p, q) of overlap(i, p) · overlap(j, q) · x[p, q]

    pixels (H, W, C) uint8 → (height, width, C) uint8, height ≤ H and width ≤ W. All sums are of whole numbers and are
    rounded once, half up: every machine finds the same pixels.

    >>> shrink(np.array([[[0], [30], [90]]], np.uint8), 1, 2)[..., 0]       # (0 + 15) / 1.5 and (15 + 90) / 1.5
    array([[10, 70]], dtype=uint8)
    """
    rows, columns = pixels.shape[:2]
    if (
        columns * height > rows * width
    ):  # the axis that shrinks more goes first, so that the intermediate array is small
        return shrink(pixels.swapaxes(0, 1), width, height).swapaxes(0, 1)
    # 255 · 2²⁴, and half of the area for rounding, are below 2³².
    whole: Any = np.uint32 if rows * columns <= 2**24 else np.uint64
    sums: NDArray[Any] = pixels
    area = 1
    for new in (height, width):  # exchanging the axes twice brings them back to their places
        old = len(sums)
        if new != old:
            sums, area = sums_of_areas(sums, new, whole), area * old
        sums = sums.swapaxes(0, 1)
    return ((sums + whole(area // 2)) // whole(area)).astype(np.uint8)


def sums_of_areas(values: NDArray[Any], new: int, whole: type[Any]) -> NDArray[Any]:
    """Shrinks the first axis, of length `old`, to `new` sums, each with weights that come to `old`.

    In units of 1/new of an old pixel, old pixel p reaches from p·new to (p+1)·new and new pixel k from k·old to (k+1)·old,
    so that they have a whole number of units in common. An area begins in one old pixel and covers few more: term t adds
    the t-th pixel of all areas at once.

    values (old, …) unsigned; new ≤ old → (new, …) of the dtype `whole`, which must hold `old` times the largest value.
    """
    old = len(values)
    begin = np.arange(new) * old
    first = begin // new
    sums = np.zeros((new, *values.shape[1:]), whole)
    for term in range(-(-old // new) + 1):
        pixel = np.minimum(first + term, old - 1)
        overlap = np.minimum((first + term + 1) * new, begin + old) - np.maximum((first + term) * new, begin)
        weight = np.maximum(overlap, 0).astype(whole).reshape(new, *[1] * (values.ndim - 1))
        sums += weight * values[pixel]
    return sums
