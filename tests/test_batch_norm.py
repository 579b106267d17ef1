"""Batch normalisation: the textbook's numbers, and statistics that are kept, saved, shared and left alone as they should be."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_layers import built

from scratchnet import (
    Adam,
    BatchNorm2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    ReLU,
    Schedule,
    Sequential,
    SoftmaxCrossEntropy,
    gradient_check,
    reference,
)
from scratchnet.data import Batch
from scratchnet.data.image_set import ArrayImages
from scratchnet.errors import ConfigError, ShapeError
from scratchnet.nn.models import MODELS
from scratchnet.training.checkpoint import load_checkpoint, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.experiment import Training
from scratchnet.training.shared.trainer import SharedTrainer
from scratchnet.training.trainer import Trainer
from scratchnet.use.explain import grad_cam


def network(dtype="float64"):
    net = Sequential([Conv2D(4, 3), BatchNorm2D(), ReLU(), Sequential([BatchNorm2D()]), Flatten(), Dense(2)])
    net.build((6, 5, 3), seed=1, dtype=dtype)
    return net


def trained(net, micro_batch=3, steps=2, **more):
    rng = np.random.default_rng(5)
    images = rng.normal(2, 3, size=(7, 6, 5, 3)).astype(net.dtype)
    batch = Batch(images, np.arange(7) % 2, np.arange(7))
    schedule = Schedule("constant", peak=0.01, warmup=0, total=steps)
    trainer = Trainer(net, SoftmaxCrossEntropy(), Adam(net.parameters(), 0.01), schedule, micro_batch=micro_batch)
    return [trainer.step(batch, 0) for _ in range(steps)], batch


@settings(max_examples=25, deadline=None)
@example(187, (2, 1, 1, 300), "float32")  # two equal numbers in one of the channels, nearly
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(2, 4), st.integers(1, 30), st.integers(1, 30), st.integers(1, 40) | st.just(300)),
    st.sampled_from(["float32", "float64"]),
)
def test_the_textbook(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(3, 2, size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    layer = built(BatchNorm2D(), shape[1:], dtype)
    for parameter in layer.parameters():
        parameter.value[:] = rng.normal(size=shape[3])
    y, dx = layer.forward(x, training=True), layer.backward(dy)
    wide = (x.astype("float64"), layer.gamma.value.astype("float64"))
    mean, variance = reference.batch_moments(wide[0])
    expected = reference.batch_norm(*wide, layer.beta.value, mean, variance, layer.epsilon)
    gradients = reference.batch_norm_gradient(*wide, dy.astype("float64"), layer.epsilon)
    tolerance = 1e-11 if dtype == "float64" else 2e-4
    # With few positions the spread may be small, and the slope large: what rounding the mean costs is divided by the variance.
    rounding = 0.02 * abs(wide[1]) / (variance + layer.epsilon)
    size = np.maximum(max(1, abs(gradients[0]).max()), rounding)
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance)
    assert (abs(dx - gradients[0]) <= tolerance * size).all()
    for parameter, gradient in zip(layer.parameters(), gradients[1:], strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=0, atol=tolerance * max(1, abs(gradient).max()))


def test_a_large_mean_costs_no_digits(rng):
    x = rng.normal(10_000, 1, size=(4, 16, 16, 3)).astype("float32")
    y = built(BatchNorm2D(), x.shape[1:], "float32").forward(x, training=True)
    mean, variance = reference.batch_moments(x.astype("float64"))
    np.testing.assert_allclose(y, reference.batch_norm(x, 1, 0, mean, variance, 1e-5), rtol=0, atol=2e-3)


def test_gradients(rng):
    x = rng.normal(2, 3, size=(3, 4, 5, 2))
    assert gradient_check(BatchNorm2D(), x, seed=1).max_error < 1e-6  # seed 0 would draw r = x, whose slope is zero
    held = BatchNorm2D()
    held.fixed = True
    built(held, (4, 5, 2)).running_variance[:] = 2, 3
    assert gradient_check(held, x).max_error < 1e-6
    net = Sequential([Conv2D(4, 3), BatchNorm2D(), Flatten(), Dense(2)])
    assert gradient_check(net, rng.normal(size=(3, 6, 5, 3)), seed=1).max_error < 1e-6


def test_running_statistics_follow_the_batches(rng):
    layer, mean, variance = built(BatchNorm2D(momentum=0.3), (4, 5, 2)), np.zeros(2), np.ones(2)
    for _ in range(3):
        x = rng.normal(5, 2, size=(6, 4, 5, 2))
        layer.forward(x, training=True)
        mean, variance = 0.7 * mean + 0.3 * x.mean((0, 1, 2)), 0.7 * variance + 0.3 * x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-13)
    np.testing.assert_allclose(layer.running_variance, variance, rtol=1e-13)
    before = {name: array.copy() for name, array in layer.buffers().items()}
    expected = reference.batch_norm(x, 1, 0, mean, variance, 1e-5)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-13)
    layer.fixed = True
    np.testing.assert_allclose(layer.forward(x, training=True), expected, rtol=1e-12, atol=1e-13)
    for name, array in layer.buffers().items():
        np.testing.assert_array_equal(array, before[name])


def test_micro_batches_have_statistics_of_their_own(rng):
    """Of 7 images in parts of 3, 3 and 1: the running mean follows from part to part, and another cut is another training."""
    net = Sequential([BatchNorm2D(), Flatten(), Dense(2)])
    net.build((6, 5, 3), seed=1, dtype="float64")
    _, batch = trained(net, steps=1)
    expected = np.zeros(3)
    for part in (slice(0, 3), slice(3, 6), slice(6, 7)):
        expected = 0.9 * expected + 0.1 * batch.images[part].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(net.buffers()["norm1.running_mean"], expected, rtol=1e-12)
    assert trained(network(), micro_batch=3)[0] != trained(network(), micro_batch=4)[0]


def test_a_new_run_records_the_micro_batch(monkeypatch):
    def normalised(size, **_):
        return Sequential([BatchNorm2D(), Flatten(), Dense(2)], input_shape=(size, size, 3))

    images = ArrayImages(
        np.arange(4 * 32 * 32 * 3).astype(np.uint8).reshape(4, 32, 32, 3), np.arange(4) % 2, ("a", "b")
    )
    config = Config(image_size=32, batch_size=16, micro_batch=0)
    monkeypatch.setitem(MODELS, "report", normalised)
    assert Training(config, images, choose_cut=True).about["config"]["micro_batch"] == 16
    monkeypatch.setitem(
        MODELS, "report", lambda size, **_: Sequential([Flatten(), Dense(2)], input_shape=(size, size, 3))
    )
    assert Training(config, images, choose_cut=True).about["config"]["micro_batch"] == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_any_number_of_threads(dtype, thread_counts):
    found = []
    for _ in thread_counts:
        net = network(dtype)
        trained(net)
        found.append({name: array.tobytes() for name, array in net.state_dict().items()})
    assert all(one == found[0] for one in found)


def test_buffers_are_saved_and_loaded_with_the_weights(tmp_path):
    net, twin = network(), network()
    trained(net)
    names = [
        "norm1.running_mean",
        "norm1.running_variance",
        "network1.norm1.running_mean",
        "network1.norm1.running_variance",
    ]
    assert list(net.buffers()) == names == list(net.state_dict())[-4:]
    save_checkpoint(tmp_path / "net.h5", net.state_dict(), {})
    held = twin.buffers()["norm1.running_mean"]
    twin.load_state_dict(load_checkpoint(tmp_path / "net.h5").weights)
    assert twin.buffers()["norm1.running_mean"] is held
    for name, array in net.state_dict().items():
        assert array.tobytes() == twin.state_dict()[name].tobytes(), name
    state = net.state_dict()
    del state["norm1.running_mean"]
    with pytest.raises(ConfigError, match=r"missing \['norm1.running_mean'\]"):
        twin.load_state_dict(state)
    with pytest.raises(ShapeError, match=r"norm1.running_mean has shape \(4,\), the weights given have \(3,\)"):
        twin.load_state_dict(net.state_dict() | {"norm1.running_mean": np.zeros(3)})


def test_explaining_leaves_the_statistics_alone(rng):
    net = network("float32")
    trained(net)
    before = net.state_dict()
    x = rng.normal(size=(2, 6, 5, 3)).astype("float32")
    alone = grad_cam(net, x[:1], np.array([0]), "conv1")
    np.testing.assert_allclose(grad_cam(net, x, np.array([0, 1]), "conv1")[:1], alone, rtol=1e-5)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not any(layer.fixed for layer in net.observers())


class Counting(Layer):
    """Counts its batches, and cannot say what it has seen."""

    def buffers(self):
        return {"count": np.zeros(1)}


def test_several_ranks_refuse_buffers_that_they_cannot_move():
    net = Sequential([Counting(name="own"), Dense(2)])
    net.build((3,))
    with pytest.raises(ConfigError, match=r"Counting 'own' has buffers, but no observed and observe\(observed\)"):
        SharedTrainer(net, None, lambda parameters: None, None, micro_batch=1, clip_norm=0, ranks=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"momentum": 1.5}, "must be from 0 to 1, got 1.5"), ({"epsilon": 0}, "epsilon must be greater than 0, got 0")],
)
def test_options_that_cannot_work(options, message):
    with pytest.raises(ConfigError, match=f"BatchNorm2D 'norm': .*{message}"):
        BatchNorm2D(**options)


def test_one_position_has_no_variance():
    layer = built(BatchNorm2D(), (1, 1, 2))
    assert layer.forward(np.ones((1, 1, 1, 2))).shape == (1, 1, 1, 2)
    with pytest.raises(ShapeError, match="BatchNorm2D 'norm': one position has no variance"):
        layer.forward(np.ones((1, 1, 1, 2)), training=True)
