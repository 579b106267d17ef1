"""Are the judges right? Wrong solutions must be refused with the line expected, right ones accepted."""

from __future__ import annotations

import argparse
import time
from typing import Any

from course.exercises import EXERCISES
from course.judges import verdict_on
from course.right import SOLUTIONS
from course.wrong import WRONG
from scratchnet.errors import ConfigError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="of the numbers that are tried (default: 1)")
    parser.add_argument("--verbose", action="store_true", help="print what each wrong solution is told")


def run(options: Any) -> int:
    """Prints what is not as it must be, and a summary; returns 0 if there is nothing, else 1."""
    if options.seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {options.seeds}")
    start, problems = time.perf_counter(), []
    for seed in range(options.seeds):
        problems += failures(seed, say=options.verbose and seed == 0)
    for problem in problems:
        print(problem)
    rights = sum(len(ways) for ways in SOLUTIONS.values())
    lacking = [name for name in EXERCISES if not any(wrong.exercise == name for wrong in WRONG)]
    print(
        f"{len(EXERCISES)} exercises, {len(WRONG)} wrong solutions refused with their lines and {rights} right ones accepted, "
        f"{options.seeds} seeds: {len(problems)} exceptions, {time.perf_counter() - start:.1f} s"
    )
    return int(bool(problems or lacking))


def failures(seed: int, *, say: bool = False) -> list[str]:
    """What is not as it must be with this seed, a line each."""
    found = []
    for name, ways in SOLUTIONS.items():
        for way in ways:
            verdict = verdict_on(name, way, seed=seed)
            if not verdict:
                found.append(f"seed {seed}: a right solution, {way.__name__}, is refused: {verdict}")
    for wrong in WRONG:
        verdict = verdict_on(wrong.exercise, wrong.function, seed=seed)
        if say:
            print(f"{wrong.exercise} ({wrong.what}): {verdict.complaint}")
        if verdict:
            found.append(f"seed {seed}: {wrong.exercise} ({wrong.what}) passes")
        elif wrong.line not in verdict.complaint:
            found.append(
                f"seed {seed}: {wrong.exercise} ({wrong.what}) is told: {verdict.complaint}; expected: {wrong.line}"
            )
    return found
