"""Run by mpiexec: steps and evaluations of several ranks beside those of one process, which each rank repeats, bit by bit.

`train` is train.py as `quick_training` makes it.
"""

import sys

import numpy as np

import train as train_script
from scratchnet.data import Augmentation, Batches, PixelScaling
from scratchnet.data.image_set import ArrayImages
from scratchnet.errors import NonFiniteError
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.sequential import Sequential
from scratchnet.ranks import ALONE, joined
from scratchnet.terminal.entry_point import own_process
from scratchnet.training.config import Config
from scratchnet.training.experiment import make_trainer
from scratchnet.training.shared.buckets import Factors, Rows
from scratchnet.training.shared.dealt import Rounds, Shares
from tests.small_runs import quick_training

SIZE, IMAGES, BATCH, LEAF = (
    16,
    19,
    8,
    3,
)  # batches of 8, 8 and 3 images, in leaves of 3, 3, 2 and of 3: ragged in every way
CASES = [
    {"optimizer": "adam", "clip_norm": 0.05},
    {
        "optimizer": "adamw",
        "class_weights": "balanced",
        "label_smoothing": 0.1,
        "freeze": "conv1,network1,dense2",
        "clip_norm": 0.05,
    },
    {"optimizer": "sgd", "dtype": "float64", "clip_norm": 0.05},
]


def build(config, ranks):
    """A network whose first dense layer has enough rows to stay with its owners, with a trainer and its batches."""
    blocks = [Conv2D(64, 5, padding="same"), ReLU(), MaxPool2D(2), Sequential([BatchNorm2D()]), Flatten()]
    network = Sequential([*blocks, Dense(64), ReLU(), Dropout(0.4), Dense(2)])
    network.build((SIZE, SIZE, 3), seed=3, dtype=config.dtype)
    if config.freeze:
        network.freeze(*config.freeze.split(","))
    weights = np.array([0.7, 1.3]) if config.class_weights == "balanced" else None
    return make_trainer(config, network, 3, class_weights=weights, ranks=ranks)


def batches(config, ranks, dealt, **more):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
    data = ArrayImages(images, np.arange(IMAGES) % 2, ("a", "b"))
    whole = Batches(data, BATCH, PixelScaling("unit"), seed=5, dtype=config.dtype, **more)
    return whole if ranks is ALONE else dealt(whole, LEAF, ranks)


def train(config, ranks, way):
    """Two epochs, a change of the number of ranks between them played by saving and loading; all that must be the same."""
    trainer = build(config, ranks)
    augmented = {"shuffle": True, "augment": Augmentation("symmetries", 0.1)}
    losses, found = [], {}
    for epoch in range(2):
        if epoch:
            state = trainer.state()
            if ranks is not ALONE:
                state = ranks.share(state[0] or None), ranks.share(state[1] or None)
            trainer = build(config, ranks)
            trainer.load_state(*state)
        if ranks is not ALONE:
            trainer.prepare(way)
        for batch in batches(config, ranks, Shares, **augmented).epoch(epoch, start=0):
            losses.append(trainer.step(batch, epoch))
    trainer.gather()
    judged = trainer.evaluate(batches(config, ranks, Rounds, shuffle=False).epoch(0), symmetries=True)
    found |= {
        "losses": np.array(losses),
        "loss": np.array(judged.loss),
        "logits": judged.logits,
        "labels": judged.labels,
    }
    found |= {p.name: p.value.copy() for p in trainer.network.parameters()}
    found |= {name: array.copy() for name, array in trainer.network.buffers().items()}
    found |= {f"{p.name} gradient": p.grad.copy() for p in trainer.network.parameters()}
    state = trainer.state()
    if ranks.first:
        found |= {f"state {name}": array for name, array in state[1].items()}
        assert list(state[0]) == [p.name for p in trainer.network.parameters()] + list(trainer.network.buffers())
    return found, trainer


def compare(ranks):
    for case in CASES:
        config = Config(image_size=32, micro_batch=LEAF, batch_size=BATCH, warmup=0, learning_rate=0.01, **case)
        if not ranks.first:
            ranks.wait()  # rank 0 compiles what the others load
        expected, _ = train(config, ALONE, "")
        if ranks.first:
            ranks.wait()
        for way, kinds in {"plain": [], "factors": [Factors], "hybrid": [Rows]}.items():
            found, trainer = train(config, ranks, way)
            used = [type(bucket) for bucket in trainer.exchange.buckets]
            assert set(kinds) <= set(used), (way, used)
            assert set(found) <= set(expected)
            assert not ranks.first or set(found) == set(expected)
            for name, array in found.items():
                same = array.dtype == expected[name].dtype and array.tobytes() == expected[name].tobytes()
                assert same, f"{case} {way}, {ranks.size} ranks, rank {ranks.rank}: {name} differs"


def diverge(ranks):
    """A NaN in one rank's weights alone: all raise, and with the words of the rank that met it."""
    config = Config(image_size=32, micro_batch=LEAF, batch_size=BATCH, warmup=0)
    for way in ("plain", "factors", "hybrid"):
        trainer = build(config, ranks)
        trainer.prepare(way)
        if ranks.rank == ranks.size - 1:
            trainer.network.parameters()[0].value[:] = np.inf
        said = ""
        try:
            for batch in batches(config, ranks, Shares, shuffle=True).epoch(0):
                trainer.step(batch, 0)
        except NonFiniteError as error:
            said = str(error)
        assert "holds" in said
        assert set(ranks.texts(said)) == {said}
        trainer.gather()


def main():
    with joined("worker") as ranks:
        for work in (compare, diverge):
            work(ranks)
            ranks.wait()
            if ranks.first:
                print(f"{work.__name__}: the same on {ranks.size} ranks", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        own_process()
        with quick_training():
            sys.exit(train_script.main(sys.argv[2:]))
    main()
