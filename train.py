"""Trains the report's network: python train.py, and nothing else, on the leukaemia cells that come with the program.

The experiment from top to bottom: what to do (the command line), the data, the network, the training, what came of it.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import signal
import sys
import time
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import numpy as np

import scratchnet as sn
from data_prep import SAMPLE, Settings, describe, prepare, prepare_folds
from data_prep.options import add_options, given_settings
from scratchnet.command_line import Parser, as_option, one_line
from scratchnet.config import PRESETS, Config, from_toml
from scratchnet.data import read_manifest
from scratchnet.errors import ConfigError, DataError, MissingExtraError, NonFiniteError
from scratchnet.files import write_text_atomically
from scratchnet.kernels.threads import set_threads
from scratchnet.predictions import predictions_of
from scratchnet.report import Results, report_page
from scratchnet.training import (
    Display,
    Evaluation,
    Experiment,
    Progress,
    Run,
    compile_kernels,
    fit,
    kernels_are_compiled,
)
from scratchnet.training.board import Board
from scratchnet.training.resume import resumed_config, resumed_data
from scratchnet.training.selection import best_epoch, watched_side
from scratchnet.training.trouble import hint

SETTINGS = (
    "split", "test_fraction", "test_fold", "folds", "validation_fraction", "subject_pattern", "subjects", "fit", "crop",
    "augment_offline", "keep_duplicates",
)  # fmt: skip
PREPARING = (*SETTINGS, "fold", "prepared")  # means nothing for prepared shards
NEW_RUN = ("name", "runs", "preset", "config")  # means nothing for a run that is resumed


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 training has diverged, 2 something that was asked for can't be, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = command_line().parse_args(arguments)
    options.command = shlex.join(["python", "train.py", *arguments])
    try:
        if options.resume is not None:
            senseless = [name for name in (*PREPARING, *NEW_RUN) if getattr(options, name) is not None]
            if senseless:
                raise ConfigError(f"--resume goes on with the run's own settings: leave out {as_option(senseless[0])}")
            run = Run(Path(options.resume))
            run.require_there()
            with run.lock():
                return resume(options, run)
        return begin(options)
    except (sn.ScratchnetError, OSError) as error:
        print(f"train.py: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train.py: stopped", file=sys.stderr)
        return 130


def begin(options: argparse.Namespace) -> int:
    """A new run."""
    settings = dict(PRESETS[options.preset]) if options.preset else {}
    if options.config:
        settings = from_toml(Path(options.config), settings)
    settings |= hyper_parameters(options)
    config = Config(**settings)
    plain = options.name is None or (options.name.isprintable() and Path(options.name).name == options.name != "..")
    if not plain:
        raise ConfigError(f"--name must be a plain name without slashes, got {options.name!r}; --runs is the folder")
    shards, name = find_data(options, config)
    if "image_size" not in settings:
        config = Config(**settings, image_size=read_manifest(shards).image_shape[0])
    folder = Path(options.runs or "runs") / (options.name or f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
    Run.require_free(folder)
    threads = set_threads(options.threads)
    experiment = Experiment(config, shards, command=options.command)
    announce(experiment, threads, folder, Progress())
    compile_first(config)
    run = Run.create(folder, config)
    with run.lock():
        return train(experiment, run, Progress())


def resume(options: argparse.Namespace, run: Run) -> int:
    """Goes on with a run whose lock is held, from its newest checkpoint that is whole."""
    run.remove_leftovers()
    checkpoint = run.load(set_aside=True)
    config = resumed_config(run, checkpoint, hyper_parameters(options))
    threads = set_threads(options.threads)
    command = checkpoint.about.get("command", "")
    experiment = Experiment(config, resumed_data(run, checkpoint, options.data), command=command)
    progress = experiment.take_over(checkpoint)
    announce(experiment, threads, run.folder, progress)
    changed = experiment.other_arithmetic(checkpoint)
    if changed:
        print(
            f"CAUTION: not as it was: {', '.join(changed)}. The weights may differ in the last bits from those of a run\n"
            "that was never interrupted, and from there on in more.\n"
        )
    compile_first(config)
    run.write_config(config)  # epochs may have been raised
    run.write_tables(progress)  # the process before may have ended between the checkpoint and its tables
    return train(experiment, run, progress)


def train(experiment: Experiment, run: Run, progress: Progress) -> int:
    """The training, and what is said at its end."""
    config, images = experiment.config, len(experiment.train_set)
    done = progress.epoch * images + progress.batches_done * config.batch_size
    display = Display(config.epochs, total=config.epochs * images, done=done)
    resuming = f"python train.py --resume {shlex.quote(str(run.folder))}"
    board = open_board(run, progress)
    try:
        evaluations = fit(experiment, run, progress, display, board)
    except NonFiniteError as error:
        print(
            f"train.py: training has diverged in epoch {progress.epoch + 1}, step {progress.batches_done + 1}: {error} "
            f"{hint(config)} The size of every weight and gradient is in {run.trouble_path}; what was saved last is whole.",
            file=sys.stderr,
        )
        return 1
    except DataError as error:
        print(f"train.py: {one_line(str(error))} Then go on with: {resuming}", file=sys.stderr)
        return 2
    finally:
        if board is not None:
            board.close()
    if evaluations is None:
        print(f"\nStopped in epoch {progress.epoch + 1}. Go on with:\n  {resuming}")
        return 130
    try:
        predictions_of(evaluations["test"], experiment.test_set).write(run.predictions_path)
        run.save_weights(experiment.network.state_dict(), experiment.about | {"epoch": progress.epoch})
    except OSError as error:
        print(f"train.py: the results cannot be saved: {error}. Mend that, then: {resuming}", file=sys.stderr)
        return 2
    if progress.epoch < config.epochs:
        print(f"\nEnded early: no better {config.best_metric} for {config.patience} epochs (--patience).")
    conclude(experiment, progress, evaluations["test"], run)
    if board is not None:
        write_report(run)
    return 0


def open_board(run: Run, progress: Progress) -> Board | None:
    """What TensorBoard gets; None, and a line that says how to get it, where the extra [viz] is not installed."""
    try:
        return Board(run.board_folder, progress.epoch)
    except MissingExtraError as error:
        print(f"No curves for TensorBoard and no report.html: {error}\n", flush=True)
        return None


def write_report(run: Run) -> None:
    """Writes report.html, and says where; a page that can't be made is no failure of the run."""
    try:
        with Results.read(run.folder) as results:
            write_text_atomically(run.report_path, report_page(results))
    except (sn.ScratchnetError, OSError) as error:
        print(f"CAUTION: the page on this run could not be made: {one_line(str(error))}")
        return
    print(
        f"All of it on one page: {run.report_path}; the curves: tensorboard --logdir {shlex.quote(str(run.folder.parent))}"
    )


def hyper_parameters(options: argparse.Namespace) -> dict[str, object]:
    """Those that were given on the command line."""
    return {one.name: getattr(options, one.name) for one in fields(Config) if getattr(options, one.name) is not None}


def compile_first(config: Config) -> None:
    """Compiles the kernels, and says so where it takes more than a moment."""
    if not kernels_are_compiled(config):
        print("Compiling the kernels, once for this machine …", end=" ", flush=True)
        began = time.perf_counter()
        compile_kernels(config)
        print(f"{time.perf_counter() - began:.0f} s\n", flush=True)


def find_data(options: argparse.Namespace, config: Config) -> tuple[Path, str]:
    """The folder of shards to train on, made first where there are only images; and a short name for it."""
    source = Path(options.data) if options.data is not None else SAMPLE
    if not source.is_dir():
        raise DataError(f"{source}: there is no such folder; --data takes a folder of images or of prepared shards")
    if (source / "manifest.json").is_file():
        for name in PREPARING:
            if getattr(options, name) is not None:
                raise ConfigError(f"{source} is prepared already: leave out {as_option(name)}, or give the images")
        return source, source.resolve().name
    if (source / "fold-0" / "manifest.json").is_file():
        raise ConfigError(
            f"{source} holds the folds of a cross-validation: give one of them, --data {source / 'fold-0'}"
        )
    settings = Settings(image_size=config.image_size, seed=config.seed, **given_settings(options, SETTINGS))
    folds = range(settings.folds or 0)
    if options.fold not in (folds or (None,)):
        which = f"--split kfold tests on one fold at a time: choose --fold 0 to {len(folds) - 1}"
        raise ConfigError(which if folds else "--fold means nothing without --split kfold: leave it out")
    name = "sample" if source == SAMPLE else source.resolve().name
    folder = Path(options.prepared or "prepared") / f"{name}-{config.image_size}-{fingerprint(source, settings)}"
    if folder.exists():
        print(f"Using what was prepared before from {source}.\n")
    else:
        print(f"Preparing the images of {source}; they are kept for the next run in {folder}.")
        manifests = prepare_folds(source, folder, settings) if folds else (prepare(source, folder, settings),)
        print(describe(*manifests), end="\n\n")
    if folds:
        return folder / f"fold-{options.fold}", f"{name}-fold-{options.fold}"
    return folder, name


def fingerprint(source: Path, settings: Settings) -> str:
    """Eight letters that change when an image is added, removed or written anew, or when a setting or the version changes."""
    digest = hashlib.sha256(repr((sn.__version__, str(source.resolve()), settings)).encode())
    if settings.subjects is not None and Path(settings.subjects).is_file():
        digest.update(Path(settings.subjects).read_bytes())
    for path in sorted(source.rglob("*")):
        facts = path.lstat()
        if not path.is_dir():
            digest.update(repr((str(path), facts.st_size, facts.st_mtime_ns)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:8]


def announce(experiment: Experiment, threads: int, run: Path, progress: Progress) -> None:
    """Prints what is about to happen."""
    config, train_set, test_set = experiment.config, experiment.train_set, experiment.test_set
    print(f"data      {experiment.folder}")
    for side, dataset in experiment.sides.items():
        counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
        classes = ", ".join(f"{count} {name}" for count, name in zip(counts, dataset.class_names, strict=True))
        print(f"  {side:<10} {len(dataset)} images ({classes}) of {len(set(dataset.subjects))} subjects")
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
    print(f"\n{'hyper-parameter':<18}  {'here':<17}  the report, 256 × 256")
    for one in fields(Config):
        report = one.metadata["report"]
        print(f"{one.name:<18}  {getattr(config, one.name)!s:<17}  {'' if report is None else report}".rstrip())
    print(
        f"\nmicro-batch {experiment.trainer.micro_batch}, {threads} thread{'s' if threads > 1 else ''}, results in {run}"
    )
    if progress.epoch >= config.epochs:
        print(f"its {progress.epoch} epochs are done; --epochs adds more")
    elif progress.epoch or progress.batches_done:
        print(f"going on from epoch {progress.epoch + 1}, batch {progress.batches_done + 1}")
    print(flush=True)


def conclude(experiment: Experiment, progress: Progress, evaluation: Evaluation, run: Run) -> None:
    """Says what a person wants to know."""
    config, train_set, test_set = experiment.config, experiment.train_set, experiment.test_set
    names = test_set.class_names
    counts = np.bincount(test_set.labels, minlength=len(names))
    larger = int(np.bincount(train_set.labels, minlength=len(names)).argmax())
    new_subjects = train_set.manifest.subjects_known and not set(train_set.subjects) & set(test_set.subjects)
    print(f"\nOn {len(test_set)} images{' of subjects' if new_subjects else ''} never seen in training:")
    chance = counts[larger] / counts.sum()
    print(f"  accuracy {evaluation.accuracy:.1%}; always answering '{names[larger]}' would be right in {chance:.1%}")
    constant = 1 / np.count_nonzero(counts)
    print(f"  balanced accuracy {evaluation.balanced_accuracy:.1%}; a constant answer has {constant:.1%}")
    width = max(map(len, names))
    for name, answers in zip(names, evaluation.confusion(), strict=True):
        shares = ", ".join(f"{count} as {other}" for count, other in zip(answers, names, strict=True))
        print(f"  {name:<{width}}  {shares}")
    if len(np.unique(evaluation.predictions)) == 1:
        print("  The network gives the same answer to every image: it has learnt nothing from them.")
    if len(progress.rows) > 1:
        best = progress.rows[best_epoch(progress.rows, config.best_metric) - 1]
        side = watched_side(best)
        value = f"{best[f'{side}_{config.best_metric}']:.{'4f' if config.best_metric == 'loss' else '1%'}}"
        print(f"  best {config.best_metric} of the {side} side: {value}, after epoch {best['epoch']} (best.h5)")
        if side == "test":
            print("  (chosen on the test side, it flatters; it is no result)")
        else:
            print(f"  its accuracy on the test side: {best['test_accuracy']:.1%}")
    if test_set.manifest.preparation.get("sample"):
        print("\nThe 260 cells of the sample are a demonstration: everything works, and they are too few for a result.")
    print(f"\nWeights, metrics and configuration are in {run.folder}.")


def command_line() -> argparse.ArgumentParser:
    """All options. Those of an experiment are the fields of Config, with their defaults beside the report's values."""
    parser = Parser(
        prog="train.py",
        description="Trains the convolutional network of the report. Without options: on the leukaemia cells that come with it.",
        epilog="An option given here overrides --config, which overrides --preset.",
    )
    where = parser.add_argument_group("what to train on, and where to leave it")
    add = where.add_argument
    add("--data", metavar="FOLDER", help="prepared shards, or a folder of images, which is prepared first (the sample)")
    add("--runs", metavar="FOLDER", help="where runs are kept (runs)")
    add("--name", help="name of the run (the data's name and the time)")
    add(
        "--resume",
        metavar="RUN",
        help="go on with a run, from its newest checkpoint that is whole; --epochs may be raised (which stretches a cosine "
        "schedule), --patience, --checkpoint-minutes and --keep-every changed, and --data say where its shards are now",
    )
    add("--threads", type=int, default=0, metavar="N", help="threads; the result is the same for any number (0: all)")
    add("--preset", choices=tuple(PRESETS), help="a row of the report's table, as far as the report tells")
    add("--config", metavar="FILE", help="hyper-parameters from a TOML file, such as a run's config.toml")
    while_preparing = parser.add_argument_group(
        "how images are prepared; means nothing for prepared shards (the default)"
    )
    add_options(while_preparing, SETTINGS)
    while_preparing.add_argument("--fold", type=int, metavar="N", help="with kfold: the one to test on, 0 to K − 1")
    while_preparing.add_argument("--prepared", metavar="FOLDER", help="where prepared images are kept (prepared)")
    hyper = parser.add_argument_group("hyper-parameters (the default here; the report's value)")
    for one in fields(Config):
        report = one.metadata["report"]
        values = f"{one.default}" if report is None else f"{one.default}; the report: {report}"
        hyper.add_argument(
            as_option(one.name),
            type=type(one.default),
            choices=one.metadata["choices"] or None,
            metavar=None if one.metadata["choices"] else {int: "N", float: "X"}.get(type(one.default), "WORD"),
            help=f"{one.metadata['help']} ({values})".replace("%", "%%"),
        )
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # where nothing is to be saved yet, and nothing left behind
    sys.exit(main())
