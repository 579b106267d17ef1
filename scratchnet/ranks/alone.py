"""What a training needs of the other processes, for one that has none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")


class Alone:
    """One process. `Together` has the same methods for one of several, each of which all ranks must call in the same order.

    rank, size: this one's number, and how many there are. first: whether it is the one that prints, writes and draws.
    """

    rank, size, first = 0, 1, True
    started_by = ""  # what starts as many again, such as "mpiexec -n 4"
    hosts: Sequence[str] = ("this machine",)  # of each rank
    compiles = True  # whether this is the one of its machine that compiles kernels, before the others load them

    def threads(self, asked: int, most: int) -> int:
        """Threads for this rank's kernels: as many as were asked for; else its part of the machine's cores, at most `most`; 0 is all."""
        return asked

    def clock(self, *, fresh: bool = False) -> float:
        """Seconds that all ranks agree on, so that they decide alike what is due. fresh: as of now, and not of the last step."""
        return time.monotonic()

    def in_step(self, items: Iterable[Item], asked: Callable[[], bool]) -> Iterator[tuple[Item, bool]]:
        """The items, each with whether anyone has asked to stop before it. What goes wrong on one rank goes wrong on all."""
        for item in items:
            yield item, asked()

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any rank."""
        return flag

    def on_first(self, work: Callable[[], Any], *, patient: bool = False) -> Any:
        """What the work returns on rank 0, which alone does it; what it raises is raised on all.

        patient: it may take hours. The result is what JSON can hold.
        """
        return work()

    def each(self) -> contextlib.AbstractContextManager[None]:
        """For a block that every rank runs by itself: what one raises all raise at its end, with its rank and host."""
        return contextlib.nullcontext()

    def settle(self, trouble: Exception | None) -> None:
        """Raises on all ranks what has gone wrong on any."""
        if trouble is not None:
            raise trouble

    def collect(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """Every rank's array (n,), in the order of the ranks; all of one dtype, n may differ."""
        return [array]

    def share(self, arrays: dict[str, NDArray[Any]] | None) -> dict[str, NDArray[Any]] | None:
        """Rank 0's arrays by name, on all ranks."""
        return arrays

    def wait(self) -> None:
        """Returns when all ranks have come here, however long it takes."""

    def texts(self, text: str) -> list[str]:
        """Every rank's text, in the order of the ranks."""
        return [text]

    def sums(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over all ranks, in their order, of a row (n,) of numbers."""
        return row


ALONE = Alone()
