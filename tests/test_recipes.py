"""What a recipe learns and what every fold says, `benchmarks.learning` and `.folds`: ours as train.py does, PyTorch as ours."""

import importlib.util
import json
import shutil

import numpy as np
import pytest

from benchmarks.learning import main as learning_main
from benchmarks.learning import train
from benchmarks.systems.learners import require_shared
from scratchnet.errors import ConfigError
from scratchnet.training.config import Config, from_toml
from tests.programs import run_module


def learning(*arguments):
    return run_module("benchmarks.learning", *arguments)


@pytest.mark.slow
def test_learning_trains_each_system_change_and_seed_once(trained_run, tmp_path):
    systems = ["scratchnet", "torch"] if importlib.util.find_spec("torch") else ["scratchnet"]
    out = tmp_path / "learnt.json"
    asked = (
        trained_run.data, "--preset", "recommended", "--epochs", 1, "--out", out, "--systems", *systems,
        "--change", "batch_size=64, augment='none'",
    )  # fmt: skip
    done = learning(*asked)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["change"], row["system"]) for row in rows] == [
        (change, system) for change in ("", "batch_size=64, augment='none'") for system in systems
    ]
    again = learning(*asked, "--seeds", 0, 1)
    more = json.loads(out.read_text(encoding="utf-8"))
    assert more[: len(rows)] == rows
    assert [row["seed"] for row in more[len(rows) :]] == [1] * len(rows)
    assert again.stdout.count(", seed ") == len(rows)


def test_ours_learns_as_train_py_does(trained_run):
    """The same recipe by either program: the same figures to the last digit."""
    import csv

    config = Config(**from_toml(trained_run.folder / "config.toml"))
    row = train("scratchnet", config, trained_run.data, 0)
    with open(trained_run.folder / "metrics.csv", encoding="utf-8") as file:
        assert [float(one["test_accuracy"]) for one in csv.DictReader(file)] == row["accuracy"]


@pytest.mark.parametrize("preset", ["report-32", "recommended"])
def test_pytorch_is_given_the_same_network_and_recipe(trained_run, preset):
    """From the same weights and under the same masks of dropout, a step of either moves every weight alike, and what it then
    says of images in their eight positions is the same."""
    pytest.importorskip("torch")

    from benchmarks.systems.learners import LEARNERS
    from benchmarks.systems.twin import theirs_of
    from scratchnet.training import Experiment
    from scratchnet.training.config import PRESETS, Config

    changed = {"image_size": 32, "batch_size": 16, "warmup": 4, "clip_norm": 0.5}
    experiment = Experiment(Config(**PRESETS[preset] | changed), trained_run.data)
    ours, theirs = LEARNERS["scratchnet"](experiment), LEARNERS["torch"](experiment)
    batch = next(iter(experiment.data.train.epoch(0)))
    assert ours.step(batch, 0) == pytest.approx(theirs.step(batch, 0), rel=2e-5)
    pairs = zip(experiment.network.parameters(), theirs.network.parameters(), strict=True)
    apart = [np.abs(other.detach().numpy() - theirs_of(mine.value)).ravel() for mine, other in pairs]
    # Adam goes a step of full length, 0.001, by the sign of a gradient, also of one that is nothing but rounding.
    assert np.mean(np.concatenate(apart) > 1e-5) < 0.02
    assert max(map(np.max, apart)) <= 0.00201
    said, wanted = (one.evaluate([batch], symmetries=True).logits for one in (theirs, ours))
    np.testing.assert_allclose(said, wanted, atol=2e-3)


def test_a_recipe_that_pytorch_would_be_told_differently_is_refused(trained_run, capsys):
    with pytest.raises(ConfigError, match="optimizer sgd is not compared with PyTorch, only adam or adamw"):
        require_shared(Config(optimizer="sgd"))
    with pytest.raises(ConfigError, match=r"focus 2\.0 is not compared"):
        require_shared(Config(focus=2))
    with pytest.raises(ConfigError, match=r"16 images are normalised together here.*take a batch_size of 16"):
        require_shared(Config(model="residual"), 16)
    for words, said in (
        (
            ("--systems", "torch", "--change", "class_weights='balanced'"),
            "class_weights balanced is not compared with PyTorch",
        ),
        (("--change", "batch_size"), "cannot be read"),
        (("--change", "batch=3"), "no option 'batch'"),
    ):
        assert learning_main([str(trained_run.data), *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


@pytest.mark.slow
def test_learning_takes_no_training_of_other_data_or_another_recipe_for_this_one(trained_run, tmp_path):
    out = tmp_path / "learnt.json"
    asked = ("--preset", "report-32", "--epochs", 1, "--out", out)
    assert learning(trained_run.data, *asked).returncode == 0
    rows = json.loads(out.read_text(encoding="utf-8"))
    for name in ("dataset_id", "config"):
        stored = dict(rows[0])
        stored[name] = "another" if name == "dataset_id" else stored[name] | {"warmup": 7}
        out.write_text(json.dumps([stored]), encoding="utf-8")
        again = learning(trained_run.data, *asked)
        assert len(json.loads(out.read_text(encoding="utf-8"))) == 2, again.stderr
        assert "| 1 |" in again.stdout
    done = learning(trained_run.data, *asked, "--change", "patience=1")
    assert (done.returncode, "would change nothing" in done.stderr) == (2, True)


def folds(*arguments):
    return run_module("benchmarks.folds", *arguments)


@pytest.mark.slow
def test_folds_judge_every_cell_once_and_know_their_runs(tmp_path):
    pytest.importorskip("sklearn")
    from scratchnet.measures.predictions import Predictions
    from scratchnet.prepare import SAMPLE, Settings, prepare_folds

    shards, out = tmp_path / "folds", tmp_path / "runs"
    prepare_folds(SAMPLE, shards, Settings(image_size=32, split="kfold", folds=2), quiet=True)
    asked = (shards, "--out", out, "--epochs", 1, "--test-symmetries", "none")
    done = folds(*asked)
    assert done.returncode == 0, done.stderr
    parts = [Predictions.read(out / f"fold-{fold}" / "predictions.csv") for fold in range(2)]
    paths = [path for part in parts for path in part.paths]
    assert len(paths) == len(set(paths)) == 246
    right = sum(int((part.answers == part.labels).sum()) for part in parts)
    assert f"| the network | {100 * right / 246:.1f} % " in done.stdout
    assert "246 images" in done.stdout
    assert done.stdout.count("| logistic regression on ") == 2
    assert folds(*asked).stdout.endswith(done.stdout[done.stdout.index("| who answers") :])
    for other, said in (
        ((*asked[:4], 2, *asked[5:]), "other options"), ((*asked, "--preset", "report-32"), "other preset"),
        ((*asked, "--name", "x"), "--name is chosen here"), ((tmp_path, *asked[1:]), "holds no folds"),
        ((shards, "--out", tmp_path), "holds something else"),
    ):  # fmt: skip
        refused = folds(*other)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_folds_that_are_not_all_of_one_cross_validation_are_refused(tmp_path):
    pytest.importorskip("sklearn")
    from scratchnet.prepare import SAMPLE, Settings, prepare_folds

    prepare_folds(SAMPLE, tmp_path / "folds", Settings(image_size=32, split="kfold", folds=3), quiet=True)
    asked = (tmp_path / "folds", "--out", tmp_path / "runs", "--epochs", 1)
    # What train.py does not know leaves nothing behind that would stand in the way of the right options.
    assert folds(*asked, "--nosuch", 3).returncode == 2
    shutil.rmtree(tmp_path / "folds/fold-1")
    done = folds(*asked)
    assert done.returncode == 2
    assert "holds the folds [0, 2], not all of one cross-validation" in done.stderr
    assert json.loads((tmp_path / "runs/folds.json").read_text(encoding="utf-8"))["options"][-1] == "3"
    prepare_folds(SAMPLE, tmp_path / "new", Settings(image_size=32, split="kfold", folds=2), quiet=True)
    done = folds(tmp_path / "new", *asked[1:], "--test-symmetries", "none")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_training_that_diverges_is_a_row_and_the_others_go_on(trained_run, tmp_path):
    out = tmp_path / "learnt.json"
    systems = ["torch", "scratchnet"] if importlib.util.find_spec("torch") else ["scratchnet"]
    asked = (trained_run.data, "--preset", "report-32", "--epochs", 1, "--systems", *systems, "--change")
    done = learning(*asked, "learning_rate=1e30", "--out", out)
    assert (done.returncode, done.stderr) == (1, "")
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [row["diverged"] for row in rows] == [False] * len(systems) + [True] * len(systems)
    assert done.stdout.count("diverged") == 2 * len(systems)
    done = learning(*asked, "batch_size=3", "--out", tmp_path / "nowhere" / "learnt.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a folder: make it first" in done.stderr
