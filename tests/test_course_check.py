"""`python -m course check` and `make`: a lesson is read without being run; an edition for students has no trace of a solution."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course.__main__ import main
from course.check import verdict_in
from course.editions import BEGIN, END, edition, solutions_of
from course.exercises import EXERCISES, of_lesson
from course.judges.verdict import NOT_WRITTEN
from course.lesson_file import read
from course.make import LESSONS, make
from course.right import SOLUTIONS
from course.wrong import WRONG
from scratchnet.errors import DataError, MissingExtraError

ROOT = Path(__file__).resolve().parents[1]

LESSON = '''# %% [markdown]
# # Slopes
# def relu_gradient(this, is, text)

# %%
import numpy as np
import a_library_that_is_not_there as pictures
from numpy import where as choose

ZERO: float = 0.0
images = pictures.cells(32)


class Helper:
    limit = ZERO


def _passes(x):
    return x > Helper.limit


# %%
def relu_gradient(x, dy):
    """dx."""
    # BEGIN SOLUTION
    images = _passes(x)
    return choose(images, dy, ZERO)
    # END SOLUTION


# %%
raise SystemExit("a training that takes an hour")

# %%
def max_pool2d(x, size, stride):
    # BEGIN SOLUTION
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(-2, -1))
    # END SOLUTION


def max_pool2d_gradient(x, dy, size, stride):
    # BEGIN SOLUTION
    y, dx = max_pool2d(x, size, stride), np.zeros_like(x)
    for n, i, j, c in np.ndindex(y.shape):
        window = x[n, i * stride : i * stride + size, j * stride : j * stride + size, c]
        u, v = np.argwhere(window == y[n, i, j, c])[0]
        dx[n, i * stride + u, j * stride + v, c] += dy[n, i, j, c]
    return dx
    # END SOLUTION
'''


def saved(folder, text, name="lesson.py"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def check(path, capsys):
    code = main(["check", str(path)])
    return code, capsys.readouterr().out.splitlines()


def test_what_the_exercises_need_is_executed_and_nothing_else(tmp_path, capsys):
    code, lines = check(saved(tmp_path, LESSON), capsys)
    assert lines == [
        "relu_gradient: right", "max_pool2d: right", "max_pool2d_gradient: right", "3 right, 0 wrong, 0 not written yet",
    ]  # fmt: skip
    assert code == 0


def test_one_mistake_is_counted_once(tmp_path, capsys):
    """max_pool2d_gradient calls max_pool2d, which is wrong; and calls it, when it is not written."""
    for body in ("return x[:, ::stride, ::stride]", "raise NotImplementedError"):
        broken = LESSON.replace("windows[:, ::stride, ::stride].max(axis=(-2, -1))", "0").replace(
            "    windows = np.lib", f"    {body}\n    windows = np.lib"
        )
        code, lines = check(saved(tmp_path, broken), capsys)
        assert code == 1
        assert "max_pool2d_gradient: right" in lines
        assert "max_pool2d: right" not in lines


def test_a_syntax_error_is_named_and_spoils_its_cell(tmp_path, capsys):
    text = LESSON.replace("def max_pool2d(x, size, stride):", "def max_pool2d(x, size stride):")
    code, lines = check(saved(tmp_path, text), capsys)
    line = text.split("\n").index("def max_pool2d(x, size stride):") + 1
    assert code == 1
    assert lines[0].startswith(f"line {line}: SyntaxError: ")
    assert lines[1] == "relu_gradient: right"


@pytest.mark.parametrize("first", ["import os\nZERO = os._exit(3)", "from os import _exit\nZERO = _exit(3)"])
def test_a_file_that_ends_the_process_is_a_problem(first, tmp_path, capsys):
    code, lines = check(saved(tmp_path, LESSON.replace("ZERO: float = 0.0", first)), capsys)
    assert code == 1
    assert "SystemExit: os._exit(3)" in lines[0]


def test_an_error_of_a_function_names_its_line(tmp_path, capsys):
    text = LESSON.replace("images = _passes(x)", "images = _pases(x)")
    _, lines = check(saved(tmp_path, text), capsys)
    line = text.split("\n").index("    images = _pases(x)") + 1
    assert (
        lines[0]
        == f"relu_gradient: NameError: name '_pases' is not defined (line {line} in relu_gradient); for x 3×4×2, dy 3×4×2"
    )


def notebook(*sources, **more):
    return json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources], **more})


RELU = "def relu_gradient(x, dy):\n    return dy * (x > 0)\n"


@pytest.mark.parametrize(
    "text",
    [
        notebook(RELU),
        notebook("%matplotlib inline\n!ls\n" + RELU, "%%bash\nexit 1", metadata=None, nbformat="four"),
        json.dumps({"cells": [7, None, {}, {"cell_type": "code"}, {"cell_type": "code", "source": RELU.splitlines(True), "outputs": 3}]}),
        json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": RELU}]}]}),
        "\ufeff" + notebook(RELU),
    ],
)  # fmt: skip
def test_a_notebook_is_read_whatever_stands_around_its_sources(text, tmp_path, capsys):
    code, lines = check(saved(tmp_path, text, "lesson.ipynb"), capsys)
    assert (code, lines[0]) == (0, "relu_gradient: right")


def test_an_error_in_a_notebook_names_cell_and_line(tmp_path, capsys):
    _, lines = check(saved(tmp_path, notebook("x = 1", RELU + "\nx = = 2"), "lesson.ipynb"), capsys)
    assert lines[0].startswith("cell 2, line 4: SyntaxError")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.ipynb", "{", "is no notebook (not JSON"),
        ("a.ipynb", "[]", "it has no list of cells"),
        ("a.ipynb", '{"cells": {}}', "it has no list of cells"),
        ("a.txt", RELU, "a lesson is a .py or an .ipynb file"),
        ("a.py", "x = 1", "defines no exercise"),
    ],
)
def test_what_is_no_lesson_is_one_line(name, text, line, tmp_path, capsys):
    assert main(["check", str(saved(tmp_path, text, name))]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_what_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nothing.py")]) == 2
    assert "there is no such file" in capsys.readouterr().err
    assert main(["check", str(tmp_path)]) == 2
    assert "no .py and no .ipynb" in capsys.readouterr().err


def test_in_a_right_file_a_wrong_function_turns_its_exercise_red_alone(tmp_path):
    """Each wrong solution in the place of the right one, among all 23; a sample of the others is judged each time."""
    names = "\n".join(f"def {name}(*given): return SOLUTIONS[{name!r}][0](*given)" for name in EXERCISES)
    lesson = read(saved(tmp_path, f"from course.right import SOLUTIONS\n{names}\n"))
    assert list(lesson.functions) == list(EXERCISES)
    quick = [name for name in EXERCISES if name not in ("interval", "check", "train_step")]
    for number, wrong in enumerate(WRONG):
        kept = lesson.functions[wrong.exercise], lesson.namespace[wrong.exercise]
        lesson.functions[wrong.exercise] = lesson.namespace[wrong.exercise] = wrong.function
        assert not verdict_in(lesson, wrong.exercise, 0), wrong
        other = [name for name in quick if name != wrong.exercise][number % (len(quick) - 1)]
        assert verdict_in(lesson, other, 0), (wrong, other)
        lesson.functions[wrong.exercise], lesson.namespace[wrong.exercise] = kept


def test_a_students_edition_has_a_stub_for_each_solution():
    text = edition(LESSON, "student", "x")
    assert text.count(f'    raise NotImplementedError("{NOT_WRITTEN}")') == len(solutions_of(LESSON, "x")) == 3
    assert "SOLUTION" not in text
    assert "windows" not in text
    assert edition(LESSON, "teacher", "x") == LESSON


@pytest.mark.parametrize(
    "text",
    [
        f"    {BEGIN}\n    x = 1\n",
        f"    {END}\n",
        f"    {BEGIN}\n    {BEGIN}\n    {END}\n",
        "    # begin solution\n    x = 1\n    # end solution\n",
        f"    {BEGIN}\n    x = 1\n    # END  SOLUTION\n",
        f"    x = 1  {BEGIN}\n    {END}\n",
        "    #BEGIN SOLUTION\n    x = 1\n    #END SOLUTION\n",
        "    ### BEGIN SOLUTION ###\n    x = 1\n",
    ],
)
def test_a_marker_that_is_mistyped_is_no_leak(text):
    with pytest.raises(DataError, match=r"lesson.py, line \d"):
        edition(text, "student", "lesson.py")


def test_editions_are_notebooks_and_scripts(tmp_path, capsys):
    pytest.importorskip("jupytext")
    source = tmp_path / "lessons"
    source.mkdir()
    saved(source, LESSON, "03_slopes.py")
    for which in ("student", "teacher"):
        make(which, tmp_path / which, source)
    again = make("student", tmp_path / "again", source)
    for file in again:
        assert file.read_bytes() == (tmp_path / "student" / file.name).read_bytes()
    held = json.loads((tmp_path / "student" / "03_slopes.ipynb").read_text(encoding="utf-8"))
    assert [cell["cell_type"] for cell in held["cells"]] == ["markdown", "code", "code", "code", "code"]
    assert all(cell["outputs"] == [] for cell in held["cells"] if cell["cell_type"] == "code")
    for suffix in ("py", "ipynb"):
        code, lines = check(tmp_path / "student" / f"03_slopes.{suffix}", capsys)
        assert (code, lines[-1]) == (1, "0 right, 0 wrong, 3 not written yet")
        code, lines = check(tmp_path / "teacher" / f"03_slopes.{suffix}", capsys)
        assert (code, lines[-1]) == (0, "3 right, 0 wrong, 0 not written yet")
    with pytest.raises(DataError, match="somebody's work"):
        make("student", tmp_path / "student", source)


def test_without_jupytext_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    with pytest.raises(MissingExtraError, match=r"\[course\]"):
        make("student", tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


WITH_LESSONS = pytest.mark.skipif(not list(LESSONS.glob("[0-9]*.py")), reason="the lessons are not here")


@WITH_LESSONS
def test_the_courses_own_editions(tmp_path, capsys):
    """No marker, no line of a solution, no output; every exercise is not written yet; the teacher's are right."""
    pytest.importorskip("jupytext")
    student, teacher = tmp_path / "student", tmp_path / "teacher"
    files = make("student", student)
    make("teacher", teacher)
    sources = sorted(LESSONS.glob("[0-9]*.py"))
    names = [exercise.name for source in sources for exercise in of_lesson(int(source.name[:2]))]
    code, lines = check(student, capsys)
    assert code == 1
    assert [line for line in lines if ": " in line] == [f"{name}: {NOT_WRITTEN}" for name in names]
    code, lines = check(teacher, capsys)
    assert code == 0, lines
    assert lines[-1] == f"{len(names)} right, 0 wrong, 0 {NOT_WRITTEN}"
    assert files[0].name == "README.md"
    said = files[0].read_text(encoding="utf-8")
    assert all(
        words in said for words in ("--pictures FOLDER", "python -m course check", "NotImplementedError", "jupyter lab")
    )
    assert not (teacher / "README.md").exists()
    for file in files[1:]:
        text = file.read_text(encoding="utf-8")
        source = (LESSONS / f"{file.stem}.py").read_text(encoding="utf-8")
        given = {line.strip() for line in edition(source, "student", file.name).split("\n")}
        assert "SOLUTION" not in text
        for line in (line.strip() for lines in solutions_of(source, file.name) for line in lines):
            written = json.dumps(line, ensure_ascii=False)[1:-1] if file.suffix == ".ipynb" else line
            assert len(line) < 12 or line in given or written not in text, (file.name, line)


@WITH_LESSONS
def test_lessons_1_to_10_are_judged_at_once_and_nothing_is_compiled(tmp_path):
    """Seconds of the processor: the machine of the tests may be busy with others."""
    paths = [str(path) for path in sorted(LESSONS.glob("[0-9]*.py"))[:10]]
    code = f"import sys, time\nfrom course.__main__ import main\nfor path in {paths!r}: main(['check', path])\n"
    code += "print(time.process_time())\nprint(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    *_, seconds, modules = answer.stdout.splitlines()
    assert float(seconds) < 3
    assert not {"numba", "llvmlite", "scratchnet.kernels"} & set(modules.split())
    assert answer.stdout.count(": right\n") >= len(paths)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["grade", "--help"], ["make", "--help"], ["prove", "--help"]]
)
def test_commands_say_what_they_do(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert "python -m course" in capsys.readouterr().out


def test_a_lesson_is_read_in_no_time(tmp_path):
    start = time.process_time()
    read(saved(tmp_path, LESSON))
    assert time.process_time() - start < 1
    assert SOLUTIONS
