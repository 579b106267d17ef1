"""A line for each patient: how many cells, what they were called, and what that makes of the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scratchnet.data.class_labels import labelled
from scratchnet.errors import DataError
from scratchnet.measures.predictions import Predictions
from scratchnet.storage.csv_text import csv_text
from scratchnet.terminal.wording import percent


@dataclass(frozen=True)
class Patient:
    """A subject's images together.

    images: how many. label: their class; None if they are of several. called: for each class the share of the images that were
    called so. probability: for each class the mean probability. verdict: the class that follows from these means, by the same rule
    as for an image.
    """

    subject: str
    images: int
    label: str | None
    called: tuple[float, ...]
    probability: tuple[float, ...]
    verdict: str

    @property
    def right(self) -> bool | None:
        """Whether the verdict is the patient's class; None for one with images of several classes."""
        return None if self.label is None else self.label == self.verdict


def patients(said: Predictions) -> list[Patient]:
    """All patients, those first whose mean probability of the class that is looked for, or of the first one, is highest.

    Raises DataError if the subjects are not known.

    >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> two = patients(Predictions(("sick", "sound"), ("1", "2", "3"), ("Ann", "Ann", "Bob"), np.array([0, 0, 1]), p))
    >>> [(one.subject, one.images, one.called[0], round(one.probability[0], 2), one.verdict, one.right) for one in two]
    [('Ann', 2, 0.5, 0.65, 'sick', True), ('Bob', 1, 0.0, 0.2, 'sound', True)]
    """
    if said.subjects is None:
        raise DataError("the subjects of these images are not known, so there is no table of patients")
    names, answers = said.class_names, said.answers
    found = []
    subjects, owner = np.unique(np.asarray(said.subjects), return_inverse=True)
    for k, subject in enumerate(subjects.tolist()):
        theirs = owner == k
        labels = np.unique(said.labels[theirs])
        means = said.probabilities[theirs].mean(axis=0)
        shares = np.bincount(answers[theirs], minlength=len(names)) / theirs.sum()
        label = names[labels[0]] if len(labels) == 1 else None
        verdict = names[int(said.decide(means[None])[0])]
        found.append(Patient(subject, int(theirs.sum()), label, tuple(shares.tolist()), tuple(means.tolist()), verdict))
    return sorted(found, key=lambda one: -one.probability[shown_classes(said)[0]])


def shown_classes(said: Predictions) -> list[int]:
    """The classes whose shares and means are shown: of two the one that is looked for, of more all."""
    if len(said.class_names) > 2:
        return list(range(len(said.class_names)))
    return [said.class_names.index(said.threshold[0]) if said.threshold else 0]


def table_of(said: Predictions, found: list[Patient]) -> list[list[str]]:
    """Their lines as texts for people, the head first."""
    names, columns = labelled(said.class_names, said.class_labels), shown_classes(said)
    shown = dict(zip(said.class_names, names, strict=True))
    head = ["patient", "cells", "is"]
    head += [f"called {names[k]!r}" for k in columns] + [f"mean probability of {names[k]!r}" for k in columns]
    lines = [[*head, "verdict"]]
    for one in found:
        verdict = shown[one.verdict] + ("" if one.right is None else " ✓" if one.right else " ✗")
        lines.append(
            [
                one.subject,
                f"{one.images:,}",
                shown[one.label] if one.label is not None else "several",
                *(percent(one.called[k]) for k in columns),
                *(percent(one.probability[k]) for k in columns),
                verdict,
            ]
        )
    return lines


def csv_of(said: Predictions, found: list[Patient]) -> str:
    """Their lines for a spreadsheet, with every class: `label` and `right` are empty for a patient with images of several classes."""
    names = said.class_names
    head = [*(f"called {name}" for name in names), *(f"mean probability of {name}" for name in names)]
    rows: list[list[object]] = [["subject", "images", "label", *head, "verdict", "right"]]
    for one in found:
        right = "" if one.right is None else "yes" if one.right else "no"
        rows.append([one.subject, one.images, one.label or "", *one.called, *one.probability, one.verdict, right])
    return csv_text(rows, quote_texts=True)


def verdicts_in_words(found: list[Patient]) -> str:
    """How many verdicts are right, of the patients that have a class."""
    with_class = [one for one in found if one.right is not None]
    mixed = len(found) - len(with_class)
    text = f"{sum(map(bool, (one.right for one in with_class)))} of {len(with_class)} verdicts are right"
    if not mixed:
        return f"{text}."
    return f"{text if with_class else 'no verdict can be checked'}; {mixed} have cells of several classes, and so no class."
