"""Layers that a person has written: where one returns the wrong thing, the error names it and not its neighbour."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import Dense, Dropout, Layer, ReLU, Sequential
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, ShapeError


class Own:
    """y = x, but for what a test puts in the place of the results."""

    def __init__(self, forward=lambda x: x, backward=lambda dy: dy):
        self._forward, self._backward = forward, backward

    def forward(self, x, *, training=False):
        return self._forward(x)

    def backward(self, dy, *, need_dx=True):
        return self._backward(dy)


class Heir(Layer):
    """The same, with the checks of a Layer."""

    kind = "heir"

    def __init__(self, forward=lambda x: x, backward=lambda dy: dy):
        super().__init__()
        self._forward_of, self._backward_of = forward, backward

    def _forward(self, x, training):
        return self._forward_of(x)

    def _backward(self, dy, need_dx, accumulate):
        return self._backward_of(dy)


def network(own, place):
    """Layers around that one, which stands first, in the middle or last."""
    layers = {"first": [own, Dense(3)], "middle": [Dense(4), own, ReLU(), Dense(3)], "last": [Dense(4), ReLU(), own]}[
        place
    ]
    net = Sequential(layers)
    net.build((4,), seed=0)
    return net


X = np.ones((2, 4), np.float32)
each_place = pytest.mark.parametrize("place", ["first", "middle", "last"])
each_kind = pytest.mark.parametrize("kind", [Own, Heir])


@each_kind
@each_place
@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (
            lambda x: x.astype("float64"),
            DtypeError,
            r"returned float64, expected float32 of shape \(2, 4\): .*astype\(x.dtype\)",
        ),
        (lambda x: x * np.float64(2), DtypeError, "returned float64"),
        (lambda x: x[:, :3], ShapeError, r"returned shape \(2, 3\), expected float32 of shape \(2, 4\): without build"),
        (lambda x: x[:1], ShapeError, r"returned shape \(1, 4\), expected float32 of shape \(2, 4\)"),
        (lambda x: x.sum(), DtypeError, "returned float32, expected"),  # a number of NumPy's, no array
        (lambda x: None, DtypeError, "returned NoneType, .*: does it end with return"),
        (lambda x: x.tolist(), DtypeError, "returned list, .*: return a NumPy array"),
    ],
)
def test_what_forward_or_backward_returns(kind, place, wrong, error, said):
    name = f"^{kind.__name__} '{kind.__name__.lower()}1': "
    with pytest.raises(error, match=f"{name}forward {said}"):
        network(kind(forward=wrong), place).forward(X)
    net = network(kind(backward=wrong), place)
    y = net.forward(X, training=True)
    said = said.replace("without build", "dx has the shape of x")
    with pytest.raises(error, match=f"{name}backward {said}"):
        net.backward(np.ones_like(y))


def test_the_input_is_blamed_where_it_is_to_blame():
    """The first layer may take anything; what it returns is then no fault of its own."""
    net = network(Own(), "first")
    with pytest.raises(ShapeError, match=r"^the network was built for batches of shape \(N, 4\), got \(2, 5\)"):
        net.forward(np.ones((2, 5), np.float32))
    with pytest.raises(DtypeError, match=r"^the network was built for float32, got float64: convert with x.astype"):
        net.forward(np.ones((2, 4)))
    with pytest.raises(DtypeError, match=r"^the network's input must be a NumPy array, got list"):
        net.forward([[1.0, 2.0, 3.0, 4.0]])


def test_a_layer_that_changes_the_shape_says_so_in_build():
    class Halved(Own):
        def build(self, input_shape, rng, dtype):
            return (input_shape[0] // 2,)

    net = Sequential(
        [Dense(4), Halved(lambda x: x[:, ::2], lambda dy: np.repeat(dy, 2, axis=1)), Dropout(0.5), Dense(3)]
    )
    net.build((4,), seed=0)
    assert net.forward(X, training=True).shape == (2, 3)
    assert net.backward(np.ones((2, 3), np.float32)).shape == (2, 4)
    assert net.backward(np.ones((2, 3), np.float32), need_dx=False) is None


def test_what_nobody_reads_may_be_none():
    net = network(Own(backward=lambda dy: None), "first")
    y = net.forward(X, training=True)
    assert net.backward(np.ones_like(y), need_dx=False) is None


@pytest.mark.parametrize("what", ["forward", "backward"])
def test_an_error_within_a_layer_of_ones_own_names_the_layer(what):
    def fail(x):
        raise ValueError("mine")

    net = network(Own(**{what: fail}), "middle")

    def there_and_back():
        net.forward(X, training=True)
        net.backward(np.ones((2, 3), np.float32))

    with pytest.raises(ValueError, match="mine") as found:
        there_and_back()
    assert found.value.__notes__ == [f"in {what} of Own 'own1'"]


def test_a_forward_without_training_names_the_layer():
    own = Own()
    own.forward = lambda x: x
    with pytest.raises(TypeError, match="training") as found:
        network(own, "first").forward(X)
    assert found.value.__notes__ == ["in forward of Own 'own1'"]


def test_a_nan_is_the_fault_of_the_layer_that_made_it():
    with pytest.raises(NonFiniteError, match=r"^Own 'own1': forward returned a NaN or an infinity"):
        network(Own(lambda x: x * np.float32("nan")), "middle").forward(X)
    with pytest.raises(NonFiniteError, match="dense1"):
        network(Own(), "middle").forward(X * np.float32("nan"))


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_what_a_layer_lacks_is_named(name):
    part = type("Part", (), {name: lambda self, x: x})()
    lacks = {"forward": "backward", "backward": "forward"}[name]
    with pytest.raises(ConfigError, match=f"it has no {lacks}$"):
        Sequential([part])


def test_a_network_with_a_backward_of_its_own_is_trained():
    """It knows the arguments that the manual names, and no others."""
    seen = []

    class Mine(sn.Sequential):
        def backward(self, dy, *, need_dx=True, accumulate=False):
            seen.append(len(dy))
            return super().backward(dy, need_dx=need_dx, accumulate=accumulate)

    network = Mine([sn.Conv2D(2, kernel_size=3), sn.Flatten(), sn.Dense(2)])
    network.fit(np.random.default_rng(3).random((12, 8, 8, 3), "float32"), np.arange(12) % 2, epochs=1, batch_size=12)
    assert seen == [12]
