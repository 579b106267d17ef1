"""python -m scratchnet compare RUN RUN …: runs side by side."""

import argparse
import contextlib
from pathlib import Path

from scratchnet.commands.shared import require_ending, require_writable
from scratchnet.errors import ConfigError
from scratchnet.pages import Comparison, Results
from scratchnet.storage.files import write_atomically
from scratchnet.terminal.command_line import printable

FORMS = (".html", ".csv", ".png", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the folders of two or more runs")
    parser.add_argument(
        "--out",
        metavar="FILE",
        action="append",
        default=[],
        help="also writes the comparison: .html table and curves, .csv a line a run, .png or .svg the curves; may be given again",
    )


def run(options: argparse.Namespace) -> int:
    """Prints the table, and writes what else was asked for."""
    if len(options.runs) < 2:
        raise ConfigError(f"compare takes two runs or more, got {options.runs[0]}")
    paths = [Path(name) for name in options.out]
    for path in paths:
        require_writable(str(path))
        require_ending(str(path), "--out", FORMS, "a page, a table or the curves")
    with contextlib.ExitStack() as opened:
        comparison = Comparison([opened.enter_context(Results.read(folder)) for folder in options.runs])
        print(comparison.text())
        for path in paths:
            with write_atomically(path) as temporary:
                temporary.write_bytes(_content(comparison, path.suffix.lower()))
            print(f"\n{printable(str(path))}")
    return 0


def _content(comparison: Comparison, suffix: str) -> bytes:
    if suffix == ".html":
        return comparison.html().encode()
    return comparison.csv().encode() if suffix == ".csv" else comparison.plot(suffix[1:])
