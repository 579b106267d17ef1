"""Which epoch is the best so far, and whether it pays to go on. All of it follows from the metrics of the epochs done."""

from __future__ import annotations

from collections.abc import Container

Row = dict[str, float]

TRAIN_SAMPLE = "train_sample"
"""What the training side is called where only some of its images were evaluated, so that nobody takes them for all."""

EVALUATED = ("train", TRAIN_SAMPLE, "validation", "test")


def sides_of(row: Container[str]) -> list[str]:
    """The sides that were evaluated, by the columns of a row of the metrics, in the order of `EVALUATED`.

    >>> sides_of({"epoch": 1, "train_sample_loss": 0.6, "test_loss": 0.6})
    ['train_sample', 'test']
    """
    return [side for side in EVALUATED if f"{side}_loss" in row]


def side_title(side: str) -> str:
    """A side as people read it.

    >>> side_title("train_sample"), side_title("test")
    ('train (sample)', 'test')
    """
    return {TRAIN_SAMPLE: "train (sample)"}.get(side, side)


def choosing_side(sides: Container[str]) -> str:
    """The side on which epochs are compared, by name: "validation" if there is one, else "test".

    An epoch that is chosen on the test side looks better there than it is; the program then says so.
    """
    return "validation" if "validation" in sides else "test"


def watched_side(row: Row) -> str:
    """`choosing_side` of the sides that a row of the metrics has."""
    return choosing_side(sides_of(row))


def best_epoch(rows: list[Row], metric: str) -> int:
    """The number, from 1, of the epoch with the best value of the metric: the lowest loss, or the highest of the others.

    The first of equally good ones; 0 if there is none yet; the last where no side is watched.

    >>> rows = [{"epoch": 1, "test_loss": 0.6}, {"epoch": 2, "test_loss": 0.5}, {"epoch": 3, "test_loss": 0.5}]
    >>> best_epoch(rows, "loss")
    2
    """
    if not rows:
        return 0
    side, sign = watched_side(rows[0]), -1 if metric == "loss" else 1
    if f"{side}_{metric}" not in rows[0]:
        return len(rows)
    best = max(rows, key=lambda row: (sign * row[f"{side}_{metric}"], -row["epoch"]))
    return int(best["epoch"])


def beats_constant(row: Row, metric: str, classes: int) -> bool:
    """Whether an epoch that is the best by this metric has recognised more than a constant answer would.

    classes: those that have images on the watched side. A loss has no such threshold: it may improve while no answer does yet.

    >>> beats_constant({"test_loss": 0.69, "test_balanced_accuracy": 0.5}, "accuracy", 2)
    False
    """
    return metric == "loss" or row[f"{watched_side(row)}_balanced_accuracy"] > 1 / max(classes, 1) + 1e-9


def out_of_patience(rows: list[Row], metric: str, patience: int) -> bool:
    """Whether `patience` epochs have passed since the best one; never with a patience of 0.

    Source: Prechelt 1998, "Early stopping – but when?", criterion UP in its plainest form.
    """
    return patience > 0 and len(rows) - best_epoch(rows, metric) >= patience
