"""Requests to end that come from outside: Ctrl-C, `kill`, a terminal that was closed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn

# Ctrl-C, a request to end, a terminal that was closed, Ctrl-Break, and Slurm's warning that a job's time is nearly up: those
# of them that the system has.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGUSR1")
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]

Handler = Callable[[int, FrameType | None], Any]


def handle(handler: Handler, numbers: list[int] = SIGNALS) -> Mapping[int, Any]:
    """Gives these signals to the handler; returns what handled them before, for `restore`.

    A signal that the process was started to ignore (as SIGHUP under nohup) stays ignored, and one that another library handles
    below Python stays with it. Only the main thread may set handlers: in another one nothing is changed.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is not threading.main_thread():
        return before
    for number in numbers:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            with contextlib.suppress(ValueError):  # the main thread of an interpreter within another
                before[number] = signal.signal(number, handler)
    return before


def restore(before: Mapping[int, Any]) -> None:
    """Puts the handlers back that `handle` has replaced."""
    for number, handler in before.items():
        signal.signal(number, handler)


def end_when_asked() -> None:
    """While there is nothing to save, all of them but Ctrl-C, which raises KeyboardInterrupt, end the program like it: with
    nothing left behind, and 128 plus the signal's number as exit code."""
    handle(_end, [number for number in SIGNALS if number != signal.SIGINT])


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
