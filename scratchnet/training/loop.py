"""The training loop: epochs of steps, an evaluation after each, and a state that is consistent between any two."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from functools import partial

from scratchnet.data import Batch
from scratchnet.errors import DataError, NonFiniteError
from scratchnet.kernels.machine import memory
from scratchnet.measures.evaluation import Evaluation
from scratchnet.training.checkpoint import Progress
from scratchnet.training.display import Display
from scratchnet.training.divergence import advice, just_found_stuck
from scratchnet.training.event_files import EventFiles, record_epoch
from scratchnet.training.experiment import Experiment, Trained
from scratchnet.training.interrupt import Interrupt, Interrupted
from scratchnet.training.run import Run
from scratchnet.training.saving import Saver
from scratchnet.training.selection import beats_constant, best_epoch, choosing_side, out_of_patience
from scratchnet.training.trainer import Trainer

STUCK_EPOCHS = 3  # after so many epochs with the same answer to every image, the program says so


def fit(
    experiment: Trained,
    run: Run | Saver,
    progress: Progress,
    display: Display,
    events: EventFiles | None = None,
    interrupt: Interrupt | None = None,
) -> dict[str, Evaluation] | None:
    """Trains from `progress` to the last epoch of the configuration; returns the last evaluation of each side.

    It saves before the first step, so that a full disk is noticed then; inside an epoch when `checkpoint_minutes` have
    passed; and after each epoch, once every side is evaluated. Ctrl-C ends it between two steps, saves, and returns
    None; `Run.load` and another call go on from there as if nothing had happened. `events` gets each epoch for TensorBoard;
    `interrupt` is the caller's, if it has more to do afterwards. Without a run's folder a `Saver` stands in its place.

    Raises NonFiniteError, with what to try, if training has diverged; the run's trouble.txt then says how. Raises
    DataError if an image is damaged, after saving; OSError if the first or the last checkpoint cannot be written. What
    was saved before stays whole in all cases. Several ranks run it side by side: what one decides by its clock, its
    signals or its disk, all do.
    """
    config, trainer, data = experiment.config, experiment.trainer, experiment.data.train
    metric = config.best_metric
    saver = run if isinstance(run, Saver) else Saver(_whole(experiment), run, progress, display)
    evaluations: dict[str, Evaluation] | None = None
    batch: Batch | None
    with (
        contextlib.nullcontext(interrupt) if interrupt else Interrupt(experiment.ranks) as interrupt,
        _whole_at_the_end(experiment, progress, display, saver),
    ):
        saver.begin()
        while progress.epoch < config.epochs and not out_of_patience(progress.rows, metric, config.patience):
            display.start_epoch(progress.epoch)
            mark = time.perf_counter()
            for batch in interrupt.watch(data.epoch(progress.epoch, start=progress.batches_done)):
                progress.loss_sum += trainer.step(batch, progress.epoch)
                progress.batches_done += 1
                seconds = time.perf_counter() - mark
                progress.seconds += seconds
                display.step(len(batch), seconds, progress.loss_sum / progress.batches_done)
                saver.save_if_due()
                mark = time.perf_counter()
            batch = None  # the evaluation needs the memory
            trainer.gather()

            began = time.perf_counter()
            evaluations = evaluate(experiment, display, interrupt)
            end_epoch(progress, experiment, evaluations, time.perf_counter() - began)
            if events is not None:
                # Before the run is saved: of an epoch that is written twice, one copy is void; a missing one would
                # stay missing.
                record_epoch(events, _whole(experiment), progress, evaluations["test"], display.say)
            is_best = best_epoch(progress.rows, metric) == progress.epoch
            saver.save(best=experiment.calibration(evaluations) if is_best else None)
            star = is_best and _recognises(experiment, progress.rows[-1])
            display.epoch_line(progress.rows[-1], progress.timings[-1], star)
            warm = progress.rows[math.ceil(config.warmup / len(data)) :]  # the epochs at the full learning rate
            if experiment.data.checks and just_found_stuck(warm, data.dataset.labels, STUCK_EPOCHS):
                display.say(advice(config, STUCK_EPOCHS))
        evaluations = evaluations or evaluate(experiment, display, interrupt)
        if saver.failed:
            saver.save_or_raise()
        return evaluations
    return None


@contextlib.contextmanager
def _whole_at_the_end(experiment: Trained, progress: Progress, display: Display, saver: Saver) -> Iterator[None]:
    """Whatever ends the block, the run is whole and the bar is gone. A stop that was asked for ends it without an error.

    Raises NonFiniteError, with the whole message, if training has diverged.
    """
    try:
        try:
            yield
        except Interrupted:
            saver.save(last=True)
        except DataError:
            saver.save(last=True)
            raise
    except NonFiniteError as error:
        experiment.trainer.gather()
        raise NonFiniteError(saver.trouble(error)) from error
    finally:
        display.close()


def _whole(experiment: Trained) -> Experiment:
    """The experiment of a run, which has files."""
    assert isinstance(experiment, Experiment)
    return experiment


def _recognises(experiment: Trained, row: dict[str, float]) -> bool:
    """Whether an epoch has recognised more than a constant answer would; never where no side is watched."""
    side = experiment.sides.get(choosing_side(experiment.sides))
    return side is not None and beats_constant(row, experiment.config.best_metric, len(set(side.labels.tolist())))


def evaluate(experiment: Trained, display: Display, interrupt: Interrupt) -> dict[str, Evaluation]:
    """An evaluation of each side, which a person can watch, and stop."""

    def watch(side: str, batches: Iterable[Batch]) -> Iterable[Batch]:
        return display.evaluating(interrupt.watch(batches), side, experiment.positions(side))

    memory.release()  # training and evaluation need arrays of other sizes
    found = {side: experiment.evaluate(side, partial(watch, side)) for side in experiment.data.checks}
    memory.release()
    return found


def end_epoch(
    progress: Progress, experiment: Trained, evaluations: dict[str, Evaluation], evaluation_seconds: float
) -> None:
    """Records the results of an epoch, and moves on to the next one."""
    epoch = progress.epoch + 1
    progress.rows.append(row(epoch, experiment.trainer, evaluations))
    progress.timings.append(
        {
            "epoch": epoch,
            "training_seconds": round(progress.seconds, 2),
            "evaluation_seconds": round(evaluation_seconds, 2),
            "training_images_per_second": round(len(experiment.train_set) / progress.seconds, 1),
        }
    )
    progress.epoch, progress.batches_done, progress.loss_sum, progress.seconds = epoch, 0, 0.0, 0.0


def row(epoch: int, trainer: Trainer, evaluations: dict[str, Evaluation]) -> dict[str, float]:
    """One line of the metrics file, epochs counted from 1."""
    # From the schedule, not from the optimiser, which has none yet if a resumed run only evaluates.
    rate = trainer.schedule.rate(max(0, trainer.optimizer.steps - 1))
    values: dict[str, float] = {"epoch": epoch, "learning_rate": rate}
    for side, evaluation in evaluations.items():
        values |= {
            f"{side}_loss": evaluation.loss,
            f"{side}_accuracy": evaluation.accuracy,
            f"{side}_balanced_accuracy": evaluation.balanced_accuracy,
        }
    return values
