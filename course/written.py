"""What a student has written so far: the functions of the lessons in a folder that their judges call right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.check import verdicts_on
from course.exercises import EXERCISES
from course.lesson_file import SUFFIXES, read
from scratchnet.errors import DataError


def written(folder: Path) -> dict[str, Callable[..., Any]]:
    """The right functions of the lessons in `folder` that can stand in the textbook's place, by name.

    Lessons are .py files and notebooks whose names begin with a number of two digits. What is not written yet, or wrong, is
    left out, and so is a file that cannot be read: its own judges say more about it.
    """
    found: dict[str, Callable[..., Any]] = {}
    for path in sorted(path for suffix in SUFFIXES for path in folder.glob(f"[0-9][0-9]_*{suffix}")):
        try:
            lesson = read(path)
        except DataError:
            continue
        right = [verdict.name for verdict in verdicts_on(lesson, seed=0) if verdict]
        found |= {name: lesson.functions[name] for name in right if EXERCISES[name].swaps}
    return {name: found[name] for name in EXERCISES if name in found}
