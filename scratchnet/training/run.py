"""A run's folder: everything an experiment leaves behind. It is made once and never overwritten by another run."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from scratchnet.config import Config
from scratchnet.errors import ConfigError, DataError
from scratchnet.files import write_text_atomically
from scratchnet.training.checkpoint import Arrays, Checkpoint, Progress, load_checkpoint, save_checkpoint

METRICS = (
    "epoch",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "train_balanced_accuracy",
    "test_loss",
    "test_accuracy",
    "test_balanced_accuracy",
)


class Run:
    """The files of one run.

    config.toml      every hyper-parameter; `python train.py --config` repeats the run
    metrics.csv      one line an epoch, for a spreadsheet: the same bytes whenever the run is repeated
    timings.csv      seconds and images/s of each epoch, which are another time's business
    checkpoint.h5    everything that `--resume` needs
    weights.h5       the network after the last epoch, with class names and pixel scaling
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint_path = folder / "checkpoint.h5"
        self.weights_path = folder / "weights.h5"

    @staticmethod
    def require_free(folder: Path) -> None:
        """Raises ConfigError where the folder exists: a run is never overwritten."""
        if folder.exists():
            raise ConfigError(
                f"the run {folder} exists and is not overwritten: choose another --name, or go on with --resume {folder}"
            )

    @classmethod
    def create(cls, folder: Path, config: Config) -> Run:
        """A new, empty run. Raises ConfigError where the folder exists."""
        cls.require_free(folder)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"the run {folder} cannot be made: {error}") from error
        run = cls(folder)
        run.write_config(config)
        return run

    def write_config(self, config: Config) -> None:
        """Writes config.toml."""
        write_text_atomically(self.folder / "config.toml", config.to_toml())

    def load(self) -> Checkpoint:
        """The checkpoint to go on from. Raises DataError where there is none."""
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: there is no such run")
        if not self.checkpoint_path.is_file():
            raise DataError(
                f"{self.folder}: has no checkpoint yet, so there is nothing to resume: start anew under another --name"
            )
        return load_checkpoint(self.checkpoint_path)

    def save(self, weights: Arrays, optimizer: Arrays, about: dict[str, Any], progress: Progress) -> None:
        """Writes the checkpoint, then the table of metrics."""
        save_checkpoint(self.checkpoint_path, weights, about, optimizer=optimizer, progress=progress)
        if progress.rows:
            table = io.StringIO()
            writer = csv.DictWriter(table, METRICS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(progress.rows)
            write_text_atomically(self.folder / "metrics.csv", table.getvalue())

    def save_weights(self, weights: Arrays, about: dict[str, Any]) -> None:
        """Writes the weights alone, for use."""
        save_checkpoint(self.weights_path, weights, about)

    def add_timing(self, epoch: int, seconds: float, images_per_second: float) -> None:
        """Adds a line to timings.csv."""
        path = self.folder / "timings.csv"
        line = f"{epoch},{seconds:.1f},{images_per_second:.1f}\n"
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(line if file.tell() else f"epoch,seconds,training_images_per_second\n{line}")
