"""Initial weights have the spread that the papers ask for."""

import math

import numpy as np
import pytest

from scratchnet import Conv2D, Dense
from scratchnet.errors import ConfigError
from scratchnet.nn.base import Parameter
from scratchnet.nn.initializers import INITIALIZERS, initializer

FAN_IN, FAN_OUT = 300, 500
VARIANCE = {
    "xavier_uniform": 2 / (FAN_IN + FAN_OUT),
    "xavier_normal": 2 / (FAN_IN + FAN_OUT),
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
}


def test_all_initializers_are_tested():
    assert VARIANCE.keys() == INITIALIZERS.keys()


@pytest.mark.parametrize("name", VARIANCE)
def test_mean_and_variance(name, rng):
    weight = initializer(name)(rng, (FAN_IN, FAN_OUT), FAN_IN, FAN_OUT)
    assert weight.shape == (FAN_IN, FAN_OUT)
    assert abs(weight.mean()) < 4 * math.sqrt(VARIANCE[name] / weight.size)
    assert weight.var() == pytest.approx(VARIANCE[name], rel=0.02)


@pytest.mark.parametrize("name", ["xavier_uniform", "he_uniform"])
def test_uniform_stays_within_its_limit_and_reaches_it(name, rng):
    limit = math.sqrt(3 * VARIANCE[name])  # the variance of a uniform number in ±limit is limit²/3
    largest = np.abs(initializer(name)(rng, (FAN_IN, FAN_OUT), FAN_IN, FAN_OUT)).max()
    assert 0.999 * limit < largest <= limit


@pytest.mark.parametrize("name", ["xavier_normal", "he_normal"])
def test_normal_has_normal_tails(name, rng):
    z = initializer(name)(rng, (FAN_IN, FAN_OUT), FAN_IN, FAN_OUT) / math.sqrt(VARIANCE[name])
    assert (np.abs(z) > 2).mean() == pytest.approx(math.erfc(math.sqrt(2)), abs=0.003)  # 4.6 %


def test_a_convolution_counts_its_whole_window(rng):
    """fan_in = KH·KW·C = 75, fan_out = KH·KW·F = 1600."""
    layer = Conv2D(64, kernel_size=5)
    layer.build((8, 8, 3), rng)
    limit = math.sqrt(6 / (75 + 1600))
    assert 0.99 * limit < np.abs(layer.weight.value).max() <= limit
    assert not layer.bias.value.any()


def test_a_function_of_ones_own(rng):
    layer = Dense(3, weight_init=lambda rng, shape, fan_in, fan_out: np.full(shape, fan_in + fan_out, "float64"))
    layer.build((4,), rng)
    np.testing.assert_array_equal(layer.weight.value, np.full((4, 3), 7, "float32"))


def test_unknown_name():
    with pytest.raises(ConfigError, match=r"weight_init must be one of xavier_uniform, .*he_normal, got 'glorot'"):
        Dense(3, weight_init="glorot")


def test_a_parameter_is_a_copy_in_c_order_and_of_the_dtype_asked_for():
    given = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for dtype, kind in [(None, np.float64), ("float32", np.float32), ("float64", np.float64)]:
        parameter = Parameter("w", given, dtype, decay=True)
        assert parameter.value.dtype == parameter.grad.dtype == kind
        assert parameter.value.flags.c_contiguous
        assert not np.shares_memory(parameter.value, given)
        np.testing.assert_array_equal(parameter.value, given)
