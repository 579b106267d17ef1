"""Layers one by one: shapes, what they remember, and what they say when something does not fit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import float32, float64

from scratchnet import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU, reference
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, OrderError, ShapeError
from scratchnet.kernels import conv, elementwise, matmul, pool

IMAGE = (6, 8, 3)

# Every kind of layer, and the shape of one input of it.
LAYERS = [
    pytest.param(lambda: Conv2D(4, kernel_size=3, name="this"), IMAGE, id="Conv2D"),
    pytest.param(lambda: MaxPool2D(2, name="this"), IMAGE, id="MaxPool2D"),
    pytest.param(lambda: Dense(5, name="this"), (7,), id="Dense"),
    pytest.param(lambda: ReLU(name="this"), IMAGE, id="ReLU"),
    pytest.param(lambda: Dropout(0.5, name="this"), IMAGE, id="Dropout"),
    pytest.param(lambda: Flatten(name="this"), IMAGE, id="Flatten"),
]
each_layer = pytest.mark.parametrize(("make", "shape"), LAYERS)


def built(layer, shape, dtype="float64"):
    layer.build(shape, np.random.default_rng(0), dtype)
    return layer


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


# Dropout


def test_dropout_keeps_the_mean():
    layer = built(Dropout(0.3), (500, 200))
    y = layer.forward(np.ones((2, 500, 200)), training=True)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert y.mean() == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / y.size))  # four standard errors


def test_dropout_is_the_identity_at_inference(rng):
    x = rng.normal(size=(2, *IMAGE))
    np.testing.assert_array_equal(built(Dropout(0.9), IMAGE).forward(x), x)


def test_dropout_of_rate_zero_changes_nothing(rng):
    layer, x = built(Dropout(0), IMAGE), rng.normal(size=(2, *IMAGE))
    np.testing.assert_array_equal(layer.forward(x, training=True), x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_dropout_gradient_goes_where_the_numbers_went(rng):
    layer = built(Dropout(0.5), IMAGE)
    y = layer.forward(np.ones((2, *IMAGE)), training=True)
    dy = rng.normal(size=y.shape)
    np.testing.assert_array_equal(layer.backward(dy), dy * y)


def mask(layer, epoch, images):
    layer.seed_batch(epoch, images)
    return layer.forward(np.ones((len(images), *layer.input_shape)), training=True)


def test_a_mask_belongs_to_its_image_however_the_batch_is_cut():
    layer = built(Dropout(0.5, seed=3), (50,))
    whole = mask(layer, 7, [4, 9, 2, 5])
    np.testing.assert_array_equal(np.concatenate([mask(layer, 7, [4]), mask(layer, 7, [9, 2, 5])]), whole)
    np.testing.assert_array_equal(mask(layer, 7, [5, 2, 9, 4]), whole[::-1])


def test_masks_differ_by_seed_layer_epoch_and_image():
    def masks(name, seed, epoch):
        return mask(built(Dropout(0.5, seed=seed, name=name), (50,)), epoch, [0, 1])

    drawn = np.concatenate(
        [masks("dropout1", 0, 0), masks("dropout2", 0, 0), masks("dropout1", 1, 0), masks("dropout1", 0, 1)]
    )
    assert len(np.unique(drawn, axis=0)) == 8


def test_without_numbers_each_forward_draws_new_masks():
    layer, x = built(Dropout(0.5), (50,)), np.ones((2, 50))
    drawn = np.concatenate([layer.forward(x, training=True), layer.forward(x, training=True)])
    assert len(np.unique(drawn, axis=0)) == 4


def test_dropout_wants_a_number_for_each_image():
    layer = built(Dropout(0.5, name="this"), (4,))
    layer.seed_batch(0, [1, 2, 3])
    with pytest.raises(ShapeError, match=r"Dropout 'this': seed_batch named 3 images, the batch holds 2"):
        layer.forward(np.ones((2, 4)), training=True)


# Errors: they name the layer, what came, what was expected, and what to do.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Conv2D(0, 3),
            "Conv2D 'conv': filters, kernel_size and stride must be whole numbers from 1 up, got 0, 3, 1",
        ),
        (lambda: Conv2D(4, 0), "must be whole numbers from 1 up, got 4, 0, 1"),
        (lambda: Conv2D(4, (3, 0)), r"from 1 up, got 4, \(3, 0\), 1"),
        (lambda: Conv2D(4, "3"), "whole numbers from 1 up, got 4, '3', 1"),
        (lambda: Conv2D(True, 3), "from 1 up, got True, 3, 1"),
        (lambda: Conv2D(4, (3, 3, 3)), "from 1 up"),
        (lambda: Conv2D(4, 3, stride=0), "whole numbers from 1 up, got 4, 3, 0"),
        (lambda: Conv2D(4, 3, padding="full"), "padding must be 'same', 'valid' or an integer from 0 up, got 'full'"),
        (lambda: Conv2D(4, 3, padding=-1), "padding must be 'same', 'valid' or an integer from 0 up, got -1"),
        (lambda: Conv2D(4, 3, padding=True), "an integer from 0 up, got True"),
        (lambda: Conv2D(4, 3, padding=1.5), "padding must be 'same', 'valid' or an integer from 0 up, got 1.5"),
        (lambda: Conv2D(4, 3, padding=None), "padding must be 'same', 'valid' or an integer from 0 up, got None"),
        (
            lambda: Conv2D(4, 3, padding=(1, 1)),
            r"padding must be 'same', 'valid' or an integer from 0 up, got \(1, 1\)",
        ),
        (
            lambda: MaxPool2D(0),
            "MaxPool2D 'pool': pool_size must be a whole number from 1 to 255 and stride one from 1 up, got 0",
        ),
        (lambda: MaxPool2D(256), "got 256"),
        (lambda: MaxPool2D(2, 0), "stride one from 1 up, got 2 and 0"),
        (lambda: MaxPool2D((2, 2)), r"must be a whole number from 1 to 255 .*, got \(2, 2\)"),
        (lambda: Dense(0), "Dense 'dense': units must be a whole number from 1 up, got 0"),
        (
            lambda: Dropout(1),
            "Dropout 'dropout': rate, the part that is left out, must be at least 0 and less than 1, got 1",
        ),
        (lambda: Dropout(-0.1), "got -0.1"),
        (lambda: Dropout(float("nan")), "got nan"),
        (lambda: Dropout(None), "Dropout 'dropout': rate, .*, got None"),
        (lambda: Dropout("a"), "rate, .*, got 'a'"),
        (lambda: Dropout(0.5, seed=-1), "Dropout 'dropout': seed must be a whole number from 0"),
        (lambda: Dense(2, weight_init="zero", name="this"), "Dense 'this': weight_init must be one of"),
    ],
)
def test_options_that_cannot_work(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_padding_that_came_out_of_an_array_is_that_padding():
    assert Conv2D(2, 3, padding=np.int64(0)).build(IMAGE) == Conv2D(2, 3, padding=0).build(IMAGE) == (4, 6, 2)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            Conv2D(4, 7, padding="valid"),
            (6, 9, 1),
            r"a filter of 7×7 is larger than the image of 6×9 \(padding included\): use a smaller kernel_size",
        ),
        (
            Conv2D(4, (1, 12), padding=1),
            (6, 9, 1),
            r"a filter of 1×12 is larger than the image of 8×11 \(padding included\)",
        ),
        (Conv2D(4, 3), (10,), r"Conv2D 'conv' works on images \(N, H, W, C\), got an input of shape \(N, 10\)"),
        (
            MaxPool2D(5),
            (6, 4, 1),
            r"a window of 5×5 is larger than the image of 6×4: use a smaller pool_size, fewer poolings or larger",
        ),
        (MaxPool2D(2), (10,), r"MaxPool2D 'pool' works on images \(N, H, W, C\), got an input of shape \(N, 10\)"),
        (
            Dense(3),
            (6, 4, 1),
            r"Dense 'dense' works on flat inputs \(N, features\), got \(N, 6, 4, 1\): put a Flatten before it",
        ),
        (Conv2D(4, 3), (6, 4, 0), "whole numbers from 1 up"),
        (ReLU(), 64, r"ReLU 'relu': input_shape must be whole numbers from 1 up, such as .*, got 64"),
        (Conv2D(4, 3), (64.5, 64, 3), r"whole numbers from 1 up, .* got \(64.5, 64, 3\)"),
        (Dense(3), (0,), "whole numbers from 1 up"),
    ],
)
def test_inputs_that_cannot_be_built_for(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer.build(shape)


@pytest.mark.parametrize("dtype", ["float16", "foo", None, int, np.float16, 3])
def test_only_two_dtypes(dtype):
    with pytest.raises(DtypeError, match=f"dtype must be float32 or float64, got {dtype!r}"):
        ReLU().build((3,), dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "f8", float, np.float64, np.dtype("float64")])
def test_the_names_of_a_dtype(dtype):
    layer = ReLU()
    layer.build((3,), dtype=dtype)
    assert layer.dtype == np.float64


@each_layer
def test_wrong_shape(make, shape):
    layer = built(make(), shape)
    name = f"{type(layer).__name__} 'this' was built for"
    for came in [(2, *shape[:-1], shape[-1] + 1), (2, *shape, 1), shape, (2,)]:
        with pytest.raises(ShapeError, match=name) as refused:
            layer.forward(np.zeros(came))
        assert str(came[-1]) in str(refused.value)


def test_a_dense_layer_says_what_to_do():
    layer = built(Dense(5, name="dense1"), (7,))
    with pytest.raises(
        ShapeError, match=r"'dense1' was built for 7 features, got 9: was the network built for another image size\?"
    ):
        layer.forward(np.zeros((2, 9)))
    with pytest.raises(ShapeError, match=r"batches of shape \(N, 7\), got \(2, 6, 8, 3\): put a Flatten before it"):
        layer.forward(np.zeros((2, *IMAGE)))


@pytest.mark.parametrize(
    ("came", "remedy"),
    [
        ((2, 3, 6, 8), r": channels come last: np.moveaxis\(x, 1, -1\)"),
        ((2, 3, 9, 9), r": channels come last: np.moveaxis\(x, 1, -1\)"),
        ((6, 8, 3), r": one image is a batch of one: x\[None\]"),
        ((2, 9, 9, 3), r": was the network built for another image size\?"),
        ((2, 6, 8, 1), r": was the network built for another number of channels\?"),
        ((2, 144), r"got \(2, 144\)$"),
    ],
)
def test_a_wrong_shape_carries_its_remedy(came, remedy):
    with pytest.raises(ShapeError, match=remedy):
        built(Conv2D(4, 3), IMAGE).forward(np.zeros(came))


def test_one_row_is_no_batch():
    with pytest.raises(ShapeError, match=r"got \(7,\): one image is a batch of one: x\[None\]$"):
        built(Dense(5), (7,)).forward(np.zeros(7))


@each_layer
def test_wrong_dtype(make, shape):
    layer = built(make(), shape, "float32")
    with pytest.raises(
        DtypeError, match=r"'this' was built for float32, got float64: convert with x.astype\('float32'\)"
    ):
        layer.forward(np.zeros((2, *shape)))
    with pytest.raises(
        DtypeError, match=r"'this' was built for float32, got uint8: convert with x.astype\('float32'\)$"
    ):
        layer.forward(np.zeros((2, *shape), np.uint8))
    with pytest.raises(DtypeError, match="'this': expected a NumPy array, got list"):
        layer.forward(np.zeros((2, *shape)).tolist())
    y = layer.forward(np.zeros((2, *shape), "float32"), training=True)
    with pytest.raises(DtypeError, match="'this' was built for float32, got a dy of float64"):
        layer.backward(y.astype("float64"))
    with pytest.raises(DtypeError, match="'this': dy must be a NumPy array, got list"):
        layer.backward(y.tolist())


@each_layer
def test_empty_batch(make, shape):
    with pytest.raises(ShapeError, match=r"'this': the batch is empty, shape \(0, .*; expected at least one image"):
        built(make(), shape).forward(np.zeros((0, *shape)))


@each_layer
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_input_that_is_no_number(make, shape, bad):
    x = np.zeros((2, *shape))
    x[(1, *(0 for _ in shape))] = bad
    where = ", ".join(["1", *("0" for _ in shape)])
    with pytest.raises(
        NonFiniteError,
        match=rf"'this': the input holds {bad} at \({where}\); expected numbers only: is the learning rate",
    ):
        built(make(), shape).forward(x)


@each_layer
def test_backward_needs_a_forward_in_training(make, shape):
    layer, x = built(make(), shape), np.zeros((2, *shape))
    dy = np.zeros((2, *layer.output_shape))
    calls_before = [lambda: None, lambda: layer.forward(x), lambda: (layer.forward(x, training=True), layer.forget())]
    for call in calls_before:
        call()
        with pytest.raises(OrderError, match=r"'this': backward needs a forward\(x, training=True\) before it"):
            layer.backward(dy)


@each_layer
def test_use_before_build(make, shape):
    with pytest.raises(OrderError, match=r"'this' has not been built: call build\(input_shape\) first"):
        make().forward(np.zeros((2, *shape)))
    with pytest.raises(OrderError, match=r"'this' has not been built"):
        make().backward(np.zeros((2, *shape)))


@each_layer
def test_parameters_before_build(make, shape):
    """An empty list or the same clear error, never an AttributeError."""
    try:
        assert make().parameters() == []
    except OrderError as refused:
        assert "has not been built" in str(refused)  # noqa: PT017  # either answer will do


@each_layer
def test_a_gradient_that_does_not_fit(make, shape):
    layer = built(make(), shape)
    y = layer.forward(np.zeros((2, *shape)), training=True)
    with pytest.raises(
        ShapeError, match="'this': dy holds 3 images, the last forward 2: call backward with the gradient of that batch"
    ):
        layer.backward(np.zeros((3, *layer.output_shape)))
    with pytest.raises(ShapeError, match=r"'this': dy must have the shape of y, \(N, "):
        layer.backward(y[..., None])


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


def test_one_compilation_a_dtype():
    """Each kernel is compiled once for float32 and once for float64, whatever the layout of the arrays that come."""
    kernels = [
        matmul.gathered_product, matmul.turn, matmul.block_sums, conv.place,
        pool.max_pool2d_forward, pool.max_pool2d_backward, elementwise.relu_forward,
        elementwise.relu_backward, elementwise.dropout_forward,
    ]  # fmt: skip
    for dtype in ("float32", "float64"):
        layers = [built(make(), shape, dtype) for make, shape in (case.values for case in LAYERS)]
        for layer in layers:
            x = np.ones((2, *layer.input_shape), dtype)
            for change in (np.ascontiguousarray, np.asfortranarray, read_only, every_second):
                y = layer.forward(change(x), training=True)
                layer.backward(change(y))
    for kernel in kernels:
        firsts = [signature[0].dtype for signature in kernel.signatures]
        assert sorted(map(str, firsts)) == [str(float32), str(float64)], kernel.__name__


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
