"""It learns, and it learns the same thing each time."""

import numpy as np
import pytest
from PIL import Image

from scratchnet import Adam, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy


@pytest.fixture(scope="module")
def eight_cells(repository):
    """Four cells of each class from the sample, 32×32, standardised: x (8, 32, 32, 3) float32 and labels (8,)."""
    sample = repository / "scratchnet" / "prepare" / "sample"
    files = [file for label in ("all", "hem") for file in sorted(sample.glob(f"fold_0/{label}/*.webp"))[:4]]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB").resize((32, 32)), "float32") for file in files])
    return (pixels - pixels.mean()) / pixels.std(), np.array([0, 0, 0, 0, 1, 1, 1, 1])


def train(x, labels, steps, rate=3e-3):
    network = Sequential(
        [
            Conv2D(8, 5),
            ReLU(),
            MaxPool2D(2),
            Conv2D(8, 5),
            ReLU(),
            MaxPool2D(2),
            Flatten(),
            Dense(16),
            ReLU(),
            Dropout(0.2),
            Dense(2),
        ]
    )
    network.build(x.shape[1:], seed=0)
    loss, optimizer, losses = SoftmaxCrossEntropy(), Adam(network.parameters(), rate, l2=5e-4), []
    for step in range(steps):
        network.seed_batch(step, range(len(x)))
        losses.append(loss.forward(network.forward(x, training=True), labels))
        network.backward(loss.backward(), need_dx=False)
        optimizer.step()
    return network, losses


def test_eight_images_are_learnt_by_heart(eight_cells):
    x, labels = eight_cells
    network, losses = train(x, labels, steps=60)
    logits = network.forward(x)
    assert (logits.argmax(axis=1) == labels).all()
    assert losses[0] > 0.5
    assert np.mean(losses[-10:]) < 0.1
    assert SoftmaxCrossEntropy().forward(logits, labels) < 0.05


def test_the_loss_of_one_small_step_goes_down_by_the_squared_gradient(eight_cells):
    """Down the slope: L(w − η∇L) ≈ L(w) − η‖∇L‖²."""
    x, labels = eight_cells
    network, loss = train(x, labels, steps=3)[0], SoftmaxCrossEntropy()
    before = loss.forward(network.forward(x), labels)
    network.layers[-2].rate = 0  # the dropout: the slope of the loss as it is at inference
    loss.forward(network.forward(x, training=True), labels)
    network.backward(loss.backward(), need_dx=False)
    slope = sum(float((p.grad**2).sum()) for p in network.parameters())
    step = 0.003 * before / slope
    for parameter in network.parameters():
        parameter.value -= np.float32(step) * parameter.grad
    assert before - loss.forward(network.forward(x), labels) == pytest.approx(step * slope, rel=0.1)


def test_the_same_seed_gives_the_same_bits(eight_cells):
    one, other = (train(*eight_cells, steps=5) for _ in range(2))
    assert one[1] == other[1]
    for name, value in one[0].state_dict().items():
        np.testing.assert_array_equal(value, other[0].state_dict()[name])


def test_any_number_of_threads_gives_the_same_bits(run_python):
    """Odd sizes, so that no number of threads divides the work evenly."""
    program = """
import hashlib
import numpy as np
from scratchnet import Adam, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy
from scratchnet.kernels.machine.threads import set_threads, thread_count

for threads in (1, 2, 3, 0):
    assert set_threads(threads) == (threads or 3)
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(0)
        x, labels = rng.normal(size=(7, 21, 19, 3)).astype(dtype), rng.integers(2, size=7)
        network = Sequential([
            Conv2D(9, 5), ReLU(), MaxPool2D(3, 2), Conv2D(17, 3, stride=2), ReLU(), MaxPool2D(2),
            Flatten(), Dense(67), Dropout(0.5), Dense(2),
        ])
        network.build(x.shape[1:], seed=0, dtype=dtype)
        loss, optimizer = SoftmaxCrossEntropy(), Adam(network.parameters(), 1e-3, l2=5e-4)
        for step in range(4):
            network.seed_batch(step, range(7))
            loss.forward(network.forward(x, training=True), labels)
            dx = network.backward(loss.backward())
            optimizer.step()
        assert thread_count() == (threads or 3)  # a kernel with fewer tasks leaves it as it is
        bits = b"".join(array.tobytes() for array in [dx, *network.state_dict().values()])
        print(dtype, hashlib.sha256(bits).hexdigest())
"""
    lines = run_python(program, NUMBA_NUM_THREADS="3").splitlines()
    assert len(lines) == 8
    assert len(set(lines)) == 2  # one for each dtype


def test_too_many_threads(run_python):
    program = """
from scratchnet.errors import ConfigError
from scratchnet.kernels.machine.threads import set_threads
for count in (3, -1):
    try:
        set_threads(count)
    except ConfigError as refused:
        print(refused)
"""
    first, second = run_python(program, NUMBA_NUM_THREADS="2").splitlines()
    assert (
        first == "threads must be 0 (all) to 2 on this machine, got 3; the variable NUMBA_NUM_THREADS raises the limit"
    )
    assert "got -1" in second
