"""python -m scratchnet COMMAND …, or scratchnet COMMAND … where it was installed"""

import sys
from typing import NoReturn

from scratchnet.commands import COMMANDS, add_arguments, load
from scratchnet.terminal.command_line import Parser
from scratchnet.terminal.entry_point import answering, own_process
from scratchnet.terminal.invocation import package


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0 done, 1 the answer is no, 2 it cannot be done as asked, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with answering(" ".join([package(), *arguments[:1]]), command="".join(arguments[:1])) as answer:
        options = command_line(arguments).parse_args(arguments)
        options.arguments = arguments
        answer.code = load(options.command).run(options)
    return answer.code


def console() -> NoReturn:
    """The console script `scratchnet`."""
    own_process()
    sys.exit(main())


def command_line(arguments: list[str]) -> Parser:
    """The command line. Of the commands only the one that is asked for is imported, so that the answer comes at once."""
    parser = Parser(prog=package(), description="Trains a network, and uses it. COMMAND --help says more.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help, description=help)
        if arguments[:1] == [name]:
            add_arguments(name, command)
    return parser


if __name__ == "__main__":
    console()
