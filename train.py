"""Trains the report's network: python train.py, and nothing else, on the leukaemia cells that come with the program.

The experiment from top to bottom: what to do (the command line), the data, the network, the training, what came of it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import numpy as np

import scratchnet as sn
from data_prep import SAMPLE, Settings, describe, prepare
from scratchnet.command_line import Parser
from scratchnet.config import PRESETS, Config, from_toml
from scratchnet.data import Dataset
from scratchnet.errors import ConfigError, DataError, NonFiniteError
from scratchnet.kernels.jit import nothing_compiled_yet
from scratchnet.kernels.threads import set_threads
from scratchnet.training import Display, Evaluation, Experiment, Progress, Run, compile_kernels, fit
from scratchnet.training.checkpoint import Checkpoint

RESUMABLE = ("epochs",)  # what may change from one part of a run to the next


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 training has diverged, 2 something that was asked for can't be, 130 interrupted."""
    options = command_line().parse_args(arguments)
    try:
        return train(options)
    except NonFiniteError as error:
        print(f"train.py: training has diverged: {error}", file=sys.stderr)
        return 1
    except (sn.ScratchnetError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train.py: stopped", file=sys.stderr)
        return 130


def train(options: argparse.Namespace) -> int:
    """One experiment, new or resumed."""
    folder, checkpoint, config, shards = begin(options)
    threads = set_threads(options.threads)
    experiment = Experiment(config, shards)
    progress = experiment.take_over(checkpoint) if checkpoint else Progress()
    run = Run(folder) if checkpoint else Run.create(folder, config)

    announce(experiment, threads, run, progress)
    if nothing_compiled_yet():
        print("Compiling the kernels, once for this machine …", end=" ", flush=True)
        began = time.perf_counter()
        compile_kernels(config)
        print(f"{time.perf_counter() - began:.0f} s\n", flush=True)

    images = len(experiment.train_set)
    done = progress.epoch * images + progress.batches_done * config.batch_size
    display = Display(config.epochs, total=config.epochs * images, done=done)
    evaluation = fit(experiment.trainer, experiment.data, config.epochs, run, experiment.about, progress, display)
    if evaluation is None:
        print(
            f"\nStopped in epoch {progress.epoch + 1} and saved. Go on with:\n  python train.py --resume {run.folder}"
        )
        return 130
    run.save_weights(experiment.network.state_dict(), experiment.about)
    conclude(evaluation, experiment.train_set, experiment.test_set, run)
    return 0


def begin(options: argparse.Namespace) -> tuple[Path, Checkpoint | None, Config, Path]:
    """The run's folder, its checkpoint if it is resumed, its configuration, and the folder of its shards."""
    given = {one.name: getattr(options, one.name) for one in fields(Config) if getattr(options, one.name) is not None}
    if options.resume:
        fixed = [name for name in given if name not in RESUMABLE]
        fixed += [name for name in ("data", "name", "preset", "config") if getattr(options, name) is not None]
        if fixed:
            raise ConfigError(f"--resume goes on with the run's own settings; leave out --{fixed[0].replace('_', '-')}")
        checkpoint = Run(Path(options.resume)).load()
        config = Config(**{**checkpoint.about["config"], **given})
        return Path(options.resume), checkpoint, config, Path(checkpoint.about["data"])
    settings = dict(PRESETS[options.preset]) if options.preset else {}
    if options.config:
        settings = from_toml(Path(options.config), settings)
    settings |= given
    config = Config(**settings)
    folder, name = find_data(options, config, "image_size" in settings)
    if "image_size" not in settings:
        config = Config(**settings, image_size=Dataset(folder, "train").image_shape[0])
    name = options.name or f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    return Path(options.runs) / name, None, config, folder


def find_data(options: argparse.Namespace, config: Config, size_given: bool) -> tuple[Path, str]:
    """The folder of shards to train on, made first where there are only images; and a short name for it."""
    source = Path(options.data) if options.data else SAMPLE
    if not source.exists():
        raise DataError(f"{source}: there is no such folder; --data takes a folder of images or of prepared shards")
    if (source / "manifest.json").is_file():
        return source, source.resolve().name
    settings = Settings(
        image_size=config.image_size,
        split=options.split,
        test_fraction=options.test_fraction,
        seed=config.seed,
        subject_pattern=options.subject_pattern,
        subjects=options.subjects,
    )
    name = "sample" if source == SAMPLE else source.resolve().name
    digest = hashlib.sha256(repr((str(source.resolve()), settings)).encode()).hexdigest()[:8]
    folder = Path(options.prepared) / f"{name}-{config.image_size}-{digest}"
    if not folder.exists():
        print(f"Preparing the images of {source} in {folder}; they are kept for the next run.")
        print(describe(prepare(source, folder, settings)), end="\n\n")
    return folder, name


def announce(experiment: Experiment, threads: int, run: Run, progress: Progress) -> None:
    """Prints what is about to happen."""
    config, train_set, test_set = experiment.config, experiment.train_set, experiment.test_set
    print(f"data      {experiment.folder}")
    for side, dataset in (("train", train_set), ("test", test_set)):
        counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
        classes = ", ".join(f"{count} {name}" for count, name in zip(counts, dataset.class_names, strict=True))
        print(f"  {side:<7} {len(dataset)} images ({classes}) of {len(set(dataset.subjects))} subjects")
    shared = set(train_set.subjects) & set(test_set.subjects)
    if not train_set.manifest.subjects_known:
        print("  CAUTION: the subjects are not known; images of one subject may stand on both sides.")
    elif shared:
        print(
            f"  CAUTION: {len(shared)} subjects stand on both sides: the test accuracy says little about new subjects."
        )
    else:
        print("  no subject stands on both sides")
    print(f"\nnetwork   {config.model}, {config.dtype}")
    print(experiment.network.summary_table())
    print(f"\n{'hyper-parameter':<15}  {'here':<15}  the report")
    for one in fields(Config):
        report = one.metadata["report"]
        print(f"{one.name:<15}  {getattr(config, one.name)!s:<15}  {'' if report is None else report}")
    print(
        f"\nmicro-batch {experiment.trainer.micro_batch}, {threads} thread{'s' if threads > 1 else ''}, results in {run.folder}"
    )
    if progress.epoch or progress.batches_done:
        print(f"going on from epoch {progress.epoch + 1}, batch {progress.batches_done + 1}")
    print(flush=True)


def conclude(evaluation: Evaluation, train_set: Dataset, test_set: Dataset, run: Run) -> None:
    """Says what a person wants to know."""
    counts = np.bincount(test_set.labels, minlength=len(test_set.class_names))
    larger = np.bincount(train_set.labels, minlength=len(counts)).argmax()
    who = "subjects" if not set(train_set.subjects) & set(test_set.subjects) else "images"
    if not train_set.manifest.subjects_known:
        who = "images"
    width = max(map(len, test_set.class_names))
    print(f"\nOn {len(test_set)} images of {who} never seen in training:")
    name = test_set.class_names[larger]
    print(
        f"  accuracy {evaluation.accuracy:.1%}; always answering '{name}' would be right in {counts[larger] / counts.sum():.1%}"
    )
    print(
        f"  balanced accuracy {evaluation.balanced_accuracy:.1%}; a constant answer has {1 / np.count_nonzero(counts):.1%}"
    )
    for name, answers in zip(test_set.class_names, evaluation.confusion(), strict=True):
        shares = ", ".join(f"{count} as {other}" for count, other in zip(answers, test_set.class_names, strict=True))
        print(f"  {name:<{width}}  {shares}")
    if Path(test_set.manifest.preparation.get("source", "")).name == SAMPLE.name:
        print(
            "\nThe sample's 260 cells are a demonstration that everything works: too few for a result about leukaemia."
        )
    print(f"\nWeights, metrics and configuration are in {run.folder}.")


def command_line() -> argparse.ArgumentParser:
    """All options. Those of an experiment are the fields of Config, with their defaults beside the report's values."""
    parser = Parser(
        prog="train.py",
        description="Trains the convolutional network of the report. Without options: on the leukaemia cells that come with it.",
        epilog="An option given here overrides --config, which overrides --preset.",
    )
    where = parser.add_argument_group("what to train on, and where to leave it")
    where.add_argument(
        "--data", metavar="FOLDER", help="prepared shards, or a folder of images, which is prepared first (the sample)"
    )
    where.add_argument(
        "--split",
        choices=("subject", "random"),
        default="subject",
        help="how images are split while preparing (%(default)s)",
    )
    where.add_argument(
        "--test-fraction",
        type=float,
        default=0.2,
        metavar="F",
        help="part of the images for the test while preparing (%(default)s)",
    )
    where.add_argument("--subject-pattern", metavar="REGEX", help="finds the subject in a file's name while preparing")
    where.add_argument("--subjects", metavar="CSV", help="a table of file and subject, for preparing")
    where.add_argument(
        "--prepared", default="prepared", metavar="FOLDER", help="where prepared images are kept (%(default)s)"
    )
    where.add_argument("--runs", default="runs", metavar="FOLDER", help="where runs are kept (%(default)s)")
    where.add_argument("--name", help="name of the run (the data's name and the time)")
    where.add_argument("--resume", metavar="RUN", help="go on with an interrupted run; --epochs may be raised")
    where.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads; the result is the same for any number (all)"
    )
    where.add_argument("--preset", choices=tuple(PRESETS), help="a row of the report's table, exactly")
    where.add_argument(
        "--config", metavar="FILE", help="hyper-parameters from a TOML file, such as a run's config.toml"
    )
    hyper = parser.add_argument_group("hyper-parameters (the default here; the report's value)")
    for one in fields(Config):
        report = one.metadata["report"]
        values = f"{one.default}" if report is None else f"{one.default}; the report: {report}"
        hyper.add_argument(
            f"--{one.name.replace('_', '-')}",
            type=type(one.default),
            choices=one.metadata["choices"] or None,
            metavar=None if one.metadata["choices"] else {int: "N", float: "X"}.get(type(one.default), "WORD"),
            help=f"{one.metadata['help']} ({values})".replace("%", "%%"),
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
