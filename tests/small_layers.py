"""Every kind of layer, small, and ready to use."""

import numpy as np
import pytest

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
    Sigmoid,
    Tanh,
)

IMAGE = (6, 8, 3)

# Every kind of layer, and the shape of one input of it.
LAYERS = [
    pytest.param(lambda: Conv2D(4, kernel_size=3, name="this"), IMAGE, id="Conv2D"),
    pytest.param(lambda: MaxPool2D(2, name="this"), IMAGE, id="MaxPool2D"),
    pytest.param(lambda: Dense(5, name="this"), (7,), id="Dense"),
    pytest.param(lambda: ReLU(name="this"), IMAGE, id="ReLU"),
    pytest.param(lambda: Dropout(0.5, name="this"), IMAGE, id="Dropout"),
    pytest.param(lambda: Flatten(name="this"), IMAGE, id="Flatten"),
    pytest.param(lambda: BatchNorm2D(name="this"), IMAGE, id="BatchNorm2D"),
    pytest.param(lambda: AveragePool2D(2, name="this"), IMAGE, id="AveragePool2D"),
    pytest.param(lambda: GlobalAveragePool2D(name="this"), IMAGE, id="GlobalAveragePool2D"),
    pytest.param(lambda: DepthwiseConv2D(3, name="this"), IMAGE, id="DepthwiseConv2D"),
    pytest.param(lambda: LeakyReLU(name="this"), IMAGE, id="LeakyReLU"),
    pytest.param(lambda: Sigmoid(name="this"), IMAGE, id="Sigmoid"),
    pytest.param(lambda: Tanh(name="this"), IMAGE, id="Tanh"),
    pytest.param(lambda: Residual([Conv2D(3, 3)], name="this"), IMAGE, id="Residual"),
]
each_layer = pytest.mark.parametrize(("make", "shape"), LAYERS)


def built(layer, shape, dtype="float64"):
    layer.build(shape, np.random.default_rng(0), dtype)
    return layer
