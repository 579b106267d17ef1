"""When a run is saved, and what happens when it can't be."""

from __future__ import annotations

import errno
import os
import time

from scratchnet.errors import NonFiniteError
from scratchnet.kernels.elementwise import all_finite
from scratchnet.training.checkpoint import Progress
from scratchnet.training.display import Display
from scratchnet.training.experiment import Experiment
from scratchnet.training.run import Run


class Saver:
    """Saves a run after each epoch, and inside an epoch when `checkpoint_minutes` have passed since the last time.

    A disk that is full, or a folder that can't be written for another reason, doesn't end the training: the checkpoint
    before stays, it is said, and the next occasion tries again.
    """

    def __init__(self, experiment: Experiment, run: Run, progress: Progress, display: Display) -> None:
        self.experiment, self.run, self.progress, self.display = experiment, run, progress, display
        self._saved = time.monotonic()

    def save_if_due(self) -> None:
        """Inside an epoch: saves if it is time to."""
        minutes = self.experiment.config.checkpoint_minutes
        if minutes and time.monotonic() - self._saved >= 60 * minutes:
            self.save()

    def save_or_raise(self) -> None:
        """Writes a checkpoint. Raises OSError where that fails: before the first step it is better to end at once."""
        experiment, config = self.experiment, self.experiment.config
        weights, state = experiment.network.state_dict(), experiment.trainer.optimizer.state_dict()
        self.run.save(weights, state, experiment.about, self.progress, keep_every=config.keep_every)

    def save(self, *, is_best: bool = False) -> None:
        """Saves now, and before that the weights as the best ones, which are then never older than the checkpoint says.

        Raises NonFiniteError, and saves nothing, where a weight is no number any more.
        """
        self._saved = time.monotonic()
        network = self.experiment.network
        for parameter in network.parameters():
            if not all_finite(parameter.value):
                raise NonFiniteError(f"{parameter.name} holds a NaN or an infinity after the last step.")
        try:
            if is_best:
                self.run.save_best(network.state_dict(), self.experiment.about | {"epoch": self.progress.epoch})
            self.save_or_raise()
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]  # HDF5's has many lines
            self.display.say(
                f"CAUTION: the run could not be saved: {reason}. What was saved before is whole; "
                f"{'free some space' if full else 'mend that'}, and the next checkpoint will be saved again."
            )
