"""The same steps from weights that have learnt, many of which the report's recipe has driven towards zero.

Adam with an L2 penalty shrinks what no image needs without end. As PyTorch comes, such weights become denormal numbers, which
many processors multiply at a small part of their speed; fresh weights hide it. PyTorch therefore trains the weights here, and
every system is timed with them.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import Worker
from benchmarks.rounds import compare
from benchmarks.settings import Settings, say
from benchmarks.work import Work

TRAINER = "torch-channels-last"
PEERS = (TRAINER, "torch-flush")
STEPS = 2150  # five epochs of 13,800 images
SMALLEST = 1.2e-38  # of the normal float32
DEEP = ("conv4.weight", "conv5.weight", "dense1.weight", "dense2.weight")


def trained(settings: Settings) -> dict[str, Any]:
    """Training step and forward pass from fresh weights and from trained ones, at the batch of `train.py`."""
    alike = replace(
        settings, batch=4 if settings.tiny else 32, peers=tuple(p for p in PEERS if TRAINER in settings.peers)
    )
    size, trainer = settings.size(64), TRAINER if TRAINER in settings.peers else "scratchnet"
    with tempfile.TemporaryDirectory() as folder:
        path, steps = str(Path(folder) / "weights.npz"), 3 if settings.tiny else STEPS
        say(f"{trainer} trains the weights, {steps} steps")
        with Worker(trainer, settings.threads) as worker:
            worker.ask("learn", path=path, steps=steps, image_size=size, batch=alike.batch)
        works = []
        for kind in ("train", "infer"):
            for weights in ("", path):
                one = compare(Work(kind, "report", size, 0, weights=weights), alike)
                works.append(
                    {
                        **one,
                        "title": f"{one['title']}, batch {alike.batch}, {'trained' if weights else 'fresh'} weights",
                    }
                )
        with np.load(path) as arrays:
            shares = {name: shrunken(arrays[name]) for name in DEEP if name in arrays}
    return {"trainer": trainer, "steps": steps, "works": works, "shrunken": shares}


def shrunken(weights: Any) -> dict[str, float]:
    """The shares of weights that are zero, and that are denormal."""
    small = np.abs(weights) < SMALLEST
    zero = weights == 0
    return {"zero": float(zero.mean()), "denormal": float((small & ~zero).mean())}


def sample(image_size: int) -> tuple[Any, Any]:
    """The cells that come with the program, of the training side: images (N, S, S, 3) of mean 0 and variance 1, labels (N,)."""
    from scratchnet.data import Dataset, PixelScaling
    from scratchnet.prepare import Settings as Preparation
    from scratchnet.prepare import prepare_sample

    with tempfile.TemporaryDirectory() as empty:
        folder = str(Path(empty) / "sample")
        prepare_sample(folder, Preparation(image_size=image_size), quiet=True)
        with Dataset(folder, "train") as dataset:
            scaling = PixelScaling.measured("standardised", dataset.channel_mean, dataset.channel_std)
            return scaling.apply(dataset.read(np.arange(len(dataset))), "float32"), dataset.labels[:]
