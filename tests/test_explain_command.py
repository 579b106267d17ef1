"""python -m scratchnet explain: two pictures for each image."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.prepare import SAMPLE

CELL = SAMPLE / "fold_0" / "hem" / "UID_H7_1_1_hem.webp"


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
    odd = tmp_path / "cells" / "$x_1$ 細胞.png"
    code, err = explain(tmp_path / "cells", odd, "--out", out, "--class", "hem", "--layer", "pool2", "--patch", 4)
    assert code == 1
    assert "bad.png: " in err
    names = {f"{stem}-{what}.png" for stem in (odd.stem, f"{odd.stem}-2") for what in ("decision", "layers")}
    assert {file.name for file in out.iterdir()} == names
    for file in out.iterdir():
        with Image.open(file) as image:
            assert image.width > 1000
            assert len(image.convert("RGB").getcolors(2**24)) > 500  # a picture, and no empty page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class", "cat"], "'cat' is not one of the network's classes, which are all, hem"),
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


@pytest.fixture
def written(monkeypatch):
    """The texts of each sheet, in place of its file."""
    pytest.importorskip("matplotlib")
    texts = []
    monkeypatch.setattr(
        "scratchnet.use.explain_sheets._save",
        lambda figure, path: texts.append([text.get_text() for one in (figure, *figure.axes) for text in one.texts]),
    )
    return texts


def test_a_class_in_capitals_and_maps_where_nothing_matters(explain, tmp_path, monkeypatch, written):
    monkeypatch.setattr("scratchnet.use.explain_sheets.grad_cam", lambda *_: np.full((1, 2, 2), 0.01, np.float32))
    monkeypatch.setattr("scratchnet.use.explain_sheets.occlusion", lambda *_, **__: np.full((32, 32), -0.0015))
    label = ["--class-label", "hem=healthy (HEM)"]
    assert explain(CELL, "--out", tmp_path, "--class", "HEM", "--layer", "relu5", *label)[0] == 0
    text = "\n".join(written[0])
    assert "No single place matters: covering any of\nthem moves the answer by less than 5 points" in text
    assert "No single place matters: none in relu5\nspeaks for it by 5 points" in text
    assert "speaks for 'healthy (HEM)'" in text
    assert "relu5 has 2 × 2 places" in " ".join(text.split())
    assert any("the 10 strongest\nof 32 maps" in text for text in written[1])


def test_where_all_places_speak_alike_none_is_said_to_have_decided(explain, tmp_path, monkeypatch, written):
    cam = np.array([[[0.10, 0.13], [0.13, 0.14]]])
    monkeypatch.setattr("scratchnet.use.explain_sheets.grad_cam", lambda *_: cam)
    assert explain(CELL, "--out", tmp_path)[0] == 0
    assert any(
        "No place stands out: all of them speak\nalike, less than 5 points apart." in text for text in written[0]
    )


def test_the_numbers_stand_on_the_map(explain, tmp_path, monkeypatch, written):
    cam = np.array([[[0.0, 0.1], [0.3, 0.0]]])
    missed = np.zeros((32, 32))
    missed[8:12, 8:12], missed[20:24, 4:8] = 0.31, -0.12
    monkeypatch.setattr("scratchnet.use.explain_sheets.grad_cam", lambda *_: cam)
    monkeypatch.setattr("scratchnet.use.explain_sheets.occlusion", lambda *_, **__: missed)
    assert explain(CELL, "--out", tmp_path)[0] == 0
    assert {"+31", "−12"} <= set(written[0])
    lifted = 1 / (1 + np.exp(-4 * np.array([0.1, 0.3]))) - 0.5
    assert {f"+{100 * one:.0f}" for one in lifted} <= set(written[0])
    assert not any("No single place matters" in text for text in written[0])


@pytest.mark.parametrize(("folder", "truth"), [("hem", "hem"), ("ALL", "all"), ("cells", None)])
def test_the_true_class_is_said_where_its_folder_tells(explain, tmp_path, written, folder, truth):
    (tmp_path / folder).mkdir()
    shutil.copy(CELL, tmp_path / folder / "x.png")
    assert explain(tmp_path / folder / "x.png", "--out", tmp_path / "out")[0] == 0
    text = "\n".join(written[0])
    said = text.partition("The network says '")[2].partition("'")[0]
    if truth is None:
        assert "What it really is, nothing here tells." in text
    else:
        assert f"By its folder it is {truth!r}: the network is {'right' if said == truth else 'WRONG'}." in text


def test_without_the_extra(explain, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, err = explain(CELL, "--out", tmp_path / "out")
    assert code == 2
    assert "[viz]" in err
    assert not (tmp_path / "out").exists()


def test_a_page_needs_no_extra(explain, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, err = explain(CELL, CELL, "--page", "--out", tmp_path / "out", "--class", "hem")
    assert code == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f"{CELL.stem}.html", f"{CELL.stem}-2.html"}
    assert str(tmp_path / "out" / f"{CELL.stem}-2.html") in err
    text = (tmp_path / "out" / f"{CELL.stem}.html").read_text(encoding="utf-8")
    assert "By its folder it is &#x27;hem&#x27;" in text
    assert "what is missed of &#x27;hem&#x27;" in text
