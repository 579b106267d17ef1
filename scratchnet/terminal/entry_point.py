"""What every entry point does: it prints to any kind of stream, and its errors are one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scratchnet.errors import ScratchnetError
from scratchnet.terminal.command_line import notes, one_line
from scratchnet.terminal.launcher import is_first, shared_in_vain
from scratchnet.terminal.signals import end_when_asked
from scratchnet.terminal.streams import OutputLost, output_problem, standard_streams
from scratchnet.terminal.system_error import too_long


@dataclass
class Answer:
    """The result of a program: its exit code."""

    code: int = 0


@contextlib.contextmanager
def answering(name: str, stopped: str = "stopped", *, command: str = "") -> Iterator[Answer]:
    """The work of a program, as a `with` block that sets the answer's code; it is 2 if the work cannot be done as
    asked, and 130 if Ctrl-C has stopped it.

    name: what the program is called, which an error's line begins with. stopped: what is said after Ctrl-C. command: "train"
    may be one of several ranks, of which the first prints; what else a launcher has started as several is refused, by SystemExit.
    Also from Python, as in a notebook or a thread: the streams are as before when the block ends.
    """
    answer = Answer()
    with standard_streams(silent=not is_first()):
        if command != "train" and (refusal := shared_in_vain()):
            print(f"{name}: {refusal}", file=sys.stderr)
            raise SystemExit(2)
        try:
            yield answer
        except OutputLost:
            answer.code = 0
        except (ScratchnetError, OSError) as error:
            hint = too_long(error) if isinstance(error, OSError) else ""
            print(f"{notes(error)}{name}: {one_line(f'{error}{hint}')}", file=sys.stderr)
            answer.code = 2
            return
        except KeyboardInterrupt as stop:
            print(f"{name}: {stop.args[0] if stop.args else stopped}", file=sys.stderr)
            answer.code = 130
            return
        if problem := output_problem():
            print(f"{name}: {problem}", file=sys.stderr)
            answer.code = 2


def enter(work: Callable[[], int], name: str, stopped: str = "stopped") -> int:
    """Does the work, which returns an exit code, as `answering` says; returns the exit code."""
    with answering(name, stopped) as answer:
        answer.code = work()
    return answer.code


def own_process() -> None:
    """Prepares this process for a program that it is to run and nothing else: its standard streams, and how it is stopped."""
    _fill_descriptors()
    end_when_asked()


def _fill_descriptors() -> None:
    """If a standard stream was closed from the beginning, the next file that is opened would get its number, and whatever is
    written there, such as the HDF5 library's errors, would end up in that file."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
