"""Augmentation: ways to change an image that leave it the same cell, drawn anew for each image in each epoch.

A microscope slide has no up and no left. Showing the network each image in all eight positions of the square multiplies
the data by eight and invents nothing. A lamp is brighter on one day than on another, a stain stronger, and so may an image be.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data.stain import contrast, restain
from scratchnet.data.warp import warp
from scratchnet.errors import ConfigError, DtypeError, ShapeError
from scratchnet.random import bits, uniform

AnyType = TypeVar("AnyType", bound=np.generic)

TURNS = {"none": 1, "rotations": 4, "symmetries": 8}
"""Positions that each kind of turning draws from: the image as it is, the quarter turns, all symmetries of the square."""


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image while training, in this order: a turn, another angle and size, stain, contrast and brightness.

    turns: "none"; "rotations", one of the four quarter turns, as in the report; "symmetries", one of the eight
    symmetries of the square. angle a: turned by −a to a degrees more. zoom z: enlarged by a factor from 1 − z to 1 + z (`warp`).
    stain s: each of its three stains times a factor from 1 − s to 1 + s, plus −s to s (`restain`). contrast c, brightness b: a factor
    from 1 − c to 1 + c and from 1 − b to 1 + b (`contrast`, `brighten`). 0 leaves each out.
    All are drawn for the image from (seed, epoch, its number) alone: no batch, thread or resume changes them.

    Raises ConfigError for another word, an angle outside 0 to 180, or another number outside 0 ≤ … < 1.

    >>> grey = np.full((1, 2, 2, 3), 100, np.uint8)
    >>> np.unique(Augmentation(brightness=0.2).apply(grey, seed=0, epoch=0, indices=[7]))
    array([87], dtype=uint8)
    """

    turns: str = "symmetries"
    brightness: float = 0.0
    angle: float = 0.0
    zoom: float = 0.0
    stain: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if self.turns not in TURNS:
            raise ConfigError(f"turns must be one of {', '.join(TURNS)}, got {self.turns!r}")
        if not 0 <= self.angle <= 180:
            raise ConfigError(f"angle must be from 0 to 180 degrees, got {self.angle}")
        for name in ("brightness", "zoom", "stain", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and less than 1, got {getattr(self, name)}")

    def apply(self, images: NDArray[np.uint8], seed: int, epoch: int, indices: ArrayLike) -> NDArray[np.uint8]:
        """images (N, S, S, C) uint8, with their numbers in the dataset, indices (N,) → as this epoch shows them, same shape.

        Raises ShapeError if images are to be turned that are not square, DtypeError if they are not uint8.
        """
        if self.turns != "none":
            images = random_symmetries(images, seed, epoch, indices, TURNS[self.turns])

        def within(size: float, purpose: str) -> NDArray[np.float64]:
            """A number from −size to size for each image, (N,)."""
            return size * (2 * uniform(bits(seed, purpose, epoch, indices)) - 1)

        if self.angle or self.zoom:
            images = warp(images, within(self.angle, "angle"), 1 + within(self.zoom, "zoom"))
        if self.stain:
            scales, shifts = (
                np.stack([within(self.stain, f"stain {what} {k}") for k in range(3)], axis=1)
                for what in ("scale", "shift")
            )
            images = restain(images, 1 + scales, shifts)
        if self.contrast:
            images = contrast(images, 1 + within(self.contrast, "contrast"))
        if self.brightness:
            images = brighten(images, 1 + within(self.brightness, "brightness"))
        return images


def brighten(images: NDArray[np.uint8], factors: ArrayLike) -> NDArray[np.uint8]:
    """y = min(255, factor · x), rounded to the nearest grey level (to the even one of two): each image by its own factor.

    It acts on the bytes, before they are scaled: black, around a cell that was cut out, stays black, and what training
    sees is an image that could have been in a file. Rounding moves a pixel by half a grey level at most.

    images (N, H, W, C) uint8. factors (N,) ≥ 0. Returns a new array. Raises DtypeError if the images are not uint8.
    Source: Howard 2013, "Some Improvements on Deep Convolutional Neural Network Based Image Classification", who adds
    brightness to what Krizhevsky et al. 2012 change at random.

    >>> brighten(np.array([[[[0, 99, 250]]]], np.uint8), [1.5])
    array([[[[  0, 148, 255]]]], dtype=uint8)
    """
    if images.dtype != np.uint8:
        raise DtypeError(f"brightness is changed in uint8, 0 to 255; got {images.dtype}: brighten before scaling")
    levels = np.multiply.outer(np.asarray(factors, np.float64), np.arange(256))
    tables = np.rint(np.minimum(levels, 255)).astype(np.uint8)  # 256 products for each image, which its pixels look up
    brighter = np.empty_like(images, order="C")
    for k, table in enumerate(tables):
        looked_up = images[k].tobytes().translate(table.tobytes())  # twice as fast as NumPy's table[images[k]]
        brighter[k] = np.frombuffer(looked_up, np.uint8).reshape(images[k].shape)
    return brighter


def symmetry(images: NDArray[AnyType], which: ArrayLike) -> NDArray[AnyType]:
    """Each image under one symmetry of the square.

    Symmetry s = 4·m + q mirrors left and right if m = 1, then makes q quarter turns against the clock; 0 changes nothing.

    images (N, S, S, C), any dtype. which: one integer 0 … 7 for all images, or (N,) integers. Returns a new array, same
    shape and dtype. Raises ShapeError if the images are not square, ValueError if a symmetry is not one of 0 … 7.

    >>> image = np.arange(4).reshape(1, 2, 2, 1)
    >>> symmetry(image, 1)[0, :, :, 0]                          # one quarter turn
    array([[1, 3],
           [0, 2]])
    """
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ShapeError(
            f"expected square images (N, S, S, C), got {images.shape}: prepare the images to a square, or do not turn them"
        )
    chosen = np.broadcast_to(np.asarray(which), images.shape[:1])
    if chosen.size and (chosen.min() < 0 or chosen.max() > 7):
        raise ValueError(f"the symmetries of the square are numbered 0 to 7, got {chosen.min()} to {chosen.max()}")
    turned = np.empty_like(images, order="C")
    # A pixel as one element, which NumPy moves in one piece and not a channel at a time: more than twice as fast.
    pixel = np.dtype((np.void, images.shape[3] * images.itemsize))
    before, after = (array.view(pixel)[..., 0] for array in (np.ascontiguousarray(images), turned))
    for k, s in enumerate(chosen):
        mirrored, quarters = divmod(int(s), 4)
        after[k] = np.rot90(before[k, :, ::-1] if mirrored else before[k], quarters)
    return turned


def random_symmetries(
    images: NDArray[AnyType], seed: int, epoch: int, indices: ArrayLike, kinds: int = 8
) -> NDArray[AnyType]:
    """Each image under a symmetry drawn for it from (seed, epoch, its number), whatever batch it stands in.

    images (N, S, S, C), any dtype. indices (N,) integers: the images' numbers in their dataset. kinds: 8 draws from all
    symmetries, 4 from the quarter turns, which are the first four. Same shape and dtype out.
    """
    return symmetry(images, bits(seed, "symmetry", epoch, indices) % np.uint64(kinds))
