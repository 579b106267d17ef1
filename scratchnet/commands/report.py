"""python -m scratchnet report RUN: one page on a run, of its last weights or of its best."""

import argparse
from pathlib import Path

from scratchnet.commands.shared import require_ending, require_writable
from scratchnet.drawing.plots import require_plots
from scratchnet.pages import Results, report_page
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import add_class_labels, printable
from scratchnet.training import Run
from scratchnet.use.predictor import WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="last",
        help="of which epoch: the last, or the best, whose test images are evaluated again (last)",
    )
    parser.add_argument(
        "--out", metavar="FILE.html", help="where to write it (report.html, or report-best.html, in the run's folder)"
    )
    add_class_labels(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the page and says where it is."""
    require_writable(options.out)
    require_ending(options.out, "--out", (".html", ".htm"), "a page (HTML)")
    require_plots()  # before the work, not after it
    with Results.read(options.run, options.weights, options.class_label) as results:
        page = Run(results.folder).report_path
        path = Path(options.out) if options.out else page
        if options.weights == "best" and not options.out:
            path = page.with_name("report-best.html")
        write_text_atomically(path, report_page(results))
        if results.scores:
            print("\n".join(map(printable, results.scores.table().splitlines())))
    print(f"\n{printable(str(path))}")
    return 0
