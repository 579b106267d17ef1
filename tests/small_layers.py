"""Every kind of layer, small, and ready to use."""

import numpy as np
import pytest

from scratchnet import BatchNorm2D, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU

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
]
each_layer = pytest.mark.parametrize(("make", "shape"), LAYERS)


def built(layer, shape, dtype="float64"):
    layer.build(shape, np.random.default_rng(0), dtype)
    return layer
