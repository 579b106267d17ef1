"""python -m scratchnet explain: two pictures for each image."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from data_prep import SAMPLE
from scratchnet.__main__ import main

CELL = SAMPLE / "fold_0" / "hem" / "UID_H7_1_1_hem.png"


@pytest.fixture
def explain(trained_run, capsys):
    def run(*arguments):
        code = main(["explain", str(trained_run.folder), *map(str, arguments)])
        return code, capsys.readouterr().err

    return run


def test_two_pictures_for_each_image(explain, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "cells").mkdir()
    shutil.copy(CELL, tmp_path / "cells" / "$x_1$ 細胞.png")  # no mathematics, and glyphs that the font lacks
    (tmp_path / "cells" / "bad.png").write_bytes(b"no image")
    out = tmp_path / "out"
    code, err = explain(
        tmp_path / "cells", CELL, CELL, "--out", out, "--class", "hem", "--layer", "pool2", "--patch", 4
    )
    assert code == 1
    assert "bad.png: " in err
    names = {
        f"{stem}-{what}.png" for stem in ("$x_1$ 細胞", CELL.stem, f"{CELL.stem}-2") for what in ("decision", "layers")
    }
    assert {file.name for file in out.iterdir()} == names
    for file in out.iterdir():
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert pixels.shape[1] > 1000
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500  # a picture, and no empty page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class", "cat"], "'cat' is none of the network's classes, which are all, hem"),
        (["--layer", "conv9"], "no layer 'conv9'; its layers are conv1"),
        (["--layer", "dense1"], "choose a layer before Flatten"),
        (["--patch", "99"], "1 to 32 pixels"),
    ],
)
def test_misuse(explain, tmp_path, arguments, message):
    pytest.importorskip("matplotlib")
    code, err = explain(CELL, "--out", tmp_path, *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_no_empty_folder_is_left(explain, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert explain(tmp_path / "bad.png", "--out", tmp_path / "out")[0] == 1
    assert explain(CELL, "--out", tmp_path / "out", "--layer", "conv9")[0] == 2
    assert not (tmp_path / "out").exists()
    code, err = explain(CELL, "--out", tmp_path / "bad.png" / "out")
    assert code == 2
    assert "is a file: choose another name" in err


def test_a_class_in_capitals_and_a_map_without_evidence(explain, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    written = []
    monkeypatch.setattr("scratchnet.explain_sheets.grad_cam", lambda *_: np.zeros((1, 2, 2), np.float32))
    monkeypatch.setattr(
        "scratchnet.explain_sheets._save",
        lambda figure, path: written.append([text.get_text() for text in figure.findobj(match=_is_text)]),
    )
    assert explain(CELL, "--out", tmp_path, "--class", "HEM", "--layer", "relu5")[0] == 0
    assert "no place of relu5\nspeaks for 'hem'" in written[0]
    assert "Grad-CAM: evidence for 'hem'\nin relu5, 2 × 2 places" in written[0]
    assert "weight of the evidence" not in written[0]
    assert any("the 10 strongest\nof 32 maps" in text for text in written[1])


def _is_text(artist):
    return type(artist).__name__ == "Text"


def test_without_the_extra(explain, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, err = explain(CELL, "--out", tmp_path / "out")
    assert code == 2
    assert "[viz]" in err
    assert not (tmp_path / "out").exists()
