"""From a lesson to its two editions: the teacher's, with solutions, and the student's, without."""

from __future__ import annotations

import re

from course.judges.verdict import NOT_WRITTEN
from scratchnet.errors import DataError

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
EDITIONS = ("student", "teacher")

# Whatever looks like a marker, so that one that is mistyped is an error, and no leak.
_LIKE_A_MARKER = re.compile(r"#\W*(begin|end)\W*solution|solution\W*(begin|end)s?\b", re.IGNORECASE)


def edition(text: str, which: str, name: str) -> str:
    """A lesson's text for "student" or "teacher". In the student's, a stub stands for each solution.

    name: of the lesson, for the errors. Raises DataError for markers that are not in pairs, mistyped, or not alone on a line:
    nothing may stay of a solution because somebody has mistyped its end.
    """
    if which == "teacher":
        solutions_of(text, name)
        return text
    lines: list[str] = []
    for line, inside in _marked(text, name):
        if inside is None:
            if line.strip() == BEGIN:
                indent = line[: len(line) - len(line.lstrip())]
                lines.append(f'{indent}raise NotImplementedError("{NOT_WRITTEN}")' if indent else "# Your turn.")
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def solutions_of(text: str, name: str) -> list[list[str]]:
    """The lines of each solution. Raises what `edition` raises."""
    found: list[list[str]] = []
    for line, inside in _marked(text, name):
        if inside is None and line.strip() == BEGIN:
            found.append([])
        elif inside:
            found[-1].append(line)
    return found


def _marked(text: str, name: str) -> list[tuple[str, bool | None]]:
    """Each line, and whether it is inside a solution; None for a marker."""
    marked: list[tuple[str, bool | None]] = []
    began = 0
    for number, line in enumerate(text.split("\n"), 1):
        word = line.strip()
        if word == (END if began else BEGIN):
            began = 0 if began else number
            marked.append((line, None))
        elif _LIKE_A_MARKER.search(line):
            wanted = f"{END!r}, for the {BEGIN!r} of line {began}" if began else f"{BEGIN!r}"
            raise DataError(f"{name}, line {number}: {word!r} where {wanted} may stand, alone on its line")
        else:
            marked.append((line, bool(began)))
    if began:
        raise DataError(f"{name}, line {began}: {BEGIN!r} without {END!r}")
    return marked
