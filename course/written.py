"""What a student has written so far: the functions of the lessons in a folder that their judges call right."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.exercises import EXERCISES
from course.judges.verdict import verdict_on


def written(folder: Path) -> dict[str, Callable[..., Any]]:
    """The right functions of the lessons in `folder` that can stand in the textbook's place, by name.

    Of each lesson, .ipynb or else .py, its imports and the functions of its exercises are run, and nothing else. What is
    not written yet, or wrong, is left out, and so is a lesson that cannot be read.
    """
    found = {}
    lessons = {path.stem: path for suffix in ("py", "ipynb") for path in sorted(folder.glob(f"[0-9][0-9]_*.{suffix}"))}
    for path in lessons.values():
        for name, function in _functions(path).items():
            if EXERCISES[name].swaps and verdict_on(name, function):
                found[name] = function
    return found


def _functions(path: Path) -> dict[str, Callable[..., Any]]:
    namespace: dict[str, Any] = {}
    try:
        tree = ast.parse(_code(path))
        kept = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) or _is_exercise(node)]
        exec(compile(ast.Module(kept, []), str(path), "exec"), namespace)
    except Exception:  # half of a lesson is written: whatever is wrong with it, its own judges say it better
        return {}
    return {name: function for name, function in namespace.items() if name in EXERCISES and callable(function)}


def _is_exercise(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name in EXERCISES


def _code(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))
