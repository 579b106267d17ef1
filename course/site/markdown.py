"""Docstrings, which are plain text with `code` in them, as Markdown that shows the same."""

from __future__ import annotations

import re
from itertools import pairwise

SPECIAL = re.compile(r"([\\`*_\[\]<>$#~|{}])")

WIDTH = 95  # letters of a line that is full


def prose(text: str) -> str:
    r"""A paragraph of a docstring: what is between backticks is code, everything else stands as it is.

    >>> prose("a * b of `x_1`, (N, *shape) <here>")
    'a \\* b of `x_1`, (N, \\*shape) \\<here\\>'
    """
    pieces = re.split(r"(`[^`\n]+`)", text)
    return "".join(piece if k % 2 else SPECIAL.sub(r"\\\1", piece) for k, piece in enumerate(pieces))


def page_of_docstring(text: str) -> str:
    """A whole docstring: paragraphs, lists, indented blocks, which are shown as they are, and examples.

    >>> print(page_of_docstring("It adds.\\n\\n>>> 1 + 1\\n2\\n"))
    It adds.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    """
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.lstrip().startswith(">>>"):
            parts.append(fenced(block, "pycon"))
        elif all(line.startswith("    ") for line in block.splitlines()):
            parts.append(fenced(block, "text"))
        else:
            parts.append(_paragraph(block.splitlines()))
    return "\n\n".join(parts)


def _paragraph(lines: list[str]) -> str:
    """A line that ends although the next one's first word would have fitted ends on purpose, as equations do."""
    ended = [
        len(line) + len(after.split()[0]) < WIDTH and not after.lstrip().startswith(("- ", "* "))
        for line, after in pairwise(lines)
    ]
    return "\n".join(_line(line) + "\\" * end for line, end in zip(lines, [*ended, False], strict=True))


def fenced(text: str, language: str) -> str:
    """Code in a fence that nothing in it closes."""
    fence = "`" * max(3, max((len(run) + 1 for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _line(line: str) -> str:
    """A line of a paragraph or a list: neither a heading nor a rule nor a numbered list by accident."""
    indent, text = re.match(r"(\s*)(.*)", line).groups()  # type: ignore[union-attr]
    if text.startswith(("- ", "* ")):
        return f"{indent}- {prose(text[2:])}"
    text = prose(text)
    return indent + (f"\\{text}" if re.match(r"[-=+]", text) else re.sub(r"^(\d+)([.)])", r"\1\\\2", text))
