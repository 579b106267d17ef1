"""PyTorch computes the same as the layers beyond the report's: forward, backward, buffers, and twenty steps of training."""

import numpy as np
import pytest

import scratchnet as sn

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install -e ".[parity]"')
nn = torch.nn


def first(array):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1) if array.ndim == 4 else array))


def last(tensor):
    array = tensor.detach().numpy()
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


def copy_weights(layer, module):
    """Ours into theirs: filters (KH, KW, C, F) → (F, C, KH, KW), those of a depthwise convolution (KH, KW, C) → (C, 1, KH, KW)."""
    with torch.no_grad():
        for one, other in zip(layer.parameters(), module.parameters(), strict=True):
            other.copy_(torch.from_numpy(turned(one.value)))


def turned(value):
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    return np.ascontiguousarray(
        value.transpose(2, 0, 1)[:, None] if value.ndim == 3 else value.transpose(axes[value.ndim])
    )


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


@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_layers(rng, ours, theirs):
    layer, module, x = ours(), theirs().double(), rng.normal(1, 2, size=(3, 9, 7, 4))
    layer.build((9, 7, 4), rng, "float64")
    for parameter in layer.parameters():
        parameter.value[:] = rng.normal(size=parameter.value.shape)
    copy_weights(layer, module)
    x_ = first(x).requires_grad_()
    y, y_ = layer.forward(x, training=True), module(x_)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    y_.backward(first(dy))
    np.testing.assert_allclose(y, last(y_), rtol=0, atol=1e-9)
    np.testing.assert_allclose(dx, last(x_.grad), rtol=0, atol=1e-9)
    for one, other in zip(layer.parameters(), module.parameters(), strict=True):
        np.testing.assert_allclose(turned(one.grad), other.grad, rtol=0, atol=1e-9)
    for one, other in zip(layer.buffers().values(), module.buffers(), strict=False):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    np.testing.assert_allclose(layer.forward(x), last(module.eval()(first(x))), rtol=0, atol=1e-9)


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


@pytest.mark.parametrize(("loss", "their_loss"), LOSSES)
def test_twenty_steps_of_training(rng, loss, their_loss):
    x, labels = rng.normal(size=(8, 12, 10, 3)), rng.integers(3, size=8)
    if isinstance(loss(), sn.MeanSquaredError):
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
    theirs = nn.Sequential(
        nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU(),
        TheirResidual(
            [nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.1), nn.Conv2d(6, 6, 3, 1, 1, groups=6), nn.Conv2d(6, 6, 1)],
            [nn.Conv2d(4, 6, 1, 2), nn.BatchNorm2d(6)],
        ),
        nn.ReLU(), TheirResidual([nn.Conv2d(6, 6, 3, 1, 1), nn.Tanh()], []),
        nn.AvgPool2d(2), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).double()  # fmt: skip
    copy_weights(net, theirs)
    optimizer, their_optimizer = sn.Adam(net.parameters(), 3e-3), torch.optim.Adam(theirs.parameters(), lr=3e-3)
    ours, their, losses = loss(), their_loss(), []
    for _ in range(20):
        value = ours.forward(net.forward(x, training=True), labels)
        net.backward(ours.backward(), need_dx=False)
        optimizer.step()
        their_optimizer.zero_grad()
        their_value = their(theirs(first(x)), torch.from_numpy(labels))
        their_value.backward()
        their_optimizer.step()
        losses.append((value, their_value.item()))
    np.testing.assert_allclose(*np.array(losses).T, rtol=1e-9)
    assert losses[-1][0] < 0.98 * losses[0][0]
    buffers = [array for name, array in theirs.state_dict().items() if "running" in name]
    for (name, one), other in zip(net.buffers().items(), buffers, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(net.forward(x), last(theirs.eval()(first(x))), rtol=0, atol=1e-9)
    for one, other in zip(net.parameters(), theirs.parameters(), strict=True):
        # A bias before a normalisation has a gradient of rounding alone, which Adam makes steps of.
        if np.abs(one.grad).max() > 1e-12:
            np.testing.assert_allclose(turned(one.value), other.detach(), rtol=0, atol=1e-9, err_msg=one.name)
