"""When a run is saved, and what happens when it cannot be."""

from __future__ import annotations

import errno
from typing import Any

from scratchnet.errors import NonFiniteError
from scratchnet.kernels.elementwise import all_finite
from scratchnet.terminal.system_error import system_reason
from scratchnet.training.checkpoint import Arrays, Progress
from scratchnet.training.display import Display
from scratchnet.training.divergence import message_of_divergence, report_of_divergence
from scratchnet.training.experiment import Experiment
from scratchnet.training.run import Run


class Saver:
    """Saves a run after each epoch, and inside an epoch when `checkpoint_minutes` have passed since the last time.

    A full disk, or a folder that cannot be written for another reason, doesn't end the training: the previous
    checkpoint stays, the user is told, and the next save tries again. Of several ranks the first one writes; all decide alike.
    """

    def __init__(self, experiment: Experiment, run: Run, progress: Progress, display: Display) -> None:
        self.experiment, self.run, self.progress, self.display = experiment, run, progress, display
        self._saved = experiment.ranks.clock(fresh=True)
        self._best: tuple[Arrays, dict[str, Any]] | None = None  # the best weights, until they are on the disk
        self.failed = False  # whether the last attempt has failed

    def begin(self) -> None:
        """Saves a run that has no checkpoint yet. Raises OSError if the disk refuses."""
        experiment, run = self.experiment, self.run
        if experiment.ranks.on_first(lambda: not run.checkpoints()):
            experiment.ranks.on_first(lambda: run.write_config(experiment.config, experiment.about))
            self.save_or_raise()

    def save_if_due(self) -> None:
        """Inside an epoch: saves if it is time to."""
        minutes = self.experiment.config.checkpoint_minutes
        if minutes and self.experiment.ranks.clock() - self._saved >= 60 * minutes:
            self.save()

    def save_or_raise(self) -> None:
        """Saves now: the best weights first, so that they are never older than the checkpoint says.

        Raises OSError if the disk refuses; NonFiniteError, and saves nothing, if a weight is NaN or infinite.
        """
        self.failed, self._saved = True, self.experiment.ranks.clock()
        weights, state = self.experiment.trainer.state()
        self.experiment.ranks.on_first(lambda: self._write(weights, state))
        self.failed = False

    def _write(self, weights: Arrays, state: Arrays) -> None:
        for name, value in (weights | state).items():
            if value.dtype.kind == "f" and not all_finite(value):
                raise NonFiniteError(f"{name} holds a NaN or an infinity.")
        if self._best is not None:
            self.run.save_best(*self._best)
            self._best = None
        keep_every = self.experiment.config.keep_every
        self.run.save(weights, state, self.experiment.about, self.progress, keep_every=keep_every)

    def trouble(self, error: Exception) -> str:
        """Writes trouble.txt after training has diverged; returns what to tell the user."""
        report = report_of_divergence(self.experiment, self.progress, error)
        self.experiment.ranks.on_first(lambda: self.run.write_trouble(report))
        said = message_of_divergence(self.experiment, self.progress.epoch, error)
        return (
            f"{said} The size of every weight and gradient is in {self.run.trouble_path}; what was saved last is whole."
        )

    def save(self, *, best: dict[str, Any] | None = None, last: bool = False) -> None:
        """Saves now. If the disk refuses, it says so, and the next save tries again.

        best: what else the file of the best weights says of itself; None if these are not the best. last: there will be no next save.
        """
        if best is not None and self.experiment.ranks.first:
            about = self.experiment.about | {"epoch": self.progress.epoch} | best
            self._best = self.experiment.network.arrays(), about  # the network's own, copied only if this save fails
        try:
            self.save_or_raise()
        except OSError as error:
            if self._best is not None:  # to be written later: the next step would move the weights themselves
                weights, about = self._best
                self._best = {name: array.copy() for name, array in weights.items()}, about
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "free some space" if full else "fix that"
            then = (
                "what came after it is lost, and will be done again" if last else f"{remedy}, and the next one will be"
            )
            self.display.say(
                f"CAUTION: the run could not be saved: {system_reason(error)}. The checkpoint before is whole; {then}."
            )
