"""What TensorBoard shows of a run: `tensorboard --logdir runs`. Needs the extra [viz], and no TensorFlow.

Two runs with the same tags stand in one plot, so each side writes into a folder of its own:

| run                   | tag                                                          | what                                     |
|-----------------------|--------------------------------------------------------------|------------------------------------------|
| `train`, `test`, …    | `loss`, `accuracy`, `balanced_accuracy`                      | the four figures of the report, and more |
| `train`               | `learning_rate`, `images_per_second`                         |                                          |
| `train`               | `weight_norm/<parameter>`, `gradient_norm/<parameter>`       | after the last step of the epoch         |
| `test`                | `confusion_matrix`, `mistakes`                               | pictures                                 |
| the run itself        | `_hparams_/…`                                                | the tab HPARAMS: settings, last metrics  |

The folder of a run is TensorBoard's name for it: "cells/test" stands for runs/cells/test. Runs of an older version have all of
this in a folder tensorboard, and go on there.

The gradient's norm is that of the last batch, as the optimiser got it: after clipping, where `clip_norm` clips. An epoch
without a mistake has a sheet that says so.

Scalars are written as plain numbers (`simple_value`), which every reader of event files knows.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.drawing import pictures, plots
from scratchnet.errors import MissingExtraError
from scratchnet.extras import require, using
from scratchnet.measures.evaluation import Evaluation
from scratchnet.measures.predictions import Predictions, predictions_of
from scratchnet.training import hparams
from scratchnet.training.checkpoint import Progress
from scratchnet.training.experiment import Experiment
from scratchnet.training.norms import norms
from scratchnet.training.options import shown
from scratchnet.training.run import EVENT_FILE
from scratchnet.training.selection import EVALUATED, sides_of

MISTAKES = 9  # on the sheet
RUN = ""  # in place of a side: the run's own folder


class EventFiles:
    """The event files of one run.

    folder: of the event files, such as runs/<name>. epochs_done: epochs that a resumed run has completed; whatever a
    killed process wrote of later ones is declared void, so that no curve goes back and forth.

    Each epoch is on the disk when `epoch` returns: a process that is killed loses nothing before it. Call it before the
    checkpoint is saved; then a run that is killed between the two writes the epoch once more, and the first is void.
    lacking: why there are no plots, if Matplotlib is missing or broken; else None.
    Raises MissingExtraError if tensorboard is missing or broken, OSError if the disk is full.
    """

    def __init__(self, folder: str | os.PathLike[str], epochs_done: int = 0) -> None:
        self.folder = Path(folder)
        self._next = epochs_done + 1
        with using("tensorboard"):
            self._record_writer = require("tensorboard.summary.writer.record_writer").RecordWriter
            self._proto = require("tensorboard.compat.proto.event_pb2")
            self._summary = require("tensorboard.compat.proto.summary_pb2").Summary
        self.last_error = ""  # of an epoch that could not be written
        self.lacking: str | None = None
        try:
            plots.require_plots()
        except MissingExtraError as error:
            self.lacking = str(error)
        self._files: dict[str, Any] = {}
        self._described = False
        self.finished = False  # to be set before `close` where the run has come to its end

    def epoch(
        self,
        row: Mapping[str, float],
        *,
        images_per_second: float | None = None,
        norms: Mapping[str, tuple[float, float]] | None = None,
        predictions: Predictions | None = None,
        dataset: Any = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes one epoch.

        row: its line of metrics.csv: epoch (from 1), learning_rate, and <side>_<measure> for each side. norms: of
        `scratchnet.training.norms.norms`. predictions: of the test images, for the confusion matrix. dataset: the
        `Dataset` of the test images in the same order, for the pictures of the mistakes. settings: the hyper-parameters by
        name, which are written once.

        Raises OSError if the disk is full; the next epoch begins new files, after what was written of this one.
        """
        values: dict[str, dict[str, float]] = {"train": {"learning_rate": row["learning_rate"]}}
        for side in sides_of(row):
            measured = {name: row[f"{side}_{name}"] for name in hparams.MEASURES if f"{side}_{name}" in row}
            values[side] = values.get(side, {}) | measured
        if images_per_second is not None:
            values["train"]["images_per_second"] = images_per_second
        for name, (weight, gradient) in (norms or {}).items():
            values["train"] |= {f"weight_norm/{name}": weight, f"gradient_norm/{name}": gradient}
        drawn = {} if predictions is None else self._pictures(predictions, dataset)
        try:
            if settings is not None and not self._described:
                self._describe(settings, [side for side in EVALUATED if side in values])
            for side, measured in values.items():
                self._write(side, int(row["epoch"]), measured, drawn if side == "test" else {})
        except OSError:
            # A record may be cut off, and nothing that followed it in its file would be read.
            for file in self._files.values():
                with contextlib.suppress(OSError):
                    file.close()
            self._files, self._next, self._described = {}, int(row["epoch"]), False
            raise

    def close(self) -> None:
        """Closes the files; nothing more can be written."""
        if self.finished and self._described:
            self._say_of_the_run(hparams.ended())
        for file in self._files.values():
            file.close()
        self._files = {}

    def __enter__(self) -> EventFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _pictures(self, predictions: Predictions, dataset: Any) -> dict[str, bytes]:
        """The confusion matrix, where Matplotlib can draw it; and the mistakes, which need no Matplotlib."""
        drawn = {}
        if self.lacking is None:
            try:
                drawn["confusion_matrix"] = plots.confusion(predictions.confusion(), predictions.class_names)
            except MissingExtraError as error:
                self.lacking = str(error)
        if dataset is not None:
            drawn["mistakes"] = _mistakes(predictions, dataset)
        return drawn

    def _describe(self, settings: Mapping[str, Any], sides: list[str]) -> None:
        """Writes the hyper-parameters, and which curves' last values stand beside them; replaces those of an earlier process."""
        for path in self.folder.glob("events.out.tfevents.*"):
            if EVENT_FILE.fullmatch(path.name):
                with contextlib.suppress(OSError):  # another program reads it: later files take precedence
                    path.unlink()
        self._say_of_the_run(hparams.experiment(settings, reversed(sides)))
        where = self.folder.resolve()
        name = f"{where.parent.name}/{where.name}"  # without a name, two runs with the same settings would share a row
        self._say_of_the_run(hparams.begun(settings, name))
        self._described = True

    def _say_of_the_run(self, summary: Any) -> None:
        self._add(RUN, self._proto.Event(wall_time=time.time(), step=0, summary=summary))
        self._files[RUN].flush()

    def _write(self, side: str, step: int, values: Mapping[str, float], drawn: Mapping[str, bytes]) -> None:
        summary = self._summary(
            value=[self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        for tag, content in drawn.items():
            width, height = _png_size(content)
            image = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
            summary.value.add(tag=tag, image=image)
        self._add(side, self._proto.Event(wall_time=time.time(), step=step, summary=summary))
        self._files[side].flush()

    def _add(self, side: str, event: Any) -> None:
        if side not in self._files:
            self._files[side] = self._new_file(self.folder / side)
            start = self._proto.SessionLog(status=self._proto.SessionLog.START)  # makes later steps before it void
            self._add(side, self._proto.Event(wall_time=time.time(), file_version="brain.Event:2"))
            self._add(side, self._proto.Event(wall_time=time.time(), step=self._next, session_log=start))
        self._files[side].write(event.SerializeToString())

    def _new_file(self, folder: Path) -> Any:
        """A file whose name follows those of all existing ones: readers follow the order of the names.

        TensorBoard's own writer puts clock, host and process into the name instead; a clock that was set back would
        reverse the parts of a run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        there = [int(match[1]) for path in folder.iterdir() if (match := EVENT_FILE.fullmatch(path.name))]
        path = folder / f"events.out.tfevents.{max(there, default=0) + 1:010d}"
        return self._record_writer(open(path, "xb"))  # closed by the writer's close


def record_epoch(
    events: EventFiles, experiment: Experiment, progress: Progress, test: Evaluation, say: Callable[[str], None]
) -> None:
    """Writes the epoch that `progress` has just finished, with all that belongs to it; test: its evaluation.

    Whatever goes wrong here is reported through `say`, once, and does not end the training: a picture is not worth a
    night's work.
    """
    lacking = events.lacking
    try:
        events.epoch(
            progress.rows[-1],
            images_per_second=progress.timings[-1]["training_images_per_second"],
            norms=norms(experiment.network),
            predictions=predictions_of(test, experiment.test_set),
            dataset=experiment.test_set,
            settings=shown(asdict(experiment.config)),
        )
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if reason != events.last_error:
            say(f"CAUTION: TensorBoard gets nothing of epoch {progress.epoch}: {reason}")
        events.last_error = reason
    if events.lacking != lacking:
        say(f"CAUTION: no plots from epoch {progress.epoch} on: {events.lacking}")


def _mistakes(predictions: Predictions, dataset: Any) -> bytes:
    """The most confident mistakes with path, label, answer and probability, or that there are none."""
    mistakes = predictions.mistakes()[:MISTAKES]
    if len(mistakes) == 0:
        return pictures.png(pictures.message(f"No mistakes: all {len(predictions.paths):,} are right."))
    captions = [predictions.caption(n) for n in mistakes]
    return pictures.png(pictures.sheet(list(dataset.read(np.asarray(mistakes))), captions))


def _png_size(content: bytes) -> tuple[int, int]:
    """Width and height, from the first chunk of a PNG file (RFC 2083, section 4.1.1)."""
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
