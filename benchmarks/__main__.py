"""python -m benchmarks"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.plot import draw
from benchmarks.process import WorkerError
from benchmarks.report import markdown
from benchmarks.sections import SECTIONS
from benchmarks.settings import Settings, processors, say
from benchmarks.systems import PEERS
from scratchnet.errors import ConfigError, DataError
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import Parser
from scratchnet.terminal.entry_point import enter, own_process

DESCRIPTION = """\
Measures scratchnet beside PyTorch and TensorFlow (pip install -e ".[bench]"; a peer that is not installed is left out) and
beside the machine's own limit. Prints a table in Markdown; keeps all figures as JSON and a plot in a folder. It takes
long, and meanwhile the machine should do nothing else; name sections to run a part.
"""

SECTION_HELP = """\
what to measure, all if none is named. steps: training steps of all systems; batches: the same
at one batch for all, that of train.py first; inference: forward passes of all systems; trained:
both from weights that PyTorch has trained by the report's recipe;
limit: our training step by layer, against the machine's sgemm rate; threads: our training step on 1, 2, 4, … threads and on
all; memory: peak memory of a training on batches of 256; start: launch to first step, and compilation; reader: images from
shards and memory, without training; accuracy: the fast path against float64
"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a section failed, 2 it cannot be done as asked, 130 interrupted."""

    def work() -> int:
        options = command_line().parse_args(arguments)
        return show(Path(options.show)) if options.show is not None else measure(options)

    return enter(work, "python -m benchmarks", "stopped; the sections that were finished are kept")


def measure(options: argparse.Namespace) -> int:
    """Runs the sections one after the other; the figures are written after each."""
    settings = settings_of(options)
    wanted = [name for name in SECTIONS if name in options.sections or not options.sections]
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{datetime.now():%Y%m%d-%H%M%S}.json"
    figures: dict[str, Any] = {}
    measurement = {"machine": machine.description(), "settings": asdict(settings), "sections": figures}
    failed = False
    for name in wanted:
        try:
            figures[name] = SECTIONS[name](settings)
        except WorkerError as error:
            print(f"python -m benchmarks: {name} failed: {error}", file=sys.stderr)
            failed = True
        write_text_atomically(path, json.dumps(measurement, indent=1) + "\n")
    say(f"figures kept in {path}")
    present(measurement, path)
    return int(failed)


def show(path: Path) -> int:
    """Prints and draws what was measured before."""
    try:
        measurement = json.loads(path.read_text(encoding="utf-8"))
        present(measurement, path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; --show takes a JSON file of an earlier run") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not what `python -m benchmarks` writes: {error!r}") from None
    return 0


def present(measurement: dict[str, Any], path: Path) -> None:
    """Prints the tables, and draws the plot beside the JSON file."""
    print(markdown(measurement))
    draw(measurement, path.with_suffix(".png"))


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings from the command line. Raises ConfigError for impossible ones."""
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        raise ConfigError(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    peers = () if options.peers == "none" else tuple(options.peers.split(","))
    unknown = [name for name in peers if name not in PEERS]
    if unknown:
        raise ConfigError(f"there is no peer {unknown[0]!r}; there are {', '.join(PEERS)}, or none")
    if not 1 <= options.threads <= processors():
        raise ConfigError(f"--threads must be 1 to {processors()} on this machine, got {options.threads}")
    for name, least in (("rounds", 1), ("batch", 0)):
        if getattr(options, name) < least:
            raise ConfigError(f"--{name} must be at least {least}, got {getattr(options, name)}")
    rounds = 1 if options.tiny else options.rounds
    return Settings(options.threads, rounds, peers, options.batch, options.tiny)


def command_line() -> Parser:
    """The options, with their defaults."""
    p = Parser(prog="python -m benchmarks", description=DESCRIPTION)
    p.add_argument("sections", nargs="*", metavar="SECTION", help=SECTION_HELP)
    threads = min(2, processors())
    p.add_argument(
        "--threads",
        type=int,
        default=threads,
        metavar="N",
        help="of every system, in all sections but threads (default: %(default)s)",
    )
    p.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each system (default: %(default)s)")
    p.add_argument(
        "--peers", default=",".join(PEERS), metavar="A,B", help="beside whom, or none (default: %(default)s)"
    )
    p.add_argument(
        "--batch",
        type=int,
        default=0,
        metavar="N",
        help="images in a step of every system, except for memory (default: 0, each system's best of a few; "
        "32 where only scratchnet is measured)",
    )
    p.add_argument(
        "--out",
        default="benchmarks/results",
        metavar="FOLDER",
        help="for the JSON file and the plot (default: %(default)s)",
    )
    p.add_argument("--tiny", action="store_true", help="small images, one round: to see that everything runs")
    p.add_argument("--show", metavar="FILE", help="print and draw the JSON file of an earlier run; measure nothing")
    return p


if __name__ == "__main__":
    own_process()
    sys.exit(main())
