"""What the command lines share."""

import argparse
from typing import Any, NoReturn


def as_option(name: str) -> str:
    """How a setting is written on the command line.

    >>> as_option("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and whose options are written out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the command line and ends with exit code 2."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")
