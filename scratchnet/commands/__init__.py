"""The commands of `python -m scratchnet`, each in the file of its name; what several of them need, in session and shared.

Each has `add_arguments(parser)`, which describes its command line, and `run(options)`, which returns the exit code. A
command is an entry point, like train.py. It may import everything; only entry points import it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from scratchnet.terminal.command_line import Parser

COMMANDS = {
    "train": "trains the network of the report: as python train.py does",
    "prepare": "images into checked files that training reads: as python -m data_prep does",
    "predict": "the class and the probabilities of images, as CSV or JSON",
    "evaluate": "how good a network is on images whose classes are known, with intervals",
    "calibrate": "how sure a run may be, and where it decides, from its validation images",
    "explain": "what the network sees in an image, and where it decided, as pictures",
    "export": "a network for other programs: ONNX or safetensors",
    "import": "a network from safetensors, written by export or by PyTorch",
    "summary": "a run, a file of weights or a preset: its settings, how far it came, its layers",
    "report": "one page on a run: curves, measures with intervals, mistakes, settings",
    "compare": "runs side by side: settings that differ, measures with intervals, curves",
    "find-rate": "which learning rate: the loss while it climbs",
    "search": "which settings: a grid or random draws, judged on validation subjects",
    "folds": "a cross-validation by subject, with its pooled result",
    "table1": "the report's table 1, run here: its rows under its split and under the honest one",
    "verify": "are these files as they were written: a dataset, a run, a shard, a checkpoint",
}
"""Every command with one line of help, in the order that `python -m scratchnet --help` lists them."""


def load(command: str) -> Any:
    """A command's module. Only that one is imported, so that its answer comes at once."""
    return importlib.import_module(f"scratchnet.commands.{command.replace('-', '_')}")


def parser_of(command: str, name: str) -> Parser:
    """The command line of a program, such as "train.py", that is one command and nothing else."""
    parser = Parser(prog=name)
    add_arguments(command, parser)
    return parser


def add_arguments(command: str, parser: Parser) -> None:
    """All options of a command: its own, and --layers where it may meet a network with layers of a user's own."""
    load(command).add_arguments(parser)
    if command not in ("prepare", "verify", "table1"):
        importlib.import_module("scratchnet.commands.own").add_layers_argument(parser)


def parse(command: str, name: str, arguments: list[str] | None) -> argparse.Namespace:
    """What was given to such a program, with `arguments`: the command and all of it. arguments: None for this process's own."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser_of(command, name).parse_args(given)
    options.arguments = [command, *given]
    return options
