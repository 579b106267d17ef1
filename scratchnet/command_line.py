"""What the command lines share."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the command line and ends with exit code 2."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")
