"""Ctrl-C, taken politely: the step in hand is finished, the state is saved, and only then does the program end."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

Item = TypeVar("Item")


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Somebody asked the program to stop; raised between two steps, when all state is whole."""


class Interrupt:
    """While the `with` block runs, Ctrl-C (SIGINT) and SIGTERM raise a flag instead of stopping whatever line is being run.

    A second Ctrl-C ends the program at once, as it would without this.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, one by one; raises Interrupted before the next one once a stop was asked for."""
        for item in items:
            self.check()
            yield item
        self.check()

    def check(self) -> None:
        """Raises Interrupted if a stop was asked for."""
        if self.asked:
            raise Interrupted
