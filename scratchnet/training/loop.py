"""The training loop: epochs of steps, an evaluation after each, and a state that is whole at every moment between."""

from __future__ import annotations

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

STUCK_EPOCHS = 3  # so many epochs in a row with one answer to every image, and the program says so


@dataclass(frozen=True)
class Data:
    """The batches that a run draws on: `train` shuffled and augmented, `train_check` the same images as they are, `test` the others.

    test_symmetries: whether test images are judged by the mean over their symmetries. Those of train_check never are: it
    would take longer than the training.
    """

    train: Batches
    train_check: Batches
    test: Batches
    test_symmetries: bool = False


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
                evaluation = trainer.evaluate(interrupt.watch(data.test.epoch(0)), symmetries=data.test_symmetries)
                progress.rows.append(row(progress.epoch + 1, trainer, check, evaluation))
                progress.epoch, progress.batches_done, progress.loss_sum = progress.epoch + 1, 0, 0.0
                save()
                run.add_timing(progress.epoch, time.perf_counter() - began, speed)
                display.epoch_line(progress.rows[-1], best=is_best(progress.rows))
                warm = trainer.optimizer.steps >= trainer.schedule.warmup + STUCK_EPOCHS * len(data.train)
                if warm and just_found_stuck(progress.rows, data.train.dataset.labels):
                    display.say(advice(about["config"]))
        except Interrupted:
            save()
            return None
        finally:
            display.close()
        return evaluation or trainer.evaluate(data.test.epoch(0), symmetries=data.test_symmetries)


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
        "train_balanced_accuracy": train.balanced_accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "test_balanced_accuracy": test.balanced_accuracy,
    }


def is_best(rows: list[dict[str, float]]) -> bool:
    """Whether the last epoch's test accuracy is better than all before it."""
    return all(rows[-1]["test_accuracy"] > earlier["test_accuracy"] for earlier in rows[:-1])


def just_found_stuck(rows: list[dict[str, float]], labels: Any) -> bool:
    """Whether the last STUCK_EPOCHS epochs, and not those before them already, ended with one answer to every image.

    Such a network has learnt the classes' frequencies p and nothing of the images: its balanced accuracy is 1 / classes,
    and its loss at least about −Σ p log p, ln 2 for two classes of equal size.
    """
    frequencies = np.bincount(labels) / len(labels)
    frequencies = frequencies[frequencies > 0]
    constant = -float(np.sum(frequencies * np.log(frequencies)))

    def stuck(some: list[dict[str, float]]) -> bool:
        return len(some) == STUCK_EPOCHS and all(
            one["train_balanced_accuracy"] <= 1 / len(frequencies) + 1e-9 and one["train_loss"] > 0.95 * constant
            for one in some
        )

    return stuck(rows[-STUCK_EPOCHS:]) and not stuck(rows[-STUCK_EPOCHS - 1 : -1])


def advice(config: dict[str, Any]) -> str:
    """What to say of a collapsed start: of all that helps, what this configuration does not have yet."""
    helps = [
        f"--learning-rate {config['learning_rate'] / 3:.2g}",
        *(["--pixels standardised"] if config["pixels"] == "unit" else []),
        *(["--warmup 100"] if config["warmup"] < 100 else []),
    ]
    return (
        f"For {STUCK_EPOCHS} epochs the network has given one answer to every image: this start has collapsed, which "
        f"this network is prone to. If it goes on, stop it (Ctrl-C) and try {', '.join(helps)} or another --seed."
    )
