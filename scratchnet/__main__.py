"""python -m scratchnet COMMAND …"""

import importlib
import os
import sys

from scratchnet.command_line import Parser, one_line
from scratchnet.commands import COMMANDS
from scratchnet.errors import ScratchnetError


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0 done, 1 its answer is no, 2 it can't be done as asked, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name must not end the program
    options = command_line(arguments).parse_args(arguments)
    options.arguments = arguments
    try:
        return int(importlib.import_module(f"scratchnet.commands.{options.command}").run(options))
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at the end
        return 0
    except (ScratchnetError, OSError) as error:
        print(f"python -m scratchnet {options.command}: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"python -m scratchnet {options.command}: stopped", file=sys.stderr)
        return 130


def command_line(arguments: list[str]) -> Parser:
    """The command line. Of the commands only the one that is asked for is imported, so that the answer comes at once."""
    parser = Parser(
        prog="python -m scratchnet", description="Uses what train.py has trained. COMMAND --help says more."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help, description=help)
        if arguments[:1] == [name]:
            importlib.import_module(f"scratchnet.commands.{name}").add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
