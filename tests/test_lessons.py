"""The lessons of the course: their form, their exercises, and that each runs, alone, in time, and as it says."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course.exercises import of_lesson
from course.judges import judge

ROOT = Path(__file__).resolve().parents[1]
FILES = {int(path.name[:2]): path for path in sorted((ROOT / "course" / "lessons").glob("[0-9][0-9]_*.py"))}
TEXTS = {number: path.read_text(encoding="utf-8") for number, path in FILES.items()}
QUICK = (1, 6)  # run by the default suite; the others with -m slow
SECONDS = {11: 60, 13: 60}  # of the processor, warm; 10 for all others
each_lesson = pytest.mark.parametrize("number", FILES)


def written(number):
    """The text of a lesson, without its code: what stands in its markdown cells."""
    cells = re.split(r"^# %%", TEXTS[number], flags=re.MULTILINE)[1:]
    return "\n".join(cell.removeprefix(" [markdown]") for cell in cells if cell.startswith(" [markdown]"))


def functions(number):
    return {node.name: node for node in ast.parse(TEXTS[number]).body if isinstance(node, ast.FunctionDef)}


@each_lesson
def test_form(number):
    text, prose = TEXTS[number], written(number)
    assert text.startswith(f"# %% [markdown]\n# # {number} · "), "the number and the question are the title"
    title = prose.partition("\n")[2].partition("\n")[0]
    assert title.endswith("?")
    for head in ("**Question.**", "**You write**", "**Time**", "**You need**"):
        assert " ".join(prose.split()).count(head) == 1, head
    for part in ("## Break it", "## What comes next", "**Sources.**"):
        assert prose.count(part) == 1, part
    assert prose.index("## Exercise") < prose.index("## Break it") < prose.index("## What comes next")
    assert re.search(r"Goodfellow, Bengio & Courville 2016", prose.partition("**Sources.**")[2])
    assert "pictures.show(" in text
    assert re.search(r"\bcells\(\d+\)", text), "real cells"
    assert not re.search(r"^#.* $", text, re.MULTILINE), "no spaces at the end of a line"
    assert [len(line) for line in text.splitlines() if len(line) > 140] == []


@each_lesson
def test_exercises_stand_in_their_lesson_as_the_table_has_them(number):
    """Each is defined once, with its docstring outside of the solution, and judged at once."""
    text, found = TEXTS[number], functions(number)
    for exercise in of_lesson(number):
        node = found[exercise.name]
        assert f"({ast.unparse(node.args)})".replace(" ", "") == exercise.signature.replace(" ", ""), exercise.name
        lines = text.splitlines()[node.lineno - 1 : node.end_lineno + 2]
        marks = [line.strip() for line in lines if "SOLUTION" in line]
        assert marks == ["# BEGIN SOLUTION", "# END SOLUTION"], exercise.name
        assert ast.get_docstring(node), exercise.name
        begin = next(i for i, line in enumerate(lines) if "BEGIN SOLUTION" in line)
        assert node.body[1].lineno > node.lineno + begin, f"{exercise.name}: code before the solution"
        assert f'judge("{exercise.name}", {exercise.name})' in text
        assert f"`{exercise.name}" in written(number)
    assert of_lesson(number)
    assert text.count("BEGIN SOLUTION") == text.count("END SOLUTION") == len(of_lesson(number))


@each_lesson
def test_solutions_are_right_and_stand_by_themselves(number, capsys):
    """With the lesson's imports and nothing else, for so `python -m course check` takes them from a file."""
    tree = ast.parse(TEXTS[number])
    names = {exercise.name for exercise in of_lesson(number)}
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.FunctionDef) and node.name in names)
    ]
    namespace = {}
    exec(compile(ast.Module(kept, []), str(FILES[number]), "exec"), namespace)
    for name in names:
        judge(name, namespace[name])
        assert capsys.readouterr().out.strip() == f"{name}: right"


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


@pytest.mark.parametrize(
    "number", [number if number in QUICK else pytest.param(number, marks=pytest.mark.slow) for number in FILES]
)
def test_runs(number, tmp_path):
    """Alone in an empty folder, with warnings as errors, in the time that it has; its pictures are written where asked for."""
    lesson = tmp_path / FILES[number].name
    lesson.write_text(TEXTS[number], encoding="utf-8")
    pictures = tmp_path / "pictures"
    code = "import runpy, sys, time; runpy.run_path(sys.argv[1], run_name='__main__'); "
    code += "print(time.process_time(), 'numba' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "OPENBLAS_NUM_THREADS": "1"}
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
