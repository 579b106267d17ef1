"""What a student has written so far: the functions of the lessons in a folder that their judges call right."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from course.check import verdict_in
from course.exercises import EXERCISES
from course.lesson_file import SUFFIXES, read
from scratchnet.errors import DataError

SWAPPED = tuple(name for name, exercise in EXERCISES.items() if exercise.swaps)
"""The exercises whose functions can stand in the textbook's place."""


def written(folder: Path, names: Iterable[str] = SWAPPED) -> dict[str, Callable[..., Any]]:
    """The right functions of these names in the lessons in `folder`, by name, in the lessons' order.

    Lessons are .py files and notebooks whose names begin with a number of two digits. What is not written yet, or wrong, is
    left out, and so is a file that cannot be read: its own judges say more about it.
    """
    found: dict[str, Callable[..., Any]] = {}
    for path in sorted(path for suffix in SUFFIXES for path in folder.glob(f"[0-9][0-9]_*{suffix}")):
        try:
            lesson = read(path)
        except DataError:
            continue
        found |= {
            name: lesson.functions[name] for name in names if name in lesson.functions and verdict_in(lesson, name, 0)
        }
    return {name: found[name] for name in EXERCISES if name in found}
