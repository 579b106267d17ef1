"""Trains the report's network: python train.py, and nothing else, on the leukaemia cells that come with the program.

The experiment from top to bottom stands in scratchnet/commands/train.py, the loop in scratchnet/training/loop.py.
"""

import argparse

from scratchnet.terminal.entry_point import enter_alone, parser_of, program


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 training has diverged, 2 it can't be done as asked, 130 interrupted."""
    return enter_alone("train", "train.py", arguments)


def command_line() -> argparse.ArgumentParser:
    """All options."""
    return parser_of("train", "train.py")


if __name__ == "__main__":
    program(main)
