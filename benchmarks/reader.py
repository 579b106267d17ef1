"""How fast images come from the disk to the network: reading, changing and scaling them, without any training."""

from __future__ import annotations

import time

from scratchnet.data import Augmentation, Batches, Dataset, PixelScaling
from scratchnet.prepare import Settings, prepare_sample

BATCH = 32


class Reader:
    """The worker that reads the cells that come with the program, with `Batches` and its one thread, as training does."""

    def __init__(self, threads: int) -> None:
        """Reading takes one thread, whatever the others have."""

    def prepare(self, folder: str, image_size: int) -> int:
        """Makes the shards; returns the number of images that an epoch has."""
        prepare_sample(folder, Settings(image_size=image_size), quiet=True)
        with Dataset(folder, "train") as dataset:
            return len(dataset)

    def begin(self, folder: str, kept: bool, augmented: bool) -> float:
        """Opens them, and reads an epoch, after which images are in memory where they are to be kept; returns its seconds.

        kept: in memory, as images of a small dataset are; else each is read from its shard again. augmented: turned,
        mirrored and brightened.
        """
        dataset = Dataset(folder, "train", memory_limit=2**30 if kept else 0)
        scaling = PixelScaling.measured("standardised", dataset.channel_mean, dataset.channel_std)
        augment = Augmentation("symmetries", brightness=0.2) if augmented else None
        self.batches = Batches(dataset, BATCH, scaling, shuffle=True, augment=augment, seed=0)
        return self.run(steps=1)

    def run(self, steps: int) -> float:
        """Seconds for so many epochs."""
        began = time.perf_counter()
        for epoch in range(steps):
            for _ in self.batches.epoch(epoch):
                pass
        return time.perf_counter() - began
