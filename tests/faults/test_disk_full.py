"""A disk that fills up at any moment of a save: the checkpoint before stays whole, and it is said."""

import os
import subprocess
import sys

import pytest
from small_data import make_cnmc

from scratchnet.prepare import Settings, prepare
from scratchnet.training import Run
from train import main

# No file may become larger than a limit that is raised bit by bit: each write of a save fails in its turn.
SWEEP = """
import resource, sys
from pathlib import Path
import numpy as np
from scratchnet.training.config import Config
from scratchnet.training import Progress, Run

run = Run.create(Path(sys.argv[1]) / "run", Config())
row = {"epoch": 1, "test_loss": 0.5}

def save(epoch):
    weights = {"dense1.weight": np.full((50, 20), epoch, np.float32), "dense1.bias": np.full(20, epoch, np.float32)}
    moments = {f"{name}.{kind}": value for name, value in weights.items() for kind in ("mean", "square")}
    run.save(weights, {"steps": np.array(epoch), **moments}, {"config": {}}, Progress(epoch=epoch, rows=[row] * epoch))

def allow(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

save(1)
save(2)
size = run.checkpoints()[0].stat().st_size
failed = limit = 0
while True:
    allow(limit)
    try:
        save(3)
    except OSError:
        allow(resource.RLIM_INFINITY)
        failed += 1
    else:
        allow(resource.RLIM_INFINITY)
        break
    found = run.load()
    assert found.progress.epoch in (2, 3), limit
    assert (found.weights["dense1.weight"] == found.progress.epoch).all(), limit
    if found.progress.epoch == 2:
        assert [path.name for path in run.checkpoints()] == ["epoch-0002.h5", "epoch-0001.h5"], limit
    assert not list(run.folder.rglob(".*")), limit
    limit += int(sys.argv[2])
print(failed, size)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
@pytest.mark.parametrize("step", [509, pytest.param(16, marks=pytest.mark.slow)])
def test_every_write_of_a_save_may_fail(run_python, tmp_path, step):
    failed, size = map(int, run_python(SWEEP, str(tmp_path), str(step)).split())
    assert failed >= size // step


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 MB, which only root may make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(folder)]
    if (
        sys.platform != "linux"
        or os.geteuid() != 0
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("a small file system needs Linux and root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def train(tmp_path, monkeypatch, capsys, no_pages):
    """train.py in this process: its exit code, and what it wrote to either stream."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_training_goes_on_when_the_disk_is_full_and_saves_when_it_is_not(train, small_disk, tmp_path):
    """A checkpoint takes 71 MB and the best weights 24: there is room for two, not for a third beside them."""
    prepare(
        make_cnmc(tmp_path / "cells", subjects=8, images=4), tmp_path / "shards", Settings(image_size=32), quiet=True
    )
    arguments = ("--data", tmp_path / "shards", "--runs", small_disk, "--name", "run", "--batch-size", "16")
    code, out, err = train(*arguments, "--epochs", "2")
    assert "CAUTION: the run could not be saved: No space left on device" in out
    assert code == 2
    assert "the run cannot be saved: No space left on device" in err
    assert "--resume" in err
    assert "epoch   2" in out
    assert Run(small_disk / "run").load().progress.epoch < 2
    assert not list(small_disk.rglob(".*"))

    subprocess.run(["mount", "-o", "remount,size=600m", str(small_disk)], check=True)
    code, out, err = train("--resume", small_disk / "run")
    assert code == 0, err
    assert "CAUTION: the run" not in out
    assert Run(small_disk / "run").load().progress.epoch == 2


def test_a_disk_that_is_full_from_the_start_is_noticed_then(train, small_disk, tmp_path):
    prepare(
        make_cnmc(tmp_path / "cells", subjects=8, images=4), tmp_path / "shards", Settings(image_size=32), quiet=True
    )
    (small_disk / "filling").write_bytes(bytes(150 << 20))
    code, out, err = train("--data", tmp_path / "shards", "--runs", small_disk, "--name", "run", "--epochs", "1")
    assert code == 2
    assert "No space left on device" in err
    assert len(err.strip().splitlines()) == 1
    assert "epoch   1" not in out
