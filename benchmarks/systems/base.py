"""What every system does: get ready for a work, do it some times by the clock, and say how much memory it took."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.work import Work


class System:
    """A framework with the network of the report. A peer fills in `prepare` and `once`.

    threads: how many it may compute with; the worker has set the environment accordingly before anything was imported.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, work: Work) -> None:
        """Builds the network and the data."""
        raise NotImplementedError

    def once(self) -> float:
        """One step on the whole batch: the mean cross-entropy (train), or the first logit (infer). Waits for the end."""
        raise NotImplementedError

    def begin(self, **work: object) -> float:
        """Gets ready for a work, with one step so that everything is compiled; returns the seconds it took."""
        began = time.perf_counter()
        self.prepare(Work(**work))  # type: ignore[arg-type]
        self.once()
        return time.perf_counter() - began

    def learn(self, path: str, steps: int, image_size: int, batch: int) -> None:
        """Trains on the sample by the report's recipe, and keeps the weights: arrays by our names, in our layout."""
        from benchmarks.trained import sample

        images, labels = sample(image_size)
        self.prepare(Work("train", "report", image_size, batch))
        self.set_rate(1e-3)
        rng = np.random.default_rng(0)
        for _ in range(steps):
            chosen = rng.choice(len(images), batch, replace=False)
            self.give(images[chosen], labels[chosen])
            self.once()
        np.savez(path, **self.learnt())

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate; for who can learn."""
        raise NotImplementedError

    def give(self, images: Any, labels: Any) -> None:
        """Images (N, H, W, 3) and labels (N,) for the next step."""
        raise NotImplementedError

    def learnt(self) -> dict[str, Any]:
        """As of now."""
        raise NotImplementedError

    def run(self, steps: int) -> float:
        """Seconds for so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            self.once()
        return time.perf_counter() - began

    def peak(self) -> int | None:
        """The most bytes that this process has had in memory so far; None if the system does not tell."""
        return peak_memory()


def peak_memory() -> int | None:
    """The peak resident memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
