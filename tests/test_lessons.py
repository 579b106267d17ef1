"""The lessons of the course: their form, their exercises, and that each runs, alone, in time, and as it says."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course.check import verdicts_on
from course.exercises import of_lesson
from course.lesson_file import read
from course.right import SOLUTIONS
from course.site.mathematics import mathml
from course.written import written

ROOT = Path(__file__).resolve().parents[1]
FILES = {int(path.name[:2]): path for path in sorted((ROOT / "course" / "lessons").glob("[0-9][0-9]_*.py"))}
TEXTS = {number: path.read_text(encoding="utf-8") for number, path in FILES.items()}
QUICK = (1, 6)  # run by the default suite; the others with -m slow
SECONDS = {11: 60, 13: 60}  # of the processor, warm; 10 for all others
each_lesson = pytest.mark.parametrize("number", FILES)


def prose(number):
    """The text of a lesson, without its code: what stands in its markdown cells."""
    cells = re.split(r"^# %%", TEXTS[number], flags=re.MULTILINE)[1:]
    text = "".join(cell.removeprefix(" [markdown]\n") for cell in cells if cell.startswith(" [markdown]"))
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE)


def functions(number):
    return {node.name: node for node in ast.parse(TEXTS[number]).body if isinstance(node, ast.FunctionDef)}


@each_lesson
def test_form(number):
    text, said = TEXTS[number], prose(number)
    assert text.startswith(f"# %% [markdown]\n# # {number} · "), "the number and the question are the title"
    assert said.partition("\n")[0].endswith("?")
    for head in ("**Question.**", "**You write**", "**Time**", "**You need**"):
        assert " ".join(said.split()).count(head) == 1, head
    for part in ("## Break it", "## What comes next", "**Sources.**"):
        assert said.count(part) == 1, part
    assert said.index("## Exercise") < said.index("## Break it") < said.index("## What comes next")
    assert "Goodfellow, Bengio & Courville 2016" in " ".join(said.partition("**Sources.**")[2].split())
    assert "pictures.show(" in text
    assert re.search(r"\bcells\(\d+\)", text), "real cells"
    assert not [line for line in text.splitlines() if line.startswith("#") and line.count("$") % 2], (
        "formulas keep to a line"
    )
    assert not re.search(r"^#.* $", text, re.MULTILINE), "no spaces at the end of a line"
    assert [len(line) for line in text.splitlines() if len(line) > 140] == []


@each_lesson
def test_exercises_stand_in_their_lesson_as_the_table_has_them(number):
    """Each is defined once, with its docstring outside of the solution, and judged at once."""
    text, found = TEXTS[number], functions(number)
    for exercise in of_lesson(number):
        node = found[exercise.name]
        expected = ast.parse(f"def f{exercise.signature}: pass").body[0].args
        assert ast.unparse(node.args) == ast.unparse(expected), exercise.name
        lines = text.splitlines()[node.lineno - 1 : node.end_lineno + 2]
        marks = [line.strip() for line in lines if "SOLUTION" in line]
        assert marks == ["# BEGIN SOLUTION", "# END SOLUTION"], exercise.name
        assert ast.get_docstring(node), exercise.name
        begin = next(i for i, line in enumerate(lines) if "BEGIN SOLUTION" in line)
        assert node.body[1].lineno > node.lineno + begin, f"{exercise.name}: code before the solution"
        assert f'judge("{exercise.name}", {exercise.name})' in text
        assert f"`{exercise.name}" in prose(number)
    assert of_lesson(number)
    assert text.count("BEGIN SOLUTION") == text.count("END SOLUTION") == len(of_lesson(number))


@each_lesson
def test_the_site_can_read_every_formula(number):
    pytest.importorskip("math_core")
    found = re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", prose(number), re.DOTALL)
    for block, inline in found:
        assert "</math>" in mathml(block or inline, block=bool(block))
    assert found or number == 11


@each_lesson
def test_solutions_are_right(number):
    lesson = read(FILES[number])
    assert lesson.problems == []
    assert [str(verdict) for verdict in verdicts_on(lesson, seed=1)] == [f"{e.name}: right" for e in of_lesson(number)]


@each_lesson
def test_lessons_know_nothing_of_each_other(number):
    """What an earlier lesson made is taken from the textbook; so a lesson works when all others are missing."""
    for node in ast.walk(ast.parse(TEXTS[number])):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in modules if "lessons" in name]
        if number <= 10:
            assert not [name for name in modules if re.match(r"numba|scratchnet\.(nn|kernels|use|training)", name)]
    assert not re.search(r"import scratchnet as|from scratchnet import (?!reference)", TEXTS[number]) or number > 7


@pytest.fixture(scope="session")
def fonts(tmp_path_factory):
    """A folder in which Matplotlib keeps its list of fonts: that of this machine may be of another installation."""
    return tmp_path_factory.mktemp("matplotlib")


@pytest.mark.parametrize(
    "number", [number if number in QUICK else pytest.param(number, marks=pytest.mark.slow) for number in FILES]
)
def test_runs(number, tmp_path, fonts):
    """Alone in an empty folder, with warnings as errors, in the time that it has; its pictures are written where asked for."""
    pytest.importorskip("matplotlib")
    lesson = tmp_path / FILES[number].name
    lesson.write_text(TEXTS[number], encoding="utf-8")
    pictures = tmp_path / "pictures"
    code = "import runpy, sys, time; runpy.run_path(sys.argv[1], run_name='__main__'); "
    code += "print(time.process_time(), 'numba' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "MPLCONFIGDIR": str(fonts)}
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(lesson), "--pictures", str(pictures)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    *said, last = answer.stdout.splitlines()
    for exercise in of_lesson(number):
        assert f"{exercise.name}: right" in said
    seconds, numba = last.split()
    assert (
        float(seconds) < SECONDS.get(number, 10) + 5
    )  # kernels may still have to be compiled, and cells to be decoded
    assert number > 10 or numba == "False"
    assert [path.suffix for path in pictures.iterdir()] == [".png"] * TEXTS[number].count("pictures.show(")


@pytest.mark.parametrize(
    "number", [number if number == 4 else pytest.param(number, marks=pytest.mark.slow) for number in FILES]
)
def test_runs_with_right_solutions_written_in_other_ways(number):
    """What a lesson says after its exercises holds for whatever its judges call right."""
    pytest.importorskip("matplotlib")
    ways = max(len(SOLUTIONS[exercise.name]) for exercise in of_lesson(number))
    for way in range(ways):
        tree, namespace = ast.parse(TEXTS[number]), {"__name__": "lesson"}
        for exercise in of_lesson(number):
            solutions = SOLUTIONS[exercise.name]
            namespace[f"other_{exercise.name}"] = solutions[min(way, len(solutions) - 1)]
            at = next(i for i, n in enumerate(tree.body) if isinstance(n, ast.FunctionDef) and n.name == exercise.name)
            tree.body[at] = ast.parse(f"{exercise.name} = other_{exercise.name}").body[0]
        exec(compile(tree, str(FILES[number]), "exec"), namespace)


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["--pictures", "p"], "p"), (["--pictures=p"], "p"), ([], None),
        (["--pictures"], 2), (["--pictures="], 2), (["--picture", "p"], 2), (["--pictures", "--pictures"], 2),
    ],
)  # fmt: skip
def test_a_mistyped_option_for_pictures_is_said(arguments, folder, monkeypatch, capsys):
    from course import pictures

    monkeypatch.setattr(sys, "argv", ["01_pixels.py", *arguments])
    if folder != 2:
        assert pictures._folder() == (folder and Path(folder))
        return
    with pytest.raises(SystemExit, match="2"):
        pictures._folder()
    assert capsys.readouterr().err.endswith(": name a folder: --pictures FOLDER\n")


def test_no_lesson_prints_the_loop_of_a_later_one():
    """Mistakes are shown by name: what is a right solution but for a sign would be the answer."""
    for number in FILES:
        said = re.sub(r"# BEGIN SOLUTION.*?# END SOLUTION", "", TEXTS[number], flags=re.DOTALL)
        for answer in ("dy[n, i, j, c]", "unravel_index", "dy @ weight[u, v].T\n", "rng.random(x.shape) >="):
            assert answer not in said, (number, answer)


@pytest.mark.parametrize("kind", ["py", "ipynb"])
def test_what_is_written_so_far_is_found(kind, tmp_path):
    """Lesson 11 takes the functions that are right; one that is wrong, not written, or of a later lesson, is the textbook's."""
    sources = {
        "02_a": "import numpy as np\n%matplotlib inline\nprint(1 / 0)\n"
        "def conv2d(x, weight, bias, stride):\n    raise NotImplementedError",
        "03_b": "def relu_gradient(x, dy):\n    return dy * (x > 0)\n"
        "def dense_gradient(x, weight, dy):\n    return dy @ weight.T, x.T @ dy, dy.mean(axis=0)",
        "06_c": "def max_pool2d(x, size, stride) return x",
        "10_d": "def dropout(x, rate, rng, training):\n    return x, x == x",
    }
    for name, source in sources.items():
        if kind == "ipynb":
            text = json.dumps(
                {
                    "cells": [
                        {"cell_type": "markdown", "source": ["# 1"]},
                        {"cell_type": "code", "source": source.splitlines(True)},
                    ]
                }
            )
        else:
            text = source.replace("%matplotlib inline\n", "")
        (tmp_path / f"{name}.{kind}").write_text(text, encoding="utf-8")
    found = written(tmp_path)
    assert list(found) == ["relu_gradient"]
    assert found["relu_gradient"](np.array([-1.0, 2.0]), np.ones(2)).tolist() == [0, 1]


def test_lesson_4_counts_its_broken_layers():
    from course.judges.checkers import BROKEN

    said, words = " ".join(prose(4).split()), {10: "ten", 15: "fifteen"}
    assert f"the judge has {words[len(BROKEN)]} broken layers for it, and this lesson shows you ten" in said
    assert len(re.findall(r'^    "[\w ]+: .+": (?:dense|relu|conv|pool)\(', TEXTS[4], re.MULTILINE)) == 10


def test_the_readme_lists_every_lesson():
    readme = (ROOT / "course" / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == len(FILES) == 14
    for (number, path), row in zip(FILES.items(), rows, strict=True):
        title = re.search(r"# # \d+ · (.+)", TEXTS[number])[1]
        assert row.startswith(f"| {number} | [{title}](lessons/{path.name}) | ")
        minutes = re.search(r"Time\*\* (\d+)", " ".join(prose(number).split()))[1]
        assert row.endswith(f" | {minutes} |")
        for exercise in of_lesson(number)[:1]:
            assert f"`{exercise.name}`" in row
