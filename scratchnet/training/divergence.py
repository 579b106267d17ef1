"""Divergence and collapse: what the user is told.

A NaN or an infinity is noticed where it arises: in a layer's input (nn/base.py), in the loss (nn/losses.py), or before weights
are saved (saving.py). Each raises NonFiniteError, and the loop (loop.py) ends the training. A collapsed start is noticed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet.terminal.wording import counted
from scratchnet.training.checkpoint import Progress
from scratchnet.training.config import Config
from scratchnet.training.experiment import Experiment, Trained
from scratchnet.training.norms import norms_table
from scratchnet.training.selection import sides_of

USUAL = {"sgd": 0.01}  # learning rates that work, if not the default: slower, but they do not diverge

FALLS = 0.005  # share of a constant answer's loss: a loss that has fallen by so much below it is learning


def report_of_divergence(experiment: Experiment, progress: Progress, error: Exception) -> str:
    """The text of trouble.txt: the step at which a NaN or an infinity came up, and the norm of every weight and gradient there."""
    trainer = experiment.trainer
    return (
        f"{sentence(error)}\n\n"
        f"epoch {progress.epoch + 1}, batch {progress.batches_done + 1}, after {counted(trainer.optimizer.steps, 'step')}, "
        f"learning rate {plain(trainer.optimizer.learning_rate)}\n"
        f"{hint(experiment.config)}\n\n{norms_table(experiment.network)}\n"
    )


def message_of_divergence(
    experiment: Trained, epoch: int, error: Exception, write: Callable[[str, str], str] = "--{} {}".format
) -> str:
    """What went wrong and when, and what to try. epoch: from 0. write: as for `hint`."""
    epoch = min(epoch + 1, experiment.config.epochs)
    return (
        f"training has diverged in epoch {epoch}, after {counted(experiment.trainer.optimizer.steps, 'step')}: "
        f"{sentence(error)} {hint(experiment.config, write)}"
    )


def hint(config: Config, write: Callable[[str, str], str] = "--{} {}".format) -> str:
    """What to try when training has diverged: a rate that can work; and clipping, if the rate may not have been too high.

    write: a setting with its value, as whoever reads it would type it.
    """
    rate = lower_rate(config)
    tries = [write("learning-rate", plain(rate))]
    tries += [write("clip-norm", "1")] if not config.clip_norm and rate == config.learning_rate / 3 else []
    return f"Next time, try {' or '.join(tries)}."


def lower_rate(config: Config) -> float:
    """A learning rate to try after one that failed: a third of it, and no more than is known to work.

    >>> lower_rate(Config(learning_rate=1000.0)), lower_rate(Config(learning_rate=0.0009))
    (0.0003, 0.0003)
    """
    return min(config.learning_rate / 3, USUAL.get(config.optimizer, Config.learning_rate))


def plain(number: float) -> str:
    """A number with two digits, written out.

    >>> plain(0.0003333), plain(1e-6), plain(2500.0)
    ('0.00033', '0.000001', '2500')
    """
    return np.format_float_positional(float(f"{number:.2g}"), trim="-")


def sentence(error: Exception) -> str:
    """An error's message with a full stop, so that another sentence can follow.

    >>> sentence(ValueError("conv1.weight holds a NaN"))
    'conv1.weight holds a NaN.'
    """
    said = str(error)
    return said if said.endswith((".", "?", "!")) else f"{said}."


def just_found_stuck(rows: list[dict[str, float]], labels: Any, epochs: int) -> bool:
    """Whether the last `epochs` epochs ended with one answer to every image, and those up to the one before did not.

    Such a network has learnt the classes' frequencies p and nothing of the images: its balanced accuracy is 1 / classes,
    and its loss no less than −Σ p log p, ln 2 for two classes of equal size. A network whose loss is below that and
    falls already tells images apart, though none has crossed the threshold yet: it is not stuck.
    """
    side = sides_of(rows[-1])[0] if rows else "train"  # the training side, if it is evaluated
    frequencies = np.bincount(labels) / len(labels)
    frequencies = frequencies[frequencies > 0]
    constant = -float(np.sum(frequencies * np.log(frequencies)))

    def stuck(some: list[dict[str, float]]) -> bool:
        losses = [one[f"{side}_loss"] for one in some]
        return (
            len(some) == epochs
            and all(one[f"{side}_balanced_accuracy"] <= 1 / len(frequencies) + 1e-9 for one in some)
            and min(losses) > 0.95 * constant
            and losses[-1] > min(losses[0], constant) - FALLS * constant
        )

    return stuck(rows[-epochs:]) and not stuck(rows[-epochs - 1 : -1])


def advice(config: Config, epochs: int) -> str:
    """What to say about a collapsed start: the measured remedies (docs/report.md) that this run lacks, best first."""
    helps = [
        *(["--pixels standardised"] if config.pixels == "unit" else []),
        f"--learning-rate {plain(lower_rate(config))}",
    ]
    return (
        f"For {epochs} epochs the network has given one answer to every image: this start has collapsed, which this "
        f"network is prone to. If it goes on, what helps in a new run of train.py is {' or '.join(helps)}."
    )
