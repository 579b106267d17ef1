"""What every front door does: it prints whatever its streams are, and its errors are one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from scratchnet.command_line import notes, one_line
from scratchnet.errors import ScratchnetError
from scratchnet.signals import end_when_asked
from scratchnet.streams import OutputLost, output_problem, standard_streams


def enter(work: Callable[[], int], name: str, stopped: str = "stopped") -> int:
    """Does the work; returns its exit code, or 2 where it can't be done as asked, or 130 where Ctrl-C has stopped it.

    name: how the door is called, which an error's line begins with. stopped: what is said after Ctrl-C.
    Also from Python, as in a notebook or a thread: the streams are as before when it returns.
    """
    with standard_streams():
        try:
            code = work()
        except OutputLost:
            code = 0
        except (ScratchnetError, OSError) as error:
            print(f"{notes(error)}{name}: {one_line(str(error))}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"{name}: {stopped}", file=sys.stderr)
            return 130
        if problem := output_problem():
            print(f"{name}: {problem}", file=sys.stderr)
            return 2
        return code


def program(main: Callable[[], int]) -> NoReturn:
    """Runs `main` as the program that this process is, and ends with its exit code."""
    _fill_descriptors()
    end_when_asked()
    sys.exit(main())


def _fill_descriptors() -> None:
    """Where a standard stream was closed from the beginning, the next file that is opened would get its number, and whatever
    writes there, such as the HDF5 library's errors, would end up in it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
