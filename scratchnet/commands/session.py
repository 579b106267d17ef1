"""A run from its current state to its end, with all files of a finished run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from scratchnet.data.class_labels import class_labels_of, parse_class_labels
from scratchnet.drawing.plots import require_plots
from scratchnet.errors import DataError, MissingExtraError
from scratchnet.measures.evaluation import Evaluation
from scratchnet.measures.predictions import predictions_of
from scratchnet.pages import Results, report_page
from scratchnet.ranks import ALONE, Alone
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import one_line
from scratchnet.terminal.invocation import joined, python
from scratchnet.terminal.streams import standard_streams
from scratchnet.terminal.system_error import system_reason
from scratchnet.terminal.text_table import wrapped
from scratchnet.terminal.wording import counted
from scratchnet.training import (
    Checkpoint,
    Display,
    Experiment,
    Progress,
    Run,
    compile_kernels,
    fit,
    kernels_are_compiled,
)
from scratchnet.training.config import Config
from scratchnet.training.event_files import EventFiles
from scratchnet.training.interrupt import Interrupt
from scratchnet.training.messages import conclusion
from scratchnet.training.origin import PREPARED_FROM
from scratchnet.training.resume import history, resumed_config, resumed_data


def compile_first(config: Config, ranks: Alone = ALONE) -> None:
    """Compiles the kernels, and says so if it takes more than a moment. One rank of each machine does; the others load them."""
    if not ranks.compiles:
        ranks.wait()
    if not kernels_are_compiled(config):
        print("Compiling the kernels, once for this machine …", end=" ", flush=True)
        began = time.perf_counter()
        compile_kernels(config)
        print(f"{time.perf_counter() - began:.0f} s\n", flush=True)
    if ranks.compiles:
        ranks.wait()


def reopen(
    run: Run,
    asked: dict[str, Any],
    data: str | None = None,
    class_labels: Sequence[str] = (),
    ranks: Alone = ALONE,
) -> tuple[Experiment, Progress, list[str]]:
    """The experiment of an earlier process, brought to where the run's newest whole checkpoint left it.

    run: locked by this process, or by rank 0, which alone reads and writes it. asked: options that may differ from the
    run's own, those in RESUMABLE. data: where its shards are now, if they have been moved. class_labels: texts CLASS=LABEL,
    which override those of the run. Also returns what has changed since and may change the last bits.

    Raises ConfigError for an option that would move the weights, DataError if there is no undamaged checkpoint.
    """
    checkpoint = newest(run, ranks)
    config = Config(**ranks.on_first(lambda: asdict(resumed_config(run, checkpoint, asked))))
    command = checkpoint.about.get("command", "")
    labels = class_labels_of(checkpoint.about)
    labels |= parse_class_labels(class_labels, checkpoint.about.get("class_names", ()))
    with ranks.each():
        experiment = Experiment(
            config,
            resumed_data(run, checkpoint, data),
            command=command,
            class_labels=labels,
            prepared_from=checkpoint.about.get(PREPARED_FROM),
            ranks=ranks,
        )
        experiment.about["history"] = history(checkpoint, config)
        progress = experiment.restore(checkpoint)

    def write() -> None:
        run.write_config(config, experiment.about)  # epochs may have been raised, the shards moved
        run.write_tables(progress)  # the process before may have ended between the checkpoint and its tables

    ranks.on_first(write)
    return experiment, progress, experiment.other_arithmetic(checkpoint)


def newest(run: Run, ranks: Alone) -> Checkpoint:
    """The run's newest checkpoint that is whole; rank 0 reads it, and gives it to the others."""
    found: list[Checkpoint] = []

    def read() -> dict[str, Any]:
        run.remove_leftovers()
        found.append(run.load(set_aside=True))
        return {"about": found[0].about, "progress": found[0].progress and asdict(found[0].progress)}

    told = ranks.on_first(read)
    if ranks.size == 1:
        return found[0]
    weights = ranks.share(found[0].weights if found else None)
    optimizer = ranks.share(found[0].optimizer if found else None)
    if found:
        return found[0]
    progress = Progress(**told["progress"]) if told["progress"] else None
    return Checkpoint(weights or {}, told["about"], optimizer, progress)


def train_to_the_end(experiment: Experiment, run: Run, progress: Progress, *, side: str = "test") -> bool:
    """Trains to the last epoch, writes the results, and prints them. False if the user has stopped it.

    run: locked by this process. progress: where to go on from. side: whose results are printed; with "validation" nothing of the
    test side is, so that it cannot choose settings. However it ends, the last checkpoint is whole, and
    `Run.load` goes on from there.

    If nobody reads the output any more, standard error says so and the training goes on. Outside the main thread it
    cannot be stopped.

    Raises NonFiniteError if training has diverged, DataError if an image is damaged or the run cannot be saved.
    """
    config, images, ranks = experiment.config, len(experiment.train_set), experiment.ranks
    # Both also cover the writing after the last epoch, which takes a moment.
    with standard_streams(announce=True), Interrupt(ranks) as interrupt:
        # Its messages belong above the bar.
        events, lacking = _open_event_files(run, progress) if ranks.first else (None, {})
        display = Display(
            config.epochs,
            total=config.epochs * images,
            done=progress.epoch * images + progress.batches_done * config.batch_size,
            evaluated=experiment.evaluated_images(),
            metric=config.best_metric,
            hidden={"test"} - {side},
        )
        try:
            evaluations = fit(experiment, run, progress, display, events, interrupt)
            if evaluations is None:
                return False
            ranks.on_first(partial(_write_results, experiment, run, progress, evaluations))
            if events is not None:
                events.finished = True
        except OSError as error:
            raise DataError(f"the run cannot be saved: {system_reason(error)}. Fix that.") from error
        finally:
            if events is not None:
                with contextlib.suppress(OSError):  # a full disk: the curves end earlier
                    events.close()
        if not ranks.first:
            return True
        if progress.epoch < config.epochs:
            patience = counted(config.patience, "epoch")
            print(f"\nEnded early: no better {config.best_metric.replace('_', ' ')} for {patience} (--patience).")
        print(f"\n{conclusion(experiment, progress, evaluations[side], run.folder, side=side)}")
        experiment.trainer.finish()  # the page takes memory too
        if "report.html" not in lacking:
            _write_report(run, curves=events is not None, test_too=side != "test")
        return True


def _write_results(experiment: Experiment, run: Run, progress: Progress, evaluations: dict[str, Evaluation]) -> None:
    """What a finished run leaves: the raw answers on the test side, and the weights, with their calibration if it can be had."""
    predictions_of(evaluations["test"], experiment.test_set).write(run.predictions_path)
    about = experiment.about | {"epoch": progress.epoch} | experiment.calibration(evaluations)
    run.save_weights(experiment.network.arrays(), about)
    run.remove_older(experiment.config.keep_last, experiment.config.keep_every)


def _open_event_files(run: Run, progress: Progress) -> tuple[EventFiles | None, dict[str, str]]:
    """The event files, None if TensorBoard is missing or broken; and what this run will lack for that reason, or for lack of
    Matplotlib, which a line says."""
    lacking, events = {}, None
    try:
        events = EventFiles(run.events_folder, progress.epoch)
    except MissingExtraError as error:
        lacking["curves for TensorBoard"] = str(error)
    try:
        require_plots()
    except MissingExtraError as error:
        lacking["report.html"] = str(error)
    if lacking:
        pip = f"{python()} -m pip"  # the remedy, a line of its own that can be copied
        said, _, remedy = one_line(next(iter(lacking.values()))).partition(pip)
        why = wrapped(f"No {' and no '.join(lacking)}: {said.rstrip()}")
        print("\n".join([*why, *([f"  {pip}{remedy}"] if remedy else []), ""]), flush=True)
    return events, lacking


def _write_report(run: Run, *, curves: bool, test_too: bool) -> None:
    """Writes report.html, and says where it and the curves are; the run does not fail if the page cannot be made.

    test_too: the page shows the test side, of which nothing has been printed.
    """
    try:
        with Results.read(run.folder) as results:
            write_text_atomically(run.report_path, report_page(results))
    except Exception as error:
        print(f"CAUTION: the page on this run could not be made: {one_line(str(error))}")
        return
    hint = f"; the curves: tensorboard --logdir {joined([str(run.folder.parent)])}" if curves else ""
    print(f"All of it{', and the test,' if test_too else ''} on one page: {run.report_path}{hint}")
