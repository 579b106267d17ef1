"""python -m data_prep SOURCE OUT: scratchnet's command prepare, which stands in scratchnet/commands/prepare.py."""

import argparse

from scratchnet.terminal.entry_point import enter_alone, parser_of, program


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0, 2 if it cannot be done as asked, 130 if interrupted."""
    return enter_alone("prepare", "python -m data_prep", arguments)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return parser_of("prepare", "python -m data_prep")


if __name__ == "__main__":
    program(main)
