"""An independent implementation, PyTorch, computes the same: each convolution, and twenty steps of training.

PyTorch keeps images as (N, C, H, W), filters as (F, C, KH, KW) and dense weights as (out, in): transposed here.
"""

import numpy as np
import pytest

from scratchnet import SGD, Adam, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install -e ".[parity]"')


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


def their_filters(weight):
    return torch.from_numpy(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)))


def ours(tensor):
    """A tensor of images as an array: channels last."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def our_filters(tensor):
    return tensor.detach().numpy().transpose(2, 3, 1, 0)


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
        t.requires_grad_() for t in (theirs(x), their_filters(layer.weight.value), theirs(layer.bias.value))
    )
    y_ = torch.nn.functional.conv2d(x_, weight_, bias_, stride=stride, padding=padding)
    y_.backward(theirs(dy))

    tolerance = 1e-12 if dtype == "float64" else 1e-4  # sums of up to 150 products of size 1
    np.testing.assert_allclose(y, ours(y_), rtol=0, atol=tolerance)
    np.testing.assert_allclose(dx, ours(x_.grad), rtol=0, atol=tolerance)
    np.testing.assert_allclose(layer.weight.grad, our_filters(weight_.grad), rtol=0, atol=tolerance)
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
    x_, weight_ = theirs(x).requires_grad_(), their_filters(layer.weight.value)
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
        self.tensors = {
            name: (their_filters(value) if value.ndim == 4 else torch.from_numpy(value.T.copy())).requires_grad_()
            for name, value in state.items()
        }

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
