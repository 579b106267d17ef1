"""Networks of a user's own in the tools: train.py --model, every command that uses a run, and the Classifier."""

import inspect
import os
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pytest

import scratchnet as sn
import train
from scratchnet.__main__ import main
from scratchnet.commands.own import _run
from scratchnet.data import read_manifest, write_manifest
from scratchnet.data.images import preprocessing
from scratchnet.errors import ConfigError, LabelError, ShapeError
from scratchnet.nn import description
from scratchnet.pages import Results
from scratchnet.pages.layers import layers
from tests.small_data import random_images, save_image
from tests.small_runs import make_sides, weights

MINE = """
import scratchnet as sn

def plain(image_size, classes, dropout=0.5):
    assert image_size == 32
    return sn.Sequential([sn.MaxPool2D(4), sn.Flatten(), sn.Dense(6), sn.Dropout(dropout), sn.Dense(classes)])

ready = sn.Sequential([sn.MaxPool2D(8), sn.Flatten(), sn.Dense(2, name="head")])
five = sn.Sequential([sn.Flatten(), sn.Dense(5)])

class Square(sn.Layer):
    def __init__(self, power=2):
        super().__init__()
        self.power = power

    def _forward(self, x, training):
        self._x = x
        return x**self.power

    def _backward(self, dy, need_dx, accumulate):
        return (dy * self.power * self._x ** (self.power - 1)).astype(dy.dtype)

def squares(classes):
    return sn.Sequential([sn.MaxPool2D(8), Square(), sn.Flatten(), sn.Dense(classes)])

def wants(depth):
    pass

def fails():
    raise RuntimeError("no\\nluck")

def ends():
    raise SystemExit(3)

def nothing():
    return None
"""


@pytest.fixture
def at(tmp_path, monkeypatch, no_pages):
    """A folder with mine.py and prepared images, where no class of a user's own is known, and nothing is compiled ahead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scratchnet.commands.session.kernels_are_compiled", lambda config: True)
    monkeypatch.setattr("scratchnet.commands.shared.kernels_are_compiled", lambda config: True)
    description.OWN.clear()
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    shards = make_sides(tmp_path / "shards")
    write_manifest(shards, replace(read_manifest(shards), preprocessing=preprocessing(32)))
    save_image(tmp_path / "cell.png", size=(32, 32))
    return tmp_path


def learn(*arguments, name="run"):
    return train.main(["--data", "shards", "--epochs", "2", "--batch-size", "4", "--name", name, *arguments])


def test_a_run_of_one_s_own_network_needs_the_file_no_more(at, capsys):
    assert learn("--model", "mine.py:plain", "--dropout", "0.25") == 0
    said = capsys.readouterr()
    assert said.err.startswith("Running the code of mine.py, which may do whatever a program may do.\n")
    assert "network   mine.py:plain: 0 convolutions, 2 dense layers" in said.out
    assert '"layer"' not in said.out
    (at / "mine.py").unlink()
    config = tomllib.loads((at / "runs" / "run" / "config.toml").read_text(encoding="utf-8"))
    assert (config["model"], config["dropout"]) == ("mine.py:plain", 0.25)
    assert repr(description.from_description(config["layers"])) == (
        "Sequential([MaxPool2D(4), Flatten(), Dense(6), Dropout(0.25), Dense(2)])"
    )

    with Results.read("runs/run") as results:
        page = layers(results)
    assert "<code>MaxPool2D(4)</code>" in page
    assert "<code>Dropout(0.25)</code>" in page
    assert "5 layers, 1,172 weights, for images of 32 × 32 × 3." in page
    assert "<details>" not in page

    # It is repeated, resumed, shown, used and exported.
    assert train.main(["--config", "runs/run/config.toml", "--name", "again"]) == 0
    assert weights("runs/again") == weights("runs/run")
    assert train.main(["--resume", "runs/again", "--epochs", "3"]) == 0
    assert train.main(["--resume", "runs/again", "--epochs", "3", "--model", "mine.py:plain"]) == 2
    assert "leave out --model" in capsys.readouterr().err
    assert learn("--config", "runs/run/config.toml", "--epochs", "3", name="three") == 0
    assert weights("runs/three") == weights("runs/again")
    capsys.readouterr()
    for command in (["predict", "runs/run", "cell.png"], ["summary", "runs/run"], ["verify", "runs/run"]):
        assert main(command) == 0
    said = capsys.readouterr()
    assert "mine.py:plain" in said.out
    assert "Running" not in said.err
    assert repr(sn.load("runs/run")) == (
        "<Predictor from runs/run/weights.h5: mine.py:plain, images of 32 × 32 pixels, classes all, hem>"
    )


def test_a_network_with_layers_of_one_s_own_asks_for_their_file(at, capsys):
    assert learn("--model", "mine.py:squares") == 0
    images = random_images(3, 32)
    assert sn.load("runs/run").predict_proba(images).shape == (3, 2)  # this process has run the file
    description.OWN.clear()
    capsys.readouterr()
    for command in (["predict", "runs/run", "cell.png"], ["summary", "runs/run"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "the network has Square, which is mine.py:squares's own and not stored" in said
        assert "--layers FILE.py" in said
        assert len(said.splitlines()) == 1
    with Results.read("runs/run") as results:
        assert "cannot be shown here: the network has Square, which is" in layers(results)
    for resuming in (["--resume", "runs/run", "--epochs", "3"], ["--config", "runs/run/config.toml", "--name", "more"]):
        assert train.main(resuming) == 2
        assert "--layers FILE.py" in capsys.readouterr().err
        description.OWN.clear()
        assert train.main([*resuming, "--layers", "mine.py"]) == 0
        description.OWN.clear()
    assert main(["predict", "runs/run", "cell.png", "--layers", "mine.py"]) == 0
    description.OWN.clear()
    names = {}
    exec(MINE, names)
    one, other = (sn.load(f"runs/{name}", layers=[names["Square"]]) for name in ("run", "more"))
    assert one.predict_proba(images).tobytes() == other.predict_proba(images).tobytes()


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        ("mine.py", (), "say which network of mine.py, mine.py:NAME; it has plain, ready, five, squares, wants"),
        ("mine.py:none", (), "mine.py:NAME; it has plain"),
        ("gone.py:plain", (), "there is no such file"),
        ("resnet", (), "model must be one of report, report-wide, residual, or FILE.py:NAME"),
        ("mine.py:five", (), "gives 5 numbers for an image, but there are 2 classes"),
        ("mine.py:Square", (), "expected a Sequential, or a function that makes one, got type"),
        ("mine.py:wants", (), "can take image_size, classes, channels, dropout, weight_init; it wants depth"),
        ("mine.py:fails", (), "mine.py:fails failed: RuntimeError: no luck"),
        ("mine.py:ends", (), "mine.py:ends failed: SystemExit: 3"),
        ("mine.py:nothing", (), "must return a Sequential, got NoneType"),
        ("mine.py:ready", ("--dropout", "0.1"), "dropout has no effect on a network of your own"),
        ("mine.py:plain", ("--weight-init", "he_normal"), "weight_init has no effect"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(at, capsys, model, more, said):
    assert learn("--model", model, *more) == 2
    last = capsys.readouterr().err.splitlines()
    assert said in last[-1]
    assert len(last) <= 2
    assert not (at / "runs").exists() or not list((at / "runs").iterdir())


def test_a_file_that_fails(at, capsys):
    (at / "mine.py").write_text("import scratchnet\n1 / 0\n", encoding="utf-8")
    assert learn("--model", "mine.py:plain") == 2
    assert "mine.py could not be run: ZeroDivisionError: division by zero" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["summary", "runs/x", "--layers", "mine.py"])
    assert "argument --layers: mine.py could not be run" in capsys.readouterr().err


def test_a_file_that_was_changed_within_a_second_runs_as_it_is_now(tmp_path, monkeypatch):
    """Python's own cache knows a file by its size and the second of its change."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for answer in (1, 2):
        (tmp_path / "mine.py").write_text(f"answer = {answer}\n", encoding="utf-8")
        os.utime(tmp_path / "mine.py", (10**9, 10**9))
        assert _run(str(tmp_path / "mine.py"))["answer"] == answer


def test_the_help_says_that_code_is_run(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    assert "this runs that file's code" in " ".join(capsys.readouterr().out.split())


# In Python


def own(classes):
    return sn.Sequential([sn.MaxPool2D(8), sn.Flatten(), sn.Dense(6), sn.ReLU(), sn.Dense(classes)])


@pytest.fixture(scope="module")
def spots():
    y = np.array(["dark", "light"])[np.arange(24) % 2]
    X = np.random.default_rng(5).integers(0, 60, (24, 32, 32, 3), dtype=np.uint8)
    X[y == "light"] += 40
    return X, y


QUICK = {"epochs": 30, "batch_size": 8, "warmup": 0, "learning_rate": 0.01}


def test_a_classifier_of_one_s_own_network(spots, tmp_path):
    X, y = spots
    one = sn.Classifier(network=own, **QUICK).fit(X, y)
    network = own(2)
    other = sn.Classifier(network=network, **QUICK).fit(X, y)
    assert one.score(X, y) == 1
    assert one.predict_proba(X).tobytes() == other.predict_proba(X).tobytes()
    assert network.output_shape is None  # the one that was given is left as it was
    assert len(one.losses_) == len(one.history_) == 30
    one.predictor_.save(tmp_path / "own.h5")
    assert sn.load(tmp_path / "own.h5").predict_proba(X).tobytes() == one.predict_proba(X).tobytes()
    assert repr(sn.Classifier(network=own, epochs=3)) == "Classifier(network=own, epochs=3)"
    assert inspect.signature(sn.Classifier).parameters["network"].default is None
    with pytest.raises(ConfigError, match="gives 2 numbers for an image, but there are 3 classes"):
        sn.Classifier(network=network, **QUICK).fit(X, np.arange(24) % 3)


def test_validation_data_and_early_stopping(spots):
    X, y = spots
    wrong = np.where(y == "dark", "light", "dark")
    classifier = sn.Classifier(network=own, **QUICK, patience=3, best_metric="loss")
    classifier.fit(X, y, validation_data=(X[:8], wrong[:8]))
    losses = [row["validation_loss"] for row in classifier.history_]
    assert len(losses) == int(np.argmin(losses)) + 4 < 30
    p = classifier.predict_proba(X[:8])
    right = p[np.arange(8), np.searchsorted(classifier.classes_, wrong[:8])]
    assert -np.log(right).mean() == pytest.approx(min(losses), rel=1e-5)
    # Being watched changes nothing.
    plain, watched = (sn.Classifier(network=own, **QUICK) for _ in range(2))
    watched.fit(X, y, validation_data=(X[:8], wrong[:8]))
    assert plain.fit(X, y).predict_proba(X).tobytes() == watched.predict_proba(X).tobytes()
    with pytest.raises(ConfigError, match="patience is for validation_data"):
        classifier.fit(X, y)
    for data, error, said in (
        ((X, np.where(y == "dark", "odd", y)), LabelError, "class 'odd'"),
        ((random_images(2, 64), y[:2]), ShapeError, r"\(32, 32, 3\)"),
        ((X, y[:3]), ShapeError, "each with a class"),
        (X, ShapeError, "a pair"),
    ):
        with pytest.raises(error, match=said):
            classifier.fit(X, y, validation_data=data)


def test_what_would_change_nothing_is_refused(spots):
    X, y = spots
    for setting in ({"dropout": 0.1}, {"model": "report-wide"}, {"weight_init": "he_normal"}):
        with pytest.raises(ConfigError, match=f"{next(iter(setting))} has no effect"):
            sn.Classifier(network=own, **QUICK, **setting).fit(X, y)


def test_validation_classes_are_matched_by_name(spots):
    X, _ = spots
    y = np.array([10, 9])[np.arange(24) % 2]
    rows = [
        sn.Classifier(network=own, **QUICK | {"epochs": 1}).fit(X, y, validation_data=(X, given)).history_
        for given in (y, y.astype(str))  # as texts, "10" comes before "9"
    ]
    assert rows[0] == rows[1]
