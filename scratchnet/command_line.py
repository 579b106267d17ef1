"""What the command lines share."""

import argparse
from typing import Any, NoReturn


def as_option(name: str) -> str:
    """How a setting is written on the command line.

    >>> as_option("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def printable(text: str) -> str:
    """The text with everything that would disturb a terminal escaped: newlines, control and direction characters, broken Unicode.

    >>> printable("cell\\n1.png")
    'cell\\\\n1.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and whose options are written out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the command line and ends with exit code 2."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")
