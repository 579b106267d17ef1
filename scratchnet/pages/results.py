"""A run's folder, read: everything that it records, and why something is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.data import Dataset
from scratchnet.data.class_labels import KEY, class_labels_of, parse_class_labels
from scratchnet.errors import ConfigError, DataError
from scratchnet.measures.calibration import Calibration
from scratchnet.measures.evaluation import Evaluation
from scratchnet.measures.predictions import Predictions, predictions_of
from scratchnet.measures.scores import Scores
from scratchnet.pages.facts import Facts
from scratchnet.terminal.bar import Bar
from scratchnet.training.checkpoint import Arrays, load_checkpoint
from scratchnet.training.run import Run, read_table
from scratchnet.training.selection import best_epoch, watched_side
from scratchnet.use.predictor import WEIGHTS, Predictor, weights_file

Row = dict[str, float]


@dataclass(frozen=True)
class Results:
    """The results of a run.

    rows: metrics.csv, one dict an epoch. timings: timings.csv likewise. about, weights: of weights.h5, or of the newest
    checkpoint while the run is not finished; of best.h5 where `chosen` is "best". finished: whether weights.h5 is
    there, and of the last epoch. train_set, test_set: its prepared images, None if they are gone; `no_data` then says
    why. predictions: of these weights for the test images, None if there are none.

    Use it in a `with` block, which closes the shards at its end.
    """

    folder: Path
    rows: list[Row]
    timings: list[Row]
    about: dict[str, Any]
    weights: Arrays
    finished: bool
    train_set: Dataset | None
    test_set: Dataset | None
    no_data: str
    predictions: Predictions | None
    chosen: str = "last"

    @classmethod
    def read(cls, folder: str | Path, weights: str = "last", class_labels: Sequence[str] = ()) -> Results:
        """Reads a run's folder. weights: "last", or "best", those of the best epoch. class_labels: texts CLASS=LABEL,
        which override those of the run.

        If a finished run has no predictions.csv, its network is asked and the file written; the best weights are asked each
        time, and nothing is written. Raises DataError if the folder is not a run, or has no finished epoch, or a file is
        damaged, or there are no best weights or no images to ask them about; ConfigError for another word.
        """
        run = Run(Path(folder))
        run.require_there()
        if weights not in WEIGHTS:
            raise ConfigError(f"weights are one of {', '.join(WEIGHTS)}, got {weights!r}")
        rows = read_table(run.folder / "metrics.csv")
        if not rows:
            raise DataError(
                f"{run.folder}: no epoch of this run is finished yet, or it is not a run: it has no metrics.csv"
            )
        checkpoint = load_checkpoint(run.weights_path) if run.weights_path.is_file() else None
        finished = checkpoint is not None and checkpoint.about.get("epoch", len(rows)) == len(rows)
        if weights == "best":
            checkpoint = load_checkpoint(weights_file(run.folder, "best"))
        elif checkpoint is None or not finished:  # or it has been resumed since
            checkpoint, finished = run.load(lambda _: None), False
        about = checkpoint.about
        labels = parse_class_labels(class_labels, about.get("class_names", ()))
        about[KEY] = class_labels_of(about) | labels
        sides, why = _open(about)
        try:
            predictions = _predictions(run, sides, why, weights, finished)
            if predictions:
                predictions = predictions.calibrated(_calibration(about))
        except BaseException:
            _close(sides)
            raise
        return cls(
            folder=run.folder,
            rows=rows,
            timings=read_table(run.folder / "timings.csv"),
            about=about,
            weights=checkpoint.weights,
            finished=finished,
            train_set=sides[0] if sides else None,
            test_set=sides[1] if sides else None,
            no_data=why,
            predictions=predictions and replace(predictions, class_labels=about[KEY]),
            chosen=weights,
        )

    @property
    def class_labels(self) -> dict[str, str]:
        """What people are shown in place of a class's name, for the classes that have such a label."""
        return class_labels_of(self.about)

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """The hyper-parameters, as the run recorded them."""
        return dict(self.about["config"])

    @property
    def history(self) -> list[dict[str, Any]]:
        """What was changed when the run was resumed: for each time {"at_epoch": …, and what changed}."""
        return list(self.about.get("history") or [])

    @property
    def repeats(self) -> bool:
        """Whether its configuration alone reproduces its weights: not if a moved end changed them."""
        changed = {name for entry in self.history for name in entry}
        return "patience" not in changed and not ("epochs" in changed and self.config.get("schedule") == "cosine")

    @property
    def ended_early(self) -> bool:
        """Whether patience ended it early."""
        return self.finished and len(self.rows) < self.config.get("epochs", 0)

    @property
    def last(self) -> Row:
        """The metrics of the last epoch."""
        return self.rows[-1]

    @property
    def shown(self) -> Row:
        """The metrics of the epoch whose weights these are."""
        epoch = self.about.get("epoch", len(self.rows)) if self.chosen == "best" else len(self.rows)
        return self.rows[min(max(int(epoch), 1), len(self.rows)) - 1]

    @property
    def watched(self) -> str:
        """The side that the best epoch was chosen on: "validation" where there is one, else "test"."""
        return watched_side(self.rows[0])

    @property
    def best(self) -> Row:
        """The metrics of the best epoch, by the measure and on the side that the run itself chooses by."""
        return self.rows[best_epoch(self.rows, self.config.get("best_metric", "balanced_accuracy")) - 1]

    @property
    def seconds(self) -> float:
        """How long training and evaluating took."""
        return sum(value for row in self.timings for name, value in row.items() if name.endswith("seconds"))

    @cached_property
    def scores(self) -> Scores | None:
        """Every measure of the predictions, with intervals, beside the frequencies of the training images' classes."""
        if self.predictions is None:
            return None
        prior = self.facts.class_counts.get("train", ())
        return self.predictions.scores(prior=prior if len(prior) == len(self.predictions.class_names) else None)

    @cached_property
    def facts(self) -> Facts:
        """What is known of the data, also if the prepared images are gone."""
        if self.train_set is not None and self.test_set is not None:
            return Facts.of_images(self.train_set, self.test_set)
        return Facts.of_run(self.about)

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *exception: object) -> None:
        _close((self.train_set, self.test_set) if self.train_set and self.test_set else None)


def _calibration(about: dict[str, Any]) -> Calibration | None:
    try:
        return Calibration.from_about(about)
    except (ConfigError, TypeError) as error:
        raise DataError(f"the description of its weights is damaged: {error}") from error


def _open(about: dict[str, Any]) -> tuple[tuple[Dataset, Dataset] | None, str]:
    """The two sides that the run was trained and tested on, or why they are not available."""
    train = None
    try:
        train = Dataset(str(about["data"]), "train")
        if train.dataset_id != about["dataset_id"]:
            raise DataError(
                f"{about['data']} was prepared anew since the run, and holds other images or other settings"
            )
        return (train, Dataset(str(about["data"]), "test")), ""
    except DataError as error:
        if train is not None:
            train.close()
        return None, str(error)


def _close(sides: tuple[Dataset, Dataset] | None) -> None:
    for side in sides or ():
        side.close()


def _predictions(
    run: Run, sides: tuple[Dataset, Dataset] | None, why: str, weights: str, finished: bool
) -> Predictions | None:
    """The predictions of the best weights; or, of a finished run, those in predictions.csv, which is written if it is missing."""
    if weights == "best":
        if sides is None:
            raise DataError(f"{run.folder}: its best weights need the test images: {why}")
        return ask(run.best_path, sides[1])
    if not finished or not (sides or run.predictions_path.is_file()):
        return None
    if not run.predictions_path.is_file() and sides:
        ask(run.weights_path, sides[1]).write(run.predictions_path)
    return Predictions.read(run.predictions_path)


def ask(weights: Path, dataset: Dataset) -> Predictions:
    """The predictions of a file of weights for each image. Raises DataError if its network cannot be built."""
    predictor = Predictor.load(weights)
    predictor.calibration = None  # predictions.csv holds what the network says
    starts = Bar(range(0, len(dataset), predictor.batch_size), desc="test images", disable=None, leave=False)
    numbers = np.arange(len(dataset))
    logits = [predictor.logits(dataset.read(numbers[k : k + predictor.batch_size])) for k in starts]
    return predictions_of(Evaluation(math.nan, np.concatenate(logits), dataset.labels.astype(np.int64)), dataset)
