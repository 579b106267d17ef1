"""python -m scratchnet calibrate RUN: what its validation images say of a run's probabilities, and where it should decide."""

import argparse
from dataclasses import replace
from pathlib import Path

from scratchnet.commands.shared import add_network_arguments, class_called, load_network, threshold_in_words
from scratchnet.data import Dataset, read_manifest
from scratchnet.errors import ConfigError, DataError
from scratchnet.measures.calibration import HOTTEST, KEY, Calibration, fitted_temperature, threshold_for
from scratchnet.measures.predictions import Predictions
from scratchnet.measures.reliability import Reliabilities, in_words
from scratchnet.pages.results import ask
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.invocation import command
from scratchnet.terminal.text_table import wrapped
from scratchnet.terminal.wording import counted
from scratchnet.training import Run, save_checkpoint
from scratchnet.training.checkpoint import load_checkpoint

REMEDY = "train with --validation-fraction 0.15, which sets subjects aside for this"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.description = (
        "Fits the temperature of a run to its validation images, and chooses where it decides. Both are kept with the weights, and used "
        "by predict, evaluate and report. Training does the first by itself."
    )
    add_network_arguments(parser)
    parser.add_argument(
        "--sensitivity",
        type=float,
        metavar="S",
        help="of two classes: decide where this share of the validation images that are positive is found, such as 0.95 (without: "
        "the more probable class is the answer)",
    )
    parser.add_argument(
        "--positive", metavar="CLASS", help="with --sensitivity: the class that is looked for (the first)"
    )
    parser.add_argument("--data", metavar="FOLDER", help="the run's prepared shards, if they have been moved")
    parser.add_argument("--bootstrap", type=int, default=1000, metavar="N", help="resamples for the intervals (1000)")


def run(options: argparse.Namespace) -> int:
    """Prints what was found on the validation images, keeps it, and prints what it does to the test images."""
    options.raw = True  # what was found before is not used
    predictor = load_network(options)
    source, names = predictor.source, predictor.class_names
    assert source is not None
    if load_checkpoint(source).progress is not None:
        raise ConfigError(f"{source} is a checkpoint of a run that has not ended: calibrate it when it has")
    positive = _positive(options, names, options.positive and class_called(options.positive, predictor, "--positive"))
    folder = Path(options.data or str(predictor.about.get("data")))
    with _side(folder, "validation", predictor.about) as side:
        said = ask(source, side)
        subjects = len(set(side.subjects)) if side.manifest.subjects_known else None
    temperature = fitted_temperature(said.labels, said.probabilities)
    found = Calibration(temperature, len(said.labels), subjects, predictor.symmetries)
    if positive is not None:
        chances = found.apply(said.probabilities)[:, names.index(positive)]
        threshold = threshold_for(options.sensitivity, said.labels == names.index(positive), chances)
        found = replace(found, positive=positive, threshold=threshold, sensitivity=options.sensitivity)
    with Run(source.parent).lock():
        checkpoint = load_checkpoint(source)
        save_checkpoint(source, checkpoint.weights, checkpoint.about | {KEY: found.to_dict()})
    _print(f"temperature {found.temperature:.3f}, fitted to {found.whose()}; kept in {source}")
    if temperature == HOTTEST:
        _print("there the probabilities speak for no class, or for the wrong one: they are made as even as can be")
    for line in threshold_in_words(found):
        _print(line)
    run = Run(source.parent)
    if source == run.weights_path and run.report_path.is_file():
        _print(f"{run.report_path} shows it after {command('report', run.folder)}")
    _say_how_good("validation", said.calibrated(found), 0)
    with _side(folder, "test", predictor.about) as side:
        _say_how_good("test", ask(source, side).calibrated(found), options.bootstrap)
    return 0


def _positive(options: argparse.Namespace, names: tuple[str, ...], positive: str | None) -> str | None:
    """The class that is looked for, if a sensitivity is asked for."""
    if options.sensitivity is None:
        if positive is not None:
            raise ConfigError("--positive means nothing without --sensitivity: leave it out")
        return None
    if len(names) != 2:
        raise ConfigError(
            f"--sensitivity is of two classes, and the network knows {len(names)}: leave it out; the temperature is fitted all the same"
        )
    return positive or names[0]


def _side(folder: Path, name: str, about: dict[str, object]) -> Dataset:
    """A side of the run's own data. Raises DataError, with the remedy, where it isn't there."""
    manifest = read_manifest(folder)
    if manifest.dataset_id != about.get("dataset_id"):
        raise DataError(f"{folder} holds other images than the run was trained on: name its own with --data")
    if name not in manifest.splits:
        raise ConfigError(f"{folder} has no validation side: {REMEDY}")
    return Dataset(folder, name)


def _say_how_good(side: str, said: Predictions, bootstrap: int) -> None:
    """The calibration error of a side before and after; and with a threshold what is found there."""
    line = f"{side}, {counted(len(said.labels), 'image')}. {in_words(Reliabilities.all_of(said, None))}"
    if said.threshold:
        level = said.scores(bootstrap=bootstrap).images
        line += "".join(
            f" {name.capitalize()}: {level.overall[name].text()}." for name in ("sensitivity", "specificity")
        )
    _print(line)


def _print(text: str) -> None:
    print("\n".join(wrapped(printable(text), indent="  ")))
