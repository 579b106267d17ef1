"""Writes an edition of the course: each lesson as a .py file and as a notebook."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from course.editions import EDITIONS, edition
from course.judges.verdict import NOT_WRITTEN
from scratchnet.errors import DataError
from scratchnet.extras import require, using
from scratchnet.storage.files import write_text_atomically

LESSONS = Path(__file__).parent / "lessons"

BEGIN_HERE = f"""# How to begin

Each lesson is here twice: as a notebook, `01_….ipynb`, and as a plain file, `01_….py`. Take the one that you like better; write in
one of them only. Begin with lesson 1.

**In a notebook:** `jupyter lab`, and open `01_….ipynb`. Run the cells from the top. Pictures stand below their cells.

**In an editor:** write in `01_….py`, and run it in a shell (put the lesson's own name for `NN`):

```sh
python NN.py --pictures FOLDER
```

The pictures are written to FOLDER; without `--pictures FOLDER` there are none.

**What to write.** Where `raise NotImplementedError("{NOT_WRITTEN}")` stands, write the function in its place. Until you have, a
lesson ends there, with NotImplementedError: that is as it should be, for what follows uses your function. The line `judge(…)` below
it says in one line what is wrong, or "right". Some steps further down need a function that is right: they end with "first make the
judge say right".

**To judge a file without running the lesson:**

```sh
python -m course check NN.py
```

It takes a notebook as well, and a folder. `python` is the one that scratchnet is installed for.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("edition", choices=EDITIONS, help="student: a stub for each solution; teacher: with solutions")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to; files that are there stay")


def run(options: Any) -> int:
    """Writes the edition; returns 0."""
    files = make(options.edition, options.out)
    print(f"{len(files)} files of the {options.edition}'s edition written to {options.out}")
    if options.edition == "student":
        print(
            f"How to begin stands in {options.out / 'README.md'}; python NN_NAME.py --pictures FOLDER keeps a lesson's pictures"
        )
    return 0


def make(which: str, out: Path, lessons: Path = LESSONS) -> list[Path]:
    """Writes every lesson's edition to `out`, 01_name.py and 01_name.ipynb, and returns the files. Students get a README.md too.

    Everything is made before anything is written, and a file that is there is never overwritten: it may hold a student's work.
    Raises MissingExtraError without jupytext, and DataError where a file is there, or a solution's markers are not in order.
    """
    jupytext = require("jupytext")
    sources = sorted(lessons.glob("[0-9][0-9]_*.py"))
    if not sources:
        raise DataError(f"{lessons}: there are no lessons")
    texts: dict[Path, str] = {out / "README.md": BEGIN_HERE} if which == "student" else {}
    for source in sources:
        text = edition(source.read_text(encoding="utf-8"), which, source.name)
        texts[out / source.name] = text
        texts[out / f"{source.stem}.ipynb"] = notebook(jupytext, text)
    there = [path for path in texts if path.exists()]
    if there:
        raise DataError(f"{there[0]}: is there already, and may hold somebody's work: give another folder")
    out.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        write_text_atomically(path, text)
    return list(texts)


def notebook(jupytext: Any, text: str) -> str:
    """A lesson as an .ipynb without outputs. The same text gives the same bytes: ids are counted, not drawn at random."""
    with using("jupytext", writes=False):
        held = json.loads(jupytext.writes(jupytext.reads(text, fmt="py:percent"), fmt="ipynb"))
    for number, cell in enumerate(held["cells"], 1):
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    held["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return json.dumps(held, indent=1, ensure_ascii=False) + "\n"
