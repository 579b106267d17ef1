"""Lessons with their outputs: each is run once from top to bottom, and kept until it, or what it may use, changes."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from course.editions import BEGIN, END
from scratchnet.errors import DataError
from scratchnet.extras import require
from scratchnet.storage.files import write_text_atomically

SECONDS = 600  # for a cell
FOLDED = "hide-input"  # what MyST-NB calls a cell whose program is folded away


def lessons_of(root: Path) -> list[Path]:
    """The lessons of a checkout, in the order of their numbers; none where it has no course yet."""
    return sorted((root / "course" / "lessons").glob("[0-9]*.py"))


def executed(lesson: Path, root: Path, cache: Path) -> Any:
    """The notebook of a lesson, with outputs, of this run or of an earlier one with the same programs.

    lesson: in the percent format. root: the checkout, where it runs. cache: a folder of notebooks. Raises DataError, with the
    number of the cell and the error's last line, where it fails, and where it has no output at all.
    """
    nbformat = require("nbformat")
    kept = cache / f"{lesson.stem}-{fingerprint(lesson, root)}.ipynb"
    if kept.is_file():
        return nbformat.read(kept, as_version=4)
    notebook = require("jupytext").read(lesson, fmt="py:percent")
    _fold_solutions(notebook)
    _run(notebook, lesson, root)
    if not any(cell.get("outputs") for cell in notebook.cells):
        raise DataError(f"{lesson.name}: no cell has an output: a lesson shows something")
    _mark_wide_pictures(notebook)
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(f"{lesson.stem}-*.ipynb"):
        old.unlink()
    write_text_atomically(kept, nbformat.writes(notebook))
    return notebook


def fingerprint(lesson: Path, root: Path) -> str:
    """What the outputs depend on: the lesson, the library, the course beside its lessons and its site, Python and NumPy."""
    total = hashlib.sha256(f"{platform.python_version()} {require('numpy').__version__}".encode())
    for path in [lesson, *_programs(root)]:
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _programs(root: Path) -> Iterable[Path]:
    apart = (root / "course" / "lessons", root / "course" / "site", root / "course" / "interactive")
    for folder in ("scratchnet", "course"):
        for path in sorted((root / folder).rglob("*.py")):
            if not any(path.is_relative_to(one) for one in apart):
                yield path


def _run(notebook: Any, lesson: Path, root: Path) -> None:
    """Executes it in place, in a process of its own, which finds the packages of the checkout."""
    client = require("nbclient")
    config = require("traitlets.config").Config()
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    try:
        with tempfile.TemporaryDirectory(prefix="lesson-") as sockets:
            if os.name != "nt":  # sockets in files: without a network, there may be no loopback either
                config.ConnectionFileMixin.transport = "ipc"
                config.ConnectionFileMixin.ip = os.path.join(sockets, "kernel")
            client.NotebookClient(
                notebook,
                timeout=SECONDS,
                kernel_name="python3",
                resources={"metadata": {"path": str(root)}},
                config=config,
            ).execute(env=environment)
    except client.exceptions.CellExecutionError as error:
        number = next((k for k, cell in enumerate(notebook.cells, 1) if _failed(cell)), 0)
        raise DataError(
            f"{lesson.name}: cell {number} fails: {error.ename}: {error.evalue}: run it to see where"
        ) from error
    except client.exceptions.CellTimeoutError as error:
        raise DataError(f"{lesson.name}: a cell has not ended after {SECONDS} seconds") from error


def _failed(cell: Any) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def _fold_solutions(notebook: Any) -> None:
    """Cells that hold a solution are folded away, so that nobody reads it by accident; their markers go."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        kept = [line for line in lines if line.strip() not in (BEGIN, END)]
        if len(kept) < len(lines):
            cell.source = "\n".join(kept)
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), FOLDED]


def _mark_wide_pictures(notebook: Any) -> None:
    """Pictures at least twice as wide as high get the class "wide": on a phone they are scrolled, and not made tiny."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            picture = base64.b64decode(output.get("data", {}).get("image/png", ""))
            if len(picture) > 24 and int.from_bytes(picture[16:20], "big") >= 2 * int.from_bytes(picture[20:24], "big"):
                cell.metadata["mystnb"] = {"image": {"classes": "wide"}}
