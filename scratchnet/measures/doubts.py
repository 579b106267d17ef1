"""Labels in doubt: images that look to a network, which has not seen them, like another class's own."""

from __future__ import annotations

import csv
import io
import os

import numpy as np

from scratchnet.errors import DataError
from scratchnet.measures.predictions import Predictions
from scratchnet.storage.csv_text import csv_text
from scratchnet.storage.texts import read_text
from scratchnet.terminal.wording import counted

PATH = "path"


def doubts(said: Predictions) -> list[tuple[int, int]]:
    """(image, class): the images whose label is in doubt, each with the class that it looks like, the clearest first.

    The label i of image n is in doubt if another class j is the most probable one, and the network is surer of it than it is on
    average of j's own images: p[n, j] > mean of p[m, j] over the images m with the label j. So the bar fits how sure this
    network is, with label smoothing or without. The clearest are those with the largest p[n, j] − p[n, i].

    A network that has learnt an image agrees with its label, right or wrong: ask one that has not seen the subject. And one that
    errs calls right labels doubtful: the list says where to look, not what is wrong.
    Source: Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", section 3.1, whose bar this is.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.15, 0.85], [0.1, 0.9], [0.2, 0.8], [0.55, 0.45]])
    >>> doubts(Predictions(("sick", "sound"), tuple("123456"), None, np.array([0, 0, 0, 1, 1, 1]), p))
    [(2, 1)]
    """
    p, labels = said.probabilities, said.labels
    own = [p[labels == k, k] for k in range(p.shape[1])]
    bars = np.array([of.mean() if len(of) else np.inf for of in own])
    other = p.argmax(axis=1)
    found = np.flatnonzero((other != labels) & (p.max(axis=1) > bars[other]))
    margins = p[found, other[found]] - p[found, labels[found]]
    return [(int(n), int(other[n])) for n in found[np.argsort(-margins, kind="stable")]]


def csv_of(said: Predictions, found: list[tuple[int, int]]) -> str:
    """Their table for a spreadsheet, which `--without` reads: a line each."""
    rows: list[list[object]] = [[PATH, "subject", "label", "looks like", "probability of label", "probability of that"]]
    for n, other in found:
        label, chances = int(said.labels[n]), said.probabilities[n].tolist()
        subject = said.subjects[n] if said.subjects else ""
        rows.append(
            [said.paths[n], subject, said.class_names[label], said.class_names[other], chances[label], chances[other]]
        )
    return csv_text(rows, quote_texts=True)


def in_words(said: Predictions, found: list[tuple[int, int]]) -> str:
    """How many, of which classes.

    >>> in_words(Predictions(("sick", "sound"), ("1", "2"), None, np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]])), [(1, 0)])
    '1 of 2 labels is in doubt by these answers: 0 of 1 sick, 1 of 1 sound.'
    """
    of = np.bincount(said.labels[[n for n, _ in found]], minlength=len(said.class_names))
    counts = np.bincount(said.labels, minlength=len(said.class_names))
    each = ", ".join(
        f"{one:,} of {count:,} {name}" for one, count, name in zip(of, counts, said.shown_names, strict=True) if count
    )
    return f"{len(found):,} of {counted(len(said.labels), 'label')} {'is' if len(found) == 1 else 'are'} in doubt by these answers: {each}."


def paths_in(table: str | os.PathLike[str]) -> frozenset[str]:
    """The images that a table names, such as `csv_of` has written. Raises DataError if it has no column `path`."""
    rows = csv.DictReader(io.StringIO(read_text(table), newline=""))
    try:
        if PATH not in (rows.fieldnames or ()):
            raise DataError(f"{table}: expected a table with a column '{PATH}', as --doubtful writes it")
        return frozenset(row[PATH] for row in rows if row[PATH])
    except csv.Error as error:
        raise DataError(f"{table}: not a table, or damaged ({error})") from error
