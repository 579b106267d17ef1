"""What TensorBoard shows of a run: `tensorboard --logdir runs`. Needs the extra [viz], and no TensorFlow.

Two runs with the same tags stand in one plot, so each side writes into a folder of its own:

| run                   | tag                                                          | what                                     |
|-----------------------|--------------------------------------------------------------|------------------------------------------|
| `train`, `test`, …    | `loss`, `accuracy`, `balanced_accuracy`                      | the four figures of the report, and more |
| `train`               | `learning_rate`, `images_per_second`                         |                                          |
| `train`               | `weight_norm/<parameter>`, `gradient_norm/<parameter>`       | of the last batch of the epoch           |
| `test`                | `confusion_matrix`, `mistakes`                               | pictures                                 |

Scalars are written as plain numbers (`simple_value`), which every reader of event files knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import pictures, plots
from scratchnet.extras import require
from scratchnet.predictions import Predictions
from scratchnet.training.norms import Norms

MISTAKES = 12  # on the sheet
SIDES = ("train", "validation", "test")


class Board:
    """The event files of one run.

    folder: of the event files, such as runs/<name>/tensorboard. epochs_done: epochs that the run has behind it when it
    is resumed; whatever was written of later ones, by a part of the run that was killed, is declared void, so that no
    curve goes back and forth.

    Each epoch is on the disk when `epoch` returns: a process that is killed loses nothing before it. Call it before the
    checkpoint is saved; then a run that is killed between the two writes the epoch once more, and the first is void.
    Raises MissingExtraError where tensorboard or matplotlib is not installed, OSError where the disk is full.
    """

    def __init__(self, folder: str | os.PathLike[str], epochs_done: int = 0) -> None:
        self.folder = Path(folder)
        self._next = epochs_done + 1
        self._open = require("tensorboard.summary.writer.event_file_writer").EventFileWriter
        self._proto = require("tensorboard.compat.proto.event_pb2")
        self._summary = require("tensorboard.compat.proto.summary_pb2").Summary
        require("matplotlib")
        self._writers: dict[str, Any] = {}

    def epoch(
        self,
        row: Mapping[str, float],
        *,
        images_per_second: float | None = None,
        norms: Mapping[str, Norms] | None = None,
        predictions: Predictions | None = None,
        dataset: Any = None,
    ) -> None:
        """Writes one epoch.

        row: its line of metrics.csv: epoch (from 1), learning_rate, and <side>_<measure> for each side. norms: of
        `scratchnet.training.norms.norms`. predictions: of the test images, for the confusion matrix. dataset: the
        `Dataset` of the test images in the same order, for the pictures of the mistakes.
        """
        values: dict[str, dict[str, float]] = {"train": {"learning_rate": row["learning_rate"]}}
        for column, value in row.items():
            side, _, measure = column.partition("_")
            if side in SIDES:
                values.setdefault(side, {})[measure] = value
        if images_per_second is not None:
            values["train"]["images_per_second"] = images_per_second
        for name, norm in (norms or {}).items():
            values["train"][f"weight_norm/{name}"] = norm.value
            values["train"][f"gradient_norm/{name}"] = norm.gradient
        drawn = {} if predictions is None else _pictures(predictions, dataset)
        for side, measured in values.items():
            self._write(side, int(row["epoch"]), measured, drawn if side == "test" else {})

    def close(self) -> None:
        """Closes the files; nothing more can be written."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, side: str, step: int, values: Mapping[str, float], drawn: Mapping[str, bytes]) -> None:
        summary = self._summary(
            value=[self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        for tag, content in drawn.items():
            width, height = _png_size(content)
            image = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
            summary.value.add(tag=tag, image=image)
        writer = self._writer(side)
        writer.add_event(self._proto.Event(wall_time=time.time(), step=step, summary=summary))
        writer.flush()

    def _writer(self, side: str) -> Any:
        """The writer of one side. A new one first declares void what an earlier part of the run wrote of later epochs."""
        if side not in self._writers:
            self._writers[side] = self._open(str(self.folder / side))
            log = self._proto.SessionLog(status=self._proto.SessionLog.START)
            event = self._proto.Event(wall_time=time.time(), step=self._next, session_log=log)
            self._writers[side].add_event(event)
        return self._writers[side]


def _pictures(predictions: Predictions, dataset: Any) -> dict[str, bytes]:
    """The confusion matrix, and the most confident mistakes with path, label, answer and probability."""
    names = predictions.class_names
    drawn = {"confusion_matrix": plots.confusion(predictions.confusion(), names)}
    mistakes = predictions.mistakes()[:MISTAKES]
    if dataset is not None and len(mistakes):
        captions = [predictions.caption(n) for n in mistakes]
        drawn["mistakes"] = pictures.png(pictures.sheet(list(dataset.read(np.asarray(mistakes))), captions))
    return drawn


def _png_size(content: bytes) -> tuple[int, int]:
    """Width and height, from the first chunk of a PNG file (RFC 2083, section 4.1.1)."""
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
