"""An independent implementation, PyTorch, computes the same: each layer and loss, and twenty steps of training.

PyTorch keeps images as (N, C, H, W), filters as (F, C, KH, KW) and dense weights as (out, in): transposed here.
"""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import SGD, Adam, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install -e ".[parity]"')
nn = torch.nn


@pytest.fixture(autouse=True)
def one_thread():
    """PyTorch's and Numba's threads would fight over the processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def theirs(array):
    """An array of scratchnet as a tensor: channels first."""
    axes = {4: (0, 3, 1, 2), 2: (0, 1), 1: (0,)}[array.ndim]
    return torch.from_numpy(np.ascontiguousarray(array.transpose(axes)))


def their_weights(value):
    """Filters (KH, KW, C, F) as (F, C, KH, KW), those of a depthwise convolution (KH, KW, C) as (C, 1, KH, KW)."""
    value = value[:, :, None] if value.ndim == 3 else value
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]
    return torch.from_numpy(np.ascontiguousarray(value.transpose(axes)))


def ours(tensor):
    """A tensor as an array of scratchnet: channels last."""
    array = tensor.detach().numpy()
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's remark on its own speed
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5, (2, 5), (4, 1)])
@pytest.mark.parametrize(
    ("padding", "stride"), [("same", 1), ("valid", 1), ("valid", 2), ("valid", 3), (0, 1), (1, 2), (2, 1), (3, 3)]
)
def test_convolution(rng, kernel_size, stride, padding, dtype):
    layer = Conv2D(6, kernel_size, stride=stride, padding=padding)
    layer.build((9, 8, 3), rng, dtype)
    layer.bias.value[:] = rng.normal(size=6)
    x = rng.normal(size=(2, 9, 8, 3)).astype(dtype)
    y = layer.forward(x, training=True)
    dy = rng.normal(size=y.shape).astype(dtype)
    dx = layer.backward(dy)

    x_, weight_, bias_ = (
        t.requires_grad_() for t in (theirs(x), their_weights(layer.weight.value), theirs(layer.bias.value))
    )
    y_ = torch.nn.functional.conv2d(x_, weight_, bias_, stride=stride, padding=padding)
    y_.backward(theirs(dy))

    tolerance = 1e-12 if dtype == "float64" else 1e-4  # sums of up to 150 products of size 1
    np.testing.assert_allclose(y, ours(y_), rtol=0, atol=tolerance)
    np.testing.assert_allclose(dx, ours(x_.grad), rtol=0, atol=tolerance)
    np.testing.assert_allclose(their_weights(layer.weight.grad), weight_.grad, rtol=0, atol=tolerance)
    np.testing.assert_allclose(layer.bias.grad, bias_.grad, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    (
        "kernel_size",
        "stride",
        "border",
    ),  # the border: left, right, top, bottom; outputs are ⌈9 / stride⌉ × ⌈8 / stride⌉
    [(3, 2, (0, 1, 1, 1)), (5, 2, (1, 2, 2, 2)), (2, 2, (0, 0, 0, 1)), (4, 3, (1, 1, 0, 1)), (1, 3, (0, 0, 0, 0))],
)
def test_same_padding_with_a_stride(rng, kernel_size, stride, border):
    """PyTorch has no such option: it is given the border that TensorFlow's 'same' has, the odd row at the bottom."""
    layer, x = Conv2D(4, kernel_size, stride=stride), rng.normal(size=(2, 9, 8, 3))
    layer.build((9, 8, 3), rng, "float64")
    y = layer.forward(x, training=True)
    x_, weight_ = theirs(x).requires_grad_(), their_weights(layer.weight.value)
    y_ = torch.nn.functional.conv2d(torch.nn.functional.pad(x_, border), weight_, stride=stride)
    np.testing.assert_allclose(y, ours(y_), rtol=0, atol=1e-12)
    dy = rng.normal(size=y.shape)
    y_.backward(theirs(dy))
    np.testing.assert_allclose(layer.backward(dy), ours(x_.grad), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("pool_size", "stride"), [(2, 2), (3, 2), (2, 1), (2, 3)])
def test_pooling(rng, pool_size, stride):
    layer, x = MaxPool2D(pool_size, stride), rng.normal(size=(2, 9, 8, 3))
    layer.build((9, 8, 3), dtype="float64")
    y = layer.forward(x, training=True)
    dy = rng.normal(size=y.shape)
    x_ = theirs(x).requires_grad_()
    y_ = torch.nn.functional.max_pool2d(x_, pool_size, stride)
    y_.backward(theirs(dy))
    np.testing.assert_array_equal(y, ours(y_))
    np.testing.assert_allclose(layer.backward(dy), ours(x_.grad), rtol=0, atol=1e-15)


class Twins:
    """The same small network twice, with the same initial weights: two blocks of convolution, two dense layers."""

    def __init__(self, dtype):
        self.network = Sequential([
            Conv2D(6, 5), ReLU(), MaxPool2D(2), Conv2D(8, 3), ReLU(), MaxPool2D(2),
            Flatten(), Dense(10), ReLU(), Dense(3),
        ])  # fmt: skip
        self.network.build((12, 10, 3), seed=0, dtype=dtype)
        state = self.network.state_dict()
        # Flatten reads (H, W, C) here and (C, H, W) there: the rows of the first dense weight are put in that order.
        state["dense1.weight"] = state["dense1.weight"].reshape(3, 2, 8, 10).transpose(2, 0, 1, 3).reshape(48, 10)
        self.tensors = {name: their_weights(value).requires_grad_() for name, value in state.items()}

    def their_output(self, x):
        t, f = self.tensors, torch.nn.functional
        for i in (1, 2):
            x = f.max_pool2d(f.relu(f.conv2d(x, t[f"conv{i}.weight"], t[f"conv{i}.bias"], padding="same")), 2)
        x = f.relu(f.linear(x.flatten(1), t["dense1.weight"], t["dense1.bias"]))
        return f.linear(x, t["dense2.weight"], t["dense2.bias"])

    def their_groups(self, decay):
        """Weight decay on weights, none on biases."""
        weights, biases = (
            [tensor for name, tensor in self.tensors.items() if name.endswith(end)] for end in ("weight", "bias")
        )
        return [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]

    def train(self, optimizer, their_optimizer, x, labels, steps=20):
        """Both losses of each step."""
        loss, losses = SoftmaxCrossEntropy(), []
        for _ in range(steps):
            value = loss.forward(self.network.forward(x, training=True), labels)
            self.network.backward(loss.backward(), need_dx=False)
            optimizer.step()
            their_optimizer.zero_grad()
            their_loss = torch.nn.functional.cross_entropy(self.their_output(theirs(x)), torch.from_numpy(labels))
            their_loss.backward()
            their_optimizer.step()
            losses.append((value, their_loss.item()))
        return np.array(losses).T

    def weights(self):
        """Pairs of name, our array, their array in our order of axes."""
        for name, value in self.network.state_dict().items():
            other = self.tensors[name].detach().numpy()
            other = other.transpose(2, 3, 1, 0) if other.ndim == 4 else other.T
            if name == "dense1.weight":
                other = other.reshape(8, 3, 2, 10).transpose(1, 2, 0, 3).reshape(48, 10)
            yield name, value, other


OPTIMIZERS = {
    "Adam with L2": (lambda p: Adam(p, 3e-3, l2=0.05), lambda t: torch.optim.Adam(t.their_groups(0.05), lr=3e-3)),
    "AdamW": (lambda p: Adam(p, 3e-3, weight_decay=0.5), lambda t: torch.optim.AdamW(t.their_groups(0.5), lr=3e-3)),
    "SGD with momentum and L2": (
        lambda p: SGD(p, 0.02, momentum=0.9, l2=0.05),
        lambda t: torch.optim.SGD(t.their_groups(0.05), lr=0.02, momentum=0.9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-3)])
def test_twenty_steps_of_training(rng, optimizer, dtype, tolerance):
    x, labels = rng.normal(size=(16, 12, 10, 3)).astype(dtype), rng.integers(3, size=16)
    twins, (make, make_theirs) = Twins(dtype), OPTIMIZERS[optimizer]
    before = twins.network.state_dict()
    losses, their_losses = twins.train(make(twins.network.parameters()), make_theirs(twins), x, labels)
    np.testing.assert_allclose(losses, their_losses, rtol=tolerance)
    assert losses[-1] < 0.8 * losses[0]
    for name, value, other in twins.weights():
        np.testing.assert_allclose(value, other, rtol=0, atol=tolerance, err_msg=name)
        assert np.abs(value - before[name]).max() > 10 * tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weighted_cross_entropy(rng, dtype):
    """PyTorch's mean divides by the weights of the labels; ours by the images."""
    weights, labels = np.array([0.4, 1.0, 2.5]), rng.integers(3, size=9)
    loss, logits = SoftmaxCrossEntropy(weights), rng.normal(size=(9, 3)).astype(dtype)
    value, gradient = loss.forward(logits, labels), loss.backward()

    logits_ = theirs(logits).requires_grad_()
    value_ = torch.nn.CrossEntropyLoss(theirs(weights.astype(dtype)))(logits_, torch.from_numpy(labels))
    value_.backward()
    ratio = weights[labels].sum() / len(labels)
    tolerance = 1e-13 if dtype == "float64" else 1e-6
    assert value == pytest.approx(value_.item() * ratio, rel=tolerance)
    np.testing.assert_allclose(gradient, logits_.grad.numpy() * ratio, rtol=0, atol=tolerance)


LAYERS = [
    (lambda: sn.BatchNorm2D(), lambda: nn.BatchNorm2d(4)),
    (lambda: sn.AveragePool2D(3, 2), lambda: nn.AvgPool2d(3, 2)),
    (lambda: sn.GlobalAveragePool2D(), lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    (lambda: sn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.1)),
    (lambda: sn.Sigmoid(), nn.Sigmoid),
    (lambda: sn.Tanh(), nn.Tanh),
    (lambda: sn.DepthwiseConv2D(3), lambda: nn.Conv2d(4, 4, 3, 1, 1, groups=4)),
    (lambda: sn.DepthwiseConv2D(5, stride=2, padding=1), lambda: nn.Conv2d(4, 4, 5, 2, 1, groups=4)),
    (lambda: sn.Conv2D(6, 1, stride=2), lambda: nn.Conv2d(4, 6, 1, 2)),
]


def copy_weights(layer, module):
    with torch.no_grad():
        for one, other in zip(layer.parameters(), module.parameters(), strict=True):
            other.copy_(their_weights(one.value))


@pytest.mark.parametrize(("make", "make_theirs"), LAYERS)
def test_layers_beyond_the_reports(rng, make, make_theirs):
    layer, module, x = make(), make_theirs().double(), rng.normal(1, 2, size=(3, 9, 7, 4))
    layer.build((9, 7, 4), rng, "float64")
    for parameter in layer.parameters():
        parameter.value[:] = rng.normal(size=parameter.value.shape)
    copy_weights(layer, module)
    x_ = theirs(x).requires_grad_()
    y, y_ = layer.forward(x, training=True), module(x_)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    y_.backward(theirs(dy))
    np.testing.assert_allclose(y, ours(y_), rtol=0, atol=1e-9)
    np.testing.assert_allclose(dx, ours(x_.grad), rtol=0, atol=1e-9)
    for one, other in zip(layer.parameters(), module.parameters(), strict=True):
        np.testing.assert_allclose(their_weights(one.grad), other.grad, rtol=0, atol=1e-9)
    for one, other in zip(layer.buffers().values(), module.buffers(), strict=False):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    np.testing.assert_allclose(layer.forward(x), ours(module.eval()(theirs(x))), rtol=0, atol=1e-9)


class TheirResidual(nn.Module):
    def __init__(self, layers, around):
        super().__init__()
        self.layers, self.around = nn.Sequential(*layers), nn.Sequential(*around)

    def forward(self, x):
        return self.layers(x) + self.around(x)


LOSSES = [
    (lambda: sn.SoftmaxCrossEntropy(), nn.CrossEntropyLoss),
    (lambda: sn.SoftmaxCrossEntropy(label_smoothing=0.1), lambda: nn.CrossEntropyLoss(label_smoothing=0.1)),
    (lambda: sn.SoftmaxCrossEntropy(focus=2), lambda: focal),
    (lambda: sn.MeanSquaredError(), nn.MSELoss),
]


def focal(logits, labels):
    loss = nn.functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


@pytest.mark.parametrize(("make_loss", "make_their_loss"), LOSSES)
def test_twenty_steps_of_a_network_with_blocks(rng, make_loss, make_their_loss):
    loss, their_loss = make_loss(), make_their_loss()
    x, labels = rng.normal(size=(8, 12, 10, 3)), rng.integers(3, size=8)
    if isinstance(loss, sn.MeanSquaredError):
        labels = rng.normal(size=(8, 3))
    block = sn.Residual(
        [
            sn.Conv2D(6, 3, stride=2, padding=1),
            sn.BatchNorm2D(),
            sn.LeakyReLU(0.1),
            sn.DepthwiseConv2D(3),
            sn.Conv2D(6, 1),
        ],
        [sn.Conv2D(6, 1, stride=2), sn.BatchNorm2D()],
    )
    net = sn.Sequential([
        sn.Conv2D(4, 3), sn.BatchNorm2D(), sn.ReLU(), block, sn.ReLU(), sn.Residual([sn.Conv2D(6, 3), sn.Tanh()]),
        sn.AveragePool2D(2), sn.Sigmoid(), sn.GlobalAveragePool2D(), sn.Dense(3),
    ])  # fmt: skip
    net.build((12, 10, 3), seed=0, dtype="float64")
    their_net = nn.Sequential(
        nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU(),
        TheirResidual(
            [nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.1), nn.Conv2d(6, 6, 3, 1, 1, groups=6), nn.Conv2d(6, 6, 1)],
            [nn.Conv2d(4, 6, 1, 2), nn.BatchNorm2d(6)],
        ),
        nn.ReLU(), TheirResidual([nn.Conv2d(6, 6, 3, 1, 1), nn.Tanh()], []),
        nn.AvgPool2d(2), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).double()  # fmt: skip
    copy_weights(net, their_net)
    optimizer, their_optimizer = sn.Adam(net.parameters(), 3e-3), torch.optim.Adam(their_net.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        value = loss.forward(net.forward(x, training=True), labels)
        net.backward(loss.backward(), need_dx=False)
        optimizer.step()
        their_optimizer.zero_grad()
        their_value = their_loss(their_net(theirs(x)), torch.from_numpy(labels))
        their_value.backward()
        their_optimizer.step()
        losses.append((value, their_value.item()))
    np.testing.assert_allclose(*np.array(losses).T, rtol=1e-9)
    assert losses[-1][0] < 0.98 * losses[0][0]
    buffers = [array for name, array in their_net.state_dict().items() if "running" in name]
    for (name, one), other in zip(net.buffers().items(), buffers, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(net.forward(x), ours(their_net.eval()(theirs(x))), rtol=0, atol=1e-9)
    for one, other in zip(net.parameters(), their_net.parameters(), strict=True):
        # A bias before a normalisation has a gradient of rounding alone, which Adam makes steps of.
        if np.abs(one.grad).max() > 1e-12:
            np.testing.assert_allclose(their_weights(one.value), other.detach(), rtol=0, atol=1e-9, err_msg=one.name)
