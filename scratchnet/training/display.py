"""What a person sees while a network learns: a bar that moves, and a line for each epoch."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

BAR = "{desc} {percentage:3.0f}% |{bar:20}| {remaining} left{postfix}"


class Display:
    """One bar for the whole run, and above it one line an epoch. Where the output is no terminal there are the lines alone.

    total: images that the whole run trains on; done: how many of them are behind already.
    """

    def __init__(self, epochs: int, total: int, done: int = 0) -> None:
        self.epochs = epochs
        quiet = sys.stderr is None or not sys.stderr.isatty()
        self.bar = tqdm(desc="starting", total=total, initial=done, bar_format=BAR, disable=quiet, leave=False)
        self._name, self._images, self._seconds = "", 0, 0.0

    def start_epoch(self, epoch: int) -> None:
        """Names the epoch, from 0."""
        self._name, self._images, self._seconds = f"epoch {epoch + 1}/{self.epochs}", 0, 0.0
        self.bar.set_description_str(self._name, refresh=False)

    def step(self, images: int, seconds: float, loss: float) -> None:
        """After each step: how many images it saw, how long it took, and the mean loss of the epoch so far."""
        self._images, self._seconds = self._images + images, self._seconds + seconds
        speed = self._images / self._seconds
        self.bar.set_postfix_str(f"loss {loss:.3f}, {speed:.0f} images/s", refresh=False)
        self.bar.update(images)

    def evaluating(self) -> None:
        """The epoch's training is over, the evaluation begins."""
        self.bar.set_description_str(f"evaluating {self._name}")

    def epoch_line(self, row: dict[str, Any], timing: dict[str, float], best: bool) -> None:
        """Loss and accuracy of each side after an epoch; a star where it is the best so far."""
        sides = [side for side in ("train", "validation", "test") if f"{side}_loss" in row]
        numbers = "  ".join(f"{side} {row[f'{side}_loss']:.4f} {row[f'{side}_accuracy']:6.1%}" for side in sides)
        self.say(
            f"epoch {row['epoch']:>3}  {numbers}  {'★' if best else ' '} "
            f"{timing['training_images_per_second']:.0f} images/s"
        )

    def say(self, line: str) -> None:
        """A line above the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Takes the bar away."""
        self.bar.close()
