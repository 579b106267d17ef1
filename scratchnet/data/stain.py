"""Another laboratory's stain, another contrast: each image's colours changed as stains and lamps change them.

Black pixels stay black: they lie around a cell that was cut out, and were never stained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.errors import DtypeError

STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""The share of red, green and blue light that haematoxylin, eosin and DAB swallow (Ruifrok & Johnston 2001), a row each."""

TO_STAINS = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
LIGHT = (np.arange(256) + 1) / 256  # what comes through, for each grey level; black lets through a little, not nothing


def restain(images: NDArray[np.uint8], scales: ArrayLike, shifts: ArrayLike) -> NDArray[np.uint8]:
    """Each image as if each of its three stains were stronger or weaker: s' = scale · s + shift of its amounts s of stain.

    With the optical density −log((x + 1) / 256) of a pixel's three colours and M, a row for each stain, s = density · M⁻¹, and back by
    density = s' · M. In one step x'[c] + 1 = 256 · exp(−(shift · M)[c]) · Πᵣ ((x[r] + 1) / 256)^A[r, c] with A = M⁻¹ · diag(scale) · M:
    nine tables of 256 powers, which the pixels look up.

    images (N, H, W, 3) uint8. scales, shifts (N, 3). Returns a new array. Raises DtypeError if the images are not uint8.
    Sources: Ruifrok & Johnston 2001, "Quantification of histochemical staining by color deconvolution"; Tellez et al. 2018,
    "Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference", who draw scales and shifts.

    >>> cell = np.array([[[[150, 60, 170], [0, 0, 0]]]], np.uint8)
    >>> restain(cell, [[1.2, 1.0, 1.0]], [[0.0, 0.0, 0.0]])         # more haematoxylin: darker, most of all in red and green
    array([[[[138,  55, 164],
             [  0,   0,   0]]]], dtype=uint8)
    """
    _require_bytes(images)
    changed = np.empty_like(images, order="C")
    back = np.linalg.inv(TO_STAINS)
    for k, (scale, shift) in enumerate(
        zip(np.asarray(scales, np.float64), np.asarray(shifts, np.float64), strict=True)
    ):
        powers = back @ np.diag(scale) @ TO_STAINS
        tables = (LIGHT[None, None] ** powers[..., None]).astype(np.float32)
        factors = (256 * np.exp(-shift @ TO_STAINS)).astype(np.float32)
        red, green, blue = (np.ascontiguousarray(images[k, ..., c]) for c in range(3))
        for c in range(3):
            light = tables[0, c][red]
            light *= tables[1, c][green]
            light *= tables[2, c][blue]
            light *= factors[c]
            light -= np.float32(1)
            np.rint(np.clip(light, 0, 255, out=light), out=light)
            changed[k, ..., c] = light
        changed[k][(red | green | blue) == 0] = 0
    return changed


def contrast(images: NDArray[np.uint8], factors: ArrayLike) -> NDArray[np.uint8]:
    """y = m + factor · (x − m), rounded and kept within 0 to 255, with the mean m of each colour over the pixels that are not black.

    images (N, H, W, 3) uint8. factors (N,) ≥ 0. Returns a new array. Raises DtypeError if the images are not uint8.
    Source: Howard 2013, "Some Improvements on Deep Convolutional Neural Network Based Image Classification".

    >>> contrast(np.array([[[[100, 9, 9], [200, 9, 9], [0, 0, 0]]]], np.uint8), [1.5])[0, 0, :, 0]
    array([ 75, 225,   0], dtype=uint8)
    """
    _require_bytes(images)
    changed = np.empty_like(images, order="C")
    levels = np.arange(256)
    for k, factor in enumerate(np.asarray(factors, np.float64)):
        colours = [np.ascontiguousarray(images[k, ..., c]) for c in range(3)]
        black = (colours[0] | colours[1] | colours[2]) == 0
        seen = max(1, black.size - np.count_nonzero(black))
        for c, colour in enumerate(colours):
            mean = int(colour.sum(dtype=np.int64)) / seen
            table = np.rint(np.clip(mean + factor * (levels - mean), 0, 255)).astype(np.uint8)
            looked_up = np.frombuffer(colour.tobytes().translate(table.tobytes()), np.uint8)
            changed[k, ..., c] = looked_up.reshape(colour.shape)
        changed[k][black] = 0
    return changed


def _require_bytes(images: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8:
        raise DtypeError(f"colours are changed in uint8, 0 to 255; got {images.dtype}: change them before scaling")
