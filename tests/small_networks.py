"""Networks that are quick to compute: one with a layer of every kind, and one of the report's form."""

import contextlib

from scratchnet import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from scratchnet.nn.models import MODELS


def small(dtype="float64", seed=0, size=8):
    network = Sequential([Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(6), ReLU(), Dropout(0.5), Dense(2)])
    network.build((size, size, 3), seed=seed, dtype=dtype)
    return network


def small_report(image_size, *, channels=3, classes=2, dropout=0.5, weight_init="xavier_uniform"):
    """The report's network with few filters and units: the same kinds of layers in the same order, of the same names."""
    layers = []
    for filters in (8, 8, 16, 16, 32):
        layers += [Conv2D(filters, 5, weight_init=weight_init), ReLU(), MaxPool2D(2)]
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(64, weight_init=weight_init), ReLU(), Dropout(dropout)]
    return Sequential(
        [*layers, Dense(classes, weight_init=weight_init)], input_shape=(image_size, image_size, channels)
    )


@contextlib.contextmanager
def report_is_small():
    """Within the block, "report" stands for `small_report` wherever a network is looked up by its name."""
    report, MODELS["report"] = MODELS["report"], small_report
    try:
        yield
    finally:
        MODELS["report"] = report
