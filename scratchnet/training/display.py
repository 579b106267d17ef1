"""What the user sees while a network learns: a progress bar, and a line for each epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterable, Iterator, Sized
from typing import Any, TypeVar

from scratchnet.terminal.bar import Bar
from scratchnet.training.remaining_time import RemainingTime
from scratchnet.training.selection import side_title, sides_of, watched_side

Item = TypeVar("Item", bound=Sized)
BAR = "{desc} {percentage:3.0f}% |{bar:20}| {left} left{postfix}"
STAR = "★"


class Display:
    """One bar for the whole run, and above it one line an epoch. If the output is not a terminal, only the lines.

    total: images that the whole run trains on; done: how many of them are done already. evaluated: images that are
    evaluated after each epoch, one in eight positions counting as eight. metric: what makes an epoch the best. hidden: sides that
    are not shown.
    """

    def __init__(
        self,
        epochs: int,
        total: int,
        done: int = 0,
        *,
        evaluated: int = 0,
        metric: str = "balanced_accuracy",
        hidden: Container[str] = (),
    ) -> None:
        self.epochs, self.metric, self.hidden = epochs, metric, hidden
        self.remaining = RemainingTime(epochs=epochs, trained=total // epochs, evaluated=evaluated, done=done)
        begun, work = self.remaining.work
        quiet = sys.stderr is None or not sys.stderr.isatty()
        self.bar = _Bar(desc="starting", total=work, initial=begun, bar_format=BAR, disable=quiet, leave=False)
        self._name, self._images, self._seconds = "", 0, 0.0
        self._epoch_ended: float | None = None
        self._headed = False

    def start_epoch(self, epoch: int) -> None:
        """Names the epoch, from 0."""
        if self._epoch_ended is not None:
            self.remaining.did("saved", 1, time.perf_counter() - self._epoch_ended)
        self._name, self._images, self._seconds = f"epoch {epoch + 1}/{self.epochs}", 0, 0.0
        self.bar.set_description_str(self._name, refresh=False)

    def step(self, images: int, seconds: float, loss: float) -> None:
        """After each step: how many images it saw, how long it took, and the mean loss of the epoch so far."""
        self._images, self._seconds = self._images + images, self._seconds + seconds
        speed = self._images / self._seconds
        self.bar.set_postfix_str(f"loss {loss:.3f}, {speed:.0f} images/s", refresh=False)
        self._did("trained", images, seconds)

    def evaluating(self, batches: Iterable[Item], side: str, positions: int = 1) -> Iterator[Item]:
        """The batches of an evaluation, one by one, while the bar moves on. positions: in which each image is shown."""
        self.bar.set_description_str(self._name, refresh=False)
        self.bar.set_postfix_str(f"evaluating {side_title(side)}", refresh=False)
        mark = time.perf_counter()
        for batch in batches:
            yield batch
            now = time.perf_counter()
            self._did("evaluated", positions * len(batch), now - mark)
            mark = now
        self._epoch_ended = mark

    def _did(self, kind: str, images: int, seconds: float) -> None:
        self.remaining.did(kind, images, seconds)
        left = self.remaining.seconds
        self.bar.left = "?" if left is None else Bar.format_interval(left)
        self.bar.update(self.remaining.work[0] - self.bar.n)

    def epoch_line(self, row: dict[str, Any], timing: dict[str, float], best: bool) -> None:
        """Loss and accuracy of each side after an epoch; a star at the measure that makes it the best so far."""
        watched = watched_side(row)
        sides = [side for side in sides_of(row) if side not in self.hidden]
        if not self._headed:
            self._headed = True
            self.say("\n".join(line.rstrip() for line in self._heads(sides, watched)))
        cells = [f"epoch {row['epoch']:>3}"]
        for side in sides:
            cells.append("")
            for measure in self._measures(side, watched):
                value = row[f"{side}_{measure}"]
                text = f"{value:.1%}" if measure != "loss" else f"{value:.4f}" if value < 10 else f"{value:.4g}"
                chosen = side == watched and measure == self.metric
                cells.append(f"{text}{(f' {STAR}' if best else '  ') if chosen else ''}".rjust(_width(measure, chosen)))
        self.say(" ".join([*cells, f"{timing['training_images_per_second']:>8.0f}"]))

    def _heads(self, sides: list[str], watched: str) -> tuple[str, str]:
        """The two lines above the first epoch's: the sides, and their measures."""
        above, below = [" " * 9], ["epoch".ljust(9)]
        for side in sides:
            names = [
                {"balanced_accuracy": "balanced"}.get(measure, measure).rjust(
                    _width(measure, side == watched and measure == self.metric)
                )
                for measure in self._measures(side, watched)
            ]
            above += ["", side_title(side).center(len(" ".join(names)))]
            below += ["", *names]
        return " ".join(above), " ".join([*below, "images/s"])

    def _measures(self, side: str, watched: str) -> list[str]:
        """What is shown of a side: loss and accuracy, and for the watched side the metric that makes an epoch the best."""
        more = side == watched and self.metric not in ("loss", "accuracy")
        return ["loss", "accuracy", *([self.metric] if more else [])]

    def say(self, line: str) -> None:
        """A line above the bar."""
        Bar.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Removes the bar."""
        self.bar.close()


def _width(measure: str, chosen: bool) -> int:
    """Of a column, with room for the star in that of the metric."""
    return 8 if measure != "loss" or chosen else 6


class _Bar(Bar):
    """A bar that shows `RemainingTime`. tqdm's own estimate takes all work for alike."""

    left = "?"

    @property
    def format_dict(self) -> dict[str, Any]:
        return {**super().format_dict, "left": self.left}
