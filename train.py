"""Trains the report's network: python train.py, and nothing else, on the leukaemia cells that come with the program.

The experiment from top to bottom stands in scratchnet/commands/train.py, the loop in scratchnet/training/loop.py.
"""

import sys

from scratchnet.commands import load, parse
from scratchnet.terminal.entry_point import answering, own_process


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 training has diverged, 2 it cannot be done as asked, 130 interrupted."""
    with answering("train.py", command="train") as answer:
        options = parse("train", "train.py", arguments)
        answer.code = load("train").run(options)
    return answer.code


if __name__ == "__main__":
    own_process()
    sys.exit(main())
