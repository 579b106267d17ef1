"""More images made of the existing ones before training: the report's quarter turns, or all eight symmetries of the square.

Training can do the same on the fly, anew in each epoch (`python train.py --augment`), which needs no space and shows more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scratchnet.data import Remark
from scratchnet.prepare.spool import Prepared
from scratchnet.random import generator

MARK = "#"
NAMES = ("", "rot90", "rot180", "rot270", "mirror", "mirror-rot90", "mirror-rot180", "mirror-rot270")


@dataclass(frozen=True)
class Item:
    """One image of a dataset: a prepared one, as it is (symmetry 0) or under a symmetry of the square, as in `scratchnet.data`.

    subject: the person it counts for, after merging.
    """

    image: Prepared
    subject: str
    symmetry: int = 0

    @property
    def label(self) -> int:
        """The label of its class."""
        return self.image.source.label

    @property
    def path(self) -> str:
        """The path of its file; copies add how they were turned: "fold_0/hem/UID_H10_2_1_hem.bmp#rot90"."""
        return self.image.source.path + (MARK + NAMES[self.symmetry] if self.symmetry else "")


@dataclass(frozen=True)
class Augmented:
    """What became of some items. left_out: by path, with the reason. counts: for each class, images before, left out, added."""

    items: tuple[Item, ...]
    left_out: tuple[Remark, ...]
    counts: tuple[dict[str, int], ...]


def augment(items: Sequence[Item], how: str, classes: int, seed: int) -> Augmented:
    """Adds turned copies of `items` and leaves some out: how = "none", "report" or "symmetries".

    "report": classes come out equally large. A class with fewer images gets copies turned by 90°, at most one an image;
    some images of larger classes are left out. Both are drawn from the seed. With m images in the smallest class and M in
    the largest, every class ends with min(M, 2m).
    "symmetries": the seven other positions of every image.
    """
    excess: list[Item] = []
    copies: list[Item] = []
    if how == "report":
        excess, copies = _balance(items, classes, seed)
    elif how == "symmetries":
        copies = [replace(item, symmetry=s) for item in items for s in range(1, 8)]
    dropped = {item.path for item in excess}
    return Augmented(
        (*(item for item in items if item.path not in dropped), *copies),
        tuple(
            Remark(path, "left out so that classes are equally large (--augment-offline report)")
            for path in sorted(dropped)
        ),
        tuple(
            {"images": before, "left out": less, "added": more}
            for before, less, more in zip(*(_count(group, classes) for group in (items, excess, copies)), strict=True)
        ),
    )


def balanced_size(sizes: Sequence[int]) -> int:
    """How many images each class has after "report", given their numbers before: min(M, 2m).

    >>> balanced_size([7272, 3389])    # C-NMC's training folds
    6778
    """
    return min(max(sizes), 2 * min(sizes))


def _balance(items: Sequence[Item], classes: int, seed: int) -> tuple[list[Item], list[Item]]:
    """The items to leave out, and the turned copies to add."""
    sizes = _count(items, classes)
    target = balanced_size(sizes)
    excess: list[Item] = []
    copies: list[Item] = []
    for label, size in enumerate(sizes):
        members = [item for item in items if item.label == label]
        drawn = generator(seed, "balance", label).choice(size, abs(target - size), replace=False)
        if size > target:
            excess += [members[k] for k in drawn]
        else:
            copies += [replace(members[k], symmetry=1) for k in drawn]
    return excess, copies


def _count(items: Sequence[Item], classes: int) -> list[int]:
    counts: list[int] = np.bincount([item.label for item in items] or [0], minlength=classes).tolist()
    return counts if items else [0] * classes
