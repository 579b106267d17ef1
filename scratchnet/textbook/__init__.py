"""The textbook's network: layers and Adam over a table of functions, those of `scratchnet.reference` unless others are given.

    mine = textbook.like(network, {"max_pool2d_gradient": my_gradient})

is the network with the same names and weights, whose max-pooling goes back by `my_gradient`. It trains as the network does, a
hundred times slower, and needs no kernel: neither this package nor a training with it loads Numba. There are few checks; the
layers of `scratchnet` have them. It may import reference, random and errors.
"""

from scratchnet.textbook.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU
from scratchnet.textbook.network import Network, like
from scratchnet.textbook.table import FUNCTIONS, table
from scratchnet.textbook.training import Adam, SoftmaxCrossEntropy

__all__ = [
    "FUNCTIONS", "Adam", "Conv2D", "Dense", "Dropout", "Flatten", "Layer", "MaxPool2D", "Network", "ReLU",
    "SoftmaxCrossEntropy", "like", "table",
]  # fmt: skip
