"""Images that show the same picture, pixel by pixel, as it is or turned and mirrored, whatever their names."""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scratchnet.data import Remark, symmetry

Turn = Image.Transpose
SYMMETRIES = (None, Turn.ROTATE_90, Turn.ROTATE_180, Turn.ROTATE_270,
              Turn.FLIP_LEFT_RIGHT, Turn.TRANSPOSE, Turn.FLIP_TOP_BOTTOM, Turn.TRANSVERSE)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """What an image shows. Two files are equal here exactly if their pixels are.

    cell: 16 bytes, the same for an image and its turned and mirrored copies: what lies on the slide, however it lies.
    positions: 0 … 7, which of the eight symmetries of the square lead from this image to the one that `cell` is the hash of;
    one, or several if the image is its own turned copy.
    """

    cell: bytes
    positions: tuple[int, ...]

    def turned(self, which: int) -> "Picture":
        """What the same image shows under one of the eight symmetries, numbered as in `scratchnet.data.symmetry`.

        >>> image = Image.effect_noise((20, 10), 50).convert("RGB")
        >>> identify(image).turned(1) == identify(image.transpose(Turn.ROTATE_90))
        True
        """
        return Picture(self.cell, tuple(sorted(_remaining(which, position) for position in self.positions)))


def identify(image: Image.Image) -> Picture:
    """The picture of an RGB image.

    Of the eight positions of an image, one is the standard: the brightest quarter is at the upper left, and the brighter
    one of its neighbours at the upper right. BLAKE2b of shape and pixels in that position is the cell. Where quarters are
    equally bright, so that several positions would do, the one with the smallest hash is taken.

    >>> image = Image.effect_noise((20, 10), 50).convert("RGB")
    >>> turned = image.transpose(Turn.ROTATE_90)
    >>> identify(turned).cell == identify(image).cell, identify(turned) == identify(image)
    (True, False)
    """
    pixels = np.asarray(image)
    height, width = (max(1, side // 2) for side in pixels.shape[:2])
    sums = np.array([
        [pixels[rows, columns].sum(dtype=np.int64) for columns in (slice(width), slice(-width, None))]
        for rows in (slice(height), slice(-height, None))
    ])  # fmt: skip
    hashes = {}
    for position, ((corner, right), (below, _)) in enumerate(_in_all_positions(sums)):
        if corner == sums.max() and right >= below:
            hashes[position] = _hash(image, position)
    cell = min(hashes.values())
    return Picture(cell, tuple(position for position, found in hashes.items() if found == cell))


def _in_all_positions(square: NDArray[Any]) -> NDArray[Any]:
    """(S, S) under each of the eight symmetries: (8, S, S)."""
    return symmetry(np.broadcast_to(square[..., None], (8, *square.shape, 1)), range(8))[..., 0]


@functools.cache
def _remaining(done: int, position: int) -> int:
    """The symmetry that is left to do after `done`, so that both together are `position`."""
    corners = _in_all_positions(np.arange(4).reshape(2, 2))  # under each symmetry they stand in another order
    left = (_in_all_positions(corners[done]) == corners[position]).all(axis=(1, 2))
    return int(np.flatnonzero(left)[0])


def _hash(image: Image.Image, position: int) -> bytes:
    turn = SYMMETRIES[position]
    turned = image if turn is None else image.transpose(turn)
    width, height = turned.size
    content = f"{height} {width} ".encode() + turned.tobytes()
    return hashlib.blake2b(content, digest_size=16).digest()


def find_duplicates(
    paths: Sequence[str],
    contents: Sequence[Hashable],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    keep: bool = False,
) -> dict[int, Remark]:
    """Positions of the images to leave out, each with the reason.

    Same pixels in one class: the first path in order stays, the others are left out (none, if `keep`).
    Same pixels in different classes: at least one of them is mislabelled and nobody knows which, so all are left out.

    paths, contents (equal for equal pixels), labels: one entry an image, sorted by path.

    >>> find_duplicates(["a/1", "a/2", "b/3"], ["x", "y", "x"], [0, 0, 1], ["a", "b"])[0].reason
    'mislabelled: the same image is in class a (a/1) and in class b (b/3)'
    """
    left_out: dict[int, Remark] = {}
    for same in _positions(contents).values():
        first = same[0]
        other = next((k for k in same if labels[k] != labels[first]), None)
        if other is not None:
            both = f"in class {class_names[labels[first]]} ({paths[first]}) and in class {class_names[labels[other]]} ({paths[other]})"
            left_out |= {k: Remark(paths[k], f"mislabelled: the same image is {both}") for k in same}
        elif not keep:
            left_out |= {k: Remark(paths[k], f"duplicate: the same image as {paths[first]}") for k in same[1:]}
    return left_out


def merge_subjects(subjects: Sequence[str], contents: Sequence[Hashable]) -> dict[str, tuple[str, ...]]:
    """For each subject, all subjects that count as one with it, sorted: those that share an image, directly or through others.

    One cell has one donor: two subjects with the same image are one person under two numbers.

    >>> merge_subjects(["20", "21", "33"], ["x", "x", "y"])
    {'20': ('20', '21'), '21': ('20', '21'), '33': ('33',)}
    """
    parent = {subject: subject for subject in subjects}

    def representative(subject: str) -> str:
        while parent[subject] != subject:
            subject = parent[subject]
        return subject

    for same in _positions(contents).values():
        for k in same[1:]:
            parent[representative(subjects[k])] = representative(subjects[same[0]])
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for subject in sorted(parent):
        groups[representative(subject)].append(subject)
    return {subject: tuple(groups[representative(subject)]) for subject in sorted(parent)}


def _positions(contents: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """For each content, the positions of the images that have it."""
    positions: defaultdict[Hashable, list[int]] = defaultdict(list)
    for k, content in enumerate(contents):
        positions[content].append(k)
    return positions
