"""A class is graded whatever is in its files, and nothing is left behind."""

import contextlib
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import course.grade
from course.__main__ import main

ROOT = Path(__file__).resolve().parents[1]

RIGHT = """
import numpy as np

def relu_gradient(x, dy):
    return dy * (x > 0)

def dense_gradient(x, weight, dy):
    return dy @ weight.T, x.T @ dy, dy.sum(axis=0)

def max_pool2d(x, size, stride):
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride].max(axis=(-2, -1))
"""


def with_relu(body, first=""):
    """The right file, with another relu_gradient."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{first}\n{RIGHT}\ndef relu_gradient(x, dy):\n{lines}\n"


ANSWERS = """
import os
for n in range(3, 30):
    try:
        os.write(n, b'{"done": true}\\n' * 100)
    except OSError:
        pass
return dy
"""

# No fence keeps this in; but it ends with the student's process.
CHILD = """
import ctypes, time
if not ctypes.pythonapi.fork():
    time.sleep(600)
return dy * (x > 0)
"""

SLEEP = f"60.{os.getpid()}"  # no other program on the machine sleeps as long: `left_of` finds ours

# What a file does, and what its row says of relu_gradient; the other two functions are right in all of them.
HOSTILE = {
    "loop": ("while True:\n    pass", "takes longer than 0.5 s"),
    "stubborn": ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", "takes longer than 0.5 s"),
    "exit": ("import sys\nsys.exit(0)", "SystemExit: 0 (line"),
    "hard_exit": ("import os\nos._exit(0)", "ends the process (exit code 0)"),
    "abort": ("import os\nos.abort()", "ends the process (signal 6)"),
    "flood": ("while True:\n    print('x' * 100000)\n    import os\n    os.write(2, b'y' * 100000)", "takes longer than 0.5 s"),
    "answers": (ANSWERS, "dy as it came"),
    "writes": ("open('left.txt', 'w').write('x')\nreturn dy", "PermissionError: a solution may not change files (line"),
    "removes": ("import os, course\nos.remove(course.__file__)", "a solution may not change files"),
    "truncates": ("import os, course\nos.open(course.__file__, os.O_WRONLY | os.O_TRUNC)", "a solution may not change files"),
    "starts": (f"import subprocess\nsubprocess.run(['sleep', '{SLEEP}'])", "a solution may not start a process"),
    "system": (f"import os\nos.system('sleep {SLEEP}')", "a solution may not start a process"),
    "connects": ("import socket\nsocket.socket()", "a solution may not open a connection"),
    "kills": ("import os\nos.kill(os.getppid(), 9)", "a solution may not send a signal"),
    "slow": ("import time\ntime.sleep(0.35)\nreturn dy * (x > 0)", "right"),  # twice: longer than 0.5 s by the clock
    "sleeps": ("import time\ntime.sleep(3600)", "takes longer than 3 s by the clock"),
    "recursion": ("return relu_gradient(x, dy)", "RecursionError"),
    "threads": ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nreturn dy * (x > 0)", "right"),
}  # fmt: skip
if hasattr(os, "fork"):
    HOSTILE["forks"] = ("import os\nwhile True:\n    os.fork()", "a solution may not start a process")
    HOSTILE["pipe"] = ("import os\nif not os.path.exists('left'):\n    os.mkfifo('left')\nreturn dy * (x > 0)", "right")
    HOSTILE["child"] = (CHILD, "right")
if sys.platform == "linux":
    HOSTILE["memory"] = ("return [bytearray(2**34) for _ in range(2**12)]", "MemoryError")

# Files that are wrong as a whole: what the row says under "problems", and of relu_gradient.
PATCHES = {
    "course.judges.slopes": "import course.judges.slopes as s\ns.relu_gradient = lambda mine, seed: ''\nreturn dy",
    "numpy.array_equal": "np.array_equal = lambda a, b: True\nreturn dy",
    "scratchnet.reference.relu_gradient": (
        "from scratchnet import reference as r\nr.relu_gradient.__code__ = (lambda x, dy: dy).__code__\nreturn dy"
    ),
    "numpy._core.numeric.allclose": "np.allclose.__wrapped__.__code__ = (lambda *a, **k: True).__code__\nreturn dy",
    "numpy._core.numeric.array_equal": "np.array_equal._implementation.__defaults__ = (True,)\nreturn dy",
    "fractions.Fraction.__eq__": "from fractions import Fraction\nFraction.__eq__ = lambda a, b: True\nreturn dy",
    "course.judges.convolution.SHAPES": "from course.judges.convolution import SHAPES\nSHAPES.clear()\nreturn dy",
    "course.judges.loss.<lambda>": (
        "from course.judges.loss import LOSS\nlist(LOSS.values())[-1].__code__ = (lambda z, t: z).__code__\nreturn dy"
    ),
    "__main__.verdict_in": "import __main__\n__main__.verdict_in = None\nreturn dy",
    "course.judges.slopes.RELU": "from course.judges.slopes import RELU\nRELU.clear()\nreturn dy",
    "course.judges.verdict.Verdict": "from course.judges import Verdict\nVerdict.__bool__ = lambda self: True\nreturn dy",
}
TAKES = "\ndef relu_gradient(x, dy):\n    return X\n"
BROKEN = {
    **{
        f"patch{i}": (with_relu(body), f"changes {name}", "not judged")
        for i, (name, body) in enumerate(PATCHES.items())
    },
    "top_exit": (
        f"import os\nX = os._exit(3){TAKES}",
        "the file itself ends the process (exit code 3): nothing in it is judged",
        "not judged",
    ),
    "top_loop": (
        f"X = [0 for _ in iter(int, 1)]{TAKES}",
        "the file itself takes longer than 0.5 s: nothing in it is judged",
        "not judged",
    ),
    "binary": (b"\xff\xfe\x00relu", "is not text in UTF-8", "missing"),
    "empty": ("", "", "missing"),
}


def hands_in(folder, name, text):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def state_of(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in sorted(folder.rglob("*.py"))}


def left_of(runners):
    """What runs in a session of one of these runners, and what their files started elsewhere."""
    answer = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
    left = []
    for line in answer.stdout.splitlines():
        with contextlib.suppress(ProcessLookupError, PermissionError):  # ended since, or a stranger's
            session = os.getsid(int(line.split()[0]))
            if line.endswith(f"sleep {SLEEP}") or session in {runner.pid for runner in runners}:
                left.append(line)
    return left


def noted(patch):
    """The list into which every runner comes that the grading starts from now on."""
    start, started = course.grade._start, []
    patch.setattr(course.grade, "_start", lambda folder: started.append(start(folder)) or started[-1])
    return started


@pytest.fixture(scope="module")
def runners():
    """The processes that the grading starts, once it has."""
    return []


@pytest.fixture(scope="module")
def graded(tmp_path_factory, runners):
    """A class of more than thirty, most of them hostile, graded once."""
    folder, out = tmp_path_factory.mktemp("class"), tmp_path_factory.mktemp("out")
    for name, (body, _) in HOSTILE.items():
        hands_in(folder, f"{name}.py", with_relu(body))
    for name, (text, *_) in BROKEN.items():
        hands_in(folder, f"{name}.py", text)
    for number in range(4):
        hands_in(folder, f"right{number}.py", RIGHT)
    hands_in(folder, "syntax.py", "# %%\n" + RIGHT + "\n# %%\ndef conv2d(x:\n")
    hands_in(folder, "=cmd.py", RIGHT)
    cell = {"cell_type": "code", "source": RIGHT.splitlines(keepends=True), "metadata": 7}
    hands_in(folder, "notebook.ipynb", json.dumps({"cells": [{"cell_type": "markdown"}, cell], "metadata": "broken"}))
    (folder / "in_a_folder").mkdir()
    for suffix in ("py", "ipynb"):  # an edition has each lesson twice; the one in which more is written counts
        stub = "def relu_gradient(x, dy):\n    raise NotImplementedError\n"
        text = RIGHT if suffix == "py" else json.dumps({"cells": [{"cell_type": "code", "source": stub}]})
        hands_in(folder / "in_a_folder", f"03_slopes.{suffix}", text)
    (folder / "leans").mkdir()
    for name, text in {
        "03_a.py": "def dense_gradient(x, weight, dy):\n    raise NotImplementedError\n",
        "03_b.py": RIGHT,
        "03_c.py": with_relu("return dy"),
        "06_d.py": "from scratchnet import reference as r\ndef max_pool2d(x, size, stride):\n    return r.max_pool2d(x, size, stride)",
    }.items():
        hands_in(folder / "leans", name, text)
    (folder / "nothing").mkdir()
    before, files = state_of(ROOT / "course"), set(folder.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        started = noted(patch)
        code = main(
            ["grade", str(folder), "--csv", str(out / "g.csv"), "--timeout", "2", "--memory", "1024", "--jobs", "2"]
        )
    runners += started
    assert code == 0
    assert state_of(ROOT / "course") == before
    assert set(folder.rglob("*")) == files
    assert [path.name for path in out.iterdir()] == ["g.csv"]
    return rows_of(out / "g.csv")


def test_everybody_has_a_row(graded):
    assert len(graded) == len(HOSTILE) + len(BROKEN) + 10 >= 30


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.skipif(sys.platform == "win32", reason="other exit codes")
def test_what_a_function_does_costs_that_function_alone(name, graded):
    row = graded[name]
    assert HOSTILE[name][1] in row["relu_gradient"]
    assert (row["dense_gradient"], row["max_pool2d"]) == ("right", "right")
    assert row["problems"] == ""


@pytest.mark.parametrize("name", BROKEN)
def test_what_a_file_does_as_a_whole_is_its_problem(name, graded):
    _, problem, relu = BROKEN[name]
    row = graded[name]
    assert problem in row["problems"]
    assert row["relu_gradient"] == relu
    assert row["right"] == "0"


def test_the_others_are_right(graded):
    for name in ("right0", "right3", "'=cmd", "notebook", "in_a_folder"):
        assert (graded[name]["right"], graded[name]["of"], graded[name]["problems"]) == ("3", "4", ""), name
    assert graded["syntax"]["right"] == "3"
    assert graded["syntax"]["problems"].startswith("line 15: SyntaxError: ")
    assert graded["syntax"]["conv2d"] == "not readable: see problems"
    assert graded["nothing"]["problems"] == "no .py and no .ipynb"
    assert {graded["nothing"][name] for name in ("relu_gradient", "dense_gradient", "max_pool2d")} == {"missing"}


def test_two_functions_of_one_name_and_one_that_calls_the_textbook_are_named(graded):
    row = graded["leans"]
    assert (row["right"], row["dense_gradient"], row["relu_gradient"]) == ("3", "right", "right")
    assert "relu_gradient stands in 03_b.py and in 03_c.py: the first was judged" in row["problems"]
    assert "06_d.py: max_pool2d uses scratchnet.reference" in row["problems"]
    assert "03_a.py" not in row["problems"], "what is not written is no other function"


@pytest.mark.skipif(not shutil.which("ps"), reason="the program ps, which Windows and small systems lack")
def test_no_process_is_left(graded, runners):
    assert len(runners) > len(HOSTILE)
    assert not left_of(runners)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_interrupted_it_ends_what_it_has_started(tmp_path, monkeypatch):
    hands_in(tmp_path, "loop.py", with_relu("while True: pass"))
    started = noted(monkeypatch)

    def interrupt():
        while not started:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert main(["grade", str(tmp_path), "--csv", str(tmp_path / "g.csv"), "--timeout", "60"]) == 130
    assert started[0].returncode is not None
    assert not (tmp_path / "g.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere", "--csv", "g.csv"], "there is no such folder"),
        ([".", "--csv", "g.csv"], "holds nobody's work"),
        ([".", "--csv", "g.csv", "--timeout", "0"], "--timeout must be at least 1"),
        ([".", "--csv", "g.csv", "--jobs", "0"], "--jobs must be at least 1"),
    ],
)
def test_what_cannot_be_graded(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["grade", *arguments]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
