"""A run of the network "residual": every tool that takes a run takes this one."""

import json

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
import train
from scratchnet.__main__ import main
from scratchnet.training import load_checkpoint
from tests.small_runs import weights, without_pages

OPTIONS = ("--model", "residual", "--batch-size", "64", "--warmup", "2", "--optimizer", "adamw", "--angle", "15")


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    arguments = ["--data", str(shards), *OPTIONS, "--epochs", "2", "--runs", str(folder), "--name", "run"]
    with without_pages():
        assert train.main(arguments) == 0
    return folder / "run"


def test_it_is_small_and_records_how_its_batches_are_cut(run):
    for name in ("weights.h5", "best.h5", "checkpoints/epoch-0002.h5"):
        assert (run / name).stat().st_size < 10_000_000
    assert load_checkpoint(run / "weights.h5").about["config"]["micro_batch"] == 64


def test_a_resumed_run_ends_with_the_same_bits(run, shards, tmp_path, no_pages):
    arguments = ["--data", str(shards), *OPTIONS, "--epochs", "1", "--runs", str(tmp_path), "--name", "run"]
    assert train.main(arguments) == 0
    assert train.main(["--resume", str(tmp_path / "run"), "--epochs", "2"]) == 0
    assert weights(tmp_path / "run") == weights(run)


def test_evaluate_summary_and_page(run, shards, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(run), str(shards), "--bootstrap", "0"]) == 0
    assert main(["summary", str(run)]) == 0
    assert "605,506" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert main(["report", str(run)]) == 0


def test_predict_and_explain(run, tmp_path, rng):
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cell.png")
    out = tmp_path / "said.json"
    assert main(["predict", str(run), str(tmp_path / "cell.png"), "--out", str(out)]) == 0
    (said,) = json.loads(out.read_text(encoding="utf-8"))
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    pytest.importorskip("matplotlib")
    assert main(["explain", str(run), str(tmp_path / "cell.png"), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_onnx_says_the_same(run, tmp_path, rng):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert main(["export", str(run), str(tmp_path / "net.onnx")]) == 0
    pixels = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    theirs = runtime.InferenceSession(str(tmp_path / "net.onnx")).run(["probabilities"], {"pixels": pixels})[0]
    ours = sn.load(run).probabilities(pixels, symmetries=False)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
