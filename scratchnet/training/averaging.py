"""Test-time averaging: a network is asked about an image in all eight positions of the square."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from scratchnet import reference
from scratchnet.data.augment import TURNS, symmetry
from scratchnet.reference import Array


class Answering(Protocol):
    """What is asked: a network, or another program's."""

    def forward(self, images: Array, /, *, training: bool) -> Array:
        """Its logits, (N, classes)."""
        ...


def logits_of(network: Answering, images: Array, *, symmetries: bool) -> Array:
    """The network's logits, (N, classes), without dropout. symmetries: whether they are `averaged_logits`."""
    return averaged_logits(network, images) if symmetries else network.forward(images, training=False)


def averaged_logits(network: Answering, images: Array) -> Array:
    """log p̄: the logarithm of the mean of the probabilities that the network gives to the eight symmetries of each image.

    p̄[n] = 1/8 Σₛ softmax(network(symmetry(images, s)))[n]

    A cell turned is the same cell, but a network may answer differently: the mean is the same for all its positions, and the
    eight errors partly cancel. Probabilities are averaged, not logits, so that one position in which the network is absurdly
    sure weighs an eighth and no more. The answer is a logarithm because softmax(log p̄) = p̄: it can stand wherever logits do,
    and its cross-entropy is −log p̄[label], which is at most the mean of the eight (Jensen).

    images (N, S, S, C), scaled as for the network, of its dtype; all go through the network at once, eight times. Returns
    (N, classes), the network's dtype. Raises ShapeError if the images are not square.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 4.1, who average the softmax over ten patches of an image.

    >>> from scratchnet import Dense, Flatten, Sequential
    >>> network = Sequential([Flatten(), Dense(2)])
    >>> network.build(input_shape=(4, 4, 3), seed=0)
    (2,)
    >>> image = np.random.default_rng(0).normal(size=(1, 4, 4, 3)).astype("float32")
    >>> logits = averaged_logits(network, image)
    >>> np.allclose(averaged_logits(network, symmetry(image, 5)), logits)
    True
    >>> round(float(np.exp(logits).sum()), 5)
    1.0
    """
    logits = [network.forward(symmetry(images, s), training=False) for s in range(TURNS["symmetries"])]
    return reference.log_mean_softmax(np.stack(logits))
