"""`python -m benchmarks` runs through at tiny sizes, and counts, divides and judges as it says. No figure is judged here."""

import doctest
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import accuracy, power, rounds, targets, work
from benchmarks.__main__ import main
from benchmarks.layers import multiplications, needed_by
from benchmarks.systems.learners import require_shared
from benchmarks.systems.ours import make_trainer
from benchmarks.work import Work
from scratchnet.errors import ConfigError
from scratchnet.measures.predictions import Predictions
from scratchnet.nn import models
from scratchnet.nn.fused import ConvReluPool
from scratchnet.training.config import Config


def run(repository, *arguments, program="benchmarks"):
    return subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        cwd=repository, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", timeout=280, check=False,
    )  # fmt: skip


def measure(repository, out, *sections):
    """A tiny measurement without peers: what was printed, and the JSON file."""
    done = run(repository, *sections, "--tiny", "--peers", "none", "--out", out)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.json")
    return done, path


@pytest.fixture(scope="module")
def measured(repository, tmp_path_factory):
    """The sections that take a few seconds."""
    return measure(repository, tmp_path_factory.mktemp("results"), "steps", "limit")


def test_a_section_leaves_sensible_figures(measured):
    _, path = measured
    sections = json.loads(path.read_text(encoding="utf-8"))["sections"]
    assert list(sections) == ["steps", "limit"]
    (one,) = sections["steps"]["works"]
    assert one["systems"]["scratchnet"]["median"] > 0
    assert {"conv1", "conv5", "dense1"} < {layer["layer"] for layer in sections["limit"]["layers"]}


@pytest.mark.slow
def test_every_section_leaves_sensible_figures(repository, tmp_path):
    _, path = measure(repository, tmp_path)
    sections = json.loads(path.read_text(encoding="utf-8"))["sections"]
    assert list(sections) == [
        "steps",
        "batches",
        "inference",
        "trained",
        "limit",
        "threads",
        "memory",
        "start",
        "reader",
        "accuracy",
    ]
    for name in ("steps", "batches", "inference"):
        (one,) = sections[name]["works"]
        ours = one["systems"]["scratchnet"]
        assert ours["median"] > 0
        assert ours["batch"] in (2, 4)
        assert [tried["batch"] for tried in ours["tried"]][:1] == [4 if name == "batches" else 2]
    assert [bool(one["work"]["weights"]) for one in sections["trained"]["works"]] == [False, True] * 2
    assert sections["trained"]["shrunken"].keys() >= {"conv5.weight", "dense1.weight"}
    layers = {layer["layer"]: layer for layer in sections["limit"]["layers"]}
    assert [*layers][:5] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert {"dense1", "dense2", "dense3"} < layers.keys()
    assert all(min(layer["seconds"]) >= 0 and sum(layer["seconds"]) > 0 for layer in layers.values())
    assert sections["limit"]["flop_per_s"] > 0
    assert "1" in sections["threads"]["images_per_s"]
    peak = sections["memory"]["systems"]["scratchnet"]["peak_bytes"]
    assert peak is None or peak > 5e7
    assert sections["start"]["median"] > 0
    assert "cold_compile_s" not in sections["start"]
    (reading,) = sections["reader"]["sizes"]
    assert reading["images"] == 197  # the training side of the sample
    assert {*reading["images_per_s"]} == {"step", *reading["ratios"]}
    assert all(len(rates) == 1 and rates[0] > 0 for rates in reading["images_per_s"].values())
    assert [*sections["accuracy"]["errors"]] == [f"conv{i}" for i in range(1, 6)] + ["dense1", "dense2", "dense3"]
    assert all(0 <= e < 1e-2 for one in sections["accuracy"]["errors"].values() for e in one.values())
    assert [len(losses) for losses in sections["accuracy"]["losses"].values()] == [3, 3]


def test_it_prints_the_table_and_shows_it_again(measured, repository):
    done, path = measured
    assert "| work | target | reached | verdict |" in done.stdout
    assert "training step, `report`, 32×32" in done.stdout
    again = run(repository, "--show", path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert path.with_suffix(".png").exists() or "no plot: matplotlib is not installed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stepps"], "there is no section 'stepps'"),
        (["--threads", "0"], "--threads must be 1 to"),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--peers", "jax"], "there is no peer 'jax'"),
        (["--show", "nowhere.json"], "there is no such file"),
        (["--show", "pyproject.toml"], "is not what `python -m benchmarks` writes"),
        (["--bach", "3"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_is_one_line(repository, arguments, said, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_ratios_are_taken_round_by_round():
    """The median of the ratios, which is not the ratio of the medians."""
    assert rounds.paired([10.0, 40.0, 90.0], [10.0, 10.0, 30.0]) == {"median": 3.0, "min": 1.0, "max": 4.0}


def test_multiplications_of_a_layer_by_hand(monkeypatch):
    """report at 64×64: conv2 has 32 channels, 64 filters and 32×32 outputs, which are 8×8 tiles of 4×4."""
    monkeypatch.delenv("SCRATCHNET_CONV", raising=False)
    trainer = make_trainer(Work("train", "report", 64, 16))
    steps = trainer.network._steps
    assert isinstance(steps[1], ConvReluPool)
    assert multiplications(steps[1], 16) == 16 * 64 * 64 * 32 * 64
    needed = needed_by(trainer, 16)
    assert needed["conv2"] == [16 * 64 * 64 * 32 * 64, 2 * 16 * 64 * 64 * 32 * 64]
    assert needed["conv1"][1] == needed["conv1"][0]  # nobody asks for the gradient of the images
    assert needed["dense1"] == [16 * 2048 * 1024, 2 * 16 * 2048 * 1024]
    assert needed["flatten1"][0] == 0
    monkeypatch.setenv("SCRATCHNET_CONV", "direct")
    assert multiplications(steps[1], 16) == 16 * 32 * 32 * 25 * 32 * 64


def test_the_peers_have_our_networks():
    assert (work.FILTERS["report"], work.FILTERS["report-wide"]) == (models.REPORT_FILTERS, models.REPORT_WIDE_FILTERS)


def compared(ours, **peers):
    """A made-up work at 256×256."""
    ratios = {name.replace("_", "-"): {"median": ours / rate, "min": 1, "max": 9} for name, rate in peers.items()}
    systems = {"scratchnet": {"median": ours}}
    about = asdict(Work("train", "report", 256, 0))
    return targets.faster({"work": about, "title": "", "systems": systems, "ratios": ratios}).met


def test_a_verdict_needs_both_peers_and_the_best_of_each():
    assert compared(32, torch=6, torch_compile=7.1, tensorflow=10) is True
    assert compared(32, torch=6, torch_compile=7.2, tensorflow=10) is False
    assert compared(32, torch=6, tensorflow=11) is False
    assert compared(32, torch=6) is None
    assert compared(32, torch=12) is False
    assert compared(32) is None


def test_lower_precision_is_shown_and_never_judged_by():
    assert compared(32, torch=6, torch_bfloat16=27, tensorflow=10) is True


def test_at_one_batch_for_all_other_targets_count():
    about = asdict(Work("train", "report", 64, 0))
    one = {
        "work": about,
        "title": "",
        "systems": {"scratchnet": {"median": 3}},
        "ratios": {"torch": {"median": 3.1, "min": 3, "max": 4}},
    }
    assert targets.faster({**one, "batch": 32}).met is True
    assert targets.faster(one).met is False


def test_the_share_of_the_limit():
    """10 + 20 multiplications with their additions take 60 s at 1 FLOP/s."""
    layers = [
        {"layer": "a", "seconds": [40, 50], "multiplications": [10, 20]},
        {"layer": "b", "seconds": [0, 10], "multiplications": [0, 0]},
    ]
    figures = {"flop_per_s": 1.0, "threads": 2, "layers": layers}
    assert targets.shares(figures) == {"least": 60, "measured": 100, "share": 0.6}
    (row,) = targets.limited(figures)
    assert (row.reached, row.verdict) == ("60% of 1e-09 GFLOP/s (sgemm, 2 threads)", "met")


def test_the_slowest_way_of_reading_decides():
    rates = {"step": [10.0, 12.0, 11.0], "shards": [300.0, 310.0, 290.0], "memory": [900.0, 900.0, 900.0]}
    one = {"image_size": 64, "images_per_s": rates}
    for slowest, verdict in ((19.9, "missed"), (20.0, "met")):
        ratios = {"shards": {"median": slowest}, "memory": {"median": 82.0}}
        (row,) = targets.read({"sizes": [{**one, "ratios": ratios}]})
        assert row.verdict == verdict
        assert row.reached == f"training step 11.0 images/s; shards 300: {slowest:.0f}×; memory 900: 82×"


def test_the_examples():
    for module in (accuracy, rounds, targets):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert found.failed == 0


PARITY = """
import sys
from benchmarks.systems.ours import Ours
from benchmarks.work import Work
from scratchnet.use.exchange.layouts import to_torch
work = Work("train", "report", 32, 8, dropout=0.0)
ours = Ours(1)
ours.prepare(work)
if sys.argv[1] == "torch":
    import torch
    from benchmarks.systems.pytorch import PyTorch
    peer = PyTorch(1)
    peer.prepare(work)
    peer.network.load_state_dict({name: torch.from_numpy(value) for name, value in to_torch(ours.trainer.network).items()})
else:
    from benchmarks.systems.tensorflow import TensorFlow
    peer = TensorFlow(1)
    peer.prepare(work)
    values = [p.value for p in ours.trainer.network.parameters()]
    for theirs, value in zip(peer.weights, values[::2], strict=True):
        theirs.assign(value)
print(max(abs(ours.once() - peer.once()) for _ in range(5)))
"""


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_a_peer_takes_the_same_steps(framework, repository):
    """The same losses from the same weights, five steps on end: what is timed is the same mathematics. At 32×32 the
    first dense layer sees one pixel, and the order of its inputs is the same with the channels first."""
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f'{framework} is not installed: pip install -e ".[bench]"')
    done = subprocess.run(
        [sys.executable, "-c", PARITY, framework], cwd=repository, capture_output=True, text=True, timeout=240, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-4


def learning(repository, *arguments):
    return run(repository, *arguments, program="benchmarks.learning")


@pytest.mark.slow
def test_learning_trains_each_system_change_and_seed_once(repository, trained_run, tmp_path):
    systems = ["scratchnet", "torch"] if importlib.util.find_spec("torch") else ["scratchnet"]
    out = tmp_path / "learnt.json"
    asked = (
        trained_run.data, "--preset", "recommended", "--epochs", 1, "--out", out, "--systems", *systems,
        "--change", "batch_size=64, augment='none'",
    )  # fmt: skip
    done = learning(repository, *asked)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["change"], row["system"]) for row in rows] == [
        (change, system) for change in ("", "batch_size=64, augment='none'") for system in systems
    ]
    again = learning(repository, *asked, "--seeds", 0, 1)
    more = json.loads(out.read_text(encoding="utf-8"))
    assert more[: len(rows)] == rows
    assert [row["seed"] for row in more[len(rows) :]] == [1] * len(rows)
    assert again.stdout.count(", seed ") == len(rows)


def test_ours_learns_as_train_py_does(repository, trained_run, tmp_path):
    """The same recipe by either program: the same figures to the last digit."""
    import csv

    out = tmp_path / "learnt.json"
    change = "batch_size=48, micro_batch=32, warmup=50, learning_rate=0.0003, schedule='constant', clip_norm=0.0, brightness=0.0"
    learning(repository, trained_run.data, "--preset", "recommended", "--epochs", 2, "--out", out, "--change", change)
    row = json.loads(out.read_text(encoding="utf-8"))[1]
    with open(trained_run.folder / "metrics.csv", encoding="utf-8") as file:
        assert [float(one["test_accuracy"]) for one in csv.DictReader(file)] == row["accuracy"]


RESIDUAL = {
    "model": "residual", "learning_rate": 0.001, "warmup": 4, "optimizer": "adamw", "weight_decay": 0.05, "label_smoothing": 0.1,
    "clip_norm": 0.5, "dropout": 0.2, "batch_size": 16, "image_size": 32,
}  # fmt: skip


@pytest.mark.parametrize("changes", [{"batch_size": 16, "clip_norm": 0.5}, RESIDUAL], ids=["report", "residual"])
def test_pytorch_is_given_the_same_network_and_recipe(trained_run, changes):
    """From the same weights and under the same masks of dropout, a step of either moves every weight alike, and what it then
    says of images in their eight positions is the same."""
    pytest.importorskip("torch")
    import numpy as np

    from benchmarks.systems.learners import LEARNERS
    from benchmarks.systems.twin import theirs_of
    from scratchnet.training import Experiment
    from scratchnet.training.config import PRESETS, Config

    experiment = Experiment(Config(**{**PRESETS["report-32"], **changes}), trained_run.data)
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


def test_a_recipe_that_pytorch_would_be_told_differently_is_refused(repository, trained_run):
    with pytest.raises(ConfigError, match="optimizer sgd is not compared with PyTorch, only adam or adamw"):
        require_shared(Config(optimizer="sgd"))
    with pytest.raises(ConfigError, match=r"focus 2\.0 is not compared"):
        require_shared(Config(focus=2))
    with pytest.raises(ConfigError, match=r"16 images are normalised together here.*take a batch_size of 16"):
        require_shared(Config(model="residual"), 16)
    done = learning(repository, trained_run.data, "--systems", "torch", "--change", "class_weights='balanced'")
    assert done.returncode == 2
    assert "class_weights balanced is not compared with PyTorch" in done.stderr
    for change, said in (("batch_size", "cannot be read"), ("batch=3", "no option 'batch'")):
        done = learning(repository, trained_run.data, "--change", change)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_learning_takes_no_training_of_other_data_or_another_recipe_for_this_one(repository, trained_run, tmp_path):
    out = tmp_path / "learnt.json"
    asked = ("--preset", "report-32", "--epochs", 1, "--out", out)
    assert learning(repository, trained_run.data, *asked).returncode == 0
    rows = json.loads(out.read_text(encoding="utf-8"))
    for name in ("dataset_id", "config"):
        stored = dict(rows[0])
        stored[name] = "another" if name == "dataset_id" else stored[name] | {"warmup": 7}
        out.write_text(json.dumps([stored]), encoding="utf-8")
        again = learning(repository, trained_run.data, *asked)
        assert len(json.loads(out.read_text(encoding="utf-8"))) == 2, again.stderr
        assert "| 1 |" in again.stdout
    done = learning(repository, trained_run.data, *asked, "--change", "patience=1")
    assert (done.returncode, "would change nothing" in done.stderr) == (2, True)


def folds(repository, *arguments):
    return run(repository, *arguments, program="benchmarks.folds")


@pytest.mark.slow
def test_folds_judge_every_cell_once_and_know_their_runs(repository, tmp_path):
    pytest.importorskip("sklearn")
    from scratchnet.measures.predictions import Predictions
    from scratchnet.prepare import SAMPLE, Settings, prepare_folds

    shards, out = tmp_path / "folds", tmp_path / "runs"
    prepare_folds(SAMPLE, shards, Settings(image_size=32, split="kfold", folds=2), quiet=True)
    asked = (shards, "--out", out, "--epochs", 1, "--test-symmetries", "none")
    done = folds(repository, *asked)
    assert done.returncode == 0, done.stderr
    parts = [Predictions.read(out / f"fold-{fold}" / "predictions.csv") for fold in range(2)]
    paths = [path for part in parts for path in part.paths]
    assert len(paths) == len(set(paths)) == 246
    right = sum(int((part.answers == part.labels).sum()) for part in parts)
    assert f"| the network | {100 * right / 246:.1f} % " in done.stdout
    assert "246 images" in done.stdout
    assert done.stdout.count("| logistic regression on ") == 2
    assert folds(repository, *asked).stdout.endswith(done.stdout[done.stdout.index("| who answers") :])
    for other, said in (
        ((*asked[:4], 2, *asked[5:]), "other options"), ((*asked, "--preset", "report-32"), "other preset"),
        ((*asked, "--name", "x"), "--name is chosen here"), ((tmp_path, *asked[1:]), "holds no folds"),
        ((shards, "--out", tmp_path), "holds something else"),
    ):  # fmt: skip
        refused = folds(repository, *other)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_folds_that_are_not_all_of_one_cross_validation_are_refused(repository, tmp_path):
    pytest.importorskip("sklearn")
    from scratchnet.prepare import SAMPLE, Settings, prepare_folds

    prepare_folds(SAMPLE, tmp_path / "folds", Settings(image_size=32, split="kfold", folds=3), quiet=True)
    asked = (tmp_path / "folds", "--out", tmp_path / "runs", "--epochs", 1)
    # What train.py does not know leaves nothing behind that would stand in the way of the right options.
    assert folds(repository, *asked, "--nosuch", 3).returncode == 2
    shutil.rmtree(tmp_path / "folds/fold-1")
    done = folds(repository, *asked)
    assert done.returncode == 2
    assert "holds the folds [0, 2], not all of one cross-validation" in done.stderr
    assert json.loads((tmp_path / "runs/folds.json").read_text())["options"][-1] == "3"
    prepare_folds(SAMPLE, tmp_path / "new", Settings(image_size=32, split="kfold", folds=2), quiet=True)
    done = folds(repository, tmp_path / "new", *asked[1:], "--test-symmetries", "none")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_training_that_diverges_is_a_row_and_the_others_go_on(repository, trained_run, tmp_path):
    out = tmp_path / "learnt.json"
    systems = ["torch", "scratchnet"] if importlib.util.find_spec("torch") else ["scratchnet"]
    asked = (trained_run.data, "--preset", "report-32", "--epochs", 1, "--systems", *systems, "--change")
    done = learning(repository, *asked, "learning_rate=1e30", "--out", out)
    assert (done.returncode, done.stderr) == (1, "")
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [row["diverged"] for row in rows] == [False] * len(systems) + [True] * len(systems)
    assert done.stdout.count("diverged") == 2 * len(systems)
    done = learning(repository, *asked, "batch_size=3", "--out", tmp_path / "nowhere" / "learnt.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a folder: make it first" in done.stderr


def test_the_power_of_a_study(tmp_path, capsys):
    """Hanley & McNeil's own example; simulated studies agree with it where cells are independent, and lose where they are alike."""
    assert power.hanley_mcneil(0.893, 51, 58) == pytest.approx(0.0325, abs=1e-4)
    owner = np.repeat(np.arange(60), 5)
    labels = (owner >= 40).astype(np.int64)
    alone, together = (power.simulated(labels, owner, 0.6, rho, studies=80, draws=60) for rho in (0.0, 0.5))
    assert alone.error == pytest.approx(power.hanley_mcneil(0.6, 200, 100), rel=0.25)
    assert together.error > 1.3 * alone.error
    assert together.found < alone.found
    rng = np.random.default_rng(0)
    score = np.sqrt(0.3) * rng.normal(size=60)[owner] + np.sqrt(0.7) * rng.normal(size=300)
    assert power.alike(score, labels, owner) == pytest.approx(0.3, abs=0.12)
    assert power.alike(score[:60], labels[::5], np.arange(60) // 2) < 0.2
    chances = 1 / (1 + np.exp(-score))
    paths, subjects = tuple(f"{k}.png" for k in range(300)), tuple(f"P{one}" for one in owner)
    table = tmp_path / "predictions.csv"
    Predictions(("all", "hem"), paths, subjects, labels, np.stack([chances, 1 - chances], axis=1)).write(table)
    assert power.main([str(table), "--studies", "20", "--draws", "20"]) == 0
    printed = capsys.readouterr().out
    assert "all: 200 cells of 40 subjects" in printed
    assert "standard error of independent cells, by Hanley & McNeil 1982: 0.0" in printed
    assert "have a correlation of 0." in printed
    assert power.main([str(table), "--auc", "0.5"]) == 2
    assert "--auc must be between 0.5 and 1, got 0.5" in capsys.readouterr().err
