"""The judges of the course refuse every wrong solution with its line, accept right ones, and say it in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course import judge
from course.diagnose import diagnose
from course.exercises import EXERCISES, LESSONS, of_lesson
from course.judges import verdict_on
from course.judges.comparison import names_of
from course.judges.verdict import _JUDGES
from course.right import SOLUTIONS
from course.wrong import WRONG
from scratchnet import reference, textbook
from scratchnet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def test_every_exercise_has_its_judge_its_solutions_and_its_mistakes():
    assert list(EXERCISES) == [name for lesson in LESSONS for name in (exercise.name for exercise in of_lesson(lesson))]
    assert sorted(name for names in _JUDGES.values() for name in names) == sorted(EXERCISES)
    assert SOLUTIONS.keys() == EXERCISES.keys()
    wrong = [solution.exercise for solution in WRONG]
    assert len(WRONG) >= 80
    assert all(wrong.count(name) >= 5 for name in EXERCISES), {name: wrong.count(name) for name in EXERCISES}
    assert len({(solution.exercise, solution.what) for solution in WRONG}) == len(WRONG)


def test_judges_are_right_with_one_seed_and_load_no_compiler_and_no_decoder():
    code = "import sys\nfrom course.prove import failures\nprint(failures(0))\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    found, loaded = answer.stdout.splitlines()
    assert found == "[]"
    assert not set(loaded.split()) & {"numba", "llvmlite", "PIL", "h5py", "matplotlib", "scratchnet.kernels"}


@pytest.mark.slow
def test_judges_are_right_with_ten_seeds():
    command = [sys.executable, "-m", "course", "prove", "--seeds", "10"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout
    assert "10 seeds: 0 exceptions" in answer.stdout


def test_where_a_function_can_stand_in_the_textbook_it_has_its_signature():
    for name, exercise in EXERCISES.items():
        if exercise.swaps:
            textbook.table({name: SOLUTIONS[name][0]})
            given = {"weights", "decay", "smoothing", "focus"}
            code = getattr(reference, name).__code__
            assert names_of(name) == [word for word in code.co_varnames[: code.co_argcount] if word not in given]


def stub(x, dy):
    raise NotImplementedError("not written yet")


def documented(x, dy):
    """Only this."""


def dots(x, dy): ...


@pytest.mark.parametrize("empty", [stub, documented, dots])
def test_what_is_not_written_is_not_called_wrong(empty, capsys):
    verdict = judge("relu_gradient", empty)
    assert (bool(verdict), verdict.written) == (False, False)
    assert capsys.readouterr().out == "relu_gradient: not written yet\n"


def ends(x, dy):
    sys.exit(0)


def many_lines(x, dy):
    raise ValueError("first\nsecond\x1b[31m")


@pytest.mark.parametrize(
    ("mine", "line"),
    [
        (lambda x, dy: dy * (x > 0), "right"),
        (lambda x: x, "TypeError"),
        (lambda x, dy: nonsense, "NameError: name 'nonsense' is not defined (line "),  # noqa: F821
        (ends, "SystemExit: 0"),
        (many_lines, "ValueError: first (line "),
        (lambda x, dy: print(end=""), "returned nothing"),
        (lambda x, dy: "dx", "returned a str"),
        (lambda x, dy: [[1], [1, 2]], "returned a list"),
        (lambda x, dy: dy * np.nan, "nan at [0, 0, 0]"),
        (lambda x, dy: dy * 1j, "expected numbers"),
        (lambda x, dy: dy.ravel(), "shape (24,), expected (3, 4, 2)"),
        (7, "is no function"),
    ],
)
def test_whatever_a_function_does_is_one_line(mine, line, capsys):
    judge("relu_gradient", mine)
    said = capsys.readouterr().out
    assert said.startswith("relu_gradient: ")
    assert line in said
    assert said.count("\n") == 1
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("name", "mine", "case"),
    [
        ("max_pool2d", lambda x, size, stride: x[0] + size * np.ones(99), "; for x 2×4×4×1, size 2, stride 2"),
        ("xavier_uniform", lambda rng, shape: rng.nothing(shape), "; for shape (300, 200)"),
        ("slope", lambda f, x, place: x[place, 99], "; for x 5, place ("),
        ("dropout", lambda x, rate, rng, training: x.nothing, ", rate "),
        ("im2col", lambda x, size, stride: x.nothing, ", stride "),
        ("combine", lambda parts: parts.nothing, " workers, "),
        ("check", lambda layer: layer.nothing, "; for convolution"),
    ],
)
def test_a_crash_names_its_case(name, mine, case):
    assert case in str(verdict_on(name, mine))


def test_an_unknown_exercise_is_an_error():
    with pytest.raises(ConfigError, match="no exercise 'conv3d'"):
        judge("conv3d", lambda: 0)


def test_other_seeds_try_other_numbers():
    seen = []

    def mine(x, dy):
        seen.append(x.ravel()[1])
        return reference.relu_gradient(x, dy)

    for seed in (0, 0, 1):
        assert verdict_on("relu_gradient", mine, seed=seed)
    assert seen[0] == seen[2] != seen[4]


RIGHT = np.random.default_rng(0).normal(size=(2, 5, 4, 3))
SQUARE = RIGHT[0, :4, :, 0]
BORDER = np.pad(RIGHT[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0)))


@pytest.mark.parametrize(
    ("mine", "right", "line"),
    [
        (RIGHT, RIGHT, ""),
        (RIGHT * (1 + 1e-12), RIGHT, ""),
        (RIGHT * 0, RIGHT, "all zero"),
        (RIGHT / 4, RIGHT, "0.25 times the right one, everywhere"),
        (RIGHT / 2, RIGHT, "0.5 times the right one, everywhere: divided by the number of images?"),
        (RIGHT * 2, RIGHT, "2 times the right one, everywhere: not divided by the number of images?"),
        (-RIGHT, RIGHT, "the right one with the other sign"),
        (SQUARE.T, SQUARE, "the right one, transposed"),
        (RIGHT[:, ::-1, ::-1], RIGHT, "the right one, turned by 180° (axes 1 and 2)"),
        (RIGHT[:, :, ::-1], RIGHT, "the right one, from its end (axis 2)"),
        (RIGHT + 0.5, RIGHT, "off by 0.5, everywhere"),
        (BORDER, RIGHT, "right inside, wrong on the border"),
        (RIGHT[..., [1, 2, 0]], RIGHT, "its last axis in the order [1, 2, 0]"),
        (RIGHT * [1, 2, 3], RIGHT, "right in channel 0, wrong in the others"),
        (RIGHT * np.array([1, 2]).reshape(2, 1, 1, 1), RIGHT, "right in image 0, wrong in the others"),
        (RIGHT.astype("float32").astype(float), RIGHT, "right to about 7 digits"),
        (np.sort(RIGHT.ravel()), RIGHT.ravel(), "the right numbers in other places"),
        (np.array(2.0), np.array(3.0), "2, expected 3"),
    ],
)  # fmt: skip
def test_a_wrong_result_is_named(mine, right, line):
    said = diagnose(mine, right, images=2 if "number of images" in line else 0)
    assert line in said
    assert bool(said) == bool(line)


def test_one_number_is_named_with_its_place():
    mine = RIGHT.copy()
    mine[1, 2, 3, 0] = 7
    assert diagnose(mine, RIGHT).startswith("1% of the numbers are wrong; the first is [1, 2, 3, 0]: 7, expected ")
