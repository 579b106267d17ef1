"""Heat maps over a cell, all in one scale: blocks in their true size, and no colour where nothing matters.

A map says for each position how far it moves the probability of a class, as a share: +0.23 is 23 points for the class.
The scale is fixed, so that two pictures can be compared and a small effect looks small. What moves the probability by less
than `LEAST` has no colour: turning or mirroring a cell, which changes nothing of what it is, moves an answer about as much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ShapeError
from scratchnet.reference import Array

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

LEAST = 0.05
"""Below it no colour. Measured on two networks of 64 × 64 pixels: over its eight positions the answer to one cell has a standard
deviation of 0.006 (leukaemia) and 0.008 (malaria) in the median, at least 0.013 and 0.09 in the worst tenth of the cells."""

STEPS = (LEAST, 0.1, 0.2, 0.4)  # where each colour begins
FOR: tuple[Colour, ...] = ((253, 205, 150), (247, 148, 63), (214, 84, 9), (127, 39, 4))
AGAINST: tuple[Colour, ...] = ((190, 215, 238), (107, 167, 214), (33, 102, 172), (8, 40, 94))
OPACITY = 0.78  # of a colour over the cell
PALE = 0.42  # how much of the cell's own contrast remains below the colour
GREY = round(255 * (1 - PALE / 2))  # of a cell of medium brightness, below the colour


def beneath(pixels: Pixels) -> Array:
    """The cell as a pale background for colours: pixels (H, W, 3) uint8 → (H, W, 3) float, all between light greys."""
    grey = np.asarray(pixels, np.float64).mean(axis=2, keepdims=True)
    return np.broadcast_to(255 * (1 - PALE) + PALE * grey, pixels.shape)


def painted(pixels: Pixels, effect: Array) -> Pixels:
    """The cell with the map over it, (H, W, 3) uint8, pixel for pixel in the image's size.

    pixels (H, W, 3) uint8. effect (h, w): as shares; every block is as large as the area that it stands for, and has
    one colour: nothing is interpolated. Orange spoke for the class, blue against it; less than `LEAST` has no colour.
    Raises ShapeError for a map that has more values than the image has pixels.

    >>> shown = painted(np.zeros((4, 4, 3), np.uint8), np.array([[0.5, 0.0], [0.0, -0.5]]))
    >>> len(np.unique(shown.reshape(-1, 3), axis=0)), bool((shown[0, 0] == shown[1, 1]).all())
    (3, True)
    """
    effect = np.asarray(effect, np.float64)
    height, width = pixels.shape[:2]
    if effect.ndim != 2 or 0 in effect.shape or effect.shape[0] > height or effect.shape[1] > width:
        raise ShapeError(
            f"a map over {height} × {width} pixels is (h, w) of no more places than that, got {effect.shape}"
        )
    ground, large = beneath(pixels), enlarged(effect, height, width)
    shown = ground.copy()
    for sign, colours in ((1, FOR), (-1, AGAINST)):
        for least, colour in zip(STEPS, colours, strict=True):
            there = sign * large >= least
            shown[there] = (1 - OPACITY) * ground[there] + OPACITY * np.array(colour, np.float64)
    return np.asarray(shown.round().clip(0, 255).astype(np.uint8))


def enlarged(values: Array, height: int, width: int) -> Array:
    """A map (h, w) as (height, width), each value a block. Blocks differ by a pixel where they must.

    >>> enlarged(np.array([[1, 2]]), 2, 4).tolist()
    [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    return np.asarray(values[np.ix_(rows, columns)])


def alike(effect: Array) -> bool:
    """Whether all values of a map (h, w) matter, and all equally: then the map singles out no position.

    >>> alike(np.array([[0.10, 0.13], [0.13, 0.14]])), alike(np.array([[0.0, 0.1], [0.1, 0.1]])), alike(np.array([[0.2]]))
    (True, False, False)
    """
    effect = np.asarray(effect)
    return bool(effect.size > 1 and np.abs(effect).min() >= LEAST and np.ptp(effect) < LEAST)


def from_evidence(evidence: Array) -> Array:
    """Grad-CAM (h, w) ≥ 0 in the scale of all maps: (h, w) from 0 to 0.5.

    effect = 1 / (1 + exp(−h · w · L)) − 1/2

    L of a position is its share of the class's logit, to first order; h · w · L is that of an image which looks
    everywhere like this position. The effect is how far it would lift a probability of one half. It means the same
    for a layer of 2 × 2 and of 16 × 16 positions.

    >>> from_evidence(np.array([[0.0, 0.55], [0.0, 0.0]])).round(2).tolist()
    [[0.0, 0.4], [0.0, 0.0]]
    """
    return np.asarray(1 / (1 + np.exp(-evidence.size * np.asarray(evidence, np.float64))) - 0.5)


def matters(effect: Array) -> bool:
    """Whether any position moves the probability by `LEAST` or more.

    >>> matters(np.array([[0.0, -0.049]])), matters(np.array([[0.0, -0.05]]))
    (False, True)
    """
    return bool((np.abs(effect) >= LEAST).any())


def points(value: float) -> str:
    """An effect in words: percentage points, with its sign.

    >>> points(0.234), points(-0.05), points(0.0012)
    ('+23', '−5', '+0.1')
    """
    digits = 0 if abs(value) >= 0.01 else 1
    return f"{'−' if value < 0 else '+'}{100 * abs(value):.{digits}f}"


def key() -> list[tuple[str, Colour]]:
    """The scale, from against to for: what each colour means in points, and the colour as it looks over a cell.

    >>> [text for text, _ in key()]
    ['−40 or more', '−20', '−10', '−5', 'less than 5', '+5', '+10', '+20', '+40 or more']
    """
    steps = [-least for least in reversed(STEPS)] + list(STEPS)
    texts = [points(step) + (" or more" if abs(step) == STEPS[-1] else "") for step in steps]
    shown = [(text, _over_grey(colour)) for text, colour in zip(texts, (*reversed(AGAINST), *FOR), strict=True)]
    shown.insert(len(STEPS), (f"less than {100 * LEAST:.0f}", (GREY, GREY, GREY)))
    return shown


def ink(colour: Colour) -> Colour:
    """Black or white, whichever is more legible on the colour.

    >>> ink((253, 205, 150)), ink((8, 40, 94))
    ((0, 0, 0), (255, 255, 255))
    """
    return (255, 255, 255) if sum(colour) < 330 else (0, 0, 0)


def _over_grey(colour: Colour) -> Colour:
    red, green, blue = (round((1 - OPACITY) * GREY + OPACITY * part) for part in colour)
    return red, green, blue
