"""python -m data_prep SOURCE OUT: scratchnet's command prepare, which stands in scratchnet/commands/prepare.py."""

import sys

from scratchnet.commands import load, parse
from scratchnet.terminal.entry_point import answering, own_process

NAME = "python -m data_prep"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0, 2 if it cannot be done as asked, 130 if interrupted."""
    with answering(NAME) as answer:
        options = parse("prepare", NAME, arguments)
        answer.code = load("prepare").run(options)
    return answer.code


if __name__ == "__main__":
    own_process()
    sys.exit(main())
