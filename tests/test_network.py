"""A network: names, shapes, the summary, weights in and out, gradients in parts, and the report's two networks."""

import contextlib
import weakref

import numpy as np
import pytest
from small_networks import small

import scratchnet as sn
from scratchnet import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, OrderError, ShapeError


def test_the_public_names_of_the_library():
    for name in (
        "Sequential", "Conv2D", "ReLU", "MaxPool2D", "Flatten", "Dense", "Dropout",
        "SoftmaxCrossEntropy", "Adam", "SGD", "gradient_check", "models",
    ):  # fmt: skip
        assert name in sn.__all__
    for name in sn.__all__:
        assert getattr(sn, name) is not None
    assert callable(sn.models.report)
    assert callable(sn.models.report_wide)


def test_the_session_of_the_readme(rng):
    net = sn.Sequential([
        sn.Conv2D(4, kernel_size=5), sn.ReLU(), sn.MaxPool2D(2),
        sn.Flatten(), sn.Dense(8), sn.ReLU(), sn.Dropout(0.5), sn.Dense(2),
    ])  # fmt: skip
    net.build(input_shape=(16, 16, 3), seed=0, dtype="float32")
    x, labels = rng.normal(size=(4, 16, 16, 3)).astype("float32"), np.array([0, 1, 1, 0])
    loss = sn.SoftmaxCrossEntropy()
    optimizer = sn.Adam(net.parameters(), learning_rate=1e-3, l2=5e-4)
    before = net.state_dict()
    value = loss.forward(net.forward(x, training=True), labels)
    dx = net.backward(loss.backward())
    optimizer.step()
    assert isinstance(value, float)
    assert dx.shape == x.shape
    assert dx.dtype == np.float32
    for name, array in net.state_dict().items():
        assert (array != before[name]).any(), name


def test_layers_and_parameters_are_named_by_kind_and_count():
    network = small()
    assert [layer.name for layer in network.layers] == [
        "conv1",
        "relu1",
        "pool1",
        "flatten1",
        "dense1",
        "relu2",
        "dropout1",
        "dense2",
    ]
    assert [(p.name, p.decay) for p in network.parameters()] == [
        ("conv1.weight", True), ("conv1.bias", False), ("dense1.weight", True), ("dense1.bias", False),
        ("dense2.weight", True), ("dense2.bias", False),
    ]  # fmt: skip


def test_a_given_name_stays():
    network = Sequential([Dense(3, name="hidden"), Dense(2)])
    network.build((4,))
    assert list(network.state_dict()) == ["hidden.weight", "hidden.bias", "dense2.weight", "dense2.bias"]


def test_two_layers_of_one_name():
    with pytest.raises(ConfigError, match="two layers are called 'a': give each its own name"):
        Sequential([Dense(3, name="a"), Dense(2, name="a")]).build((4,))


def test_one_layer_twice():
    dense = Dense(4)
    with pytest.raises(ConfigError, match="the same layer object stands in the list twice"):
        Sequential([dense, ReLU(), dense])


def test_no_layers():
    with pytest.raises(ConfigError, match="at least one layer"):
        Sequential([])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dense(2), ReLU], r"^ReLU is a class: write ReLU\(\)"),
        (["relu"], "^'relu' is not a layer: it has no forward and no backward"),
        ([None], "^None is not a layer"),
        (Dense(2), "Sequential needs a list of layers, got Dense"),
    ],
)
def test_what_is_no_layer(layers, message):
    with pytest.raises(ConfigError, match=message):
        Sequential(layers)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_shape": 64}, ShapeError, "input_shape must be whole numbers from 1 up, .*, got 64"),
        ({"input_shape": (4.5,)}, ShapeError, r"whole numbers from 1 up, .*, got \(4.5,\)"),
        ({"seed": -1}, ConfigError, "seed must be a whole number from 0 .*, got -1"),
        ({"seed": 1.5}, ConfigError, "seed must be a whole number from 0 .*, got 1.5"),
        ({"seed": 2**64}, ConfigError, "seed must be"),
        ({"dtype": "foo"}, DtypeError, "dtype must be float32 or float64, got 'foo'"),
        ({"dtype": None}, DtypeError, "dtype must be float32 or float64, got None"),
    ],
)
def test_what_cannot_be_built(arguments, error, message):
    with pytest.raises(error, match=message):
        Sequential([Dense(2)]).build(**{"input_shape": (4,)} | arguments)


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        ([[1.0, 2.0]], DtypeError, "the network's backward: dy must be a NumPy array, got list"),
        (None, DtypeError, "dy must be a NumPy array, got NoneType"),
        (np.ones((1, 2), int), DtypeError, "dy must be of float64, got int64"),
        (np.array([[1, np.nan]]), NonFiniteError, "dy holds a NaN or an infinity"),
    ],
)
def test_what_is_no_gradient(dy, error, message):
    network = Sequential([Dense(2)])
    network.build((4,), dtype="float64")
    network.forward(np.ones((1, 4)), training=True)
    with pytest.raises(error, match=message):
        network.backward(dy)


def test_layers_that_do_not_fit_together():
    with pytest.raises(ShapeError, match=r"Dense 'dense1' works on flat inputs .*: put a Flatten before it"):
        Sequential([Conv2D(4, 3), Dense(2)]).build((8, 8, 3))


def test_the_summary_adds_up(capsys):
    """conv1: 3·3·3·4 + 4 = 112 parameters, 8·8·108 = 6,912 products; dense1: 64·6 + 6 = 390; dense2: 6·2 + 2 = 14."""
    network = small("float32")
    network.summary()
    printed = capsys.readouterr().out
    assert printed.rstrip("\n") == network.summary_table()
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip("─ ")}
    assert rows.keys() == {
        "layer",
        "input",
        "conv1",
        "relu1",
        "pool1",
        "flatten1",
        "dense1",
        "relu2",
        "dropout1",
        "dense2",
        "total",
    }
    assert rows["conv1"].split() == ["conv1", "8", "×", "8", "×", "4", "112", "6,912", "1.0", "KB"]
    assert rows["pool1"].split() == ["pool1", "4", "×", "4", "×", "4", "256", "B"]
    assert rows["dense1"].split() == ["dense1", "6", "390", "384", "24", "B"]
    assert rows["dense2"].split() == ["dense2", "2", "14", "12", "8", "B"]
    memory = 4 * (256 + 256 + 64 + 64 + 6 + 6 + 6 + 2)
    assert rows["total"].split() == ["total", "516", "7,308", f"{memory / 1000:.1f}", "KB"]
    assert network.multiplications() == 6912 + 384 + 12


def test_the_same_seed_gives_the_same_weights():
    one, same, other = small(seed=1).state_dict(), small(seed=1).state_dict(), small(seed=2).state_dict()
    for name, weight in one.items():
        np.testing.assert_array_equal(weight, same[name])
        assert name.endswith("bias") or (weight != other[name]).all()


def test_float32_starts_from_the_weights_of_float64_rounded():
    for name, weight in small("float64").state_dict().items():
        np.testing.assert_array_equal(small("float32").state_dict()[name], weight.astype("float32"))


def test_building_twice_gives_the_network_anew():
    network = small(seed=1)
    network.build((12, 12, 1), seed=2, dtype="float32")
    assert network.output_shape == (2,)
    assert [layer.name for layer in network.layers][:2] == ["conv1", "relu1"]
    assert network.state_dict()["conv1.weight"].shape == (3, 3, 1, 4)
    assert network.forward(np.zeros((1, 12, 12, 1), "float32")).dtype == np.float32
    network.build((8, 8, 3), seed=1, dtype="float64")
    for name, weight in small(seed=1).state_dict().items():
        np.testing.assert_array_equal(network.state_dict()[name], weight)


@pytest.mark.parametrize(
    "use",
    [
        lambda network: network.forward(np.zeros((1, 4))),
        lambda network: network.backward(np.zeros((1, 2))),
        lambda network: network.summary(),
        lambda network: network.parameters(),
        lambda network: network.state_dict(),
        lambda network: network.load_state_dict({}),
        lambda network: network.multiplications(),
        lambda network: network.bytes_per_image(),
    ],
    ids=[
        "forward",
        "backward",
        "summary",
        "parameters",
        "state_dict",
        "load_state_dict",
        "multiplications",
        "bytes_per_image",
    ],
)
def test_use_before_build(use):
    with pytest.raises(OrderError, match="has not been built"):
        use(Sequential([Dense(2), ReLU()]))


def test_build_needs_a_shape():
    with pytest.raises(ShapeError, match=r"needs input_shape=\(height, width, channels\)"):
        Sequential([Dense(2)]).build()


# Gradients


def gradients(network):
    return {p.name: p.grad.copy() for p in network.parameters()}


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(2)],
        lambda: [ReLU(), MaxPool2D(2), Flatten(), Dropout(0.5), Dense(2)],
        lambda: [Flatten(), Dense(3), ReLU(), Dense(2)],
    ],
)
def test_without_dx_the_gradients_are_the_same(layers, rng):
    network = Sequential(layers())
    network.build((4, 4, 2), dtype="float64")
    x, dy = rng.normal(size=(3, 4, 4, 2)), rng.normal(size=(3, 2))
    network.seed_batch(0, range(3))
    network.forward(x, training=True)
    assert network.backward(dy).shape == x.shape
    expected = gradients(network)
    for parameter in network.parameters():
        parameter.grad[:] = np.nan
    assert network.backward(dy, need_dx=False) is None
    for name, gradient in gradients(network).items():
        np.testing.assert_array_equal(gradient, expected[name])


@pytest.mark.parametrize("way", ["direct", "winograd"])  # layers one by one, and three as one
def test_a_backward_that_releases_gives_the_same_once(way, rng, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_CONV", way)
    network = small()
    x, dy = rng.normal(size=(16, 8, 8, 3)), rng.normal(size=(16, 2))
    found = []
    for release in (False, True):
        network.seed_batch(0, range(16))
        network.forward(x.copy(), training=True)
        remembered = [weakref.ref(array) for array in arrays_of(network.steps)]
        with network.releasing() if release else contextlib.nullcontext():
            dx = network.backward(dy)
        found.append(gradients(network) | {"x": dx})
        assert remembered
        assert all((array() is None) == release for array in remembered)
    for name, gradient in found[0].items():
        np.testing.assert_array_equal(gradient, found[1][name])
    with pytest.raises(OrderError):
        network.backward(dy)


def test_a_network_that_releases_remembers_nothing_of_frozen_layers(rng):
    network = small()
    network.freeze(network.layers[0].name)
    network.forward(rng.normal(size=(16, 8, 8, 3)), training=True)
    remembered = [weakref.ref(array) for array in arrays_of(network.steps)]
    with network.releasing():
        network.backward(rng.normal(size=(16, 2)), need_dx=False)
    assert remembered
    assert all(array() is None for array in remembered)


def arrays_of(steps):
    """What these layers and steps remember of a batch."""
    inside = [getattr(step, name) for step in steps for name in ("conv", "relu", "pool") if hasattr(step, name)]
    for layer in [*steps, *inside]:
        for value in vars(layer).values():
            yield from (array for array in (value if isinstance(value, tuple) else [value]) if is_batch(array))


def is_batch(value):
    return isinstance(value, np.ndarray) and value.shape[:1] == (16,)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(rng):
    network, loss = small(), sn.SoftmaxCrossEntropy()
    x, labels, numbers = rng.normal(size=(7, 8, 8, 3)), rng.integers(2, size=7), np.arange(100, 107)

    def run(parts):
        dx = []
        for i, part in enumerate(parts):
            network.seed_batch(3, numbers[part])
            loss.forward(network.forward(x[part], training=True), labels[part])
            dx.append(network.backward(loss.backward(batch_size=7), accumulate=i > 0))
        return gradients(network) | {"x": np.concatenate(dx)}

    whole, cut = run([slice(0, 7)]), run([slice(0, 3), slice(3, 4), slice(4, 7)])
    for name in whole:
        np.testing.assert_allclose(cut[name], whole[name], rtol=1e-12, atol=1e-12 * np.abs(whole[name]).max())


def test_dropout_masks_follow_the_seed_of_the_network():
    def output(seed):
        network = Sequential([Dropout(0.5)])
        network.build((100,), seed=seed, dtype="float64")
        network.seed_batch(0, [0])
        return network.forward(np.ones((1, 100)), training=True)

    np.testing.assert_array_equal(output(1), output(1))
    assert (output(1) != output(2)).any()


def test_a_network_in_a_network(rng):
    """It is a layer itself, so it may stand in a row; its parameters keep names of their own."""
    network = Sequential([Sequential([Dense(5), ReLU(), Dense(4)]), Dense(2)])
    network.build((3,), dtype="float64")
    assert len(network.state_dict()) == len(network.parameters()) == 6
    assert sn.gradient_check(network, rng.normal(size=(2, 3))).max_error < 1e-6


def test_dropout_in_a_network_in_a_network():
    """It follows the outer seed, and draws other masks than the dropout beside it: two halves leave a quarter."""

    def output(seed):
        network = Sequential([Sequential([Dropout(0.5)]), Dropout(0.5)])
        network.build((1000,), seed=seed, dtype="float64")
        network.seed_batch(0, [0])
        kept = network.layers[0].forward(np.ones((1, 1000)), training=True)
        return kept, network.layers[1].forward(kept, training=True)

    assert (output(1)[0] != output(2)[0]).any()
    assert np.count_nonzero(output(1)[1]) == pytest.approx(250, abs=60)


def test_a_layer_of_ones_own_in_the_row(rng):
    class Doubling:
        def build(self, input_shape, rng, dtype):
            return input_shape

        def forward(self, x, *, training):
            return 2 * x

        def backward(self, dy, *, need_dx=True):
            return 2 * dy

    network = Sequential([Dense(3), Doubling(), Dense(2)])
    network.build((4,), dtype="float64")
    assert [layer.name for layer in network.layers] == ["dense1", "doubling1", "dense2"]
    assert sn.gradient_check(network, rng.normal(size=(2, 4))).max_error < 1e-6
    assert "doubling1" in network.summary_table()


class Square:
    """The README's, right this time: nothing but forward and backward."""

    def forward(self, x, *, training=False):
        self.x = x
        return x**2

    def backward(self, dy, *, need_dx=True):
        return 2 * self.x * dy


def test_a_layer_with_nothing_but_forward_and_backward_keeps_the_shape(rng):
    network = Sequential([Square(), Dense(3), Square(), Dense(2)])
    assert network.build((4,), dtype="float64") == (2,)
    assert [layer.name for layer in network.layers] == ["square1", "dense1", "square2", "dense2"]
    assert sn.gradient_check(network, rng.normal(size=(2, 4))).max_error < 1e-6
    network.summary_table()
    assert sn.gradient_check(Sequential([Square()]), rng.normal(size=(2, 4))).max_error < 1e-6


def test_a_build_that_forgets_to_return_the_shape():
    layer = Square()
    layer.build = lambda input_shape, rng, dtype: None
    with pytest.raises(ShapeError, match=r"square1: what build returns must be whole numbers .*, got None"):
        Sequential([layer]).build((4,))
