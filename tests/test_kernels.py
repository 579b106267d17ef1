"""Each fast kernel computes what the textbook says: random shapes, both dtypes.

A sum of n products may be rounded at each addition, so that two orders of summing differ by up to
n · eps · Σ |products|, with eps the dtype's own (2.2e-16 for float64, 1.2e-7 for float32). The sums expected are
computed in float64, and that is the difference allowed: no more.
"""

import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scratchnet import reference
from scratchnet.kernels import direct, inside, matmul
from scratchnet.kernels.elementwise import (
    BLOCK,
    all_finite,
    dropout_backward,
    dropout_forward,
    relu_backward,
    relu_forward,
)
from scratchnet.kernels.geometry import Geometry
from scratchnet.kernels.pool import max_pool2d_backward, max_pool2d_forward
from scratchnet.kernels.update import NEGLIGIBLE, adam_step, sgd_step

dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def normal(rng, shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def in_float64(*arrays):
    return [array.astype("float64") for array in arrays]


def magnitudes(*arrays):
    return [np.abs(array).astype("float64") for array in arrays]


def assert_same_sums(found, expected, sum_of_magnitudes, depth):
    """found is `expected`, a sum of `depth` products, but for the rounding of each addition in found's own dtype."""
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    allowed = (depth + 2) * np.finfo(found.dtype).eps * sum_of_magnitudes
    assert (difference <= allowed).all(), (
        f"off by {difference.max():.1e}, allowed {allowed.flat[difference.argmax()]:.1e}"
    )
    if found.dtype == np.float64:
        assert (difference <= 1e-12 * sum_of_magnitudes).all()


@st.composite
def convolutions(draw):
    """x, weight, bias, stride, and the widths of the border: one image, one channel, odd sizes among them."""
    kernel_height, kernel_width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    top, bottom, left, right = (draw(st.integers(0, 3)) for _ in range(4))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    assume(height + top + bottom >= kernel_height and width + left + right >= kernel_width)
    channels, filters = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 7, 33, 70]))
    rng, dtype = np.random.default_rng(draw(seeds)), draw(dtypes)
    x = normal(rng, (draw(st.integers(1, 3)), height, width, channels), dtype)
    weight = normal(rng, (kernel_height, kernel_width, channels, filters), dtype)
    return x, weight, normal(rng, filters, dtype), draw(st.integers(1, 4)), (top, bottom, left, right)


@given(convolutions())
def test_conv2d_forward(case):
    x, weight, bias, stride, border = case
    x_padded = direct.pad(x, *border)
    y = direct.forward(x_padded, weight, bias, stride)
    assert y.dtype == x.dtype
    sizes = reference.conv2d(*magnitudes(x_padded, weight, bias), stride)
    assert_same_sums(y, reference.conv2d(*in_float64(x_padded, weight, bias), stride), sizes, weight[..., 0].size + 1)


@given(convolutions())
def test_conv2d_backward(case):
    x, weight, bias, stride, border = case
    x_padded = reference.pad(x, *border)
    y_shape = reference.conv2d(x_padded, weight, bias, stride).shape
    dy = normal(np.random.default_rng(1), y_shape, x.dtype)

    geometry = Geometry(x.shape[1:], y_shape[1:], weight.shape[:2], stride, border)
    dx = direct.backward_input(geometry, dy, weight)
    dweight = np.full_like(weight, np.nan)
    direct.backward_weight(x_padded, dy, stride, dweight, False)
    dbias = direct.backward_bias(dy)

    expected = reference.conv2d_gradient(*in_float64(x_padded, weight, dy), stride)
    sizes = reference.conv2d_gradient(*magnitudes(x_padded, weight, dy), stride)
    assert dx.dtype == dweight.dtype == dbias.dtype == x.dtype
    taps, pixels = weight[..., 0, :].size, dy[..., 0].size
    assert_same_sums(dx, reference.pad_gradient(expected[0], *border), reference.pad_gradient(sizes[0], *border), taps)
    assert_same_sums(dweight, expected[1], sizes[1], pixels)
    assert_same_sums(dbias, expected[2], sizes[2], pixels)


@given(convolutions())
def test_conv2d_weight_gradient_adds_when_asked(case):
    x, weight, bias, stride, border = case
    x_padded = reference.pad(x, *border)
    dy = np.ones_like(reference.conv2d(x_padded, weight, bias, stride))
    added = weight.copy()
    direct.backward_weight(x_padded, dy, stride, added, True)
    expected = reference.conv2d_gradient(*in_float64(x_padded, weight, dy), stride)[1]
    sizes = reference.conv2d_gradient(*magnitudes(x_padded, weight, dy), stride)[1]
    assert_same_sums(added, expected + weight, sizes + np.abs(weight), dy[..., 0].size + 1)


@both_dtypes
@pytest.mark.parametrize(("size", "taps", "stride", "border"), [(1, 5, 1, 2), (2, 5, 1, 2), (3, 1, 2, 0)])
def test_the_taps_inside_small_images(size, taps, stride, border, dtype, rng):
    """Also taps that meet no pixel, and pixels that meet no tap."""
    x, weight, bias = (normal(rng, shape, dtype) for shape in ((9, size, size, 3), (taps, taps, 3, 7), 7))
    x_padded = reference.pad(x, *(border,) * 4)
    expected = reference.conv2d(*in_float64(x_padded, weight, bias), stride)
    geometry = Geometry(x.shape[1:], expected.shape[1:], (taps, taps), stride, (border,) * 4)
    sizes = reference.conv2d(*magnitudes(x_padded, weight, bias), stride)
    assert_same_sums(inside.forward(geometry, x, weight, bias), expected, sizes, weight[..., 0].size + 1)

    dy, dweight = normal(rng, expected.shape, dtype), np.full_like(weight, np.nan)
    inside.backward_weight(geometry, x, dy, dweight, False)
    dx, expected_dweight, _ = reference.conv2d_gradient(*in_float64(x_padded, weight, dy), stride)
    dx_sizes, sizes, _ = reference.conv2d_gradient(*magnitudes(x_padded, weight, dy), stride)
    assert_same_sums(dweight, expected_dweight, sizes, dy[..., 0].size)
    dx, dx_sizes = (reference.pad_gradient(array, *(border,) * 4) for array in (dx, dx_sizes))
    assert_same_sums(inside.backward_input(geometry, dy, weight), dx, dx_sizes, weight[..., 0, :].size)


@both_dtypes
def test_deep_and_tall_products(dtype, rng):
    """More terms than are summed in registers at a time, and more rows than one task takes."""
    x, weight = normal(rng, (2, 31, 29, 45), dtype), normal(rng, (5, 5, 45, 35), dtype)
    y = direct.forward(x, weight, np.zeros(35, dtype), 1)
    assert weight[..., 0].size > 2 * matmul.DEPTH
    assert y[..., 0].size > matmul.BLOCK_TILES * matmul.TILE_ROWS
    zero = np.zeros(35)
    assert_same_sums(
        y,
        reference.conv2d(*in_float64(x, weight), zero, 1),
        reference.conv2d(*magnitudes(x, weight), zero, 1),
        depth=weight[..., 0].size,
    )
    dweight = np.empty_like(weight)
    direct.backward_weight(x, y, 1, dweight, False)
    expected, sizes = (reference.conv2d_gradient(*f(x, weight, y), 1)[1] for f in (in_float64, magnitudes))
    assert_same_sums(dweight, expected, sizes, depth=y[..., 0].size)


@given(convolutions())
def test_pad(case):
    x, _, _, _, border = case
    np.testing.assert_array_equal(direct.pad(x, *border), reference.pad(x, *border))


@given(seeds, dtypes, st.integers(1, 9), st.integers(1, 40), st.sampled_from([1, 2, 16, 33, 100]))
def test_dense(seed, dtype, images, features, units):
    rng = np.random.default_rng(seed)
    x, weight, bias = (
        normal(rng, (images, features), dtype),
        normal(rng, (features, units), dtype),
        normal(rng, units, dtype),
    )
    dy, before = normal(rng, (images, units), dtype), normal(rng, (features, units), dtype)
    y, dx = matmul.dense_forward(x, weight, bias), matmul.dense_backward_input(dy, weight)
    dweight, added = np.full_like(weight, np.nan), before.copy()
    matmul.dense_backward_weight(x, dy, dweight, False)
    matmul.dense_backward_weight(x, dy, added, True)

    assert y.dtype == dx.dtype == dtype
    assert_same_sums(
        y, reference.dense(*in_float64(x, weight, bias)), reference.dense(*magnitudes(x, weight, bias)), features + 1
    )
    expected, sizes = (
        reference.dense_gradient(*in_float64(x, weight, dy)),
        reference.dense_gradient(*magnitudes(x, weight, dy)),
    )
    assert_same_sums(dx, expected[0], sizes[0], units)
    assert_same_sums(dweight, expected[1], sizes[1], images)
    assert_same_sums(added, expected[1] + before, sizes[1] + np.abs(before), images + 1)
    assert_same_sums(matmul.column_sums(dy), expected[2], sizes[2], images)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("images", [1, 9, matmul.FEW, matmul.FEW + 1])
def test_dense_with_many_features(images, dtype):
    """Up to a number of images the sum is cut into chunks, here of three pieces each."""
    rng = np.random.default_rng(0)
    features = matmul.LONG + 100
    x, weight, bias = normal(rng, (images, features), dtype), normal(rng, (features, 33), dtype), normal(rng, 33, dtype)
    assert matmul.ROWS_OF_CHUNK > 2 * matmul.ROWS_OF_B
    y = matmul.dense_forward(x, weight, bias)
    wide, sizes = in_float64(x, weight, bias), magnitudes(x, weight, bias)
    assert_same_sums(y, reference.dense(*wide), reference.dense(*sizes), features + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("images", "features", "units"), [(9, 700, 300), (300, 33, 290), (300, 600, 130)])
def test_tasks_of_a_product_change_no_bit(images, features, units, dtype):
    """Groups of panels, the last one cut off, in one piece or in several; many or few of them, as for many threads or one.

    Rows of weights in another order than they lie in; written with a bias, and added to what is there.
    """
    rng = np.random.default_rng(0)
    x, weight, bias = (normal(rng, shape, dtype) for shape in ((images, features), (features, units), units))
    rows, every, found = matmul.row_offsets(images, features), np.arange(features), []
    turned, picks = weight[::-1].copy(), every[::-1].copy()
    for enough in (1, 3, 1000):
        y, added = np.empty((images, units), dtype), np.ones((images, units), dtype)
        shape = matmul.shape_of_tasks(images, units, features, y.dtype, enough)
        matmul.product_in_tasks(x.reshape(-1), rows, every, turned, picks, bias, False, y, *shape)
        matmul.product_in_tasks(x.reshape(-1), rows, every, turned, picks, bias, True, added, *shape)
        found.append(np.stack([y, added]))
    if not numba.config.DISABLE_JIT:  # the tile's twin in NumPy sums in another order
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])
    wide, sizes = in_float64(x, weight, bias), magnitudes(x, weight, bias)
    assert_same_sums(found[0][0], reference.dense(*wide), reference.dense(*sizes), features + 1)
    without_bias = reference.dense(*wide[:2], np.ones(units))
    assert_same_sums(found[0][1], without_bias, reference.dense(*sizes[:2], np.ones(units)), features + 1)


@given(seeds, dtypes, st.integers(1, 300), st.integers(1, 5))
def test_column_sums(seed, dtype, rows, columns):
    columns = columns if seed % 2 else 100 * columns  # few numbers, or many
    matrix = normal(np.random.default_rng(seed), (rows, columns), dtype)
    assert_same_sums(matmul.column_sums(matrix), matrix.sum(axis=0, dtype="float64"), np.abs(matrix).sum(axis=0), rows)


@given(seeds, dtypes, st.integers(1, 4), st.integers(1, 5), st.integers(0, 6), st.integers(0, 6), st.integers(1, 3))
def test_max_pool(seed, dtype, size, stride, more_rows, more_columns, channels):
    """Small integers: many are equal, and the first of equals must win; sums are exact where windows overlap."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (2, size + more_rows, size + more_columns, channels)).astype(dtype)
    expected = reference.max_pool2d(x, size, stride)
    y, winner = np.empty_like(expected), np.empty(expected.shape, np.uint16)
    max_pool2d_forward(x, size, stride, y, winner)
    np.testing.assert_array_equal(y, expected)

    dy, dx = rng.integers(-9, 10, y.shape).astype(dtype), np.full_like(x, np.nan)
    max_pool2d_backward(dy, winner, size, stride, dx)
    np.testing.assert_array_equal(dx, reference.max_pool2d_gradient(x, dy, size, stride))


@given(seeds, dtypes, st.integers(1, 100))
def test_relu(seed, dtype, size):
    rng = np.random.default_rng(seed)
    x, dy = rng.integers(-2, 3, size).astype(dtype), normal(rng, size, dtype)
    y, dx = np.empty_like(x), np.empty_like(x)
    relu_forward(x, y)
    relu_backward(dy, y, dx)
    np.testing.assert_array_equal(y, reference.relu(x))
    np.testing.assert_array_equal(dx, reference.relu_gradient(x, dy))


def test_relu_keeps_nan():
    y = np.empty(3)
    relu_forward(np.array([-1.0, np.nan, 1.0]), y)
    np.testing.assert_array_equal(y, [0, np.nan, 1])


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4), dtypes, st.integers(1, 50), st.floats(0, 0.99))
def test_dropout(keys, dtype, features, rate):
    keys = np.array(keys, np.uint64)
    x = normal(np.random.default_rng(0), (len(keys), features), dtype)
    y, dx, kept = np.empty_like(x), np.empty_like(x), np.empty(x.shape, bool)
    scale = x.dtype.type(1 / (1 - rate))
    dropout_forward(x, keys, rate, scale, y, kept)
    dropout_backward(x, kept, scale, dx)
    np.testing.assert_array_equal(kept, reference.dropout_kept(keys, features, rate))
    one_rounding = 4 * np.finfo(dtype).eps  # the kernel multiplies by 1 / (1 − rate), the textbook divides by 1 − rate
    np.testing.assert_allclose(y, reference.dropout(x, kept, rate), rtol=one_rounding)
    np.testing.assert_allclose(dx, reference.dropout_gradient(x, kept, rate), rtol=one_rounding)


@both_dtypes
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_all_finite_sees_one_bad_number_anywhere(dtype, bad, size):
    x = np.ones(size, dtype)
    assert all_finite(x)
    for place in {0, size // 2, size - 1}:
        x[place] = bad
        assert not all_finite(x)
        x[place] = 1


@both_dtypes
@pytest.mark.parametrize("sign", [1, -1])
def test_all_finite_accepts_the_largest_and_smallest_numbers(dtype, sign):
    limits = np.finfo(dtype)
    for number in (limits.max, limits.tiny, limits.smallest_subnormal, 0):
        assert all_finite(np.full((3, BLOCK), sign * number, dtype))


@both_dtypes
def test_all_finite_sees_infinities_that_cancel(dtype):
    assert not all_finite(np.array([np.inf, -np.inf], dtype))


@given(
    seeds,
    dtypes,
    st.floats(0, 0.1),
    st.floats(0, 0.1),
    st.sampled_from([0.0, 0.5, 0.9]),
    st.sampled_from([0.5, 0.99, 0.999]),
)
def test_adam(seed, dtype, l2, decay, beta1, beta2):
    rng, rate, epsilon = np.random.default_rng(seed), 0.01, 1e-8
    value, mean, square = normal(rng, 50, dtype), np.zeros(50, dtype), np.zeros(50, dtype)
    expected = tuple(in_float64(value, mean, square))
    for step in range(1, 6):
        grad = normal(rng, 50, dtype)
        betas = (beta1, 1 - beta1, beta2, 1 - beta2)
        scalars = (
            l2,
            rate * decay,
            rate / (1 - beta1**step),
            *betas,
            1 / (1 - beta2**step),
            epsilon,
            NEGLIGIBLE[dtype],
        )
        adam_step(value, grad, mean, square, *(value.dtype.type(s) for s in scalars))
        expected = reference.adam(
            expected[0], grad.astype("float64"), *expected[1:], step, rate, beta1, beta2, epsilon, l2, decay
        )
    tolerance = 1e-12 if dtype == "float64" else 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(square, expected[2], rtol=tolerance)
    np.testing.assert_allclose(mean, expected[1], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(value, expected[0], rtol=0, atol=tolerance * (np.abs(expected[0]) + 5 * rate).max())


@given(seeds, dtypes, st.floats(0, 0.1), st.sampled_from([0.0, 0.5, 0.9]))
def test_sgd(seed, dtype, l2, momentum):
    rng = np.random.default_rng(seed)
    value, velocity = normal(rng, 50, dtype), np.zeros(50, dtype)
    expected = tuple(in_float64(value, velocity))
    for _ in range(5):
        grad = normal(rng, 50, dtype)
        sgd_step(value, grad, velocity, *(value.dtype.type(s) for s in (l2, 0.01, momentum, NEGLIGIBLE[dtype])))
        expected = reference.sgd(expected[0], grad.astype("float64"), expected[1], 0.01, momentum, l2)
    tolerance = (
        1e-12 if dtype == "float64" else 5 * 4 * np.finfo(dtype).eps
    )  # five steps of four roundings, numbers of size 1 to 10
    np.testing.assert_allclose(velocity, expected[1], rtol=0, atol=tolerance * np.abs(expected[1]).max())
    np.testing.assert_allclose(value, expected[0], rtol=0, atol=tolerance * np.abs(expected[0]).max())
