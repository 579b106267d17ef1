"""python -m scratchnet folds DATA: a cross-validation by subject: every image is judged once, by a network that never saw its subject."""

from __future__ import annotations

import argparse
from pathlib import Path

from scratchnet.commands.plan import Plan, carry_out_all
from scratchnet.commands.several import Networks, add_common, opened, settings_of
from scratchnet.errors import ConfigError
from scratchnet.measures.calibration import Calibration
from scratchnet.measures.doubts import csv_of, doubts, in_words
from scratchnet.measures.predictions import Predictions, together
from scratchnet.prepare import cache
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal import invocation
from scratchnet.training import Run, read_about
from scratchnet.training.options import given_hyper_parameters

SETTINGS = (
    "folds", "validation_fraction", "layout", "subject_pattern", "subjects", "fit", "crop", "bits", "augment_offline", "keep_duplicates",
)  # fmt: skip
TABLE, ANSWERS, DOUBTS = "folds.txt", "predictions.csv", "doubtful.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.description = (
        "Divides the subjects into K parts (--folds, 5), trains K times, each time without one of them, and puts the answers to all "
        "parts together. Writes folds.txt, predictions.csv and doubtful.csv (labels in doubt). Runs that are complete stay; the same "
        "command goes on."
    )
    add_common(parser, "runs/folds", SETTINGS)
    parser.add_argument("--bootstrap", type=int, default=1000, metavar="N", help="resamples for the intervals (1000)")


def run(options: argparse.Namespace) -> int:
    """Trains what is open, and writes and prints the pooled table."""
    source, common = opened(options)
    if cache.is_dataset(source) or cache.is_folds(source):
        raise ConfigError(f"{source} is prepared already: give the folder of the images, which are divided here")
    settings = settings_of(options, common, SETTINGS, split="kfold")
    prepared, out = Path(options.prepared) if options.prepared else None, Path(options.out)
    networks = Networks(
        [options.model], given_hyper_parameters(options), lambda: cache.kept(source, settings, prepared) / "fold-0"
    )
    config = networks.config(common)
    plans = [
        Plan(f"fold {k}", config, settings, Run(out / f"fold-{k}"), source, prepared, fold=k)
        for k in range(settings.folds or 0)
    ]
    for plan in plans:
        plan.require_same()
    code = carry_out_all(plans, invocation.command(*options.arguments), lambda: None)
    if code:
        return code
    pooled = together(_calibrated(plan.run) for plan in plans)
    text = pooled.scores(bootstrap=options.bootstrap).table()
    pooled.write(out / ANSWERS)
    write_text_atomically(out / TABLE, text + "\n")
    print(
        f"\n{len(plans)} folds by subject: each image was judged by the network that had not seen its subject.\n\n{text}"
    )
    found = doubts(pooled)
    write_text_atomically(out / DOUBTS, csv_of(pooled, found))
    print(f"\n{in_words(pooled, found)}\nWritten to {out / TABLE}, {out / ANSWERS} and {out / DOUBTS}.")
    return 0


def _calibrated(run: Run) -> Predictions:
    """A fold's answers, at its own temperature where it has one."""
    found = Calibration.from_about(read_about(run.weights_path)[0])
    return Predictions.read(run.predictions_path).calibrated(found)
