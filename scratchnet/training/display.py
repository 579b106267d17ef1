"""What a person sees while a network learns: a bar that moves, and a line for each epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

BAR = "{desc} {percentage:3.0f}% |{bar:20}| {remaining} left{postfix}"


class Display:
    """One bar for the whole run, and above it one line an epoch. Where the output is no terminal there are the lines alone.

    total: images that the whole run trains on; done: how many of them are behind already.
    """

    def __init__(self, epochs: int, total: int, done: int = 0) -> None:
        self.epochs = epochs
        quiet = not sys.stderr.isatty()
        self.bar = tqdm(desc="starting", total=total, initial=done, bar_format=BAR, disable=quiet, leave=False)
        self._images, self._seconds, self._mark = 0, 0.0, time.perf_counter()

    def start_epoch(self, epoch: int) -> None:
        """Names the epoch, from 0, and starts its clock."""
        self.bar.set_description_str(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        self._images, self._seconds, self._mark = 0, 0.0, time.perf_counter()

    def step(self, images: int, loss: float) -> None:
        """After each step: how many images it saw, and the mean loss of the epoch so far."""
        now = time.perf_counter()
        self._images, self._seconds, self._mark = self._images + images, self._seconds + now - self._mark, now
        self.bar.set_postfix_str(f"loss {loss:.3f}, {self.images_per_second:.0f} images/s", refresh=False)
        self.bar.update(images)

    def evaluating(self) -> None:
        """The epoch's training is over, the evaluation begins; its time doesn't count as training."""
        self.bar.set_description_str(f"evaluating {self.bar.desc.strip()}")

    @property
    def images_per_second(self) -> float:
        """Training speed of this epoch."""
        return self._images / self._seconds if self._seconds > 0 else 0.0

    def epoch_line(self, row: dict[str, Any], best: bool) -> None:
        """Train and test loss and accuracy of an epoch; a star where the test accuracy is the best so far."""
        self.say(
            f"epoch {row['epoch']:>3}  train loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:6.1%}   "
            f"test loss {row['test_loss']:.4f}  accuracy {row['test_accuracy']:6.1%}  {'★' if best else ' '} "
            f"{self.images_per_second:.0f} images/s"
        )

    def say(self, line: str) -> None:
        """A line above the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Takes the bar away."""
        self.bar.close()
