"""What a user's own program may look like; `.ci/wheel` runs it and has mypy and pyright check it against the installed package."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import scratchnet as sn
from scratchnet.errors import ConfigError


class Scale:
    """A layer of one's own: it needs no base class."""

    def __init__(self, factor: float) -> None:
        self.factor = np.float32(factor)

    def forward(self, x: NDArray[np.floating], *, training: bool = False) -> NDArray[np.floating]:
        return x * self.factor

    def backward(self, dy: NDArray[np.floating], *, need_dx: bool = True) -> NDArray[np.floating]:
        return dy * self.factor


def train(images: NDArray[np.floating], labels: NDArray[np.integer]) -> list[float]:
    """The losses of a few steps."""
    net = sn.Sequential([sn.Conv2D(4, 3), sn.ReLU(), sn.MaxPool2D(2), sn.Flatten(), Scale(0.5), sn.Dense(2)])
    assert_type(net.build(images.shape[1:], seed=0), tuple[int, ...])
    loss = sn.SoftmaxCrossEntropy()
    optimizer = sn.Adam(net.parameters(), learning_rate=1e-2)
    losses: list[float] = []
    for _ in range(8):
        losses.append(loss.forward(net.forward(images, training=True), labels))
        net.backward(loss.backward())
        optimizer.step()
    parameter: sn.Parameter = net.parameters()[0]
    print(parameter.name, parameter.value.shape)
    return losses


def main() -> None:
    """Trains, checks a gradient, fits a classifier, and is told what is wrong."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 8, 8, 3)).astype(np.float32)
    labels = (images.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    losses = train(images, labels)
    assert losses[-1] < losses[0]
    assert_type(sn.gradient_check(Scale(2.0), np.ones((2, 3))), sn.GradientCheck)
    try:
        sn.models.report(7)
    except ConfigError as error:
        print(error)
    assert issubclass(ConfigError, sn.ScratchnetError)
    assert_type(sn.__version__, str)


if __name__ == "__main__":
    main()
