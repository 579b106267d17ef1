"""What can go wrong while a network learns, how it is noticed, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.measures.scores import counted
from scratchnet.training.checkpoint import Progress
from scratchnet.training.config import Config
from scratchnet.training.experiment import Experiment
from scratchnet.training.norms import norms_table

USUAL = {"sgd": 0.01}  # learning rates that work, where it isn't the default: more steps are needed, none goes astray

FALLS = 0.005  # of the loss of a constant answer: by so much below it, and less than a few epochs ago, is learning


def report_of_divergence(experiment: Experiment, progress: Progress, error: Exception) -> str:
    """The text of trouble.txt: the step at which a number was none, and the size of every weight and gradient there."""
    trainer = experiment.trainer
    return (
        f"{sentence(error)}\n\n"
        f"epoch {progress.epoch + 1}, batch {progress.batches_done + 1}, after {counted(trainer.optimizer.steps, 'step')}, "
        f"learning rate {plain(trainer.optimizer.learning_rate)}\n"
        f"{hint(experiment.config)}\n\n{norms_table(experiment.network)}\n"
    )


def message_of_divergence(experiment: Experiment, progress: Progress, error: Exception, path: Path) -> str:
    """What the person who trains is told of it. path: of trouble.txt."""
    epoch = min(progress.epoch + 1, experiment.config.epochs)
    return (
        f"training has diverged in epoch {epoch}, after {counted(experiment.trainer.optimizer.steps, 'step')}: "
        f"{sentence(error)} {hint(experiment.config)} The size of every weight and gradient is in {path}; "
        "what was saved last is whole."
    )


def hint(config: Config, write: Callable[[str, str], str] = "--{} {}".format) -> str:
    """What to try when training has diverged: a rate that can work; and where the rate may have been none too high, clipping.

    write: a setting with its value, as whoever reads it would type it.
    """
    rate = lower_rate(config)
    tries = [write("learning-rate", plain(rate))]
    tries += [write("clip-norm", "1")] if not config.clip_norm and rate == config.learning_rate / 3 else []
    return f"Next time, try {' or '.join(tries)}."


def lower_rate(config: Config) -> float:
    """A learning rate to try after one with which training went wrong: a third of it, and no more than is known to work.

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
    """What an error says, with an end, so that another sentence can follow.

    >>> sentence(ValueError("conv1.weight holds a NaN"))
    'conv1.weight holds a NaN.'
    """
    said = str(error)
    return said if said.endswith((".", "?", "!")) else f"{said}."


def just_found_stuck(rows: list[dict[str, float]], labels: Any, epochs: int) -> bool:
    """Whether the last `epochs` epochs, and not those before them already, ended with one answer to every image.

    Such a network has learnt the classes' frequencies p and nothing of the images: its balanced accuracy is 1 / classes,
    and its loss no less than −Σ p log p, ln 2 for two classes of equal size. A loss that is below that and falls is of
    a network that tells images apart already, and has only not crossed the threshold with any: it is not stuck.
    """
    frequencies = np.bincount(labels) / len(labels)
    frequencies = frequencies[frequencies > 0]
    constant = -float(np.sum(frequencies * np.log(frequencies)))

    def stuck(some: list[dict[str, float]]) -> bool:
        losses = [one["train_loss"] for one in some]
        return (
            len(some) == epochs
            and all(one["train_balanced_accuracy"] <= 1 / len(frequencies) + 1e-9 for one in some)
            and min(losses) > 0.95 * constant
            and losses[-1] > min(losses[0], constant) - FALLS * constant
        )

    return stuck(rows[-epochs:]) and not stuck(rows[-epochs - 1 : -1])


def advice(config: Config, epochs: int) -> str:
    """What to say of a collapsed start: of what helped when it was measured (docs/report.md), what this one lacks, best first."""
    helps = [
        *(["--pixels standardised"] if config.pixels == "unit" else []),
        f"--learning-rate {plain(lower_rate(config))}",
    ]
    return (
        f"For {epochs} epochs the network has given one answer to every image: this start has collapsed, which this "
        f"network is prone to. If it goes on, what helps in a new run of train.py is {' or '.join(helps)}."
    )
