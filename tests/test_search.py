"""Several runs: search, folds and find-rate; what is done is not done again, and nothing is chosen on the test side."""

import argparse
import csv
import importlib.util

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.__main__ import main
from scratchnet.commands import find_rate, plan, search
from scratchnet.measures.doubts import doubts
from scratchnet.measures.predictions import Predictions
from scratchnet.nn.models import MODELS
from scratchnet.prepare import SAMPLE
from scratchnet.prepare.tables import read_files
from scratchnet.training.config import from_toml
from scratchnet.training.run import read_table
from tests.small_runs import make_sides

pytestmark = pytest.mark.usefixtures("small_model", "no_pages")


@pytest.fixture
def trained(monkeypatch):
    """The names of the plans that are carried out."""
    names, real = [], plan.Plan.carry_out
    monkeypatch.setattr(plan.Plan, "carry_out", lambda self, command: names.append(self.name) or real(self, command))
    return names


def test_a_grid_is_judged_on_validation_and_goes_on(tmp_path, capsys, trained):
    data, out = make_sides(tmp_path / "data", train=24, validation=12, test=8), tmp_path / "out"
    grid = ["search", str(data), "--out", str(out), "--grid", "learning-rate=0.0001,0.01"]
    names = ["learning_rate=0.0001", "learning_rate=0.01"]
    assert main([*grid, "--epochs", "2"]) == 0
    assert trained == names
    printed = capsys.readouterr().out
    assert "On 12 validation images:" in printed
    of_the_test = [line.strip() for line in printed.replace(str(tmp_path), "").splitlines() if "test" in line]
    assert of_the_test
    assert all(line.startswith("test       8 images") for line in of_the_test), (
        of_the_test
    )  # how many there are, and no more
    assert printed.count("validation") > 4
    lines = list(csv.DictReader((out / "search.csv").read_text(encoding="utf-8").splitlines()))
    best = [
        max(row["validation_balanced_accuracy"] for row in read_table(out / name / "metrics.csv")) for name in names
    ]
    assert [float(line["validation_balanced_accuracy"]) for line in lines] == sorted(best, reverse=True)
    assert str(out / lines[0]["run"] / "config.toml") in printed.splitlines()[-2]
    trained.clear()
    assert main([*grid, "--epochs", "2"]) == 0
    assert trained == []
    assert main([*grid, "--epochs", "3"]) == 0  # one more epoch: both go on from their checkpoints
    assert trained == names
    assert len(read_table(out / names[1] / "metrics.csv")) == 3
    assert main([*grid, "--epochs", "3", "--batch-size", "8"]) == 2
    assert "choose another --out" in capsys.readouterr().err


def without(newest, *names):
    """A run's description, from before these settings were there."""
    if newest is None:
        return None
    about, progress = newest
    return about | {"config": {name: value for name, value in about["config"].items() if name not in names}}, progress


@pytest.mark.parametrize("kept", ["0", "1"])
def test_what_patience_has_ended_is_done_and_known(tmp_path, capsys, trained, kept, monkeypatch):
    """With or without a checkpoint: it is not trained again, more patience goes on, and other settings are refused."""
    data, out = make_sides(tmp_path / "data", train=24, validation=12, test=8), tmp_path / "out"
    asked = [
        "search",
        str(data),
        "--out",
        str(out),
        "--grid",
        "learning-rate=1e-8",
        "--epochs",
        "4",
        "--keep-last",
        kept,
    ]
    assert main([*asked, "--patience", "1"]) == 0
    assert len(read_table(out / "learning_rate=1e-08" / "metrics.csv")) < 4
    assert "not finished" not in capsys.readouterr().out
    assert main([*asked, "--patience", "1"]) == 0
    assert len(trained) == 1
    with monkeypatch.context() as before:  # made before there were these options
        newest = plan.Plan._newest
        before.setattr(plan.Plan, "_newest", lambda self: without(newest(self), "label_smoothing", "focus"))
        assert main([*asked, "--patience", "1"]) == 0
    assert main([*asked, "--patience", "1", "--batch-size", "8"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert main([*asked, "--patience", "4"]) == 0
    assert len(trained) == 2
    assert len(read_table(out / "learning_rate=1e-08" / "metrics.csv")) == 4


def test_a_run_is_one_folder_whatever_the_value_is_called(tmp_path):
    data = make_sides(tmp_path / "data", train=12, validation=8, test=8)
    out = tmp_path / "out"
    assert main(["search", str(data), "--out", str(out), "--grid", "freeze=conv*", "--epochs", "1"]) == 0
    assert {path.name for path in out.iterdir()} == {"freeze=conv%2A", "search.csv"}


def test_random_draws_stay_when_more_are_asked_for():
    def trials(*words):
        parser = argparse.ArgumentParser()
        search.add_arguments(parser)
        return search._trials(parser.parse_args(["data", *words]))

    few, more = trials("--random", "3"), trials("--random", "40")
    assert more[:3] == few
    for name, (low, high) in search.RANGES.items():
        drawn = np.array([one[name] for one in more])
        assert low <= drawn.min() < drawn.max() <= high
    rates = [one["learning_rate"] for one in more]
    assert 10 < sum(rate < np.sqrt(1e-4 * 3e-3) for rate in rates) < 30  # by powers
    (one,) = trials("--random", "1", "--range", "batch_size=8,9")
    assert one["batch_size"] in (8, 9)
    assert trials("--random", "3", "--seed", "1") != few


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--grid learning_rate"),
        (["--grid", "rate=1"], "hyper-parameter's name"),
        (["--grid", "dropout=x"], "--grid dropout=x"),
        (["--grid", "dropout=2"], "dropout must be less than 1"),
        (["--grid", "dropout=0.1", "--validation-fraction", "0"], "nothing to choose by"),
        (["--grid", "dropout=0.1", "--grid", "dropout=0.2"], "all its values in one --grid"),
        (["--random", "2", "--range", "dropout=0.1,0.2", "--range", "dropout=0.2,0.3"], "in one --range"),
        (["--random", "2", "--grid", "dropout=0.1"], "--grid learning_rate"),
        (["--random", "2", "--range", "dropout=0.5,0.1"], "the smaller first"),
        (["--grid", "dropout=0.1", "--split", "kfold"], "leave it out"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_line(tmp_path, capsys, options, said):
    assert main(["search", str(SAMPLE), "--out", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_without_a_validation_side_nothing_is_searched(tmp_path, capsys):
    data = make_sides(tmp_path / "data")
    assert main(["search", str(data), "--out", str(tmp_path / "out"), "--grid", "dropout=0.1"]) == 2
    assert "no validation side" in capsys.readouterr().err.splitlines()[-1]


def test_folds_judge_each_image_once(tmp_path, capsys, trained):
    where = ["--out", str(tmp_path / "out"), "--prepared", str(tmp_path / "prepared")]
    asked = ["folds", str(SAMPLE), *where, "--folds", "2", "--image-size", "32", "--epochs", "1", "--bootstrap", "50"]
    assert main(asked) == 0
    assert trained == ["fold 0", "fold 1"]
    pooled = Predictions.read(tmp_path / "out" / "predictions.csv")
    assert len(pooled.paths) == len(set(pooled.paths)) == 246
    parts = [Predictions.read(tmp_path / "out" / f"fold-{k}" / "predictions.csv") for k in range(2)]
    assert not set(parts[0].subjects) & set(parts[1].subjects)
    np.testing.assert_array_equal(pooled.probabilities, np.concatenate([part.probabilities for part in parts]))
    table = (tmp_path / "out" / "folds.txt").read_text(encoding="utf-8")
    assert "246 images" in table
    assert "50 resamples of the" in table
    named = read_files(tmp_path / "out" / "doubtful.csv")
    assert named == {pooled.paths[n] for n, _ in doubts(pooled)}
    assert f"in doubt by these answers: {len(named)} of 246" in " ".join(capsys.readouterr().out.split())
    trained.clear()
    capsys.readouterr()
    assert main(asked) == 0
    assert trained == []
    assert table in capsys.readouterr().out


def test_the_rate_climbs_and_one_is_proposed(tmp_path, capsys):
    data, curve = make_sides(tmp_path / "data", train=24), tmp_path / "curve.csv"
    asked = ["find-rate", str(data), "--curve", str(curve)]
    assert main([*asked, "--steps", "12", "--most", "0.01", "--batch-size", "8"]) == 0
    rows = [
        [float(cell) for cell in line] for line in list(csv.reader(curve.read_text(encoding="utf-8").splitlines()))[1:]
    ]
    rates, losses, smooth = zip(*rows, strict=True)
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(0.01 / 1e-6) / 11)
    assert losses[0] == pytest.approx(np.log(2), abs=0.3)
    proposed, out = find_rate.proposal(list(rates), list(smooth)), capsys.readouterr().out
    assert f"--learning-rate {proposed:.2g}" in out
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    else:
        assert "Without a picture: " in out
    assert main([*asked, "--learning-rate", "0.1"]) == 2
    assert "leave it out" in capsys.readouterr().err
    assert main([*asked, "--most", "inf"]) == 2
    assert "got 1e-06, inf" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*asked, "--out", str(tmp_path)])  # there are no runs to put there
    assert "--out" in capsys.readouterr().err


MINE = """
import scratchnet as sn

def small(image_size, classes):
    return sn.Sequential([sn.MaxPool2D(image_size // 4), sn.Flatten(), sn.Dense(classes)])

def dropping(classes, dropout):
    return sn.Sequential([sn.MaxPool2D(8), sn.Flatten(), sn.Dropout(dropout), sn.Dense(classes)])
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file of networks, and nothing is compiled ahead."""
    monkeypatch.setattr("scratchnet.commands.session.kernels_are_compiled", lambda config: True)
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


def test_a_search_among_networks_of_one_s_own(tmp_path, capsys, trained, mine):
    """By --model or in the grid; a setting that only some of them take reaches those, and is refused for the others."""
    data, out = make_sides(tmp_path / "data", train=12, validation=8, test=8), tmp_path / "out"
    asked = ["search", str(data), "--epochs", "1"]
    both = [*asked, "--out", str(out), "--grid", f"model={mine}:small,{mine}:dropping"]
    assert main(both) == 0
    assert capsys.readouterr().err.count("Running the code of") == 2
    layers = [from_toml(run / "config.toml")["layers"] for run in out.iterdir() if run.is_dir()]
    assert sorted("Dropout" in text for text in layers) == [False, True]
    assert main(both) == 0
    assert len(trained) == 2
    mine.write_text(MINE.replace("MaxPool2D(8)", "MaxPool2D(4)"), encoding="utf-8")
    assert main(both) == 2
    assert "is a run with other layers: choose another --out" in capsys.readouterr().err
    own = [*asked, "--model", f"{mine}:dropping", "--out"]
    assert main([*own, str(tmp_path / "dropout"), "--grid", "dropout=0.1,0.2"]) == 0
    rates = {from_toml(run / "config.toml")["layers"] for run in (tmp_path / "dropout").glob("dropout=*")}
    assert len(rates) == 2
    own[5] = f"{mine}:small"
    assert main([*own, str(tmp_path / "none"), "--grid", "dropout=0.1,0.2"]) == 2
    assert "dropout has no effect on a network of your own" in capsys.readouterr().err
    assert (
        main([*own, str(tmp_path / "drawn"), "--random", "1"]) == 0
    )  # of the ranges that are drawn from without being asked
    (run,) = (tmp_path / "drawn").glob("*=*")
    assert "dropout" not in run.name


def test_folds_and_the_rate_of_a_network_of_one_s_own(tmp_path, capsys, mine):
    where = ["--prepared", str(tmp_path / "prepared"), "--model", f"{mine}:small", "--image-size", "32"]
    out = tmp_path / "out"
    assert (
        main(["folds", str(SAMPLE), *where, "--out", str(out), "--folds", "2", "--epochs", "1", "--bootstrap", "9"])
        == 0
    )
    assert from_toml(out / "fold-1" / "config.toml")["model"] == f"{mine}:small"
    rate = ["find-rate", str(SAMPLE), *where, "--steps", "12", "--curve", str(tmp_path / "rate.csv")]
    assert main(rate) == 0
    assert "--learning-rate" in capsys.readouterr().out
    rate[rate.index(f"{mine}:small")] = "resnet"
    assert main(rate) == 2
    assert "model must be one of report, report-wide, residual, or FILE.py:NAME for --model" in capsys.readouterr().err


def test_layers_that_observe_a_micro_batch_record_its_size_as_train_does(tmp_path, capsys, monkeypatch):
    layers = lambda size, classes, **_: sn.Sequential(  # noqa: E731
        [sn.MaxPool2D(size // 4), sn.BatchNorm2D(), sn.Flatten(), sn.Dense(classes)]
    )
    monkeypatch.setitem(MODELS, "report", layers)
    data, out = make_sides(tmp_path / "data", train=24, validation=12, test=8), tmp_path / "out"
    asked = ["search", str(data), "--out", str(out), "--grid", "learning_rate=0.01", "--batch-size", "8"]
    assert main([*asked, "--epochs", "1"]) == 0
    (run,) = (out / "learning_rate=0.01",)
    assert from_toml(run / "config.toml")["micro_batch"] == 8
    assert main([*asked, "--epochs", "2"]) == 0  # the same command with more epochs goes on
    assert len(read_table(run / "metrics.csv")) == 2
    assert main([*asked, "--epochs", "2", "--micro-batch", "4"]) == 2
    assert "micro_batch 8, not 4" in capsys.readouterr().err
