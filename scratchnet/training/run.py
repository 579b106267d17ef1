"""A run's folder: everything an experiment leaves behind. It is made once and never overwritten by another run."""

from __future__ import annotations

import contextlib
import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scratchnet.errors import ConfigError, DamagedError, DataError
from scratchnet.storage.csv_text import csv_text
from scratchnet.storage.files import TEMPORARY, write_text_atomically
from scratchnet.storage.lock import Lock
from scratchnet.training.checkpoint import Arrays, Checkpoint, Progress, load_checkpoint, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.origin import Origin

CHECKPOINT = re.compile(r"epoch-(?P<epoch>\d+)(?:-batch-(?P<batch>\d+))?\.h5")
EVENT_FILE = re.compile(r"events\.out\.tfevents\.(\d{10})")  # TensorBoard's, which is read in the order of the names
MAX_TABLE_BYTES = 2**24
NEWEST = 2  # checkpoints that are kept: if the newest is damaged, there is the one before
DAMAGED = ".damaged"


class Run:
    """The files of one run.

    config.toml       every hyper-parameter, the data and how they were prepared; `python train.py --config` repeats the run
    metrics.csv       one line an epoch, for a spreadsheet: the same bytes whenever the run is repeated
    timings.csv       seconds and images/s of each epoch, which are another time's business
    checkpoints/      everything that `--resume` needs: epoch-0000.h5 before the first step, epoch-0003.h5 after three
                      epochs, epoch-0003-batch-00120.h5 in the fourth. The newest two are kept, and one every
                      `keep_every` epochs; of a run that has finished the newest `keep_last`
    best.h5           the network after the best epoch so far, and which one it was
    weights.h5        the network after the last epoch, with class names and pixel scaling
    predictions.csv   what the network of weights.h5 says of each test image
    train/, test/, …  the curves and more, if the extra [viz] is installed: `tensorboard --logdir runs`; and, for its tab
    events.out.…      HPARAMS, the settings. Older runs have both in a folder tensorboard
    report.html       all of it on one page, likewise
    trouble.txt       if training has diverged: the step, and the size of every weight and gradient
    run.lock          held by the process that writes the run; meaningless once that has ended
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints_folder = folder / "checkpoints"
        self.weights_path = folder / "weights.h5"
        self.best_path = folder / "best.h5"
        self.config_path = folder / "config.toml"
        self.trouble_path = folder / "trouble.txt"
        self.predictions_path = folder / "predictions.csv"
        older = folder / "tensorboard"
        self.events_folder = older if older.is_dir() else folder
        self.report_path = folder / "report.html"

    @staticmethod
    def require_free(folder: Path) -> None:
        """Raises ConfigError if the folder exists: a run is never overwritten."""
        if folder.exists():
            raise ConfigError(
                f"the run {folder} exists and is not overwritten: choose another --name, or go on with --resume {folder}"
            )

    def require_there(self) -> None:
        """Raises DataError if there is no such run."""
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: there is no such run")
        if not self.config_path.is_file() and not self.checkpoints_folder.is_dir():
            raise DataError(
                f"{self.folder} is not a run: it holds neither config.toml nor checkpoints; give the run's own folder"
            )

    @classmethod
    def create(cls, folder: Path, config: Config, about: dict[str, Any] | None = None) -> Run:
        """A new, empty run. about: of its experiment, for config.toml. Raises ConfigError if the folder exists."""
        cls.require_free(folder)
        run = cls(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()  # of two processes that come here at once, one fails
            run.checkpoints_folder.mkdir()
        except OSError as error:
            raise ConfigError(f"the run {folder} cannot be made: {error}") from error
        run.write_config(config, about)
        return run

    def lock(self) -> Lock:
        """The exclusive right to write this run, for a `with` block, which raises LockedError while another process has it."""
        return Lock(self.folder / "run.lock")

    def write_config(self, config: Config, about: dict[str, Any] | None = None) -> None:
        """Writes config.toml. about: the experiment's description; without it the file names no data."""
        head = "# All that repeats this run, to the bit: train.py --config FILE. What is given on the command line goes first.\n"
        write_text_atomically(self.config_path, head + config.to_toml() + Origin.of(about or {}).to_toml())

    def checkpoints(self) -> list[Path]:
        """The checkpoints, the newest first: the one that is furthest in the run."""
        if not self.checkpoints_folder.is_dir():
            return []
        found = [path for path in self.checkpoints_folder.iterdir() if CHECKPOINT.fullmatch(path.name)]
        return sorted(found, key=_place, reverse=True)

    def load(self, say: Callable[[str], None] = print, *, set_aside: bool = False) -> Checkpoint:
        """The newest undamaged checkpoint; newer ones that are damaged are named through `say`.

        set_aside: once a whole one is found, renames the damaged ones, so that they no longer count as checkpoints to
        go back to; for the process that holds the lock. Raises DataError if there is not a run, no checkpoint, or no
        undamaged one; and if one cannot be read for another reason: another version, no permission, no memory.
        """
        self.require_there()
        paths = self.checkpoints()
        if not paths and self.weights_path.is_file():
            raise DataError(
                f"{self.folder} has finished and kept no checkpoint (--keep-last 0), so it cannot go on: start anew with "
                f"--config {self.config_path} and more --epochs"
            )
        if not paths:
            raise DataError(
                f"{self.folder} has no checkpoint yet, so there is nothing to resume: delete it, or start anew under "
                "another --name"
            )
        damaged: list[Path] = []
        for path in paths:
            try:
                checkpoint = load_checkpoint(path)
            except DamagedError as error:
                say(f"CAUTION: {error}")
                damaged.append(path)
                continue
            for bad in damaged if set_aside else ():
                bad.replace(bad.with_name(bad.name + DAMAGED))
            return checkpoint
        none = "its one checkpoint is not" if len(paths) == 1 else f"none of its {len(paths)} checkpoints is"
        raise DataError(f"{self.folder}: {none} whole: start anew under another --name")

    def save(
        self, weights: Arrays, optimizer: Arrays, about: dict[str, Any], progress: Progress, *, keep_every: int = 0
    ) -> Path:
        """Writes a checkpoint, then the tables, and only then removes the checkpoints that are no longer needed."""
        self.checkpoints_folder.mkdir(exist_ok=True)
        inside = f"-batch-{progress.batches_done:05d}" if progress.batches_done else ""
        path = self.checkpoints_folder / f"epoch-{progress.epoch:04d}{inside}.h5"
        save_checkpoint(path, weights, about, optimizer=optimizer, progress=progress)
        self.write_tables(progress)
        self.remove_older(NEWEST, keep_every)
        return path

    def remove_older(self, newest: int, keep_every: int) -> None:
        """Removes all checkpoints but the last `newest`, and one every `keep_every` epochs."""
        for old in self.checkpoints()[newest:]:
            epoch, batch = _place(old)
            kept = keep_every and epoch and not batch and epoch % keep_every == 0
            if not kept:
                with contextlib.suppress(OSError):  # another program reads it: it is removed the next time
                    old.unlink()

    def save_best(self, weights: Arrays, about: dict[str, Any]) -> None:
        """Writes best.h5."""
        save_checkpoint(self.best_path, weights, about)

    def save_weights(self, weights: Arrays, about: dict[str, Any]) -> None:
        """Writes weights.h5."""
        save_checkpoint(self.weights_path, weights, about)

    def write_trouble(self, text: str) -> None:
        """Writes trouble.txt."""
        write_text_atomically(self.trouble_path, text)

    def write_tables(self, progress: Progress) -> None:
        """Writes metrics.csv and timings.csv."""
        for name, rows in (("metrics.csv", progress.rows), ("timings.csv", progress.timings)):
            if not rows:  # also after going back to the very first checkpoint
                (self.folder / name).unlink(missing_ok=True)
            else:
                table = csv_text([list(rows[0]), *([row[name] for name in rows[0]] for row in rows)])
                write_text_atomically(self.folder / name, table)

    def discard_if_empty(self) -> None:
        """Removes a run that has saved nothing, so that its name is free again."""
        if not self.checkpoints() and not self.weights_path.is_file():
            shutil.rmtree(self.folder, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Removes what a process that was killed in the middle of a write left behind. For the process that holds the lock."""
        for folder in (self.folder, self.checkpoints_folder):
            for path in folder.glob("*") if folder.is_dir() else ():
                if TEMPORARY.fullmatch(path.name):
                    path.unlink()


def read_table(path: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics.csv or timings.csv, one an epoch; empty if there is no such file yet.

    Raises DataError if a field is empty or not a number, or an epoch is missing.
    """
    if not path.is_file():
        return []
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise DataError(f"{path}: larger than {MAX_TABLE_BYTES} bytes, the limit for such a table")
    rows: list[dict[str, float]] = []
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            for record in csv.DictReader(stream, restval="cut", strict=True):
                rows.append({name: float(text) for name, text in record.items()})
                if rows[-1].get("epoch") != len(rows):
                    raise ValueError(f"row {len(rows)} is not that of epoch {len(rows)}")
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: damaged or edited ({error}). Resuming the run writes it again.") from error
    return rows


def _place(checkpoint: Path) -> tuple[int, int]:
    """How far a checkpoint is: epochs done, and batches of the next one."""
    match = CHECKPOINT.fullmatch(checkpoint.name)
    assert match
    return int(match["epoch"]), int(match["batch"] or 0)
