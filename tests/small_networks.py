"""A network that is quick to compute, with a layer of every kind."""

from scratchnet import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential


def small(dtype="float64", seed=0, size=8):
    network = Sequential([Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(6), ReLU(), Dropout(0.5), Dense(2)])
    network.build((size, size, 3), seed=seed, dtype=dtype)
    return network
