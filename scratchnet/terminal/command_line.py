"""What the command lines share."""

import argparse
import difflib
import platform
from typing import Any, NoReturn

from scratchnet.version import __version__


def as_option(name: str) -> str:
    """How a setting is written on the command line.

    >>> as_option("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def add_class_labels(parser: Any) -> None:
    """--class-label, which may be given once for each class: a list of texts, empty if it is not given."""
    parser.add_argument(
        "--class-label",
        metavar="CLASS=LABEL",
        action="append",
        default=[],
        help="what people are shown for a class, such as all='leukaemic (ALL)'; once for each class. Folders, tables and "
        "options keep the class's own name",
    )


def printable(text: str) -> str:
    """The text with everything that would disturb a terminal escaped: newlines, control and direction characters, broken Unicode.

    >>> printable("cell\\n1.png")
    'cell\\\\n1.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def one_line(text: str) -> str:
    """An error message for the terminal: printable, with words of hundreds of letters shortened.

    >>> one_line("epochs is " + "9" * 5000)
    'epochs is 9999999999999999…99999999'
    """
    return " ".join(word if len(word) <= 300 else f"{word[:16]}…{word[-8:]}" for word in printable(text).split(" "))


def notes(error: BaseException) -> str:
    """What stands above an error's line: its notes, such as a drawing of folders, printable, each line with its end.

    >>> error = ValueError("no")
    >>> error.add_note("cells/  2\\n  all/  2")
    >>> print(notes(error), end="")
    cells/  2
      all/  2
    """
    written = "\n".join(getattr(error, "__notes__", ()))
    return "".join(printable(line) + "\n" for line in written.splitlines())


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with errors of one line, without abbreviated options, and without empty values.

    passes_on: unknown options are left to its caller, by `parse_known_args`.
    """

    def __init__(self, *, passes_on: bool = False, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.passes_on = passes_on
        version = f"scratchnet {__version__} (Python {platform.python_version()})"
        self.add_argument("--version", action="version", version=version, help="say which version this is, and end")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Also refuses an empty text, which a shell makes of a variable that isn't set; and unknown options, already here, so
        that the message names this command's help and not the whole program's."""
        found, rest = super().parse_known_args(args, namespace)
        if rest and not self.passes_on:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self._meant(rest)}")
        for action in self._actions:
            value = getattr(found, action.dest, None)
            if value == "" or (isinstance(value, list) and "" in value):
                self.error(f"argument {'/'.join(action.option_strings) or action.metavar}: is empty")
        return found, rest

    def _meant(self, rest: list[str]) -> str:
        """Known options similar to the unknown ones, as a question; "" if there are none."""
        shown = [action for action in self._actions if action.help != argparse.SUPPRESS]
        known = [option for action in shown for option in action.option_strings if option.startswith("--")]
        asked = [word.partition("=")[0] for word in rest if word.startswith("--")]
        alike = [match for word in asked for match in difflib.get_close_matches(word, known, n=1)]
        return f" (did you mean {', '.join(dict.fromkeys(alike))}?)" if alike else ""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the command line and ends with exit code 2."""
        self.exit(2, one_line(f"{self.prog}: {message}. See {self.prog} --help.") + "\n")
