"""Tables and sentences for a terminal, in its width: nothing is cut off, and no number is broken in two."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence

from scratchnet.terminal.command_line import printable

LEAST = 40  # columns; a narrower terminal has to break the lines itself
NARROWEST = 8  # letters of a column whose words are broken
GAP = "  "
TIED = "\N{NO-BREAK SPACE}"


def terminal_width() -> int:
    """Columns of the terminal; 80 if the output goes elsewhere; the variable COLUMNS goes first if it is set."""
    return max(LEAST, shutil.get_terminal_size().columns)


def text_table(
    rows: Sequence[Sequence[str]],
    *,
    left: Iterable[int] = (0,),
    together: int = 1,
    beside: bool = False,
    width: int | None = None,
) -> list[str]:
    """The lines of a table whose first row is its head and whose first column says what a row is.

    left: the columns that are aligned left, all others right. together: columns after the first that belong together.
    beside: whether they are to be compared. width: of the terminal (None: ask it).

    A table that is too wide is cut between such groups of columns, and the parts stand below each other, each with the first
    column; if one group alone is too wide, its cells are wrapped. With `beside`, cells are wrapped before the table is cut.

    >>> print("\\n".join(text_table([["", "run a", "run b"], ["accuracy", "71.4 %", "9.2 %"]], width=80)))
               run a  run b
    accuracy  71.4 %  9.2 %
    >>> print("\\n".join(text_table([["", "run a", "run b"], ["accuracy", "71.4 %", "9.2 %"]], width=18)))
               run a
    accuracy  71.4 %
    <BLANKLINE>
              run b
    accuracy  9.2 %
    """
    room = terminal_width() if width is None else width
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    asked = [_longest_word(column) for column in zip(*cells, strict=True)] if beside else widths
    parts: list[list[int]] = [[0]]
    for first in range(1, len(widths), together):
        group = list(range(first, min(first + together, len(widths))))
        if len(parts[-1]) > 1 and _needed([asked[k] for k in [*parts[-1], *group]]) > room:
            parts.append([0])
        parts[-1] += group
    lines: list[str] = []
    to_the_left = set(left)
    for columns in parts:
        fitted = _fitted([[row[k] for row in cells] for k in columns], room)
        lines += [""] if lines else []
        for row in cells:
            lines += _line([row[k] for k in columns], fitted, [k in to_the_left for k in columns])
    return lines


def wrapped(text: str, *, indent: str = "", width: int | None = None) -> list[str]:
    """A sentence in lines that fit the terminal; all but the first begin with the indent.

    >>> wrapped("accuracy of 71.4 % on 49 images", indent="  ", width=18)
    ['accuracy of 71.4 %', '  on 49 images']
    """
    return _cut(printable(text), terminal_width() if width is None else width, indent) or [""]


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _fitted(columns: list[list[str]], room: int) -> list[int]:
    """Widths that fit: the widest column is narrowed first, none below its longest word while another can give way."""
    widths = [max(map(len, column)) for column in columns]
    words = [_longest_word(column) for column in columns]
    while _needed(widths) > room:
        loose = [k for k, width in enumerate(widths) if width > words[k]]
        loose = loose or [k for k, width in enumerate(widths) if width > NARROWEST]
        if not loose:
            break
        widths[max(loose, key=lambda k: widths[k])] -= 1
    return widths


def _longest_word(column: Iterable[str]) -> int:
    """Letters of the longest piece that is not broken."""
    return max((len(word) for cell in column for word in re.split("[ \n]", _tied(cell))), default=0)


def _line(cells: list[str], widths: list[int], left: list[bool]) -> list[str]:
    """One row, in as many lines as its longest cell needs."""
    pieces = [_cut(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, pieces))
    lines = []
    for n in range(height):
        texts = [piece[n] if n < len(piece) else "" for piece in pieces]
        padded = [
            text.ljust(width) if to_left else text.rjust(width)
            for text, width, to_left in zip(texts, widths, left, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines


def _cut(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of that width."""
    if len(text) <= width:
        return [text]
    lines = textwrap.wrap(_tied(text), width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(TIED, " ") for line in lines]


def _tied(text: str) -> str:
    """The text with each number tied to its unit."""
    return re.sub(r"(?<=\d) (?=[%\w])", TIED, text)
