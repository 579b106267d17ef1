"""A training process that is killed at any moment, again and again, ends as if nothing had happened."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_data import make_cnmc

from scratchnet.prepare import Settings, prepare
from scratchnet.training import load_checkpoint
from scratchnet.training.compilation import kernels_are_compiled
from scratchnet.training.config import Config, from_toml
from scratchnet.training.origin import Origin

ROOT = Path(__file__).resolve().parents[2]
# A checkpoint after every step, so that many a kill comes in the middle of a write.
TRAINING = (
    *("--epochs", "3", "--batch-size", "16", "--warmup", "2", "--schedule", "cosine"),
    *("--checkpoint-minutes", "1e-9", "--keep-every", "2"),
)
# train.py without the extra [viz]: what draws takes half the time. With it when the kills are many.
WITHOUT_PAGES = (
    "import sys; sys.modules.update(matplotlib=None, tensorboard=None); import train; sys.exit(train.main())"
)
KILLS = 4  # in one run at most; then it may finish
UNFINISHED = "has no checkpoint yet"  # what --resume says of a run that was killed before its first one

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """64 small images, of which 48 are for training: 3 steps an epoch."""
    folder = tmp_path_factory.mktemp("kill")
    prepare(make_cnmc(folder / "cells", subjects=8, images=4), folder / "shards", Settings(image_size=32), quiet=True)
    return folder / "shards"


def start(folder, *arguments, pages=False):
    program = [str(ROOT / "train.py")] if pages else ["-c", WITHOUT_PAGES]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip


def new_run(shards, run):
    return "--data", shards, "--runs", run.parent, "--name", run.name, *TRAINING


def result(run):
    """Everything that must be the same to the bit: the weights at the end, the best ones, metrics and predictions."""
    weights = {
        (file, name): value.tobytes()
        for file in ("weights.h5", "best.h5")
        for name, value in load_checkpoint(run / file).weights.items()
    }
    written = replace(Origin.read(run / "config.toml"), command=""), from_toml(run / "config.toml")
    return weights, written, *((run / file).read_bytes() for file in ("metrics.csv", "predictions.csv"))


@pytest.fixture(scope="module")
def whole(shards, tmp_path_factory):
    """The uninterrupted run: what it ends with, and how many seconds it takes from its first line to its end."""
    folder = tmp_path_factory.mktemp("whole")
    names = ("timed",) if kernels_are_compiled(Config()) else ("warm", "timed")  # the first one compiles
    for name in names:
        process = start(folder, *new_run(shards, folder / name))
        process.stdout.readline()
        began = time.monotonic()
        _, err = process.communicate()
        assert process.returncode == 0, err
    return result(folder / "timed"), time.monotonic() - began


def killed_until_done(folder, shards, seconds, draw, pages):
    """A run that is killed up to KILLS times at random moments and resumed each time.

    seconds: how long a run takes; what the last process took is the next guess, since a machine's speed changes. Returns
    the run's folder, the kills and the guess.
    """
    kills, attempt, resume = 0, 0, False
    while True:
        run = folder / f"run-{attempt}"
        begin = ("--resume", run) if resume else new_run(shards, run)
        process = start(folder, *begin, "--threads", draw.choice([0, 1, 1]), pages=pages)
        if draw.random() < 0.9:  # a tenth of the kills also while Python and the libraries are starting
            process.stdout.readline()
        began = time.monotonic()
        if kills < KILLS:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, seconds))
            process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        if process.returncode == 0:
            return run, kills, time.monotonic() - began
        if process.returncode == -signal.SIGKILL:
            kills += 1
            resume = run.exists()
        else:
            assert UNFINISHED in err, err
            attempt, resume = attempt + 1, False


def check(folder, shards, whole, kills, seed, pages=False):
    """Runs that are killed until there were so many kills; each must end like the uninterrupted one. Their number, and the kills."""
    expected, seconds = whole
    draw = random.Random(seed)
    runs = total = 0
    while total < kills:
        (folder / str(runs)).mkdir()
        run, times, seconds = killed_until_done(folder / str(runs), shards, seconds, draw, pages)
        runs, total = runs + 1, total + times
        weights, *tables = result(run)
        differing = [key for key in expected[0] if weights[key] != expected[0][key]]
        assert not differing, f"run {runs}, killed {times} times: {differing}"
        assert tuple(tables) == expected[1:], f"run {runs}, killed {times} times"
        assert not list(run.rglob(".*")), "a killed process left something, and the one after it did not remove it"
        shutil.rmtree(run.parent)
        print(f"run {runs}: {total} kills", flush=True)
    return runs, total


def test_a_killed_run_ends_with_the_same_bits(tmp_path, shards, whole):
    check(tmp_path, shards, whole, kills=4, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
def test_two_hundred_kills(tmp_path, shards, whole):
    seed = int(os.environ.get("SCRATCHNET_FAULT_SEED", "1"))
    runs, kills = check(tmp_path, shards, whole, kills=200, seed=seed, pages=True)
    print(f"\n{runs} runs, killed {kills} times: all ended with the same bits")
