"""Weights out of a network and into one."""

import numpy as np
import pytest
from small_networks import small

from scratchnet.errors import ConfigError, ShapeError


def test_state_dict_round_trip_and_copies(rng):
    one, other, x = small(seed=1), small(seed=2), rng.normal(size=(3, 8, 8, 3))
    state = one.state_dict()
    assert (one.forward(x) != other.forward(x)).all()
    other.load_state_dict(state)
    np.testing.assert_array_equal(one.forward(x), other.forward(x))
    state["dense2.bias"][:] = 99  # a copy: neither network hears of it
    np.testing.assert_array_equal(one.forward(x), other.forward(x))
    assert not (one.state_dict()["dense2.bias"] == 99).any()


def test_loading_keeps_the_parameters_that_an_optimizer_holds():
    network = small(seed=1)
    parameters = network.parameters()
    network.load_state_dict(small(seed=2).state_dict())
    assert all(mine is theirs for mine, theirs in zip(network.parameters(), parameters, strict=True))
    np.testing.assert_array_equal(parameters[0].value, small(seed=2).state_dict()["conv1.weight"])


def missing(state):
    del state["conv1.bias"]


def unknown(state):
    state["conv9.weight"] = np.zeros(3)


def of_another_shape(state):
    state["dense2.weight"] = np.zeros((7, 2))


def of_another_dtype(state):
    state["dense2.bias"] = np.zeros(2, "float32")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (missing, ConfigError, r"missing \['conv1.bias'\], unknown nothing"),
        (unknown, ConfigError, r"missing nothing, unknown \['conv9.weight'\]"),
        (
            of_another_shape,
            ShapeError,
            r"dense2.weight has shape \(6, 2\), the weights given have \(7, 2\): another image size or preset?",
        ),
        (
            of_another_dtype,
            ConfigError,
            r"dense2.bias is float64, the weights given are float32: convert them with .astype\('float64'\)",
        ),
    ],
)
def test_refused_weights_change_nothing(change, error, message):
    network = small(seed=1)
    before, state = network.state_dict(), small(seed=2).state_dict()
    change(state)
    with pytest.raises(error, match=message):
        network.load_state_dict(state)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_weights_that_are_no_state_dict():
    with pytest.raises(ConfigError, match=r"a network's weights are what state_dict\(\) returned, got list"):
        small().load_state_dict([np.zeros(3)])
