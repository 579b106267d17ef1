"""Small turns and zooms of whole images: between their pixels, bilinearly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.errors import DtypeError, ShapeError

STEPS = 32  # places between two pixels: an exact one is at most 1/64 of a pixel away
LANE = np.uint64(21)  # bits for each of the three colours, side by side in one number: 255 · 32² needs 18


def warp(images: NDArray[np.uint8], angles: ArrayLike, zooms: ArrayLike) -> NDArray[np.uint8]:
    """Each image turned about its middle by its own angle, against the clock, and enlarged by its own factor.

    y[p] = x at c + R(angle)ᵀ · (p − c) / zoom, with the middle c, between four pixels by their distance from it (bilinearly), rounded
    half up. Places are rounded to 1/32 of a pixel, so that all sums are of whole numbers: `reference.warped`. What lies outside the
    image has the colour of its nearest edge: black stays black around a cell that was cut out, and a plain image stays as it is.

    images (N, S, S, 3) uint8. angles (N,) in degrees. zooms (N,) > 0. Returns a new array. The three colours of a pixel travel in
    one 64-bit number, which a product with a weight up to 32² does not make overflow into its neighbour.
    Raises DtypeError or ShapeError for other images.
    Source: Simard, Steinkraus & Platt 2003, "Best practices for convolutional neural networks applied to visual document analysis".

    >>> image = np.zeros((1, 3, 3, 3), np.uint8)
    >>> image[0, 0, 1] = 200                                         # above the middle
    >>> warp(image, [90], [1.0])[0, :, :, 0]
    array([[  0,   0,   0],
           [200,   0,   0],
           [  0,   0,   0]], dtype=uint8)
    """
    if images.dtype != np.uint8:
        raise DtypeError(f"images are turned in uint8, 0 to 255; got {images.dtype}: turn them before scaling")
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ShapeError(f"expected square images of three colours, (N, S, S, 3), got {images.shape}")
    size = images.shape[1]
    from_middle = np.arange(size) - (size - 1) / 2
    turned = np.empty_like(images, order="C")
    pairs = zip(np.asarray(angles, np.float64).tolist(), np.asarray(zooms, np.float64).tolist(), strict=True)
    for k, (angle, zoom) in enumerate(pairs):
        cosine, sine = math.cos(math.radians(angle)) / zoom, math.sin(math.radians(angle)) / zoom
        down = cosine * from_middle[:, None] + sine * from_middle[None, :]
        right = -sine * from_middle[:, None] + cosine * from_middle[None, :]
        (top, below, v), (left, beside, h) = (_between(places + (size - 1) / 2, size) for places in (down, right))
        packed = _packed(images[k])
        top, below = top * size, below * size
        one, full = np.uint64(1), np.uint64(STEPS)
        above = packed[top + left] * (full - h) + packed[top + beside] * h
        under = packed[below + left] * (full - h) + packed[below + beside] * h
        half = np.uint64(STEPS**2 // 2) * (one + (one << LANE) + (one << (LANE + LANE)))
        _unpack(above * (full - v) + under * v + half, turned[k])
    return turned


def _between(places: NDArray[np.float64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """The pixels before and after each place, and how many steps it is after the first."""
    steps = np.clip(np.rint(places * STEPS).astype(np.int64), 0, (size - 1) * STEPS)
    first = steps // STEPS
    return first, np.minimum(first + 1, size - 1), (steps - first * STEPS).astype(np.uint64)


def _packed(image: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The colours of each pixel in one number, (S · S,)."""
    red, green, blue = (image[..., c].reshape(-1).astype(np.uint64) for c in range(3))
    return red | (green << LANE) | (blue << (LANE + LANE))


def _unpack(sums: NDArray[np.uint64], image: NDArray[np.uint8]) -> None:
    """Writes the colours of sums that carry 32² times their values."""
    for c in range(3):
        image[..., c] = (sums >> (LANE * np.uint64(c) + np.uint64(10))).astype(np.uint8)
