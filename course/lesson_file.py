"""The functions of a lesson, of a .py in percent format or of a notebook, without running the lesson.

What is executed: the functions that an exercise asks for, and of the rest of the file only what these need. A name that such a
function uses is looked up at the top level of the file, and every import, `def`, `class` and assignment that binds it is
executed, with what that needs in turn, in the file's order. Everything else stays text: trainings, pictures, calls of `judge`,
loops, conditions. So a lesson that trains for minutes is read in milliseconds, and an import that only a picture needs is not
made. Cells are parsed one by one: a syntax error spoils its own cell.
"""

from __future__ import annotations

import ast
import json
import re
import symtable
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.exercises import EXERCISES
from scratchnet.errors import DataError

Statement = ast.stmt
SUFFIXES = (".py", ".ipynb")

_CELL = re.compile(r"^#\s*%%(?P<rest>.*)$")


@dataclass(frozen=True)
class Cell:
    """A cell of code: its number in the file, counted from 1 with the text cells; its first line in a .py; its source."""

    number: int
    first_line: int
    source: str


@dataclass
class Lesson:
    """What a file holds. functions: the exercises' by name. problems: what is wrong with the file itself, a line each.

    namespace: the names that the functions see. unreadable: the exercises in cells with a syntax error. leaning: for exercises
    that use a module of scratchnet, which: a solution that calls the textbook's is right, and not the student's.
    """

    path: Path
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    leaning: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Lesson:
    """Reads a file, and executes what the exercises in it need.

    Raises DataError for a file that is no .py or .ipynb, or cannot be read as one. What a student's code raises is a problem of
    the lesson, and no error.
    """
    lesson = Lesson(path)
    statements = _parsed(lesson, cells_of(path))
    wanted = _exercises(statements)
    names = lesson.namespace
    names.update(__name__="lesson", __file__=str(path))
    for cell, statement in _needed(statements, set(wanted)):
        _execute(lesson, cell, statement)
    lesson.functions = {name: names[name] for name in wanted if name in names}
    lesson.unreadable = [name for name in lesson.unreadable if name not in lesson.functions]
    for name in wanted:
        modules = _modules(statement for _, statement in _needed(statements, {name}))
        if modules and EXERCISES[name].lesson != 11:  # lesson 11 asks for it
            lesson.leaning[name] = ", ".join(modules)
    return lesson


def _modules(statements: Iterator[Statement]) -> list[str]:
    """The modules of scratchnet, and of the course's right solutions, that the statements import, at their top or inside."""
    found = set()
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module in ("scratchnet", "course")
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if whole else {node.module}
    return sorted(name for name in found if name.startswith(("scratchnet", "course.right")))


def exercises_in(path: Path) -> list[str]:
    """The exercises that a file defines; nothing of it is executed. Raises DataError as `read`."""
    return _exercises(_parsed(Lesson(path), cells_of(path)))


def _exercises(statements: list[tuple[Cell, Statement]]) -> list[str]:
    bound = {name for _, statement in statements for name in _binds(statement)}
    return [name for name in EXERCISES if name in bound]


def cells_of(path: Path) -> list[Cell]:
    """The cells of code of a file. Raises DataError for one that is no lesson."""
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a lesson is a .py or an .ipynb file")
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8 (byte {error.start}): save it as UTF-8") from None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    return list(_notebook_cells(path, text) if path.suffix == ".ipynb" else _percent_cells(text))


def _percent_cells(text: str) -> Iterator[Cell]:
    number, first, lines, code = 1, 1, list[str](), True
    for at, line in enumerate(text.split("\n"), 1):
        mark = _CELL.match(line)
        if mark:
            if code and any(map(str.strip, lines)):
                yield Cell(number, first, "\n".join(lines))
            number += at > 1
            first, lines, code = at + 1, [], not re.search(r"\[(markdown|md|raw)\]", mark["rest"])
        else:
            lines.append(line)
    if code and any(map(str.strip, lines)):
        yield Cell(number, first, "\n".join(lines))


def _notebook_cells(path: Path, text: str) -> Iterator[Cell]:
    """Only the sources are looked at: metadata, outputs and ids may be damaged, or of any version."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no notebook (not JSON: {error}): save it again in Jupyter") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if cells is None and isinstance(notebook, dict):  # as notebooks were until 2015
        sheets = notebook.get("worksheets")
        cells = (
            [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells", [])]
            if isinstance(sheets, list)
            else None
        )
    if not isinstance(cells, list):
        raise DataError(f"{path}: is no notebook: it has no list of cells: save it again in Jupyter")
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", cell.get("input", ""))
            source = "".join(map(str, source)) if isinstance(source, list) else source
            if isinstance(source, str) and source.strip() and not source.lstrip().startswith("%%"):
                yield Cell(number, 1, _without_magics(source))


def _without_magics(source: str) -> str:
    """IPython's own lines, %matplotlib and !pip, turned into `pass`, so that the lines keep their numbers."""
    return re.sub(r"^([ \t]*)[%!][^\n]*$", r"\1pass", source, flags=re.MULTILINE)


def _parsed(lesson: Lesson, cells: list[Cell]) -> list[tuple[Cell, Statement]]:
    statements = []
    for cell in cells:
        try:
            # The cell's lines stand where they do in the file, so that an error's line is the editor's.
            tree = ast.parse("\n" * (cell.first_line - 1) + cell.source, filename=_filename(lesson.path, cell))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            lesson.problems.append(
                f"{_where(lesson.path, cell, line)}: {type(error).__name__}: {getattr(error, 'msg', None) or error}"
            )
            defined = re.findall(r"^def (\w+)", cell.source, re.MULTILINE)
            lesson.unreadable += [name for name in EXERCISES if name in defined and name not in lesson.unreadable]
            continue
        statements += [(cell, statement) for statement in tree.body]
    return statements


def _binds(statement: Statement) -> set[str]:
    """The names that a statement gives a value, if it is of a kind that is executed."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    return set()


def _uses(statement: Statement) -> set[str]:
    """The names that a statement takes from the file's top level; those of a function's own are none."""
    names: set[str] = set()
    tables = [symtable.symtable(ast.unparse(statement), "lesson", "exec")]
    top = tables[0]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        names |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (table is top or s.is_global())}
    return names


def _needed(statements: list[tuple[Cell, Statement]], wanted: set[str]) -> list[tuple[Cell, Statement]]:
    """The statements that the wanted names need: those that bind them, and so on for the names that these use."""
    open_names, known, needed = set(wanted), set[str](), [False] * len(statements)
    while open_names:
        known |= open_names
        found: set[str] = set()
        for at, (_, statement) in enumerate(statements):
            if not needed[at] and ({"*"} | open_names) & _binds(statement):
                needed[at] = True
                found |= _uses(statement)
        open_names = found - known
    return [statement for statement, need in zip(statements, needed, strict=True) if need]


def _execute(lesson: Lesson, cell: Cell, statement: Statement) -> None:
    try:
        code = compile(ast.Module([statement], []), _filename(lesson.path, cell), "exec")
        exec(code, lesson.namespace)  # the student's own code, in the student's own process
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        lesson.problems.append(f"{_where(lesson.path, cell, statement.lineno)}: {type(error).__name__}: {error}")


def _where(path: Path, cell: Cell, line: int | None) -> str:
    """The place of a problem: a .py counts its lines through, a notebook's cells count their own."""
    if path.suffix == ".py" and line:
        return f"line {line}"
    return f"cell {cell.number}" + (f", line {line}" if line else "")


def _filename(path: Path, cell: Cell) -> str:
    """What a traceback calls the place."""
    return f"{path.name}, cell {cell.number}"
