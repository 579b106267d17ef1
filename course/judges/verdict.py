"""The verdict on a function: right, wrong and how, or not written yet."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

import scratchnet
from course import broken, diagnose
from course.exercises import EXERCISES
from course.judges.comparison import NOTE
from scratchnet.errors import ConfigError
from scratchnet.terminal.command_line import one_line

NOT_WRITTEN = "not written yet"

# Where each judge stands; it has the name of its exercise.
_JUDGES = {
    "images": ("standardise",),
    "convolution": ("conv2d", "conv2d_gradient"),
    "slopes": ("slope", "relu_gradient", "dense_gradient"),
    "checkers": ("check",),
    "pooling": ("max_pool2d", "max_pool2d_gradient"),
    "loss": ("softmax_cross_entropy", "softmax_cross_entropy_gradient"),
    "start": ("xavier_uniform",),
    "moving": ("adam", "adam_step"),
    "masks": ("dropout",),
    "training": ("train_step", "accuracy"),
    "patients": ("split_subjects", "interval"),
    "products": ("im2col", "winograd_f23", "winograd_f23_adjoint"),
    "workers": ("combine",),
}


_OURS = (
    *(os.path.join(os.path.dirname(os.path.abspath(str(file))), "") for file in (__file__, scratchnet.__file__)),
    *(os.path.abspath(str(module.__file__)) for module in (broken, diagnose)),
)


@dataclass(frozen=True)
class Verdict:
    """What was found. complaint: "" where the function is right. In a condition it is True where the function is right."""

    name: str
    complaint: str

    def __bool__(self) -> bool:
        return not self.complaint

    def __str__(self) -> str:
        return f"{self.name}: {self.complaint or 'right'}"

    @property
    def written(self) -> bool:
        """Whether there is anything to judge."""
        return self.complaint != NOT_WRITTEN

    def _ipython_display_(self) -> None:
        """A notebook shows what a cell ends with; here the line has been printed already."""


def judge(name: str, function: Callable[..., Any], *, seed: int = 0) -> Verdict:
    """Prints what is wrong with a function of yours, one line, or that it is right; returns the verdict.

    name: of an exercise, such as "conv2d". seed: of the numbers that it is tried with.
    Raises ConfigError for a name that is no exercise's.

    >>> verdict = judge("relu_gradient", lambda x, dy: dy * (x >= 0))
    relu_gradient: at x = 0 there is no derivative, and dx is 0 there: x > 0 and not x ≥ 0; for x 3×4×2, dy 3×4×2
    >>> bool(verdict)
    False
    """
    verdict = verdict_on(name, function, seed=seed)
    print(verdict)
    return verdict


def verdict_on(name: str, function: Callable[..., Any], *, seed: int = 0) -> Verdict:
    """What `judge` finds; prints nothing. Whatever the function raises, or warns of, is a complaint or is none."""
    if name not in EXERCISES:
        raise ConfigError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    if not callable(function):
        return Verdict(name, f"is no function, but {type(function).__name__}")
    module = next(module for module, names in _JUDGES.items() if name in names)
    find = getattr(import_module(f"course.judges.{module}"), name)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            complaint = find(function, seed)
        except NotImplementedError:
            complaint = NOT_WRITTEN
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a student's function may raise, SystemExit too
            complaint = raised(error)
    if complaint and is_empty(function):
        complaint = NOT_WRITTEN
    return Verdict(name, one_line(complaint))


def raised(error: BaseException) -> str:
    """An exception as a complaint: what it says, the last line of the student's that it came through, and the case."""
    said = next(filter(None, map(str.strip, str(error).splitlines())), "")
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _ours(frame.filename)]
    if frames:
        line += f" (line {frames[-1].lineno} in {frames[-1].name})"
    case = next((note for note in getattr(error, "__notes__", ()) if note.startswith(NOTE)), "")
    return f"{line}; {case}" if case else line


def _ours(file: str) -> bool:
    """Whether a file is the judges', with the mistakes that they know, the package's or a library's.

    A clone may be called scratchnet, and hold a student's file.
    """
    return os.path.abspath(file).startswith(_OURS) or "site-packages" in file or file.startswith("<__array")


def is_empty(function: Callable[..., Any]) -> bool:
    """Whether a function has nothing but a docstring, `pass` or `...` in its body."""
    code = getattr(function, "__code__", None)
    empty = [_nothing.__code__, _documented.__code__]
    if code is None or not all(constant is None or constant == function.__doc__ for constant in code.co_consts):
        return False
    return any(code.co_code == other.co_code and not code.co_names for other in empty)


def _nothing() -> None:
    pass


def _documented() -> None:
    """Only this."""
