"""Layers one by one: shapes, what they remember, and what they say when something does not fit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_layers import IMAGE, LAYERS, built, each_layer

from scratchnet import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, reference
from scratchnet.kernels import batch_norm, direct, elementwise, matmul, pool, transpose

# Shapes


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_same_padding_gives_the_size_over_the_stride_rounded_up(height, width, kernel_height, kernel_width, stride):
    layer = built(Conv2D(2, (kernel_height, kernel_width), stride=stride), (height, width, 1))
    expected = (math.ceil(height / stride), math.ceil(width / stride), 2)
    assert layer.output_shape == expected
    assert layer.forward(np.zeros((1, height, width, 1))).shape == (1, *expected)


@pytest.mark.parametrize(("kernel_size", "expected"), [(3, [[[1, 2, 4]]]), (2, [[[2, 4, 0]]]), (4, [[[1, 2, 4]]])])
def test_same_padding_puts_the_odd_column_at_the_end(kernel_size, expected):
    """The filter picks the second column of its window, so that y shows which columns stood there."""
    layer = built(Conv2D(1, (1, kernel_size)), (1, 3, 1))
    layer.weight.value[:] = 0
    layer.weight.value[0, 1] = 1
    np.testing.assert_array_equal(layer.forward(np.array([[[[1.0], [2], [4]]]]))[..., 0], expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kernel_size": 3, "padding": "valid"}, (4, 6, 2)),
        ({"kernel_size": 3, "padding": "valid", "stride": 2}, (2, 3, 2)),
        ({"kernel_size": (1, 5), "padding": "valid"}, (6, 4, 2)),
        ({"kernel_size": 3, "padding": 2}, (8, 10, 2)),
        ({"kernel_size": 4, "padding": 1, "stride": 3}, (2, 3, 2)),
        ({"kernel_size": 5}, (6, 8, 2)),
        ({"kernel_size": 4, "stride": 5}, (2, 2, 2)),
    ],
)
def test_convolution_shapes(options, expected):
    layer = Conv2D(2, **options)
    assert layer.build(IMAGE) == expected
    assert layer.forward(np.zeros((3, *IMAGE), "float32")).shape == (3, *expected)


def test_convolution_counts_its_parameters_and_multiplications():
    layer = built(Conv2D(4, (3, 5), stride=2, padding="valid"), (7, 9, 3))
    assert [p.value.shape for p in layer.parameters()] == [(3, 5, 3, 4), (4,)]
    assert [p.decay for p in layer.parameters()] == [True, False]
    assert layer.multiplications() == (3 * 3) * (3 * 5 * 3 * 4)  # 3×3 outputs, one filter entry each


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((2,), (3, 4, 3)), ((4,), (1, 2, 3)), ((3, 1), (4, 6, 3)), ((2, 3), (2, 3, 3)), ((6, 9), (1, 1, 3))],
)
def test_pooling_shapes(arguments, expected):
    layer = MaxPool2D(*arguments)
    assert layer.build(IMAGE) == expected
    assert layer.forward(np.zeros((2, *IMAGE), "float32")).shape == (2, *expected)


def test_flatten_keeps_the_order_of_the_numbers(rng):
    layer, x = built(Flatten(), IMAGE), rng.normal(size=(2, *IMAGE))
    assert layer.output_shape == (6 * 8 * 3,)
    y = layer.forward(x, training=True)
    np.testing.assert_array_equal(y[1], list(x[1].flat))
    np.testing.assert_array_equal(layer.backward(y), x)


def test_first_of_equals_wins():
    layer = built(MaxPool2D(2), (2, 2, 1))
    layer.forward(np.array([[[[5.0], [5]], [[5], [5]]]]), training=True)
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1)))[0, ..., 0], [[1, 0], [0, 0]])


def test_the_textbook_through_the_layers(rng):
    """The layer hands its kernels the right arguments: uneven border, stride, an even filter that isn't square."""
    layer, x = built(Conv2D(3, (4, 3), stride=2), (7, 8, 2)), rng.normal(size=(2, 7, 8, 2))
    layer.bias.value[:] = 1, 2, 3
    y = layer.forward(x, training=True)
    border = (1, 2, 0, 1)  # (4 − 1)·2 + 4 − 7 = 3 rows, (4 − 1)·2 + 3 − 8 = 1 column
    x_padded = reference.pad(x, *border)
    np.testing.assert_allclose(
        y, reference.conv2d(x_padded, layer.weight.value, layer.bias.value, 2), rtol=1e-12, atol=1e-13
    )
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    expected = reference.conv2d_gradient(x_padded, layer.weight.value, dy, 2)
    np.testing.assert_allclose(dx, reference.pad_gradient(expected[0], *border), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(layer.weight.grad, expected[1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(layer.bias.grad, expected[2], rtol=1e-12, atol=1e-13)


# A layer that inherits and leaves something out


class Halved(Layer):
    def __init__(self):
        pass  # and forgets super().__init__()

    def _forward(self, x, training):
        return x / 2


def test_a_layer_that_inherits_keeps_the_shape_unless_it_says_otherwise():
    layer = built(Halved(), IMAGE)
    assert layer.output_shape == IMAGE
    np.testing.assert_array_equal(layer.forward(np.ones((2, *IMAGE))), np.full((2, *IMAGE), 0.5))


def test_what_is_missing_is_named():
    with pytest.raises(NotImplementedError, match=r"Halved 'layer' lacks _backward\(self, dy, need_dx, accumulate\)"):
        built(Halved(), IMAGE).backward(np.ones((2, *IMAGE)))
    with pytest.raises(NotImplementedError, match=r"Layer 'layer' lacks _forward\(self, x, training\)"):
        built(Layer(), IMAGE).forward(np.ones((2, *IMAGE)))


# Memory layouts


@each_layer
def test_any_memory_layout_gives_the_same_numbers(make, shape, rng):
    layer, x = built(make(), shape), rng.normal(size=(2, *shape))
    dy = rng.normal(size=(2, *layer.output_shape))

    def results(x, dy):
        if isinstance(layer, Dropout):
            layer.seed_batch(0, [0, 1])
        y = layer.forward(x, training=True)
        return [y, layer.backward(dy), *(p.grad.copy() for p in layer.parameters())]

    expected = results(x, dy)
    for change in (np.asfortranarray, read_only, every_second):
        for one, other in zip(results(change(x), change(dy)), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def every_second(x):
    return np.repeat(x, 2, axis=-1)[..., ::2]


@pytest.mark.compiled
def test_one_compilation_a_dtype():
    """Each kernel is compiled once for float32 and once for float64 at most, whatever the layout of the arrays that come."""
    kernels = [
        matmul.product_in_tasks, transpose.turn, matmul.block_sums, direct.place,
        pool.max_pool2d_forward, pool.max_pool2d_backward, elementwise.relu_forward,
        elementwise.relu_backward, elementwise.dropout_forward,
        batch_norm.block_moments, batch_norm.normalise, batch_norm.block_sums_of_products, batch_norm.combine,
    ]  # fmt: skip
    for dtype in ("float32", "float64"):
        layers = [built(make(), shape, dtype) for make, shape in (case.values for case in LAYERS)]
        for layer in layers:
            x = np.ones((2, *layer.input_shape), dtype)
            for change in (np.ascontiguousarray, np.asfortranarray, read_only, every_second):
                y = layer.forward(change(x), training=True)
                layer.backward(change(y))
    for kernel in kernels:
        firsts = [signature[0].dtype for signature in kernel.dispatcher.signatures]
        assert len(firsts) == len(set(firsts)) <= 2, kernel.__name__


@pytest.mark.parametrize("make", [lambda init: Conv2D(3, 3, weight_init=init), lambda init: Dense(3, weight_init=init)])
def test_initial_weights_in_another_memory_order_are_learnt_too(make, rng):
    """An orthogonal start, for one, often comes as a transposed matrix."""

    def transposed(rng, shape, fan_in, fan_out):
        return rng.normal(size=shape[::-1]).T

    layer = make(transposed)
    shape = IMAGE if isinstance(layer, Conv2D) else (7,)
    built(layer, shape)
    y = layer.forward(rng.normal(size=(2, *shape)), training=True)
    layer.backward(np.ones_like(y))
    assert layer.weight.grad.all()
