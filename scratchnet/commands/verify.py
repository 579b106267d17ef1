"""python -m scratchnet verify PATH: a verdict on every file of a dataset or a run."""

import argparse
from collections import Counter
from pathlib import Path

from scratchnet.terminal.bar import Bar
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.wording import counted
from scratchnet.use.verify import DAMAGED, OK, UNKNOWN, files_below, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="a folder of shards, a run's folder, or one of their files"
    )


def run(options: argparse.Namespace) -> int:
    """Prints a line for each file; returns 1 if one is damaged."""
    counts: Counter[str] = Counter()
    total = sum(path.stat().st_size for path in files_below(options.path) if path.exists())
    inside = options.path if options.path.is_dir() else options.path.parent
    with Bar(total=total, unit="B", unit_scale=True, desc="Checking", disable=None, leave=False) as bar:
        for verdict in verify(options.path, bar.update):
            counts[verdict.state] += 1
            name = verdict.path.relative_to(inside).as_posix()
            Bar.write(f"{verdict.state:<8}  {printable(name)}: {printable(verdict.text)}")
    summary = ", ".join(f"{counts[state]} {state}" for state in (OK, DAMAGED, UNKNOWN) if counts[state])
    print(f"{counted(counts.total(), 'file')}: {summary}")
    return 1 if counts[DAMAGED] else 0
