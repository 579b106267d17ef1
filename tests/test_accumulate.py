"""`accumulate=True` is exactly "what was there, plus what would have been written": the sum over ranks rests on it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchnet as sn
from scratchnet.kernels import convolution
from scratchnet.kernels.convolution import Geometry, algorithm, can_use_winograd
from scratchnet.kernels.matmul import DEPTH, dense_backward_weight
from scratchnet.kernels.winograd import gradient
from tests.small_networks import small

DTYPES = ("float32", "float64")


def require_plus(write, shape, dtype, rng):
    """write(target, accumulate) adds, to the bit, what it writes where accumulate is false."""
    old, fresh = rng.normal(size=shape).astype(dtype), np.full(shape, np.nan, dtype)
    write(fresh, False)
    target = old.copy()
    write(target, True)
    expected = old + fresh
    assert expected.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(target.view(np.uint8), expected.view(np.uint8))


@settings(max_examples=25)
@given(
    st.integers(0, 2**32), st.sampled_from(DTYPES), st.integers(1, 70), st.integers(1, 70), st.integers(1, 3 * DEPTH)
)
def test_dense(seed, dtype, features, units, images):
    """Also where so many images are summed that registers are emptied on the way."""
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(size=(images, features)).astype(dtype), rng.normal(size=(images, units)).astype(dtype)
    require_plus(lambda dw, accumulate: dense_backward_weight(x, dy, dw, accumulate), (features, units), dtype, rng)


def check_convolution(seed, dtype, images, size, channels, filters, taps, stride, how=None):
    rng = np.random.default_rng(seed)
    before, outputs = (taps - 1) // 2, -(-size // stride)
    after = max(0, (outputs - 1) * stride + taps - size - before)
    geometry = Geometry(
        (size, size, channels), (outputs, outputs, filters), (taps, taps), stride, (before, after, before, after)
    )
    assert how is None or algorithm(geometry, images) == how
    x = rng.normal(size=(images, size, size, channels)).astype(dtype)
    weight, bias = np.zeros((taps, taps, channels, filters), dtype), np.zeros(filters, dtype)
    _, remembered = convolution.forward(geometry, x, weight, bias)
    dy = rng.normal(size=(images, outputs, outputs, filters)).astype(dtype)
    require_plus(
        lambda dw, accumulate: convolution.backward_weight(geometry, remembered, dy, dw, accumulate),
        weight.shape, dtype, rng,
    )  # fmt: skip


@settings(max_examples=40)
@given(
    st.integers(0, 2**32), st.sampled_from(DTYPES), st.integers(1, 5), st.integers(1, 17), st.integers(1, 20),
    st.integers(1, 40), st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2]),
)  # fmt: skip
def test_any_convolution(seed, dtype, images, size, channels, filters, taps, stride):
    check_convolution(seed, dtype, images, size, channels, filters, taps, stride)


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_algorithm(dtype, monkeypatch):
    """Direct over more than DEPTH pixels, the taps inside a few pixels, and Winograd with a small and a large dU."""
    check_convolution(1, dtype, 4, 40, 3, 9, 5, 2, "direct")
    check_convolution(2, dtype, 30, 1, 64, 33, 5, 1, "inside")
    if can_use_winograd((5, 5), 1):
        check_convolution(3, dtype, 6, 12, 3, 32, 5, 1, "winograd")
        check_convolution(3, dtype, 30, 4, 64, 33, 5, 1, "winograd")
        check_convolution(4, dtype, 6, 16, 40, 64, 5, 1, "winograd")
        monkeypatch.setattr(gradient, "SMALL", 0)
        check_convolution(4, dtype, 6, 16, 40, 64, 5, 1, "winograd")


def test_a_network_whose_parts_are_added_elsewhere(rng):
    """Gradients of the parts of a batch, each written by itself and then added in order, are those that accumulate made."""
    network, loss = small(), sn.SoftmaxCrossEntropy()
    x, labels = rng.normal(size=(7, 8, 8, 3)), rng.integers(2, size=7)
    parts = [slice(0, 3), slice(3, 6), slice(6, 7)]

    def run(part, accumulate):
        network.seed_batch(0, np.arange(7)[part])
        loss.forward(network.forward(x[part], training=True), labels[part])
        network.backward(loss.backward(batch_size=7), need_dx=False, accumulate=accumulate)
        return [parameter.grad.copy() for parameter in network.parameters()]

    sums = run(parts[0], False)
    for part in parts[1:]:
        sums = [total + fresh for total, fresh in zip(sums, run(part, False), strict=True)]
    run(parts[0], False)
    run(parts[1], True)
    for total, accumulated in zip(sums, run(parts[2], True), strict=True):
        np.testing.assert_array_equal(total, accumulated)
