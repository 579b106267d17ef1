"""How the program was called, and what it tells people to type next."""

import os
import sys
from pathlib import Path

import pytest
from small_data import make_cnmc

import data_prep
import train
from benchmarks import folds, learning
from benchmarks.__main__ import main as benchmarks_main
from scratchnet.__main__ import main
from scratchnet.terminal import invocation
from scratchnet.terminal.invocation import checkout, command, package
from scratchnet.version import __version__

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def called(monkeypatch):
    """Makes this process one that was called by such a line."""

    def as_line(*line, script=None):
        monkeypatch.setattr(sys, "orig_argv", list(line))
        monkeypatch.setattr(sys, "argv", [script or line[1]])

    return as_line


def test_train_py(called, monkeypatch):
    monkeypatch.chdir(ROOT)
    called("python3", "train.py", "--epochs", "3")
    assert command("train", "--resume", "runs/my run") == invocation.joined(
        ["python3", "train.py", "--resume", "runs/my run"]
    )
    called(".venv/bin/python", "../scratchnet/train.py")
    assert command("train") == invocation.joined([".venv/bin/python", str(Path("../scratchnet/train.py"))])
    assert command("prepare", "a") == ".venv/bin/python -m data_prep a"
    assert command("predict", "a") == ".venv/bin/python -m scratchnet predict a"


def test_from_elsewhere(called, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    called("python", "-m", "scratchnet", script=str(ROOT / "scratchnet" / "__main__.py"))
    assert command("train") == invocation.joined(["python", str(ROOT / "train.py")])
    assert command("prepare") == "python -m scratchnet prepare"
    assert package() == "python -m scratchnet"


def test_installed(called, monkeypatch, tmp_path):
    monkeypatch.setattr(invocation, "checkout", lambda: None)
    called("python", "-m", "scratchnet", script="/lib/scratchnet/__main__.py")
    assert command("train", "--resume", "r") == "python -m scratchnet train --resume r"
    for name in ("scratchnet", "scratchnet.exe"):
        script = tmp_path / name
        script.touch(mode=0o755)
        called("/usr/bin/python", str(script))
        assert command("train") == invocation.joined([str(script), "train"])
        assert package() == "scratchnet"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    called("/usr/bin/python", str(tmp_path / "scratchnet"))
    assert command("prepare", "SOURCE") == "scratchnet prepare SOURCE"


def test_a_folder_of_that_name_is_no_script(called, tmp_path):
    (tmp_path / "scratchnet").mkdir()
    called("python", str(tmp_path / "scratchnet"))
    assert package() == "python -m scratchnet"


def test_this_is_a_checkout():
    assert checkout() == ROOT


PROGRAMS = {
    "train.py": train.main,
    "data_prep": data_prep.main,
    "scratchnet": main,
    "scratchnet train": lambda arguments: main(["train", *arguments]),
    "scratchnet prepare": lambda arguments: main(["prepare", *arguments]),
    "benchmarks": benchmarks_main,
    "benchmarks.folds": folds.main,
    "benchmarks.learning": learning.main,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_says_its_version(program, capsys):
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program](["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"scratchnet {__version__} (Python 3")


def test_one_command_does_all(tmp_path, monkeypatch, capsys):
    """Prepare, train, go on, use: with one program that is installed, without the checkout."""
    monkeypatch.setattr(invocation, "checkout", lambda: None)
    monkeypatch.setattr(sys, "argv", ["scratchnet"])
    monkeypatch.chdir(tmp_path)
    make_cnmc(tmp_path / "cells")
    assert main(["prepare", "cells", "shards", "--image-size", "32"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("Train on it with: scratchnet train --data shards\n")
    assert main(["train", "--data", "shards", "--epochs", "1", "--batch-size", "4", "--name", "r"]) == 0
    assert main(["summary", "runs/r"]) == 0
    assert "scratchnet train --data shards --epochs 1" in capsys.readouterr().out
    assert main(["train", "--resume", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("scratchnet train: nowhere")
    assert main(["prepare", "cells", "shards"]) == 2
    assert capsys.readouterr().err.startswith("scratchnet prepare: shards")
