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
    Sequential,
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

# One example or more of every layer, with arguments that are not the defaults.
EXAMPLES = [
    AveragePool2D(3, stride=1),
    DepthwiseConv2D(3),
    DepthwiseConv2D((3, 1), stride=2, weight_init="he_normal", name="deep"),
    GlobalAveragePool2D(),
    LeakyReLU(),
    LeakyReLU(0.2),
    Residual([Conv2D(2, 3), BatchNorm2D(), ReLU(), Dropout(0.5)]),
    Residual([Sequential([Conv2D(3, 3, stride=2)]), Tanh()], shortcut=[Conv2D(3, 1, stride=2)], name="around"),
    Sigmoid(),
    Tanh(),
    BatchNorm2D(),
    BatchNorm2D(momentum=0.8, name="norm"),
    Conv2D(3, kernel_size=3),
    Conv2D(3, (3, 5), stride=2, padding="valid", weight_init="he_normal", name="look"),
    Conv2D(2, kernel_size=1, padding=1),
    Dense(3),
    Dense(units=3, weight_init="he_uniform"),
    Dropout(),
    Dropout(0.25, name="drop"),
    Flatten(),
    MaxPool2D(),
    MaxPool2D(3, stride=1),
    ReLU(),
    ReLU(name="cut"),
]


def input_of(layer):
    """The shape of an input that this example takes."""
    return (7,) if isinstance(layer, Dense) else (6, 6, 2)


def built(layer, shape, dtype="float64"):
    layer.build(shape, np.random.default_rng(0), dtype)
    return layer
