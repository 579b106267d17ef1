"""Labels in doubt: images that a network which has not seen them takes for another class, as surely as for that class's own."""

from __future__ import annotations

import numpy as np

from scratchnet.measures.predictions import Predictions
from scratchnet.storage.csv_text import csv_text


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
    rows: list[list[object]] = [
        ["path", "subject", "label", "looks like", "probability of label", "probability of what it looks like"]
    ]
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
    'Labels in doubt by these answers: 1 of 2 (0 of 1 sick, 1 of 1 sound).'
    """
    of = np.bincount(said.labels[[n for n, _ in found]], minlength=len(said.class_names))
    counts = np.bincount(said.labels, minlength=len(said.class_names))
    named = list(zip(of, counts, said.shown_names, strict=True))
    each = ", ".join(f"{one:,} of {count:,} {name}" for one, count, name in named if count)
    text = f"Labels in doubt by these answers: {len(found):,} of {len(said.labels):,} ({each})."
    if absent := [name for _, count, name in named if not count]:
        text += f" None can look like {' or '.join(absent)}: no image here shows how sure the network is of that."
    return text
