"""Judges the exercises of a file, or of a folder of files, from the shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from course.exercises import EXERCISES
from course.judges import Verdict, verdict_on
from course.judges.verdict import NOT_WRITTEN
from course.lesson_file import SUFFIXES, Lesson, read
from scratchnet import reference
from scratchnet.errors import DataError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("path", type=Path, metavar="FILE|FOLDER", help="a lesson, or a folder of lessons")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the numbers that are tried (default: 0)")


def run(options: Any) -> int:
    """Prints a line for every exercise; returns 0 if all are right, else 1."""
    from unittest import mock  # here, as it loads much that a student's process in `grade` and a lesson have no use for

    right = wrong = unwritten = 0
    files = files_in(options.path)
    with mock.patch("os._exit", _no_exit):  # a file that ends the process would end this without a word
        judged = best_of([(lesson, list(verdicts_on(lesson, options.seed))) for lesson in map(read, files)])
    for lesson, verdicts in judged:
        if len(judged) > 1 and (verdicts or lesson.problems):
            print(f"{lesson.path.relative_to(options.path)}")
        for line in (*lesson.problems, *verdicts):
            print(line)
        right += sum(map(bool, verdicts))
        unwritten += sum(not verdict.written for verdict in verdicts)
        wrong += len(lesson.problems) + sum(not verdict and verdict.written for verdict in verdicts)
    if not right + wrong + unwritten:
        raise DataError(f"{options.path}: defines no exercise; there are {', '.join(EXERCISES)}")
    print(f"{right} right, {wrong} wrong, {unwritten} {NOT_WRITTEN}")
    return int(wrong + unwritten > 0)


def _no_exit(code: int = 0) -> NoReturn:
    raise SystemExit(f"os._exit({code})")


def best_of(lessons: list[tuple[Lesson, list[Verdict]]]) -> list[tuple[Lesson, list[Verdict]]]:
    """The same, but of a .py and an .ipynb of one name only the one in which more is written."""
    best: dict[Path, tuple[Lesson, list[Verdict]]] = {}
    for lesson, verdicts in lessons:
        stem = lesson.path.with_suffix("")
        if stem not in best or _written(verdicts) > _written(best[stem][1]):
            best[stem] = lesson, verdicts
    return list(best.values())


def _written(verdicts: list[Verdict]) -> int:
    return sum(verdict.written for verdict in verdicts)


def files_in(path: Path) -> list[Path]:
    """The lessons that a path stands for. Raises DataError where there are none."""
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith((".", "__")) for part in file.relative_to(path).parts)
    )
    if not files:
        raise DataError(f"{path}: there is no .py and no .ipynb in this folder")
    return files


def verdicts_on(lesson: Lesson, seed: int) -> Iterator[Verdict]:
    """A verdict on each exercise that the file defines, in the lessons' order."""
    for name in EXERCISES:
        if name in lesson.functions:
            yield verdict_in(lesson, name, seed)


def verdict_in(lesson: Lesson, name: str, seed: int) -> Verdict:
    """The verdict on one exercise. Where it calls other exercises, it gets right ones, so that no mistake counts twice.

    max_pool2d_gradient may call max_pool2d: while it is judged, the file's max_pool2d is that of `scratchnet.reference`.
    """
    own = {
        other: lesson.namespace[other]
        for other, exercise in EXERCISES.items()
        if exercise.swaps and other != name and other in lesson.functions
    }
    try:
        lesson.namespace.update({other: getattr(reference, other) for other in own})
        return verdict_on(name, lesson.functions[name], seed=seed)
    finally:
        lesson.namespace.update(own)
