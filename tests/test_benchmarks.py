"""`python -m benchmarks` runs through at tiny sizes, and counts, divides and judges as it says. No figure is judged here."""

import doctest
import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import accuracy, power, rounds, targets, work
from benchmarks.__main__ import main
from benchmarks.layers import multiplications, needed_by
from benchmarks.settings import Settings
from benchmarks.systems.ours import make_trainer
from benchmarks.work import Work
from scratchnet.measures.predictions import Predictions
from scratchnet.nn import models
from scratchnet.nn.fused import ConvReluPool
from tests.programs import run_module


def measure(out, *sections):
    """A tiny measurement without peers: what was printed, and the JSON file."""
    done = run_module("benchmarks", *sections, "--tiny", "--peers", "none", "--out", out)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.json")
    return done, path


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The sections that take a few seconds."""
    return measure(tmp_path_factory.mktemp("results"), "steps", "limit")


def test_a_section_leaves_sensible_figures(measured):
    _, path = measured
    sections = json.loads(path.read_text(encoding="utf-8"))["sections"]
    assert list(sections) == ["steps", "limit"]
    (one,) = sections["steps"]["works"]
    assert one["systems"]["scratchnet"]["median"] > 0
    assert {"conv1", "conv5", "dense1"} < {layer["layer"] for layer in sections["limit"]["layers"]}


@pytest.mark.slow
def test_every_section_leaves_sensible_figures(tmp_path):
    _, path = measure(tmp_path)
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


def test_it_prints_the_table_and_shows_it_again(measured, capsys):
    done, path = measured
    assert "| work | target | reached | verdict |" in done.stdout
    assert "training step, `report`, 32×32" in done.stdout
    assert main(["--show", str(path)]) == 0
    assert capsys.readouterr().out == done.stdout
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


def test_one_bad_moment_does_not_end_the_search_for_the_best_batch(monkeypatch):
    rates = {8: [6.0], 16: [4.0, 7.0], 32: [8.0], 64: [5.0, 5.5]}  # images/s of the trials at each batch

    def trial(system, work, seconds, threads):
        return {"images_per_s": rates[work.batch].pop(0), "peak_bytes": None}

    monkeypatch.setattr(rounds, "trial", trial)
    found = rounds.best_batch("torch", Work("train", "report", 256, 0), Settings())
    assert found["batch"] == 32
    assert [one["images_per_s"] for one in found["tried"]] == [6.0, 7.0, 8.0, 5.5]
    assert not any(rates.values())


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
