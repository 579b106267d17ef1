"""In which order an epoch visits the images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError
from scratchnet.random import generator

BUFFER = 4096


def epoch_order(shard_sizes: Sequence[int], seed: int, epoch: int, buffer: int = BUFFER) -> NDArray[np.int64]:
    """A random order of all images that reads only a few shards at a time.

    1. The shards are put in a random order.
    2. The images inside each shard are put in a random order.
    3. The line of images that results is cut into stretches of `buffer`, and each stretch is shuffled, which mixes
       neighbouring shards.

    With buffer ≥ N every order of the N images is equally likely; a smaller one keeps the reads close together on the disk.
    The order is a function of the arguments alone, so an interrupted epoch goes on where it stopped.

    shard_sizes: images in each shard. seed, epoch: integers ≥ 0. buffer ≥ 1. Returns (N,) int64, each of 0 … N − 1 once.
    Raises ConfigError if buffer < 1.

    >>> epoch_order([3, 2], seed=0, epoch=0, buffer=2).tolist() == epoch_order([3, 2], seed=0, epoch=0, buffer=2).tolist()
    True
    >>> sorted(epoch_order([3, 2], seed=0, epoch=1).tolist())
    [0, 1, 2, 3, 4]
    """
    if buffer < 1:
        raise ConfigError(f"the shuffle buffer holds {buffer} images; it must hold at least 1")
    draw = generator(seed, "order", epoch)
    first = np.concatenate([[0], np.cumsum(shard_sizes, dtype=np.int64)])
    shards = [np.arange(first[k], first[k + 1], dtype=np.int64) for k in draw.permutation(len(shard_sizes))]
    for images in shards:
        draw.shuffle(images)
    order = np.concatenate([*shards, np.empty(0, np.int64)])
    for start in range(0, len(order), buffer):
        draw.shuffle(order[start : start + buffer])
    return order
