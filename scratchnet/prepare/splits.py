"""How groups of images are divided into two sides, or into k folds, so that each class is divided evenly.

Images of one group always stay together. If a group is a subject, a test tells how the network does on people it has
never seen. In the report a group is one picture: cells of one subject stand on both sides, and the test flatters.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DataError
from scratchnet.random import generator
from scratchnet.terminal.wording import counted

STARTS = 32
MOST_DRAWN = 10**6  # groups, over all starts: a random split of a million images has one start, which is enough
GAP = 1e12  # a cost above that of any share of fewer than 10¹² images
MOST_EXCHANGES = 10**6  # numbers to compute for one step; with so many groups, moving single ones comes close enough


def split_groups(
    labels: NDArray[np.int64],
    groups: Sequence[Hashable],
    test_fraction: float,
    seed: int,
    class_names: Sequence[str],
    side: str = "test",
) -> NDArray[np.bool_]:
    """True for each image of the test side; groups are never cut.

    side: the name of that side; "validation" is drawn with other random numbers than "test".

    With s the test side's share of a class (its test images / its images) and f the `test_fraction`, a split costs

        Σ over classes  (s − f)² / (s·(1 − s))

    and most of all if a side lacks a class. The numerator keeps shares close to f, the denominator keeps sides from being
    tiny: a test side of 1 % is worse than one of 40 %, where 20 % cannot be had.

    From the first groups of a random order, as many as cost least, the cheapest step is taken again and again: one group
    changes sides, or two of different sides change places, until no such step costs less. The best of some random orders
    counts, and of equally good ones that whose share of the groups is closest to f. That comes close to the best split
    there is, but need not be it. When every group is one image, each class is divided to within one image.

    labels (N,) int64; groups: N subjects, or contents. Returns (N,) bool, a function of the arguments alone.
    Raises DataError if a side would lack a class: it has too few groups.

    >>> split_groups(np.array([0, 0, 0, 1, 1]), ["a", "a", "b", "c", "d"], 0.4, seed=0, class_names=["x", "y"]).sum()
    np.int64(2)
    """
    group_of, images = _count(labels, groups, len(class_names))

    # Groups with the same images of each class are of one kind. The cost of a split depends only on how many of each
    # kind it takes, so a random split of any number of images has only as many kinds as there are classes.
    kinds, kind_of = np.unique(images, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)  # NumPy 2.0 returns a column
    available = np.bincount(kind_of)
    purpose = "split" if side == "test" else side
    splits = []
    for start in range(max(1, min(STARTS, MOST_DRAWN // len(images)))):
        order = generator(seed, purpose, start).permutation(len(images))
        first = int(np.argmin(_cost(np.cumsum(images[order], axis=0), images.sum(axis=0), test_fraction))) + 1
        taken = np.bincount(kind_of[order[:first]], minlength=len(kinds))
        cost, taken = _improve(kinds, available, taken, test_fraction)
        splits.append((round(cost, 4), abs(taken.sum() / len(images) - test_fraction), start, taken, order))
    *_, taken, order = min(splits, key=lambda split: split[:3])

    in_test = np.zeros(len(images), bool)
    by_kind = order[np.argsort(kind_of[order], kind="stable")]
    rank = np.arange(len(images)) - np.repeat(np.cumsum(available) - available, available)  # of a group within its kind
    in_test[by_kind] = rank < np.repeat(taken, available)
    _check_sides(images, in_test, class_names, side)
    result: NDArray[np.bool_] = in_test[group_of]
    return result


def fold_groups(
    labels: NDArray[np.int64], groups: Sequence[Hashable], folds: int, seed: int, class_names: Sequence[str]
) -> NDArray[np.int64]:
    """The fold, 0 … folds − 1, of each image; groups are never cut, and each class is spread evenly.

    With s the share of a class (its images in a fold / its images), a division costs

        Σ over folds and classes  s²

    which is least where all shares are 1/folds. In a random order, each group goes to the fold where it adds least. Then,
    while that lowers the cost, the best exchange is made: two groups of different folds, or a group and nothing.

    labels (N,) int64; groups: N subjects, or contents. Returns (N,) int64, a function of the arguments alone.
    Raises DataError if a fold would lack a class: it has too few groups.

    >>> fold_groups(np.zeros(6, np.int64), list("aabbcd"), 3, seed=0, class_names=["x"]).tolist()
    [1, 1, 0, 0, 2, 2]
    """
    group_of, images = _count(labels, groups, len(class_names))
    shares = images / np.maximum(images.sum(axis=0), 1)  # (G, C): of each group in its classes
    fold_of = np.zeros(len(images), np.int64)
    loads = np.zeros((folds, len(class_names)))
    for group in generator(seed, "folds").permutation(len(images)):
        fold_of[group] = np.argmin(loads @ shares[group])
        loads[fold_of[group]] += shares[group]
    if (len(images) + folds) ** 2 * len(class_names) <= MOST_EXCHANGES:
        fold_of = _even_out(shares, fold_of, folds)

    present = np.zeros((folds, len(class_names)), bool)
    np.logical_or.at(present, fold_of, images > 0)
    if not present.all():
        lacking = int(np.flatnonzero(~present.all(axis=0))[0])
        count = int(np.count_nonzero(images[:, lacking]))
        raise DataError(
            f"Class {class_names[lacking]!r} has {counted(count, 'distinct subject')}, too few for each of {folds} folds "
            "to have some of its own. Choose fewer folds with --folds, or add images of other subjects."
        )
    result: NDArray[np.int64] = fold_of[group_of]
    return result


def _even_out(shares: NDArray[np.float64], fold_of: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Makes the best exchange while it lowers the cost. shares (G, C), fold_of (G,); returns the new fold of each group."""
    groups = len(shares)
    rows = np.vstack([shares, np.zeros((folds, shares.shape[1]))])  # one empty group in each fold
    fold = np.append(fold_of, np.arange(folds))
    difference = rows[:, None] - rows[None]  # (G + folds, G + folds, C): what the fold of b gains if it gets a for b
    while True:
        loads = np.zeros((folds, shares.shape[1]))
        np.add.at(loads, fold, rows)
        gap = loads[fold][None] - loads[fold][:, None]  # [a, b]: how much more the fold of b has
        change = 2 * (difference * (gap + difference)).sum(axis=2)
        change[fold[:, None] == fold[None]] = 0
        a, b = np.unravel_index(int(np.argmin(change)), change.shape)
        if change[a, b] > -1e-9:
            return fold[:groups]
        fold[a], fold[b] = fold[b], fold[a]
        fold[groups:] = np.arange(folds)


def _count(
    labels: NDArray[np.int64], groups: Sequence[Hashable], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each image's group (N,), and how many images of each class a group has (G, C)."""
    position = {name: k for k, name in enumerate(dict.fromkeys(groups))}
    group_of = np.array([position[group] for group in groups], np.int64)
    images = np.zeros((len(position), classes), np.int64)
    np.add.at(images, (group_of, labels), 1)
    return group_of, images


def _cost(in_test: NDArray[np.int64], total: NDArray[np.int64], fraction: float) -> NDArray[np.float64]:
    """The cost of each split. in_test (…, C): its test images of each class; total (C,). Returns (…)."""
    share = in_test / total
    spread = share * (1 - share)
    lacks = (in_test == 0) | (in_test == total)
    each: NDArray[np.float64] = np.where(lacks, GAP, (share - fraction) ** 2 / np.where(lacks, 1, spread))
    return each.sum(axis=-1)


def _improve(
    kinds: NDArray[np.int64], available: NDArray[np.int64], taken: NDArray[np.int64], fraction: float
) -> tuple[float, NDArray[np.int64]]:
    """Takes the cheapest step while it lowers the cost; returns the cost and how many of each kind are then taken.

    kinds (K, C): images of each class in a group of that kind. available, taken (K,): groups of it in all, and in the test.
    """
    total = available @ kinds
    rows = np.vstack([0 * total, kinds])  # kind 0 is empty: to exchange a group for nothing is to move it
    left, taken = np.append(0, available - taken), np.append(0, taken)
    cost = float(_cost(taken @ rows, total, fraction))
    exchange = False
    while True:
        gives, takes = np.flatnonzero(taken), np.flatnonzero(left)
        if exchange:
            give, take = (grid.ravel() for grid in np.meshgrid(np.append(0, gives), np.append(0, takes)))
        else:
            give, take = np.append(gives, 0 * takes), np.append(0 * gives, takes)
        costs = _cost(taken @ rows - rows[give] + rows[take], total, fraction)
        best = int(np.argmin(costs))
        if costs[best] < cost * (1 - 1e-9):
            cost = float(costs[best])
            for side, kind, change in ((taken, give, -1), (left, take, -1), (taken, take, 1), (left, give, 1)):
                side[kind[best]] += change
            taken[0] = left[0] = 0
        elif exchange or rows.size * len(rows) > MOST_EXCHANGES:
            return cost, taken[1:]
        else:
            exchange = True


def _check_sides(
    images: NDArray[np.int64], in_test: NDArray[np.bool_], class_names: Sequence[str], tested: str
) -> None:
    """Raises DataError if a side lacks a class. images (G, C): of each group and class; in_test (G,)."""
    for side, members in ((tested, in_test), ("training", ~in_test)):
        for label in map(int, np.flatnonzero(images[members].sum(axis=0) == 0)):
            groups, pictures = int(np.count_nonzero(images[:, label])), int(images[:, label].sum())
            few = f"too few for the {side} side to have some of its own"
            if groups == pictures:
                raise DataError(
                    f"Class {class_names[label]!r} has {counted(pictures, 'image')} to divide, {few}. "
                    "Add images of other subjects."
                )
            raise DataError(
                f"Class {class_names[label]!r} has {counted(groups, 'distinct subject')}, {few}. "
                "Add images of other subjects."
            )
