"""What layers refuse: the error names the layer, what came, what was expected, and what to do."""

import numpy as np
import pytest
from small_layers import IMAGE, built, each_layer

from scratchnet import (
    AveragePool2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
)
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, OrderError, ShapeError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Conv2D(0, 3),
            "Conv2D 'conv': filters must be a whole number from 1 up, got 0",
        ),
        (lambda: Conv2D(4, 0), "kernel_size and stride must be whole numbers from 1 up, got 0, 1"),
        (lambda: Conv2D(4, (3, 0)), r"from 1 up, got \(3, 0\), 1"),
        (lambda: Conv2D(4, "3"), "whole numbers from 1 up, got '3', 1"),
        (lambda: Conv2D(True, 3), "from 1 up, got True"),
        (lambda: Conv2D(4, (3, 3, 3)), "from 1 up"),
        (lambda: Conv2D(4, 3, stride=0), "whole numbers from 1 up, got 3, 0"),
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
        (lambda: AveragePool2D(0), "AveragePool2D 'average': pool_size must be a whole number from 1 to 255"),
        (lambda: DepthwiseConv2D(0), "DepthwiseConv2D 'depthwise': kernel_size and stride must be whole numbers"),
        (lambda: DepthwiseConv2D(3, padding="full"), "padding must be 'same', 'valid' or an integer"),
        (lambda: LeakyReLU(1), "LeakyReLU 'leaky_relu': slope must be at least 0 and less than 1, got 1"),
        (lambda: Residual(3), "Sequential needs a list of layers, got int"),
        (lambda: Residual([ReLU], None), "ReLU is a class: write ReLU"),
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
        match=rf"'this': the input holds {bad} at \({where}\); expected finite numbers: is the learning rate",
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


def test_two_ways_that_end_differently():
    block = Residual([Conv2D(4, 3, stride=2)], name="this")
    with pytest.raises(
        ShapeError, match=r"Residual 'this': the layers make \(3, 4, 4\) of \(6, 8, 3\), the shortcut \(6, 8, 3\)"
    ):
        block.build(IMAGE)


@pytest.mark.parametrize("kind", [GlobalAveragePool2D, AveragePool2D, lambda name: DepthwiseConv2D(3, name=name)])
def test_layers_for_images(kind):
    with pytest.raises(ShapeError, match=r"'this' works on images \(N, H, W, C\), got an input of shape \(N, 7\)"):
        kind(name="this").build((7,))
