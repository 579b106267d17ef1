"""Every backward pass is the derivative of its forward pass, in the kernels of training."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import scratchnet as sn
from scratchnet import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential, gradient_check

few = settings(max_examples=20)
seeds = st.integers(0, 2**32 - 1)


def inputs(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def distinct(seed, *shape):
    """Numbers at least 0.01 apart and none of them zero: no maximum is a tie, no difference quotient crosses a kink."""
    numbers = np.arange(np.prod(shape)) * 0.01 + 0.005
    numbers -= numbers[len(numbers) // 2] - 0.005
    return np.random.default_rng(seed).permutation(numbers).reshape(shape)


@few
@given(
    seeds,
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["same", "valid", 0, 1, 2]),
)
def test_convolution(seed, height, width, kernel_height, kernel_width, stride, padding):
    border = 2 * padding if isinstance(padding, int) else 0
    assume(padding == "same" or (height + border >= kernel_height and width + border >= kernel_width))
    layer = Conv2D(3, (kernel_height, kernel_width), stride=stride, padding=padding)
    assert gradient_check(layer, inputs(seed, 2, height, width, 2), samples=15).max_error < 1e-6


@few
@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_pooling(seed, pool_size, stride, more_rows, more_columns):
    x = distinct(seed, 2, pool_size + more_rows, pool_size + more_columns, 2)
    assert gradient_check(MaxPool2D(pool_size, stride), x).max_error < 1e-6


@few
@given(seeds, st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))
def test_dense(seed, images, features, units):
    assert gradient_check(Dense(units), inputs(seed, images, features)).max_error < 1e-6


@few
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_relu_and_flatten(seed, shape):
    assert gradient_check(ReLU(), distinct(seed, 3, *shape)).max_error < 1e-6
    assert gradient_check(Flatten(), inputs(seed, 3, *shape)).max_error < 1e-6


@few
@given(seeds, st.sampled_from([0, 0.1, 0.5, 0.9]))
def test_dropout_with_its_mask_held_fixed(seed, rate):
    assert gradient_check(Dropout(rate, seed=5), inputs(seed, 3, 4, 2)).max_error < 1e-6


@few
@given(seeds, st.sampled_from(["he_uniform", "he_normal", "xavier_uniform", "xavier_normal"]))
def test_the_whole_small_network(seed, weight_init):
    network = Sequential([
        Conv2D(3, 3, weight_init=weight_init), ReLU(), MaxPool2D(2),
        Conv2D(4, 2, stride=2, padding=1), ReLU(), MaxPool2D(2, 1),
        Flatten(), Dense(6), ReLU(), Dropout(0.5), Dense(2),
    ])  # fmt: skip
    network.build((9, 8, 2), seed=seed % 1000, dtype="float64")
    for parameter in network.parameters():
        if not parameter.decay:
            parameter.value += 0.1  # biases of zero leave a dead patch of ReLUs exactly on the kink
    result = gradient_check(network, inputs(seed, 3, 9, 8, 2), samples=8)
    assert result.max_error < 1e-6
    assert set(result.errors) == {"x", *(p.name for p in network.parameters())}


def test_the_network_with_its_loss(rng):
    """dloss/dx and dloss/dweight through everything, against the difference quotient of the loss itself."""
    network, loss, labels = Sequential([Dense(5), ReLU(), Dense(3)]), sn.SoftmaxCrossEntropy(), np.array([0, 2, 1, 1])
    network.build((4,), seed=1, dtype="float64")
    x = rng.normal(size=(4, 4))
    loss.forward(network.forward(x, training=True), labels)
    gradients = {"x": (x, network.backward(loss.backward()))} | {
        p.name: (p.value, p.grad.copy()) for p in network.parameters()
    }
    h = 1e-6
    for name, (value, gradient) in gradients.items():
        for place in np.ndindex(value.shape):
            kept = value[place]
            value[place] = kept + h
            above = loss.forward(network.forward(x), labels)
            value[place] = kept - h
            below = loss.forward(network.forward(x), labels)
            value[place] = kept
            assert gradient[place] == pytest.approx((above - below) / (2 * h), abs=1e-8), (name, place)
