"""The README's examples run as printed, its commands are .ci/run's, and what it names exists."""

import doctest
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import train
from benchmarks.__main__ import command_line as benchmarks_parser
from benchmarks.__main__ import main as benchmarks_main
from course.__main__ import command_line as course_parser
from course.__main__ import main as course_main
from data_prep import main as prepare_main
from scratchnet.__main__ import command_line as scratchnet_parser
from scratchnet.__main__ import main as scratchnet_main
from scratchnet.commands import parser_of
from scratchnet.prepare import SAMPLE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_run():
    # The closing fence of Markdown is no output of the example.
    examples = doctest.DocTestParser().get_doctest(README.replace("```", ""), {}, "README.md", None, 0)
    assert len(examples.examples) >= 10
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples)
    assert runner.failures == 0


def test_ci_runs_the_two_commands_as_printed():
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("train.py")
    assert commands[1].endswith("pytest")
    assert 'command_of() { grep -m1 "^python3 -m venv.*$1\\$" README.md; }' in (ROOT / ".ci/run").read_text(
        encoding="utf-8"
    )


def test_links_lead_somewhere():
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for link in re.findall(r"\]\(([^)#]+)\)", page):
            assert link.startswith("http") or (ROOT / link).exists(), link
    for page in (ROOT / "docs").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), (page, link)


# Commands that are not run here: those that set up an environment, and those of .ci itself, are run by .ci/run; the others, which
# take hours or need data that are not here, or serve until they are stopped, are held against the parser of their program.
SET_UP = re.compile(r"python3 -m venv |pip install |python \.ci/")
PARSED = (
    "python -m scratchnet table1 ",
    "python -m benchmarks",
    "python -m course ",
    "python train.py --data malaria ",
    "tensorboard ",
)
# Beside what the README says, so that a training takes seconds.
SHORT = ("--image-size", "32", "--epochs", "1", "--batch-size", "64")


def commands():
    """What stands in the README's blocks for a shell, and in the text between backticks, as one would type it."""
    fenced = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.replace(".venv/bin/", "") for block in fenced for line in block.splitlines()]
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    lines += [
        line for line in re.findall(r"`([^`\n]+)`", text) if re.match(r"(python3?|pip|tensorboard|scratchnet) ", line)
    ]
    return sorted({line for line in lines if not SET_UP.search(line)})


def entry_points(line):
    """The function that takes the arguments of such a line, the parser that understands them, and the arguments."""
    words = shlex.split(line)
    if words[:2] == ["python", "train.py"]:
        return train.main, parser_of("train", "train.py"), words[2:]
    if words[0] == "scratchnet":
        return scratchnet_main, scratchnet_parser(words[1:]), words[1:]
    assert words[:2] == ["python", "-m"], line
    return {
        "scratchnet": (scratchnet_main, scratchnet_parser(words[3:])),
        "data_prep": (prepare_main, parser_of("prepare", "data_prep")),
        "benchmarks": (benchmarks_main, benchmarks_parser()),
        "course": (course_main, course_parser(words[3:])),
    }[words[2]] + (words[3:],)


def test_the_lists_of_commands_are_whole():
    assert len(commands()) >= 12
    assert all(any(line.startswith(one) for line in commands()) for one in PARSED)


@pytest.fixture(scope="module")
def place(trained_run, tmp_path_factory):
    """A folder with everything that the README's commands speak of."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("NAME", "OTHER"):
        shutil.copytree(trained_run.folder, folder / "runs" / name)
    for number, file in enumerate(sorted((SAMPLE / "fold_0" / "hem").iterdir())[:3]):
        for target in (f"cells/{number}.png", "cell.png", f"labelled/cells/hem/{number}.png"):
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            Image.open(file).save(folder / target)
    (folder / "labelled" / "cells" / "all").mkdir()
    shutil.copy(next((SAMPLE / "fold_0" / "all").iterdir()), folder / "labelled" / "cells" / "all")
    rng = np.random.default_rng(0)
    for label, shade in (("sick", 40), ("healthy", 180)):  # as "One folder per class" and the pattern in the README say
        for patient in range(1, 6):
            for n in range(2):
                pixels = (rng.integers(0, 60, (40, 40, 3)) + shade).astype(np.uint8)
                file = folder / "path" / "to" / "images" / label / f"patient{patient + (shade > 99) * 5}_{n}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    return folder


@pytest.mark.parametrize("line", [line for line in commands() if not line.startswith(PARSED)])
def test_every_command_does_what_it_says(line, place, monkeypatch, capsys):
    if " explain " in line:
        pytest.importorskip("matplotlib")
    if ".onnx" in line:
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(place)
    main, _, arguments = entry_points(line)
    if main is train.main and "--help" not in arguments:
        arguments += SHORT
    try:
        code = main(arguments)
    except SystemExit as ended:  # of --help
        code = ended.code
    assert code == 0, capsys.readouterr()
    said = capsys.readouterr().out
    if "--subject-pattern" in line:
        assert "of 10 subjects" in said or "no subject stands on both sides" in said


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith(PARSED)])
def test_what_takes_hours_is_understood(line):
    if line.startswith("tensorboard "):
        assert line == "tensorboard --logdir runs"
        return
    _, parser, arguments = entry_points(line)
    parser.parse_args(arguments)


def test_every_option_that_is_named_exists():
    known = {
        option
        for name in ("train", "prepare")
        for one in parser_of(name, name)._actions
        for option in one.option_strings
    }
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    named = {option for code in re.findall(r"`(--[^`]+)`", text) for option in re.findall(r"--[a-z][a-z-]+", code)}
    assert len(named) >= 10
    assert named <= known, named - known
