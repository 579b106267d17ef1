"""Ctrl-C, handled gracefully: the current step is finished, the state is saved, and only then does the program end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, TypeVar

from scratchnet.ranks import ALONE, Alone
from scratchnet.terminal.signals import handle, restore

Item = TypeVar("Item")


class Interrupted(Exception):  # noqa: N818 - not an error
    """Somebody asked the program to stop; raised between two steps, when all state is whole."""


class Interrupt:
    """While the `with` block runs, Ctrl-C and similar signals set a flag instead of stopping at whatever line is being run.

    A second Ctrl-C ends the process at once, also in the middle of a kernel or a write: files are written whole or not
    at all. A signal that the process was started to ignore (as SIGHUP under nohup) stays ignored. In a thread that is not
    the main one, which no signal reaches, the block runs without it. ranks: all of them stop if one is asked to.
    """

    def __init__(self, ranks: Alone = ALONE) -> None:
        self.ranks = ranks
        self.asked = False
        self._before: Mapping[int, Any] = {}

    def __enter__(self) -> Interrupt:
        self._before = handle(self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        restore(self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.ranks.first:
            return
        with contextlib.suppress(OSError):  # not print: the signal may have come in the middle of a print
            os.write(2, b"\nStopping after this step, and saving. Ctrl-C once more ends at once.\n")

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, one by one; raises Interrupted before the next one once a stop was asked for, on any rank."""
        for item, stop in self.ranks.in_step(items, lambda: self.asked):
            if stop:
                raise Interrupted
            yield item
        self.check()

    def check(self) -> None:
        """Raises Interrupted if a stop was asked for."""
        if self.ranks.any(self.asked):
            raise Interrupted
