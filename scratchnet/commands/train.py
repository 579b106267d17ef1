"""python train.py, or python -m scratchnet train: trains the report's network; without options on the cells that come with it.

The experiment from top to bottom: the command line, the data, the network, the training, the results.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from scratchnet.commands.own import own_model, require_effect
from scratchnet.commands.repeat import fill_in, origin_of, require_same
from scratchnet.commands.session import compile_first, reopen, train_to_the_end
from scratchnet.commands.several import add_recipe, without_model
from scratchnet.data import read_manifest
from scratchnet.data.class_labels import parse_class_labels, require_form
from scratchnet.errors import ConfigError, DataError, NonFiniteError
from scratchnet.kernels.machine.threads import most_threads, set_threads
from scratchnet.nn.models import MODELS
from scratchnet.prepare import SAMPLE, Settings, cache
from scratchnet.prepare.folder import require_outside
from scratchnet.prepare.options import add_options, chosen_settings, given_settings
from scratchnet.ranks import Alone, joined
from scratchnet.terminal.command_line import add_class_labels, as_option, one_line
from scratchnet.terminal.invocation import command
from scratchnet.terminal.text_table import wrapped
from scratchnet.training import Experiment, Progress, Run
from scratchnet.training.agreement import require_same_facts, require_same_options
from scratchnet.training.config import PRESETS, Config, from_toml
from scratchnet.training.messages import announcement
from scratchnet.training.options import add_hyper_parameters, given_hyper_parameters
from scratchnet.training.shared.opening import get_ready
from scratchnet.use.network import start

SETTINGS = (
    "split", "test_fraction", "test_fold", "folds", "validation_fraction", "layout", "subject_pattern", "subjects", "fit", "crop",
    "bits", "augment_offline", "keep_duplicates",
)  # fmt: skip
PREPARING = (*SETTINGS, "fold", "prepared")  # means nothing for prepared shards
NEW_RUN = ("name", "runs", "preset", "config")  # means nothing for a run that is resumed


def run(options: argparse.Namespace) -> int:
    """Returns the exit code: 0 done, 1 training has diverged, 2 something that was asked for cannot be, 130 interrupted."""
    with joined(options.prog) as ranks:
        require_same_options(ranks, options)
        opened = begun(options, ranks) if options.resume is None else resumed(options, ranks)
        with opened as (experiment, run, progress):
            resuming = command("train", "--resume", run.folder)
            resuming = f"{ranks.started_by} {resuming}".lstrip()
            try:
                if train_to_the_end(experiment, run, progress):
                    return 0
            except NonFiniteError as error:
                print(f"{options.prog}: {error}", file=sys.stderr)
                return 1
            except DataError as error:
                print(f"{options.prog}: {one_line(str(error))} Then go on with: {resuming}", file=sys.stderr)
                return 2
            print(f"\nStopped in epoch {min(progress.epoch + 1, experiment.config.epochs)}. Go on with:\n  {resuming}")
            return 130


@contextlib.contextmanager
def begun(options: argparse.Namespace, ranks: Alone) -> Iterator[tuple[Experiment, Run, Progress]]:
    """A new run, locked, with what there is to do; its name is free again where nothing was saved."""
    with ranks.each():
        settings, repeated = dict(PRESETS[options.preset]) if options.preset else {}, None
        if options.config:
            settings = from_toml(Path(options.config), settings)
            repeated = fill_in(options, (*SETTINGS, "fold"))
        maker, given = own_model(options.model), given_hyper_parameters(options)
        if options.model is not None:
            settings.pop("layers", None)
        settings |= given
        require_effect(maker, given, settings)
        config = without_model(settings) if maker else Config(**settings)
        name = options.name
        if not (name is None or (name.isprintable() and Path(name).name == name != "..")):
            raise ConfigError(f"--name must be a plain name without slashes, got {name!r}; --runs is the folder")
        require_form(options.class_label)
        threads = set_threads(ranks.threads(options.threads, most_threads()))
    runs = Path(options.runs or "runs")
    found = ranks.on_first(lambda: _find(options, config, runs), patient=True)
    shards, name, made = Path(found[0]), found[1], found[2]
    with ranks.each():
        manifest = read_manifest(shards)
        if repeated is not None:
            require_same(repeated, manifest.dataset_id, options.config)
        if "image_size" not in settings:
            settings["image_size"] = manifest.image_shape[0]
        config = maker.config(settings, len(manifest.class_names)) if maker else Config(**settings)
        labels = parse_class_labels(options.class_label, manifest.class_names)
        called = command(*options.arguments)
        experiment = Experiment(
            config, shards, command=called, class_labels=labels, prepared_from=made, ranks=ranks, choose_cut=True
        )
    require_same_facts(ranks, experiment)
    started = ranks.on_first(lambda: start(experiment.network, config, manifest.class_names))
    if started and ranks.size > 1:  # the file need not be on the other machines
        experiment.network.load_state_dict(ranks.share(experiment.network.state_dict()) or {})
    wanted = runs / (options.name or f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
    print(announcement(experiment, threads, wanted, Progress(), verbose=options.verbose), flush=True)
    if started:
        print("\n".join(wrapped(f"started {started}")) + "\n", flush=True)
    compile_first(experiment.config, ranks=ranks)
    if said := get_ready(experiment, threads):
        print(said, flush=True)
    folder = ranks.on_first(lambda: str(_create(wanted, experiment, named=options.name is not None).folder))
    run = Run(Path(folder))
    try:
        with locked(run, ranks):
            yield experiment, run, Progress()
    finally:
        if ranks.first:
            run.discard_if_empty()


def _find(options: argparse.Namespace, config: Config, runs: Path) -> tuple[str, str, dict[str, Any]]:
    """`find_data`, once it is clear that the run's name is free, and still is afterwards."""
    if options.name is not None:
        Run.require_free(runs / options.name)
    shards, name, made = find_data(options, config, runs)
    if options.name is not None:
        Run.require_free(runs / options.name)
    return str(shards), name, made


@contextlib.contextmanager
def locked(run: Run, ranks: Alone) -> Iterator[None]:
    """The right to write the run, which rank 0 holds for all. Raises LockedError on all where another process has it."""
    with contextlib.ExitStack() as held:
        ranks.on_first(lambda: held.enter_context(run.lock()) and None)
        yield


def _create(folder: Path, experiment: Experiment, *, named: bool) -> Run:
    """The new run. If it has no name of its own and another run began in the same second, it gets a number."""
    wanted, number = folder, 1
    while True:
        try:
            return Run.create(folder, experiment.config, experiment.about)
        except ConfigError:
            if named or not folder.exists():
                raise
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
        if not folder.exists():
            print(f"Another run began in the same second: the results of this one are in {folder}", flush=True)


@contextlib.contextmanager
def resumed(options: argparse.Namespace, ranks: Alone) -> Iterator[tuple[Experiment, Run, Progress]]:
    """A run to go on with, locked, as its newest checkpoint that is whole has left it; any number of ranks may have begun it."""
    senseless = [name for name in (*PREPARING, *NEW_RUN) if getattr(options, name) is not None]
    if options.model is not None and options.model not in MODELS:
        senseless.append("model")
    if senseless:
        raise ConfigError(f"--resume goes on with the run's own settings: leave out {as_option(senseless[0])}")
    run = Run(Path(options.resume))
    ranks.on_first(run.require_there)
    with locked(run, ranks):
        with ranks.each():
            threads = set_threads(ranks.threads(options.threads, most_threads()))
        asked = given_hyper_parameters(options)
        experiment, progress, changed = reopen(run, asked, options.data, options.class_label, ranks)
        require_same_facts(ranks, experiment)
        print(announcement(experiment, threads, run.folder, progress, verbose=options.verbose), flush=True)
        if changed:
            print(
                f"CAUTION: not as it was: {', '.join(changed)}. The weights may differ in the last bits from those of a run\n"
                "that was never interrupted, and from there on in more.\n"
            )
        compile_first(experiment.config, ranks=ranks)
        if said := get_ready(experiment, threads):
            print(said, flush=True)
        yield experiment, run, progress


def find_data(options: argparse.Namespace, config: Config, runs: Path) -> tuple[Path, str, dict[str, Any]]:
    """The folder of shards to train on, made first if there are only images; a short name for it; what it was made of.

    runs: where runs go, which cannot be among the images.
    """
    source = Path(options.data) if options.data is not None else SAMPLE
    cache.require_folder(source)
    if cache.is_dataset(source):
        for name in PREPARING:
            if getattr(options, name) is not None:
                raise ConfigError(f"{source} is prepared already: leave out {as_option(name)}, or give the images")
        return source, cache.name_of(source), {}
    if cache.is_folds(source):
        raise ConfigError(
            f"{source} holds the folds of a cross-validation: give one of them, --data {source / 'fold-0'}"
        )
    settings = Settings(image_size=config.image_size, seed=config.seed, **given_settings(options, SETTINGS))
    folds = range(settings.folds or 0)
    if options.fold not in (folds or (None,)):
        which = f"--split kfold tests on one fold at a time: choose --fold 0 to {len(folds) - 1}"
        raise ConfigError(which if folds else "--fold means nothing without --split kfold: leave it out")
    require_outside(runs, source)
    folder = cache.kept(source, settings, Path(options.prepared) if options.prepared else None)
    made: dict[str, Any] = {"images": origin_of(source), "preparing": chosen_settings(settings)}
    if folds:
        made["preparing"] |= {"fold": options.fold}
        return folder / f"fold-{options.fold}", f"{cache.name_of(source)}-fold-{options.fold}", made
    return folder, cache.name_of(source), made


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All options. Those of an experiment are the fields of Config, with their defaults beside the report's values."""
    parser.description = (
        "Trains the convolutional network of the report. Without options: on the leukaemia cells that come with it."
    )
    parser.epilog = "An option given here overrides --config, which overrides --preset."
    parser.set_defaults(prog=parser.prog)
    where = parser.add_argument_group("what to train on, and where to leave it")
    add = where.add_argument
    add("--data", metavar="FOLDER", help="prepared shards, or a folder of images, which is prepared first (the sample)")
    add("--runs", metavar="FOLDER", help="where runs are kept (runs)")
    add("--name", help="name of the run (the data's name and the time)")
    add(
        "--resume",
        metavar="RUN",
        help="go on with a run, from its newest checkpoint that is whole; --epochs may be raised (which stretches a cosine "
        "schedule), --patience, --checkpoint-minutes, --keep-every and --keep-last changed, and --data say where its shards are now",
    )
    add_class_labels(where)
    add("--verbose", action="store_true", help="show every layer and every hyper-parameter before the training")
    add_recipe(parser)
    add(
        "--config",
        metavar="FILE",
        help="a run's config.toml, which repeats it on the same images, or a TOML file of hyper-parameters alone",
    )
    while_preparing = parser.add_argument_group(
        "how images are prepared; means nothing for prepared shards (the default)"
    )
    add_options(while_preparing, SETTINGS)
    while_preparing.add_argument("--fold", type=int, metavar="N", help="with kfold: the one to test on, 0 to K − 1")
    while_preparing.add_argument("--prepared", metavar="FOLDER", help="where prepared images are kept (prepared)")
    add_hyper_parameters(parser)
