"""What a run says before it begins and when it ends, and what a finished one keeps."""

from pathlib import Path

import numpy as np
import pytest

import scratchnet as sn
import train
from scratchnet.commands.session import reopen, train_to_the_end
from scratchnet.errors import DataError, NonFiniteError
from scratchnet.terminal.invocation import command
from scratchnet.training import Experiment, Progress, Run, load_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.divergence import hint
from scratchnet.training.messages import announcement
from scratchnet.training.origin import Origin
from scratchnet.use.verify import DAMAGED, verify
from tests.small_runs import make_sides

pytestmark = pytest.mark.usefixtures("small_model", "no_pages")

CONFIG = {"image_size": 32, "epochs": 2, "batch_size": 64}


def finished(shards, folder, **settings):
    config = Config(**CONFIG | settings)
    run = Run.create(folder, config)
    with run.lock():
        assert train_to_the_end(Experiment(config, shards), run, Progress())
    return run


def checkpoints(run):
    return [path.name for path in run.checkpoints()]


def test_one_checkpoint_stays_and_the_run_goes_on_from_it(shards, tmp_path, capsys):
    run = finished(shards, tmp_path / "run")
    assert checkpoints(run) == ["epoch-0002.h5"]
    said = " ".join(capsys.readouterr().out.split())
    again = command("train", "--resume", run.folder, "--epochs", "N")  # as Python was typed, such as .venv/bin/python
    size = round(run.checkpoints()[0].stat().st_size / 1e6)
    assert f"from the checkpoint of {size} MB that stayed there (--keep-last 0 keeps none): {again}" in said
    assert again.endswith(f"train.py --resume {run.folder} --epochs N")
    with run.lock():
        experiment, progress, changed = reopen(run, {"epochs": 3})
        assert train_to_the_end(experiment, run, progress)
    assert not changed
    assert checkpoints(run) == ["epoch-0003.h5"]
    whole = finished(shards, tmp_path / "whole", epochs=3)
    for name, value in load_checkpoint(whole.weights_path).weights.items():
        np.testing.assert_array_equal(load_checkpoint(run.weights_path).weights[name], value)
    assert all(verdict.state != DAMAGED for verdict in verify(run.folder))


def test_a_run_that_a_program_has_trained_names_its_data_too(shards, tmp_path, monkeypatch):
    """Though nobody has told its folder of them."""
    monkeypatch.chdir(tmp_path)
    run = finished(shards, tmp_path / "run")
    assert Origin.read(run.config_path).shards == str(shards)
    assert train.main(["--config", str(run.config_path), "--name", "again"]) == 0
    again = load_checkpoint(tmp_path / "runs/again/weights.h5").weights
    for name, value in load_checkpoint(run.weights_path).weights.items():
        np.testing.assert_array_equal(again[name], value)


def test_more_of_them_stay_where_that_is_asked_for(shards, tmp_path):
    assert checkpoints(finished(shards, tmp_path / "two", keep_last=2)) == ["epoch-0002.h5", "epoch-0001.h5"]
    every = finished(shards, tmp_path / "every", keep_every=1, keep_last=0)
    assert checkpoints(every) == ["epoch-0002.h5", "epoch-0001.h5"]


@pytest.mark.whole_model
def test_a_run_without_checkpoints_is_of_use_and_cannot_go_on(shards, tmp_path, capsys):
    run = finished(shards, tmp_path / "run", keep_last=0)
    assert checkpoints(run) == []
    assert "No checkpoint was kept" in capsys.readouterr().out
    run.discard_if_empty()  # as train.py does in the end
    assert sn.load(run.folder).source == run.weights_path
    assert all(verdict.state != DAMAGED for verdict in verify(run.folder))
    with pytest.raises(
        DataError, match=r"kept no checkpoint \(--keep-last 0\), so it cannot go on: start anew with --config"
    ):
        run.load()


def test_the_announcement_is_one_screen(shards, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    experiment = Experiment(Config(**CONFIG, brightness=0.1), shards)
    text = announcement(experiment, 2, Path("runs/r"), Progress())
    lines = text.splitlines()
    assert len(lines) <= 20
    assert max(len(line) for line in lines if str(shards) not in line) <= 80
    flat = " ".join(text.split())
    weights = sum(parameter.value.size for parameter in experiment.network.parameters())
    for expected in (
        "train 197 images (141 all, 56 hem) of 43 subjects",
        "no subject stands on both sides",
        "4 left out",
        f"5 convolutions, 3 dense layers, {weights:,} weights; images of 32 × 32 pixels",
        "2 epochs of 4 steps with 64 images; 2 threads",
        "changed image_size 32 (default 64), epochs 2 (default 30), batch_size 64 (default 32), brightness 0.1 (default 0.0)",
        "report for its 256 × 256 images it has image_size 256, epochs 14, batch_size 256, learning_rate 0.001, warmup 0",
        "★ is the best balanced accuracy of the test side so far",
    ):
        assert expected in flat
    assert "conv5" not in text
    assert "beta1" not in text


@pytest.mark.whole_model
def test_all_of_it_is_there_for_who_asks(shards, tmp_path):
    text = announcement(Experiment(Config(**CONFIG), shards), 1, tmp_path / "r", Progress(), verbose=True)
    for expected in ("conv5", "beta1", "default", "does not say", "1,024 images at most (micro_batch)", "; 1 thread\n"):
        assert expected in text


def test_a_batch_that_is_cut_says_so(shards, tmp_path):
    text = announcement(Experiment(Config(**CONFIG, micro_batch=16), shards), 1, tmp_path / "r", Progress())
    assert "64 images, 16 in memory at a time" in text
    by_default = Experiment(Config(), make_sides(tmp_path / "sides", size=64))
    assert announcement(by_default, 1, tmp_path / "r", Progress()).count("nothing, every") == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"learning_rate": 1000.0}, "Next time, try --learning-rate 0.0003."),
        ({"learning_rate": 0.0003, "clip_norm": 1.0}, "Next time, try --learning-rate 0.0001."),
        ({"learning_rate": 1e-5}, "try --learning-rate 0.0000033 or --clip-norm 1."),
        ({"learning_rate": 5.0, "optimizer": "sgd"}, "try --learning-rate 0.01."),
    ],
)
def test_a_rate_that_can_work(settings, expected):
    assert expected in hint(Config(**settings))


def test_a_run_that_diverges_says_it_in_sentences(shards, tmp_path):
    config = Config(**CONFIG, learning_rate=1e6, warmup=0)
    run = Run.create(tmp_path / "run", config)
    with run.lock(), pytest.raises(NonFiniteError) as caught:
        train_to_the_end(Experiment(config, shards), run, Progress())
    said = str(caught.value)
    assert "training has diverged in epoch 1, after 1 step: " in said
    assert "Next time, try --learning-rate 0.0003. The size of every weight" in said
    assert ". . " not in said
    assert "after 1 step, learning rate 1000000\n" in run.trouble_path.read_text(encoding="utf-8")
