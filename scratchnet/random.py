"""Random draws that depend on what they are for, and on nothing else.

A dropout mask or an augmentation belongs to one image in one epoch. It is a pure function of (seed, purpose, epoch,
image): cutting a batch into micro-batches, spreading it over processes, or resuming in the middle of an epoch gives the
same draws, because there is no generator whose state could have moved.

The mixing function is splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

import functools
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of splitmix64: scrambles each 64-bit integer so that neighbouring inputs give unrelated outputs.

    state (one axis or more) uint64 → the same shape, uint64. Arithmetic is modulo 2⁶⁴.
    """
    z = state + GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bits(seed: int, purpose: str, epoch: int, images: ArrayLike) -> NDArray[np.uint64]:
    """Sixty-four random bits for each image, always the same for the same arguments.

    seed, epoch: integers ≥ 0. purpose: what the draw is for, so that two uses never share bits.
    images (N,) integers: each image's number in its dataset. Returns (N,) uint64.

    >>> int(bits(0, "augment", epoch=3, images=[7])[0]) == int(bits(0, "augment", epoch=3, images=[6, 7])[1])
    True
    """
    return mix(_key(seed, purpose, epoch) ^ np.asarray(images, np.uint64))


@functools.lru_cache(64)
def _key(seed: int, purpose: str, epoch: int) -> NDArray[np.uint64]:
    """The three arguments as one number."""
    key = np.array([seed], np.uint64)
    for part in (zlib.crc32(purpose.encode()), epoch):
        key = mix(key ^ np.uint64(part))
    return mix(key)


def uniform(random_bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) from the upper 53 bits of each integer, as many as a float64 holds exactly."""
    return (random_bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A NumPy generator for draws that belong to no single image: initial weights, the order of an epoch.

    >>> generator(0, "order", 4).integers(100) == generator(0, "order", 4).integers(100)
    np.True_
    """
    key: list[Any] = [seed, zlib.crc32(purpose.encode()), *numbers]
    return np.random.default_rng(key)
