"""python -m course COMMAND …"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from scratchnet.terminal.command_line import Parser
from scratchnet.terminal.entry_point import answering, own_process

PROGRAM = "python -m course"

COMMANDS = {
    "check": "judge the exercises of a lesson: a .py or .ipynb file, or a folder of them",
    "grade": "judge a class: a folder with a file, or a folder of files, for each student; writes a table",
    "make": "write the edition for students, or the one for teachers, as notebooks and as .py files",
    "prove": "give the judges wrong solutions, each of which they must refuse with its line, and right ones",
    "site": "build the site: documentation, API and lessons",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0 done, 1 its answer is no, 2 it cannot be done as asked, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with answering(" ".join([PROGRAM, *arguments[:1]])) as answer:
        options = command_line(arguments).parse_args(arguments)
        options.arguments = arguments
        answer.code = module_of(options.command).run(options)
    return answer.code


def command_line(arguments: list[str]) -> Parser:
    """The command line. Of the commands only the one that is asked for is imported."""
    parser = Parser(
        prog=PROGRAM, description="The course: fourteen lessons, judged by a machine. COMMAND --help says more."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        command = commands.add_parser(name, help=words, description=words)
        if arguments[:1] == [name]:
            module_of(name).add_options(command)
    return parser


def module_of(command: str) -> Any:
    """A command's module, which has `add_options(parser)` and `run(options)`, which returns the exit code."""
    return import_module(f"course.{command}")


if __name__ == "__main__":
    own_process()
    sys.exit(main())
