"""`scratchnet.textbook`: the network over a table of functions. With everybody's functions it trains as the kernels do."""

import numpy as np
import pytest

import scratchnet as sn
from course import cells
from course.right import SOLUTIONS
from scratchnet import reference, textbook
from scratchnet.errors import ConfigError, OrderError, ShapeError


@pytest.fixture(scope="module")
def batch():
    images, labels, _ = cells(16)
    order = np.random.default_rng(0).permutation(len(images))[:24]
    return images[order] / 255, labels[order]


def network(dtype="float64"):
    """Padding of every kind, overlapping windows, a stride, a filter that is not square, dropout."""
    net = sn.Sequential(
        [
            sn.Conv2D(4, 5), sn.ReLU(), sn.MaxPool2D(2), sn.Conv2D(5, (3, 2), stride=2, name="middle"), sn.ReLU(),
            sn.MaxPool2D(2, 1), sn.Conv2D(3, 2, padding="valid"), sn.ReLU(), sn.Flatten(), sn.Dense(6), sn.ReLU(),
            sn.Dropout(0.5), sn.Dense(2),
        ]
    )  # fmt: skip
    net.build((16, 16, 3), dtype=dtype, seed=3)
    # The cells stand on black. With the biases 0 its outputs are 0, where ReLU bends, and a rounding decides which side it is.
    rng = np.random.default_rng(4)
    for parameter in net.parameters():
        if not parameter.decay:
            parameter.value[...] = rng.normal(0, 0.1, parameter.value.shape)
    return net


def losses_of(net, loss, optimiser, batch):
    images, labels = batch
    images = images.astype(net.parameters()[0].value.dtype)
    found = []
    for step in range(5):
        rows = np.arange(step, len(images), 2)
        net.seed_batch(step, rows)
        found.append(loss.forward(net.forward(images[rows], training=True), labels[rows]))
        net.backward(loss.backward())
        optimiser.step()
    return found


def textbook_losses(mine, batch):
    net = textbook.like(network(), mine)
    optimiser = textbook.Adam(net.parameters(), 0.01, l2=5e-4, functions=net.functions)
    return losses_of(net, textbook.SoftmaxCrossEntropy(functions=net.functions), optimiser, batch)


def test_five_losses_are_those_of_the_kernels_and_of_other_right_functions(batch):
    own = {name: SOLUTIONS[name][0] for name in SOLUTIONS if name in textbook.FUNCTIONS and name != "dropout"}
    assert len(own) >= 9
    assert all(own[name] is not textbook.FUNCTIONS[name] for name in own)
    expected = textbook_losses({}, batch)
    np.testing.assert_allclose(textbook_losses(own, batch), expected, rtol=0, atol=1e-12)
    net = network()
    of_kernels = losses_of(net, sn.SoftmaxCrossEntropy(), sn.Adam(net.parameters(), 0.01, l2=5e-4), batch)
    np.testing.assert_allclose(expected, of_kernels, rtol=0, atol=1e-9)
    assert np.ptp(expected) > 1e-3


@pytest.mark.parametrize("name", ["max_pool2d_gradient", "conv2d", "adam", "softmax_cross_entropy_gradient", "pad"])
def test_the_function_that_is_given_is_the_one_that_runs(name, batch):
    calls = []

    def mine(*arguments):
        calls.append(name)
        return textbook.FUNCTIONS[name](*arguments)

    assert textbook_losses({name: mine}, batch) == textbook_losses({}, batch)
    assert len(calls) >= 5


def test_a_wrong_function_changes_the_losses(batch):
    wrong = textbook_losses({"relu_gradient": lambda x, dy: dy}, batch)
    right = textbook_losses({}, batch)
    assert wrong[0] == right[0]
    assert wrong[-1] != pytest.approx(right[-1], abs=1e-6)


def test_names_weights_and_the_other_network_stay():
    net = network()
    before = net.state_dict()
    twin = textbook.like(net, {"xavier_uniform": lambda rng, shape: 1 / 0})  # the weights are there already
    assert [p.name for p in twin.parameters()] == [p.name for p in net.parameters()]
    assert [p.decay for p in twin.parameters()] == [p.decay for p in net.parameters()]
    twin.parameters()[0].value[...] = 0
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
        np.testing.assert_array_equal(twin.state_dict()[name], 0 if name == "conv1.weight" else value)
    again = textbook.like(twin)
    assert list(again.state_dict()) == list(before)


def test_the_same_seed_is_the_same_start():
    ours = textbook.Network([textbook.Conv2D(4, 3), textbook.ReLU(), textbook.Flatten(), textbook.Dense(2)])
    theirs = sn.Sequential([sn.Conv2D(4, 3), sn.ReLU(), sn.Flatten(), sn.Dense(2)])
    ours.build((6, 6, 3), dtype="float32", seed=5)
    theirs.build((6, 6, 3), seed=5)
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value)


@pytest.mark.parametrize(
    "layer",
    [textbook.Conv2D(3, (3, 2), stride=2), textbook.MaxPool2D(3, 1), textbook.ReLU(), textbook.Dropout(0.4)],
    ids=lambda layer: layer.kind,
)
def test_its_layers_pass_the_gradient_check(layer):
    sn.gradient_check(layer, np.random.default_rng(1).normal(size=(2, 5, 6, 2)))


@pytest.mark.parametrize(
    ("mine", "line"),
    [
        ({"max_pool": reference.max_pool2d}, "no function 'max_pool'"),
        ({"conv2d": 3}, "conv2d must be a function, got int"),
        ({"dropout": lambda x, rate, rng, training: x}, r"dropout is called as dropout\(x, kept, rate\)"),
        ({"relu": lambda: 0}, r"relu is called as relu\(x\)"),
    ],
)
def test_a_function_that_does_not_fit_is_refused(mine, line):
    with pytest.raises(ConfigError, match=line):
        textbook.like(network(), mine)


def test_a_result_of_another_shape_names_the_layer(batch):
    net = textbook.like(network(), {"max_pool2d": lambda x, size, stride: x})
    with pytest.raises(ShapeError, match=r"MaxPool2D 'pool1': forward got shape .* expected \(24, 8, 8, 4\)"):
        net.forward(batch[0])


def test_what_it_has_no_layer_for_is_refused():
    with pytest.raises(OrderError, match="build"):
        textbook.like(sn.Sequential([sn.Dense(2)]))
    net = sn.Sequential([sn.Sequential([sn.Dense(2)])])
    net.build((3,))
    with pytest.raises(ConfigError, match="no layer like Sequential"):
        textbook.like(net)


def test_a_student_sees_the_order_error():
    layer = textbook.ReLU()
    layer.build((3,))
    with pytest.raises(OrderError, match="forward"):
        layer.backward(np.zeros((1, 3)))
    with pytest.raises(OrderError, match="built"):
        textbook.ReLU().forward(np.zeros((1, 3)))
