"""What a training on several ranks will send and how fast it will be, by a model of step and network; and which way is the fastest.

A way is how gradients and weights travel: "plain", "factors" or "hybrid" (`Exchange`). The bits are the same.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

import numpy as np

from scratchnet.data import Batch
from scratchnet.errors import ConfigError
from scratchnet.kernels.matmul import chunk_count
from scratchnet.nn.sequential import Sequential
from scratchnet.ranks.together import Together
from scratchnet.training.shared.buckets import Factors
from scratchnet.training.shared.exchange import dense_of, stays_with_owners
from scratchnet.training.shared.slices import learning
from scratchnet.training.trainer import Trainer

WAY = "SCRATCHNET_EXCHANGE"  # variable: the way, in place of the model's choice
WAYS = ("plain", "factors", "hybrid")
PROBE = 1 << 20  # bytes of the first message of the probe
SECONDS = 0.3  # that the probe's second message should take
MOST = 1 << 26  # bytes of it
# Gradients are hidden by all of a step but its last forward pass, a third of a leaf's time; weights by most of the next one.
FORWARD, HIDING_WEIGHTS = 0.3, 0.24


@dataclass(frozen=True)
class Load:
    """Bytes that a rank sends in a step: gradients (or factors) and weights, which computing hides, and what it must wait for."""

    gradients: float
    weights: float
    waited: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.gradients + self.weights + self.waited


@dataclass(frozen=True)
class Network:
    """What the probe has measured: bytes a second that each rank sends while all do, and seconds for a small message to all."""

    bandwidth: float
    latency: float


def load_of(network: Sequential, ranks: int, rounds: int, images: int, way: str) -> Load:
    """What a rank sends, on average. rounds: leaves of each rank in a step; images: of a leaf."""
    item, share = network.dtype.itemsize, (ranks - 1) / ranks
    size = sum(parameter.value.size for parameter in learning(network))
    gradients, weights, waited = float(size), float(size), 0.0
    largest = stays_with_owners(network, images, ranks) if way == "hybrid" else None
    for layer in dense_of(network) if way != "plain" else ():
        features, units = layer.weight.value.shape
        factors = images * (features + ranks * units)
        if largest is not None and layer is largest:
            chunks = chunk_count(images, features)
            gradients -= features * units
            weights -= features * units
            waited += factors + images * (features + chunks * units)
        elif Factors.pays(layer, images, ranks):
            gradients += factors - features * units
    return Load(*(item * share * number for number in (rounds * gradients, weights, rounds * waited)))


def seconds_of(load: Load, found: Network, leaf: float, rounds: int) -> float:
    """Seconds of a step. leaf: seconds that a rank computes on one leaf."""
    computing = rounds * leaf
    late = max(0.0, load.gradients / found.bandwidth - (computing - FORWARD * leaf))
    late += max(0.0, load.weights / found.bandwidth - HIDING_WEIGHTS * leaf)
    return computing + late + load.waited / found.bandwidth + 4 * found.latency * rounds


def probe(ranks: Together) -> Network:
    """Measures the network, all ranks at once: each sends to the one that is half of them further on, most likely another machine's."""
    shift = max(1, ranks.size // 2)
    to, source = (ranks.rank + shift) % ranks.size, (ranks.rank - shift) % ranks.size
    latencies = []
    for _ in range(6):
        began = time.perf_counter()
        ranks.rows(np.zeros(1))
        latencies.append(time.perf_counter() - began)
    size, rate = PROBE, 0.0
    for _ in range(3):
        sent, received = np.zeros(size, np.uint8), np.empty(size, np.uint8)
        ranks.rows(np.zeros(1))
        began = time.perf_counter()
        ranks.start([(sent, to)], [(received, source)], 5999).wait("the network's probe")
        slowest = float(ranks.rows(np.array([time.perf_counter() - began])).max())
        rate = size / slowest
        size = int(min(MOST, max(PROBE, rate * SECONDS)))
    return Network(rate, float(np.median(latencies)))


def leaf_seconds(trainer: Trainer, ranks: Together, images: int) -> float:
    """Seconds of the slowest rank for one leaf, while all compute: the shorter of two, after one that doesn't count."""
    network, loss = trainer.network, trainer.loss
    shape = (images, *(network.input_shape or ()))
    batch = Batch(np.zeros(shape, network.dtype), np.zeros(images, np.int64), np.arange(images))
    times, before = [], network.state_dict()
    for _ in range(3):
        ranks.rows(np.zeros(1))
        began = time.perf_counter()
        network.seed_batch(0, batch.indices)
        loss.forward(network.forward(batch.images, training=True), batch.labels)
        network.backward(loss.backward(images), need_dx=False)
        times.append(time.perf_counter() - began)
    network.forget()
    network.load_state_dict(before)  # it has learnt nothing, but its buffers have moved
    return float(ranks.rows(np.array([min(times[1:])])).max())


@dataclass(frozen=True)
class Forecast:
    """What is expected of a step, and why the way was chosen."""

    way: str
    load: Load
    seconds: float
    alone: float  # seconds of a step on one machine, at its best
    network: Network
    others: dict[str, float]  # seconds by way
    forced: bool

    @property
    def speed_up(self) -> float:
        """Against one machine with all its cores."""
        return self.alone / self.seconds


def forecast(network: Sequential, found: Network, leaf: float, leaves: int, images: int, hosts: list[str]) -> Forecast:
    """Chooses the way with the shortest step. leaves: of a batch; images: of a leaf; hosts: of each rank.

    Raises ConfigError for a variable that names no way.
    """
    ranks, rounds = len(hosts), math.ceil(leaves / len(hosts))
    loads = {way: load_of(network, ranks, rounds, images, way) for way in WAYS}
    if stays_with_owners(network, images, ranks) is None:
        del loads["hybrid"]
    times = {way: seconds_of(load, found, leaf, rounds) for way, load in loads.items()}
    asked = os.environ.get(WAY, "")
    if asked and asked not in WAYS:
        raise ConfigError(f"the variable {WAY} must be {', '.join(WAYS[:-1])} or {WAYS[-1]}, got {asked!r}")
    # Several ranks of one machine share its cores: one process with all of them does as much.
    alone = leaves * leaf / max(hosts.count(host) for host in hosts)
    best = min(times, key=lambda way: times[way])
    if times[best] > 0.97 * times.get("factors", math.inf):
        best = "factors"  # the plainer of two that are as fast
    way = asked if asked in times else best
    return Forecast(way, loads[way], times[way], alone, found, times, bool(asked))
