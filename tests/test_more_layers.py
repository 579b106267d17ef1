"""The layers beyond the report's: each computes what the textbook says, and its backward pass is the derivative."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_layers import built

from scratchnet import (
    AveragePool2D,
    BatchNorm2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    gradient_check,
    reference,
)
from scratchnet.errors import NonFiniteError, OrderError
from scratchnet.nn.fused import ResidualRelu

some = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
close = {"rtol": 1e-11, "atol": 1e-11}

# The layer, its function in the textbook and that of its gradient, with further arguments.
FUNCTIONS = [
    (lambda: LeakyReLU(0.2), reference.leaky_relu, reference.leaky_relu_gradient, (0.2,)),
    (Sigmoid, reference.sigmoid, reference.sigmoid_gradient, ()),
    (Tanh, reference.tanh, reference.tanh_gradient, ()),
    (GlobalAveragePool2D, reference.global_average_pool2d, reference.global_average_pool2d_gradient, ()),
    (lambda: AveragePool2D(3, 2), reference.average_pool2d, reference.average_pool2d_gradient, (3, 2)),
    (lambda: AveragePool2D(2), reference.average_pool2d, reference.average_pool2d_gradient, (2, 2)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("make", "function", "gradient", "more"), FUNCTIONS)
def test_layers_without_weights(rng, make, function, gradient, more, dtype):
    x = rng.normal(0, 4, size=(3, 7, 6, 5)).astype(dtype)
    layer = built(make(), x.shape[1:], dtype)
    y = layer.forward(x, training=True)
    dy = rng.normal(size=y.shape).astype(dtype)
    tolerance = close if dtype == "float64" else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(y, function(x, *more), **tolerance)
    np.testing.assert_allclose(layer.backward(dy), gradient(x, dy, *more), **tolerance)
    assert gradient_check(make(), rng.normal(size=(2, 4, 5, 3))).max_error < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_overflows(dtype):
    x = np.array([[-1e4, -50, 0, 50, 1e4]], dtype)
    for layer, expected in ((Sigmoid(), [0, 1.9287498479639178e-22, 0.5, 1, 1]), (Tanh(), [-1, -1, 0, 1, 1])):
        np.testing.assert_allclose(built(layer, (5,), dtype).forward(x), [expected], rtol=1e-6)


@some
@example(0, (1, 2, 20, 9), 3, 3, 1, "same")  # so many outputs side by side that their sums are held together
@given(
    seeds,
    st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 20), st.integers(1, 20)),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["same", 1, 2]),
)
def test_depthwise_convolution(seed, shape, kernel_height, kernel_width, stride, padding):
    rng = np.random.default_rng(seed)
    layer = DepthwiseConv2D((kernel_height, kernel_width), stride=stride, padding=padding)
    if padding != "same" and (kernel_height > shape[1] + 2 * padding or kernel_width > shape[2] + 2 * padding):
        return
    built(layer, shape[1:]).bias.value[:] = rng.normal(size=shape[3])
    x = rng.normal(size=shape)
    y = layer.forward(x, training=True)
    padded = reference.pad(x, *layer.pads)
    np.testing.assert_allclose(
        y, reference.depthwise_conv2d(padded, layer.weight.value, layer.bias.value, stride), **close
    )
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    expected = reference.depthwise_conv2d_gradient(padded, layer.weight.value, dy, stride)
    np.testing.assert_allclose(dx, reference.pad_gradient(expected[0], *layer.pads), **close)
    np.testing.assert_allclose(layer.weight.grad, expected[1], **close)
    np.testing.assert_allclose(layer.bias.grad, expected[2], **close)


@some
@given(
    seeds,
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_a_convolution_of_one_pixel(seed, shape, stride, padding):
    rng = np.random.default_rng(seed)
    layer = built(Conv2D(5, 1, stride=stride, padding=padding), shape[1:])
    layer.bias.value[:] = rng.normal(size=5)
    x = rng.normal(size=shape)
    y = layer.forward(x, training=True)
    padded = reference.pad(x, *layer.pads)
    np.testing.assert_allclose(y, reference.conv2d(padded, layer.weight.value, layer.bias.value, stride), **close)
    dy = rng.normal(size=y.shape)
    expected = reference.conv2d_gradient(padded, layer.weight.value, dy, stride)
    np.testing.assert_allclose(layer.backward(dy), reference.pad_gradient(expected[0], *layer.pads), **close)
    np.testing.assert_allclose(layer.weight.grad, expected[1], **close)


def test_gradients_of_layers_with_weights(rng):
    x = rng.normal(size=(2, 5, 4, 3))
    assert gradient_check(DepthwiseConv2D((3, 2), stride=2), x).max_error < 1e-6
    block = Residual(
        [Conv2D(4, 3, stride=2), BatchNorm2D(), Tanh(), Conv2D(4, 3)], [Conv2D(4, 1, stride=2), BatchNorm2D()]
    )
    assert gradient_check(block, x, seed=1).max_error < 1e-6
    assert gradient_check(Residual([Conv2D(3, 3), Dropout(0.5)]), x).max_error < 1e-6


def test_a_residual_adds_and_both_ways_learn(rng):
    block, x = built(Residual([Conv2D(3, 3), Tanh()]), (5, 4, 3)), rng.normal(size=(2, 5, 4, 3))
    y = block.forward(x, training=True)
    assert [p.name for p in block.parameters()] == ["conv1.weight", "conv1.bias"]
    np.testing.assert_allclose(y - x, block.layers[1].forward(block.layers[0].forward(x)), rtol=1e-12, atol=1e-14)
    dy = rng.normal(size=y.shape)
    dx, once = block.backward(dy), [p.grad.copy() for p in block.parameters()]
    assert block.backward(dy, need_dx=False, accumulate=True) is None
    for parameter, grad in zip(block.parameters(), once, strict=True):
        np.testing.assert_allclose(parameter.grad, 2 * grad, rtol=1e-12)
    assert dx.shape == x.shape


def test_names_seeds_and_sizes_of_what_a_residual_holds():
    def build(seed):
        shortcut = [Conv2D(4, 1), BatchNorm2D()]
        net = Sequential(
            [Residual([Conv2D(4, 3), BatchNorm2D(), Dropout(0.5)], shortcut), GlobalAveragePool2D(), Dense(2)]
        )
        net.build((6, 6, 3), seed=seed)
        return net

    net, twin, other = build(1), build(1), build(2)
    assert list(net.state_dict())[4:8] == [
        f"residual1.shortcut.{name}" for name in ["conv1.weight", "conv1.bias", "norm1.gamma", "norm1.beta"]
    ]
    assert list(net.buffers())[2:] == [f"residual1.shortcut.norm1.running_{name}" for name in ("mean", "variance")]
    assert len(net.observers()) == 2
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    for one in (net, twin, other):
        one.seed_batch(0, [4, 5])
    first, second = net.forward(x, training=True), twin.forward(x, training=True)
    np.testing.assert_array_equal(first, second)
    other.load_state_dict(build(1).state_dict())
    assert (other.forward(x, training=True) != first).any()  # other masks
    assert net.bytes_per_image() == 4 * (36 * 4 * 3 + 36 * 4 * 2 + 36 * 4 + 4 + 2)


PATH = [Conv2D(6, 3), BatchNorm2D(), ReLU(), Conv2D(6, 3), BatchNorm2D()]


@pytest.mark.compiled  # Python knows no convolution but the one with a padded copy
@pytest.mark.parametrize(
    "layers",
    [
        [Conv2D(6, 3), ReLU(), MaxPool2D(2)],
        [DepthwiseConv2D(3), BatchNorm2D(), ReLU()],
        [Residual(PATH), ReLU(), Flatten(), Dense(500)],
        [LeakyReLU(), Tanh(), MaxPool2D(3), Dropout(0.5)],
    ],
)
def test_the_memory_of_outputs_is_what_they_take(layers, rng, monkeypatch):
    """Beside the winners and masks, of a byte or two for a number. All that these write is kept for backward."""
    monkeypatch.setenv("SCRATCHNET_CONV", "winograd")  # which needs no padded copy
    net = Sequential(layers)
    net.build((24, 24, 6))
    x = rng.normal(size=(4, 24, 24, 6)).astype(np.float32)
    net.forward(x, training=True)  # compiles
    net.forget()
    tracemalloc.start()
    try:
        y = net.forward(x, training=True)
        kept, written = tracemalloc.get_traced_memory()[0], len(y) * net.bytes_per_image()
    finally:
        tracemalloc.stop()
    assert written <= kept <= 1.3 * written + 8192


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ([Conv2D(6, 3), ReLU(), MaxPool2D(2)], "conv1.bias"),
        ([Conv2D(6, 3), ReLU()], "conv1.bias"),
        ([BatchNorm2D(), ReLU()], "norm1.beta"),
        ([Residual(PATH), ReLU()], "residual1.norm2.beta"),
        ([Residual(PATH, [Conv2D(6, 1)]), ReLU()], "residual1.shortcut.conv1.bias"),
    ],
)
@pytest.mark.parametrize("number", [-np.inf, np.inf, np.nan])
def test_no_relu_hides_an_infinity(layers, name, number, rng, monkeypatch):
    """Also where it runs with the layers before it: below zero is what it makes zero, and not what has overflowed."""
    monkeypatch.setenv("SCRATCHNET_CONV", "winograd")
    net = Sequential([*layers, Flatten(), Dense(2)])
    net.build((8, 8, 6))
    (parameter,) = [one for one in net.parameters() if one.name == name]
    parameter.value[4:] = number
    with pytest.raises(NonFiniteError, match=f"the input holds {number} at"):
        net.forward(rng.normal(size=(2, 8, 8, 6)).astype(np.float32), training=True)


def test_relu_of_a_residual_in_a_network(rng):
    net = Sequential(
        [
            Conv2D(4, 3),
            BatchNorm2D(),
            ReLU(),
            Residual([Conv2D(4, 3), BatchNorm2D()]),
            ReLU(),
            GlobalAveragePool2D(),
            Dense(2),
        ]
    )
    net.build((6, 5, 3), dtype="float64")
    for layer in net.observers():
        layer.beta.value[:] = rng.normal(size=4)
    assert gradient_check(net, rng.normal(size=(3, 6, 5, 3)), seed=3, samples=10).max_error < 1e-6


def test_normalisation_and_relu_run_as_one(rng):
    """In a network they are one step; the numbers are those of the two layers."""
    net, x = Sequential([BatchNorm2D(), ReLU()]), rng.normal(1, 2, size=(3, 6, 5, 4))
    net.build((6, 5, 4), dtype="float64")
    assert [type(step).__name__ for step in net.steps] == ["NormRelu"]
    norm, relu = (built(kind(), (6, 5, 4)) for kind in (BatchNorm2D, ReLU))
    for one, other in zip(net.parameters(), norm.parameters(), strict=True):
        one.value[:] = other.value[:] = rng.normal(size=4)
    y, dy = net.forward(x, training=True), rng.normal(size=x.shape)
    np.testing.assert_allclose(y, relu.forward(norm.forward(x, training=True), training=True), rtol=1e-13)
    np.testing.assert_allclose(net.backward(dy), norm.backward(relu.backward(dy)), rtol=1e-12, atol=1e-14)
    for one, other in zip(net.parameters(), norm.parameters(), strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-12)
    np.testing.assert_allclose(net.forward(x), relu.forward(norm.forward(x)), rtol=1e-13)
    net.forget()
    with pytest.raises(OrderError):
        net.backward(dy)


@pytest.mark.parametrize("around", [None, [Conv2D(4, 1), BatchNorm2D()]])
def test_a_residual_and_relu_run_as_one(rng, around):
    """In a network they are one step; the numbers are those of the two layers, and so are the gradients, added up too."""
    block = Residual([Conv2D(4, 3), BatchNorm2D(), ReLU(), Conv2D(4, 3), BatchNorm2D()], around)
    net, relu, x = Sequential([block, ReLU()]), built(ReLU(), (6, 5, 4)), rng.normal(1, 2, size=(3, 6, 5, 4))
    net.build((6, 5, 4), dtype="float64")
    assert [type(step).__name__ for step in net.steps] == ["ResidualRelu"]
    for parameter in net.parameters():
        parameter.value[:] = rng.normal(size=parameter.value.shape)
    expected = relu.forward(block.forward(x, training=True), training=True)
    dy = rng.normal(size=x.shape)
    dx = block.backward(relu.backward(dy))
    gradients = [parameter.grad.copy() for parameter in net.parameters()]
    np.testing.assert_allclose(net.forward(x, training=True), expected, rtol=1e-12, atol=1e-13)
    for times in (1, 2):
        np.testing.assert_allclose(net.backward(dy, accumulate=times > 1), dx, rtol=1e-9, atol=1e-11)
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            np.testing.assert_allclose(parameter.grad, times * gradient, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(net.forward(x), relu.forward(block.forward(x)), rtol=1e-12, atol=1e-13)
    one, other = (ResidualRelu(*net.layers) for _ in range(2))  # as in a network and in a slice of it
    one.forward(x, training=True)
    np.testing.assert_allclose(other.backward(dy), dx, rtol=1e-9, atol=1e-11)
    with pytest.raises(OrderError):
        block.backward(dy)  # its own forward was not the last
    block.forward(x, training=True)
    with pytest.raises(OrderError):
        one.backward(dy)
    net.forget()
    with pytest.raises(OrderError):
        net.backward(dy)


def test_a_residual_and_relu_compute_no_gradient_that_nobody_needs(rng):
    block = Residual([Conv2D(4, 3), BatchNorm2D()])
    net, x = Sequential([block, ReLU()]), rng.normal(size=(3, 6, 5, 4))
    net.build((6, 5, 4), dtype="float64")
    net.forward(x, training=True)
    dx = net.backward(rng.normal(size=x.shape))
    assert dx is not None
    for parameter in block.layers[0].parameters():
        parameter.frozen = True
    assert net.backward(rng.normal(size=x.shape), need_dx=False) is None
    assert np.abs(block.layers[1].gamma.grad).max() > 0


def test_a_layer_of_ones_own_in_a_residual_is_named_for_its_nan(rng):
    class Broken:
        def forward(self, x, *, training=False):
            return x * np.nan

        def backward(self, dy):
            return dy

    net = Sequential([Residual([Conv2D(4, 3), Broken(), BatchNorm2D()]), ReLU()])
    net.build((6, 5, 4), dtype="float64")
    assert [type(step).__name__ for step in net.steps] == ["ResidualRelu"]
    with pytest.raises(NonFiniteError, match="Broken 'broken1': forward returned a NaN"):
        net.forward(rng.normal(size=(3, 6, 5, 4)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_on_any_number_of_threads(rng, dtype, thread_counts):
    x = rng.normal(size=(5, 9, 8, 3)).astype(dtype)
    found = []
    for _ in thread_counts:
        around = [Conv2D(8, 1, stride=2), BatchNorm2D()]
        block = Residual([Conv2D(8, 3, stride=2), BatchNorm2D(), Tanh(), DepthwiseConv2D(3)], around)
        net = Sequential([block, AveragePool2D(2), Sigmoid(), LeakyReLU(), GlobalAveragePool2D(), Dense(2)])
        net.build((9, 8, 3), dtype=dtype)
        y = net.forward(x, training=True)
        found.append([y, net.backward(y), *(p.grad for p in net.parameters()), *net.buffers().values()])
    for other in found[1:]:
        assert [array.tobytes() for array in other] == [array.tobytes() for array in found[0]]


def test_several_threads_at_once(rng):
    net = Sequential(
        [Residual([Conv2D(3, 3), BatchNorm2D(), Tanh(), DepthwiseConv2D(3)]), AveragePool2D(2), GlobalAveragePool2D()]
    )
    net.build((8, 8, 3), dtype="float64")
    batches = [rng.normal(size=(2, 8, 8, 3)) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(net.forward, batches))
    for x, y in zip(batches, together, strict=True):
        np.testing.assert_array_equal(net.forward(x), y)
