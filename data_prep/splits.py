"""Which images train the network and which test it.

Images of one group always stand on one side. By subject, the test tells how the network does on people it has never
seen. At random, as in the report, a group is one picture: cells of one subject stand on both sides, and the test
flatters.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from scratchnet.draws import generator
from scratchnet.errors import DataError


def split_groups(
    labels: NDArray[np.int64], groups: Sequence[Hashable], test_fraction: float, seed: int, class_names: Sequence[str]
) -> NDArray[np.bool_]:
    """True for each image of the test side; groups are never cut.

    The groups are visited in a random order, and each goes to the test side if that brings the test side's share of every
    class closer to `test_fraction`, which is measured as

        Σ over classes c of (test images of c / images of c − test_fraction)²

    Where a side then lacks a class, the group that costs least changes sides. When every group is one image, each class
    is divided to the nearest image.

    labels (N,) int64; groups: N subjects, or contents. Returns (N,) bool, a function of the arguments alone.
    Raises DataError if a side would lack a class: it has too few groups.

    >>> split_groups(np.array([0, 0, 0, 1, 1]), ["a", "a", "b", "c", "d"], 0.4, seed=0, class_names=["x", "y"]).sum()
    np.int64(2)
    """
    names = list(dict.fromkeys(groups))
    position = {name: k for k, name in enumerate(names)}
    group_of = np.array([position[group] for group in groups])
    images = np.zeros((len(names), len(class_names)))  # images[g, c]: of group g and class c
    np.add.at(images, (group_of, labels), 1)
    share = images / images.sum(axis=0)

    def cost(chosen: NDArray[np.bool_]) -> float:
        return float(((share[chosen].sum(axis=0) - test_fraction) ** 2).sum())

    def gaps(chosen: NDArray[np.bool_]) -> list[tuple[str, int]]:
        """The sides that lack a class: ("test", c) or ("training", c)."""
        sides = {"test": images[chosen].sum(axis=0), "training": images[~chosen].sum(axis=0)}
        return [(side, c) for side, counts in sides.items() for c in range(len(class_names)) if counts[c] == 0]

    in_test = np.zeros(len(names), bool)
    reached = np.zeros(len(class_names))  # each class's share on the test side so far
    for group in generator(seed, "split").permutation(len(names)):
        if ((reached + share[group] - test_fraction) ** 2).sum() < ((reached - test_fraction) ** 2).sum():
            in_test[group] = True
            reached += share[group]

    while missing := gaps(in_test):
        side, label = missing[0]
        moves = [in_test ^ (np.arange(len(names)) == group) for group in np.flatnonzero(images[:, label])]
        best = min(moves, key=lambda move: (len(gaps(move)), cost(move)))
        if len(gaps(best)) >= len(missing):
            raise DataError(
                f"Class {class_names[label]!r} has {len(moves)} distinct subjects, too few for the {side} side to have some of its own. "
                "Add images of other subjects, or split at random with --split random."
            )
        in_test = best
    result: NDArray[np.bool_] = in_test[group_of]
    return result
