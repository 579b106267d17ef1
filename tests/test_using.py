"""docs/using.md: its examples run as printed, and its commands do what they say."""

import doctest
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.commands import COMMANDS
from scratchnet.prepare import SAMPLE

PAGE = (Path(__file__).parent.parent / "docs" / "using.md").read_text(encoding="utf-8")
EXTRAS = {"explain": "matplotlib", "export": "onnxruntime", "import": "safetensors"}


@pytest.fixture
def place(trained_run, tmp_path, monkeypatch):
    """A folder with what the page speaks of: runs/cells, cells/ and prepared/."""
    shutil.copytree(trained_run.folder, tmp_path / "runs" / "cells")
    shutil.copytree(trained_run.data, tmp_path / "prepared")
    (tmp_path / "cells").mkdir()
    for number, file in enumerate(sorted((SAMPLE / "fold_0" / "all").iterdir())[:3], start=1):
        Image.open(file).save(tmp_path / "cells" / f"{number}.png")
    (tmp_path / "cells" / "notes.txt").write_text("not an image", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run(place):
    # The closing fence of Markdown is no output of the example.
    examples = doctest.DocTestParser().get_doctest(PAGE.replace("```", ""), {}, "using.md", None, 0)
    assert len(examples.examples) >= 25
    runner = doctest.DocTestRunner()
    runner.run(examples)
    assert runner.failures == 0


def test_the_commands_run(place, capsys):
    commands = re.findall(r"^python -m scratchnet (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        arguments = shlex.split(command)
        pytest.importorskip(EXTRAS.get(arguments[0], "numpy"))
        assert main(arguments) == 0, capsys.readouterr().err
    for file in ("predictions.csv", "evaluation.json", "cells.onnx", "cells.safetensors", "imported.h5", "explained"):
        assert (place / file).exists()


def test_every_command_that_uses_a_network_is_on_the_page():
    for name in COMMANDS:
        if name in ("summary", "predict", "evaluate", "explain", "export", "import"):
            assert f"python -m scratchnet {name} " in PAGE
