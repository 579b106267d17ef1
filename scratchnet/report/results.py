"""A run's folder, read: everything that it tells about itself, and why something is missing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.config import Config
from scratchnet.data import Dataset
from scratchnet.errors import ConfigError, DataError
from scratchnet.predictions import Predictions, predictions_of
from scratchnet.scores import Scores
from scratchnet.training.checkpoint import Arrays, Checkpoint, load_checkpoint
from scratchnet.training.experiment import Experiment
from scratchnet.training.run import Run
from scratchnet.training.selection import best_epoch

Row = dict[str, float]


@dataclass(frozen=True)
class Results:
    """What a run has left behind.

    rows: metrics.csv, one dict an epoch. timings: timings.csv likewise. about, weights: of weights.h5, or of the newest
    checkpoint while the run is not finished. finished: whether weights.h5 is there, and of the last epoch.
    train_set, test_set: its prepared images, None where they are gone; `no_data` says why then. predictions: of the test
    images after the last epoch, None where there are none.

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

    @classmethod
    def read(cls, folder: str | Path) -> Results:
        """Reads a run's folder; where a finished run has no predictions.csv, its network is asked and the file written.

        Raises DataError where the folder is no run, or has no epoch behind it, or a file is damaged.
        """
        run = Run(Path(folder))
        run.require_there()
        rows = read_table(run.folder / "metrics.csv")
        if not rows:
            raise DataError(
                f"{run.folder}: no epoch of this run is finished yet, or it is no run: it has no metrics.csv"
            )
        checkpoint = load_checkpoint(run.weights_path) if run.weights_path.is_file() else None
        finished = checkpoint is not None and checkpoint.about.get("epoch", len(rows)) == len(rows)
        if checkpoint is None or not finished:  # or it was resumed since, and goes on
            checkpoint, finished = run.load(lambda _: None), False
        about = checkpoint.about
        sides, why = _open(about)
        try:
            predictions = (
                _predictions(run, checkpoint) if finished and (sides or run.predictions_path.is_file()) else None
            )
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
            predictions=predictions,
        )

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """The hyper-parameters, as the run recorded them."""
        return dict(self.about["config"])

    @property
    def last(self) -> Row:
        """The metrics of the last epoch, which are those of the weights."""
        return self.rows[-1]

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
        classes = len(self.predictions.class_names)
        prior = np.bincount(self.train_set.labels, minlength=classes) if self.train_set else None
        return self.predictions.scores(prior=prior)

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *exception: object) -> None:
        _close((self.train_set, self.test_set) if self.train_set and self.test_set else None)


def read_table(path: Path) -> list[Row]:
    """A CSV file of numbers, a dict a line; empty where there is no such file. Raises DataError where it is damaged."""
    if not path.is_file():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [{str(name): float(cell) for name, cell in line.items()} for line in csv.DictReader(file)]
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: not a table of numbers, or damaged ({error})") from error
    if any("epoch" not in row for row in rows):
        raise DataError(f"{path}: has no column 'epoch': it was damaged or edited")
    return rows


def _open(about: dict[str, Any]) -> tuple[tuple[Dataset, Dataset] | None, str]:
    """The two sides that the run was trained and tested on, or why they are not to be had."""
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


def _predictions(run: Run, checkpoint: Checkpoint) -> Predictions:
    """What predictions.csv holds, or, where it is missing, what the network says; the file is there then."""
    if not run.predictions_path.is_file():
        ask(run, checkpoint).write(run.predictions_path)
    return Predictions.read(run.predictions_path)


def ask(run: Run, checkpoint: Checkpoint) -> Predictions:
    """The network's answers to the test images of its run. Raises DataError where weights and configuration don't fit."""
    try:
        config = Config.from_dict(checkpoint.about["config"])
        experiment = Experiment(config, Path(checkpoint.about["data"]))
        experiment.network.load_state_dict(checkpoint.weights)
    except ConfigError as error:
        raise DataError(f"{run.folder}: its network cannot be built: {error}") from error
    with experiment.train_set, experiment.test_set:
        return predictions_of(experiment.evaluate("test"), experiment.test_set)
