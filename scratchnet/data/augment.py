"""The eight symmetries of the square: ways to turn and mirror a cell that leave it the same cell.

A microscope slide has no up and no left. Showing the network each image in all eight positions multiplies the data by
eight and invents nothing.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.draws import bits
from scratchnet.errors import ShapeError

AnyType = TypeVar("AnyType", bound=np.generic)


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
    for s in range(8):
        mirrored, quarters = divmod(s, 4)
        of_this_kind = chosen == s
        if of_this_kind.any():
            selected = images[of_this_kind]
            if mirrored:
                selected = selected[:, :, ::-1]
            turned[of_this_kind] = np.rot90(selected, quarters, axes=(1, 2))
    return turned


def random_symmetries(images: NDArray[AnyType], seed: int, epoch: int, indices: ArrayLike) -> NDArray[AnyType]:
    """Each image under a symmetry drawn for it from (seed, epoch, its number), whatever batch it stands in.

    images (N, S, S, C), any dtype. indices (N,) integers: the images' numbers in their dataset. Same shape and dtype out.
    """
    return symmetry(images, bits(seed, "symmetry", epoch, indices) % np.uint64(8))
