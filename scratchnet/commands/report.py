"""python -m scratchnet report RUN: one page on a run."""

import argparse
from pathlib import Path

from scratchnet.command_line import printable
from scratchnet.files import write_text_atomically
from scratchnet.report import Results, report_page
from scratchnet.training import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("--out", metavar="FILE.html", help="where to write it (report.html in the run's folder)")


def run(options: argparse.Namespace) -> int:
    """Writes the page and says where it is."""
    with Results.read(options.run) as results:
        path = Path(options.out) if options.out else Run(results.folder).report_path
        write_text_atomically(path, report_page(results))
        if results.scores:
            print(results.scores.table())
    print(f"\n{printable(str(path))}")
    return 0
