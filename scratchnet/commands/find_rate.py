"""python -m scratchnet find-rate DATA: the loss while the learning rate climbs, and the rate that this proposes."""

from __future__ import annotations

import argparse
import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from scratchnet.commands.session import compile_first
from scratchnet.commands.several import Networks, add_common, opened, settings_of
from scratchnet.commands.shared import require_ending, require_writable
from scratchnet.data import Batch, Batches, Dataset
from scratchnet.drawing import plots
from scratchnet.errors import ConfigError, MissingExtraError, NonFiniteError
from scratchnet.nn.schedules import Schedule
from scratchnet.prepare import cache
from scratchnet.storage.csv_text import csv_text
from scratchnet.storage.files import write_atomically, write_text_atomically
from scratchnet.terminal.bar import Bar
from scratchnet.training.config import Config
from scratchnet.training.experiment import Training
from scratchnet.training.options import given_hyper_parameters
from scratchnet.use.network import start

SETTINGS = (
    "split", "test_fraction", "test_fold", "validation_fraction", "layout", "subject_pattern", "subjects", "fit",
    "crop", "bits",
)  # fmt: skip
SMOOTH = 0.9  # share of the running mean that a step keeps
RISES = 1.1  # times its least: where the loss has begun to rise
LEARNT = 0.95  # of the first loss: above it, nothing was learnt
ENDS = 4.0  # the test ends where the loss is so many times its least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.description = (
        "Trains a fresh network for some steps while its learning rate climbs from --least to --most, and records the loss (Smith 2017, "
        '"Cyclical learning rates for training neural networks"). Nothing is kept but the curve.'
    )
    add = parser.add_argument
    add("--steps", type=int, default=150, metavar="N", help="steps of the optimiser (150)")
    add("--least", type=float, default=1e-6, metavar="X", help="the first rate (1e-6)")
    add("--most", type=float, default=0.1, metavar="X", help="the last rate (0.1)")
    add(
        "--curve",
        metavar="FILE",
        default="find-rate.csv",
        help="where the curve goes: .csv, and .png beside it (find-rate.csv)",
    )
    add_common(parser, None, SETTINGS)


def run(options: argparse.Namespace) -> int:
    """Prints the proposal, and writes the curve."""
    require_writable(options.curve)
    require_ending(options.curve, "--curve", (".csv",), "CSV, which every spreadsheet opens,")
    if not 0 < options.least < options.most < math.inf or options.steps < 10:
        raise ConfigError(
            f"the rate climbs from --least to --most in at least 10 steps, got {options.least:g}, {options.most:g}, {options.steps}"
        )
    if options.learning_rate is not None:
        raise ConfigError("--learning-rate is what is looked for: leave it out")
    source, common = opened(options)

    @functools.cache
    def shards() -> Path:
        if cache.is_dataset(source):
            return source
        settings = settings_of(options, common, SETTINGS)
        return cache.kept(source, settings, Path(options.prepared) if options.prepared else None)

    networks = Networks([options.model], given_hyper_parameters(options), shards)
    # The climb is the only schedule: whatever belongs to another is left out with it.
    plain = {name: getattr(Config, name) for name in ("schedule", "step_epochs", "step_factor")}
    config = replace(networks.config(common), warmup=0, **plain)
    compile_first(config)
    with Dataset(shards(), "train") as images:
        training = Training(config, images)
        start(training.network, config, images.class_names)
        rates, losses = climb(training, options.steps, options.least, options.most)
    smooth = smoothed(losses)
    proposed = proposal(rates, smooth)
    head = ("learning_rate", "loss", "smoothed_loss")
    write_text_atomically(options.curve, csv_text([head, *zip(rates, losses, smooth, strict=True)]))
    written, picture = [options.curve], Path(options.curve).with_suffix(".png")
    try:
        content = plots.rate_curve(rates, losses, smooth, proposed)
        with write_atomically(picture) as temporary:
            temporary.write_bytes(content)
        written.append(str(picture))
    except MissingExtraError as error:
        print(f"Without a picture: {error}")
    print(f"The loss rises from {10 * proposed:.2g} on; a tenth of that is safe. Written to {' and '.join(written)}.")
    if min(smooth) > LEARNT * smooth[0]:
        print(f"In {len(losses)} steps the loss has not fallen yet: --steps {4 * options.steps} may say more.")
    print(f"  --learning-rate {proposed:.2g}")
    return 0


def climb(training: Training, steps: int, least: float, most: float) -> tuple[list[float], list[float]]:
    """The rates, and the loss of each step before it was taken. It ends early where the loss is lost."""
    trainer, rates, losses = training.trainer, [], []
    batches = endless(training.train_batches)
    for n, (epoch, batch) in enumerate(
        Bar(itertools.islice(batches, steps), total=steps, desc="climbing", disable=None, leave=False)
    ):
        rate = least * (most / least) ** (n / (steps - 1))
        trainer.schedule = Schedule("constant", peak=rate, warmup=0, total=steps)
        try:
            loss = trainer.step(batch, epoch)
        except NonFiniteError:
            break
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        if (smooth := smoothed(losses))[-1] > ENDS * min(smooth):
            break
    if len(losses) < 3:
        raise ConfigError(f"the loss is lost after {len(losses)} steps already: take a smaller --least than {least:g}")
    return rates, losses


def endless(batches: Batches) -> Iterator[tuple[int, Batch]]:
    """Batch after batch, epoch after epoch."""
    for epoch in itertools.count():
        for batch in batches.epoch(epoch):
            yield epoch, batch


def smoothed(losses: list[float]) -> list[float]:
    """The running mean, each step counting 0.9 of the one after it, without the bias of its start.

    >>> [round(one, 3) for one in smoothed([1.0, 1.0, 2.0])]
    [1.0, 1.0, 1.369]
    """
    found, mean = [], 0.0
    for n, loss in enumerate(losses, 1):
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        found.append(mean / (1 - SMOOTH**n))
    return found


def breaks_at(rates: list[float], smooth: list[float]) -> float:
    """The first rate after the least of the smoothed loss at which it is a tenth above that; the last one where it never is.

    >>> breaks_at([0.001, 0.003, 0.01, 0.03], [0.7, 0.3, 0.32, 2.0])
    0.03
    """
    least = min(range(len(smooth)), key=smooth.__getitem__)
    worse = (rate for rate, loss in zip(rates[least:], smooth[least:], strict=True) if loss > RISES * smooth[least])
    return next(worse, rates[-1])


def proposal(rates: list[float], smooth: list[float]) -> float:
    """A tenth of the rate at which training breaks."""
    return breaks_at(rates, smooth) / 10
