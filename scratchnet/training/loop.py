"""The training loop: epochs of steps, an evaluation after each, and a state that is whole at every moment between."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchnet.data import Batches
from scratchnet.training.checkpoint import Progress
from scratchnet.training.display import Display
from scratchnet.training.interrupt import Interrupt, Interrupted
from scratchnet.training.run import Run
from scratchnet.training.trainer import Evaluation, Trainer

STUCK_EPOCHS = 3  # so many epochs in a row at the loss of a constant answer, and the program says so


@dataclass(frozen=True)
class Data:
    """The batches that a run draws on: `train` shuffled and augmented, `train_check` the same images as they are, `test` the others."""

    train: Batches
    train_check: Batches
    test: Batches


def fit(
    trainer: Trainer, data: Data, epochs: int, run: Run, about: dict[str, Any], progress: Progress, display: Display
) -> Evaluation | None:
    """Trains from `progress` to the end of epoch number `epochs`; returns the last evaluation of the test images.

    After each epoch it evaluates both sets and saves. Ctrl-C ends it between two steps, saves, and returns None;
    `Run.load` and another call go on from there as if nothing had happened.
    """

    def save() -> None:
        run.save(trainer.network.state_dict(), trainer.optimizer.state_dict(), about, progress)

    evaluation = None
    with Interrupt() as interrupt:
        try:
            while progress.epoch < epochs:
                began = time.perf_counter()
                train_one_epoch(trainer, data.train, progress, display, interrupt)
                speed = display.images_per_second
                display.evaluating()
                check = trainer.evaluate(interrupt.watch(data.train_check.epoch(0)))
                evaluation = trainer.evaluate(interrupt.watch(data.test.epoch(0)))
                progress.rows.append(row(progress.epoch + 1, trainer, check, evaluation))
                progress.epoch, progress.batches_done, progress.loss_sum = progress.epoch + 1, 0, 0.0
                save()
                run.add_timing(progress.epoch, time.perf_counter() - began, speed)
                display.epoch_line(progress.rows[-1], best=is_best(progress.rows))
                if just_found_stuck(progress.rows, data.train.dataset.labels):
                    display.say(STUCK)
        except Interrupted:
            save()
            return None
        finally:
            display.close()
        return evaluation or trainer.evaluate(data.test.epoch(0))


def train_one_epoch(
    trainer: Trainer, batches: Batches, progress: Progress, display: Display, interrupt: Interrupt
) -> None:
    """The batches of one epoch that are still to do."""
    display.start_epoch(progress.epoch)
    for batch in interrupt.watch(batches.epoch(progress.epoch, start=progress.batches_done)):
        progress.loss_sum += trainer.step(batch, progress.epoch)
        progress.batches_done += 1
        display.step(len(batch.labels), progress.loss_sum / progress.batches_done)


def row(epoch: int, trainer: Trainer, train: Evaluation, test: Evaluation) -> dict[str, float]:
    """One line of the metrics file, epochs counted from 1."""
    return {
        "epoch": epoch,
        "learning_rate": trainer.optimizer.learning_rate,
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
    }


def is_best(rows: list[dict[str, float]]) -> bool:
    """Whether the last epoch's test accuracy is better than all before it."""
    return all(rows[-1]["test_accuracy"] > earlier["test_accuracy"] for earlier in rows[:-1])


STUCK = (
    "The loss has not moved from that of a constant answer: this start has collapsed, "
    "which this network is prone to at the report's learning rate. "
    "Stop it (Ctrl-C) and try --learning-rate 0.0001, --pixels standardised, or --warmup 100."
)


def just_found_stuck(rows: list[dict[str, float]], labels: Any) -> bool:
    """Whether the first STUCK_EPOCHS epochs, just over, have all ended at the loss of a constant answer.

    That loss is the entropy −Σ p log p of the class frequencies p: ln 2 for two classes of equal size.
    """
    if len(rows) != STUCK_EPOCHS:
        return False
    frequencies = np.bincount(labels) / len(labels)
    constant = -sum(p * math.log(p) for p in frequencies if p > 0)
    return all(abs(one["train_loss"] - constant) < 0.02 * constant for one in rows)
