"""predictions.csv: what a network said of each image, and what was right.

One line an image, in the order of the dataset: `path`, `subject` (empty if subjects are not known), `label`,
`prediction`, then `probability of <class>` for each class. Probabilities are written so that they read back as the same
float64.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data.class_labels import labelled
from scratchnet.errors import DataError
from scratchnet.measures.calibration import Calibration, tempered
from scratchnet.measures.metrics import confusion_matrix
from scratchnet.measures.observations import decided
from scratchnet.measures.scores import Scores, scores
from scratchnet.storage.csv_text import csv_text
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.wording import percent

if TYPE_CHECKING:
    from scratchnet.data import Dataset
    from scratchnet.measures.evaluation import Evaluation

FACTS = ("path", "subject", "label", "prediction")
PROBABILITY = "probability of "
MAX_BYTES = 2**30


@dataclass(frozen=True)
class Predictions:
    """Answers to N images.

    class_names: the text for each label. paths, subjects: N texts each; subjects is None if they are not known.
    labels (N,) int64. probabilities (N, classes) float64. class_labels: what people are shown in place of a class's name;
    the table keeps the names. calibration: what `calibrated` has applied to the probabilities, which with a threshold decides too.

    >>> two = Predictions(("all", "hem"), ("a.png", "b.png"), None, np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    >>> two.answers.tolist(), two.mistakes().tolist()
    ([0, 0], [1])
    """

    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    subjects: tuple[str, ...] | None
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    class_labels: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None

    def calibrated(self, calibration: Calibration | None) -> Predictions:
        """The same answers with scaled probabilities, decided at its threshold if it has one; None changes nothing."""
        if calibration is None:
            return self
        return replace(self, probabilities=calibration.apply(self.probabilities), calibration=calibration)

    @property
    def raw(self) -> NDArray[np.float64]:
        """The probabilities before they were calibrated, but for rounding: (N, classes)."""
        return (
            tempered(self.probabilities, 1 / self.calibration.temperature) if self.calibration else self.probabilities
        )

    @property
    def threshold(self) -> tuple[str, float] | None:
        """The class that is looked for, and the probability from which on it is the answer; None: the most probable class is."""
        chosen = self.calibration
        return None if chosen is None or chosen.positive is None else (chosen.positive, chosen.threshold or 0.0)

    @property
    def shown_names(self) -> tuple[str, ...]:
        """The classes as they are shown to people."""
        return labelled(self.class_names, self.class_labels)

    @property
    def answers(self) -> NDArray[np.int64]:
        """What is said of each image, (N,): the most probable class, or what the calibration's threshold decides."""
        return self.decide(self.probabilities)

    def decide(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """The answers that follow from these probabilities, of images or of subjects: (N,)."""
        return decided(probabilities, self.class_names, *(self.threshold or (None, None)))

    def mistakes(self) -> NDArray[np.int64]:
        """The numbers of the images with a wrong answer, the most confident first."""
        wrong = np.flatnonzero(self.answers != self.labels)
        confidence = self.probabilities[wrong, self.answers[wrong]]
        return wrong[np.argsort(-confidence, kind="stable")]

    def confusion(self) -> NDArray[np.int64]:
        """How many images of each class (rows) were given each class (columns): (classes, classes)."""
        return confusion_matrix(self.labels, self.answers, len(self.class_names)).astype(np.int64)

    def caption(self, image: int) -> str:
        """Three lines on one image, for people: its path, its class, the answer with its probability."""
        answer = int(self.answers[image])
        names = self.shown_names
        said = f"said {names[answer]}: {percent(self.probabilities[image, answer])}"
        return f"{printable(self.paths[image])}\nis {printable(names[self.labels[image]])}\n{printable(said)}"

    def scores(
        self, *, positive: str | None = None, prior: ArrayLike | None = None, bootstrap: int = 1000, seed: int = 0
    ) -> Scores:
        """Every measure of these answers: `scratchnet.measures.scores.scores`. A threshold's class is the positive one."""
        name, value = self.threshold or (positive, None)
        return scores(
            self.labels, self.probabilities, self.subjects, self.class_names, positive=name, threshold=value, prior=prior,
            bootstrap=bootstrap, seed=seed, class_labels=self.class_labels,
        )  # fmt: skip

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as CSV, whole or not at all."""
        rows: list[list[object]] = [[*FACTS, *(PROBABILITY + name for name in self.class_names)]]
        subjects = self.subjects or ("",) * len(self.paths)
        answers = self.answers
        for n, chances in enumerate(self.probabilities.tolist()):
            names = self.class_names[self.labels[n]], self.class_names[answers[n]]
            rows.append([self.paths[n], subjects[n], *names, *chances])
        write_text_atomically(path, csv_text(rows, quote_texts=True))  # a lone \r in a name must be quoted too

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Predictions:
        """Reads what `write` wrote. Raises DataError, naming the line, if it is another table or damaged."""
        path = Path(path)
        if not path.is_file():
            raise DataError(f"{path}: there is no such table of predictions")
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES} bytes, the limit for a table of predictions")
        try:
            with open(path, encoding="utf-8", newline="") as file:
                head, *lines = csv.reader(file)
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{path}: not a table of predictions, or damaged ({error})") from error
        names = tuple(column.removeprefix(PROBABILITY) for column in head[len(FACTS) :])
        expected = [*FACTS, *(PROBABILITY + name for name in names)]
        if head != expected or len(names) < 2 or len(set(names)) < len(names) or not lines:
            raise DataError(
                f"{path}: expected the columns {', '.join(FACTS)} and '{PROBABILITY}…' for each class, and a line an image"
            )
        return _parsed(path, names, lines)


def in_words(answers: NDArray[Any], label: int, names: Sequence[str]) -> str:
    """How a class's images were classified. answers (classes,): how many were given each class. label: their own class.

    >>> in_words(np.array([34, 1, 0]), 0, ["all", "hem", "other"])
    '34 of 35 recognised, 1 taken for hem'
    """
    wrong = [
        f"{count} taken for {name}"
        for k, (count, name) in enumerate(zip(answers, names, strict=True))
        if k != label and count
    ]
    return ", ".join([f"{int(answers[label]):,} of {int(answers.sum()):,} recognised", *wrong])


def predictions_of(evaluation: Evaluation, dataset: Dataset) -> Predictions:
    """The answers of an `Evaluation` of all images of a `Dataset`, in its order."""
    known = dataset.manifest.subjects_known
    return Predictions(
        tuple(dataset.class_names),
        tuple(dataset.paths),
        tuple(dataset.subjects) if known else None,
        evaluation.labels,
        evaluation.probabilities,
    )


def together(parts: Iterable[Predictions]) -> Predictions:
    """The answers of all folds of a cross-validation as those of one test. Raises DataError if an image is judged twice."""
    parts = list(parts)
    paths = tuple(path for part in parts for path in part.paths)
    if len(set(paths)) < len(paths):
        raise DataError("the folds share test images: write them again by python -m data_prep … --split kfold")
    known = all(part.subjects is not None for part in parts)
    return Predictions(
        parts[0].class_names,
        paths,
        tuple(one for part in parts for one in part.subjects or ()) if known else None,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
    )


def _parsed(path: Path, names: tuple[str, ...], lines: Sequence[list[str]]) -> Predictions:
    number = {name: k for k, name in enumerate(names)}
    labels = np.empty(len(lines), np.int64)
    probabilities = np.empty((len(lines), len(names)))
    for n, line in enumerate(lines):
        try:
            labels[n] = number[line[FACTS.index("label")]]
            probabilities[n] = [float(cell) for cell in line[len(FACTS) :]]
            right = np.abs(probabilities[n].sum() - 1) < 1e-3 and (probabilities[n] >= 0).all()
            if not right or line[FACTS.index("prediction")] != names[probabilities[n].argmax()]:
                raise ValueError("its probabilities do not fit its prediction")
        except (KeyError, ValueError, IndexError) as error:
            raise DataError(f"{path}: image {n + 1}: {error}: the file was damaged or edited, remove it") from error
    subjects = tuple(line[FACTS.index("subject")] for line in lines)
    return Predictions(
        names, tuple(line[0] for line in lines), subjects if any(subjects) else None, labels, probabilities
    )
