"""The settings of all sections: how many threads, how long, beside whom."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from benchmarks.systems import PEERS
from benchmarks.work import BATCHES


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """threads: of every system. rounds: turns that each system has. batch: images in a step; 0 lets each system have its best.

    tiny: sizes at which everything runs within seconds and no figure means anything.
    """

    threads: int = 2
    rounds: int = 7
    peers: tuple[str, ...] = PEERS
    batch: int = 0
    tiny: bool = False

    @property
    def systems(self) -> tuple[str, ...]:
        """Ours first, then the peers."""
        return ("scratchnet", *self.peers)

    @property
    def turn_seconds(self) -> float:
        """How long a system computes when it is its turn."""
        return 0.0 if self.tiny else 3.0

    def size(self, image_size: int) -> int:
        """The height and width that stand for image_size."""
        return 32 if self.tiny else image_size

    def batches(self, image_size: int) -> tuple[int, ...]:
        """The batches to try for images of this size."""
        if self.batch:
            return (self.batch,)
        return (2, 4) if self.tiny else BATCHES[image_size]

    def usual_batch(self) -> int:
        """The batch where none is searched for."""
        return self.batch or (4 if self.tiny else 32)


def say(what: str) -> None:
    """A line of progress."""
    print(f"… {what}", file=sys.stderr, flush=True)
