"""What a system is asked to do, in words that all systems understand. NumPy only: the peers' memory is measured too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Those of scratchnet.nn.models, which a peer cannot import without the memory of scratchnet.
FILTERS = {"report": (32, 64, 128, 256, 512), "report-wide": (64, 128, 256, 512, 512)}
KERNEL_SIZE = 5
DENSE = (1024, 1024)
CLASSES = 2
LEARNING_RATE = 1e-4
L2 = 5e-4  # λ of λ/2 · Σ w², over weights and not biases
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam

BATCHES = {256: (8, 16, 32, 64), 64: (32, 64, 128, 256), 32: (64, 128, 256, 512)}  # tried for each image size


@dataclass(frozen=True)
class Work:
    """One kind of step, over and over: forward, backward and Adam ("train"), or forward alone ("infer").

    image_size: height and width in pixels. batch: images in one step. weights: a file of `trained.py`, or fresh ones.
    """

    kind: str
    model: str
    image_size: int
    batch: int
    dropout: float = 0.5
    weights: str = ""

    @property
    def title(self) -> str:
        """The work in words, without its batch."""
        kind = {"train": "training step", "infer": "inference"}[self.kind]
        return f"{kind}, `{self.model}`, {self.image_size}×{self.image_size}"

    @property
    def trains(self) -> bool:
        """Whether weights are to move."""
        return self.kind == "train"

    def data(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Images (N, H, W, 3) float32 of mean 0 and variance 1, labels (N,) 0 1 0 1 …; the same ones for every system."""
        shape = (self.batch, self.image_size, self.image_size, 3)
        images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        return images, np.arange(self.batch) % CLASSES
