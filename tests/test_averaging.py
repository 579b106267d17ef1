"""Test-time averaging over the eight symmetries."""

import numpy as np
import pytest

from scratchnet import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy, reference
from scratchnet.data import symmetry
from scratchnet.errors import ShapeError
from scratchnet.training.averaging import averaged_logits


@pytest.fixture(params=["float32", "float64"])
def network(request):
    network = Sequential([Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(3)])
    network.build(input_shape=(8, 8, 3), seed=1, dtype=request.param)
    return network


@pytest.fixture
def images(network, rng):
    return (3 * rng.normal(size=(6, 8, 8, 3))).astype(network.parameters()[0].value.dtype)


def probabilities(logits):
    return np.exp(reference.log_softmax(logits))


def test_the_mean_of_the_probabilities_of_all_eight(network, images):
    eight = [probabilities(network.forward(symmetry(images, s), training=False)) for s in range(8)]
    assert np.ptp(eight, axis=0).max() > 0.1  # the network does answer differently
    logits = averaged_logits(network, images)
    assert logits.dtype == images.dtype
    np.testing.assert_allclose(np.exp(logits), np.mean(eight, axis=0), atol=1e-6)
    np.testing.assert_allclose(probabilities(logits), np.exp(logits), atol=1e-6)  # softmax(log p) = p


def test_an_image_is_judged_alike_in_all_positions(network, images):
    logits = averaged_logits(network, images)
    for s in range(8):
        np.testing.assert_allclose(averaged_logits(network, symmetry(images, s)), logits, rtol=1e-4, atol=1e-5)


def test_its_loss_is_the_logarithm_of_the_mean_and_at_most_the_mean_loss(network, images, rng):
    labels, loss = rng.integers(3, size=6), SoftmaxCrossEntropy()
    logits = averaged_logits(network, images)
    averaged = loss.forward(logits, labels)
    assert averaged == pytest.approx(-logits[np.arange(6), labels].mean(), rel=1e-5)
    assert averaged < np.mean(
        [loss.forward(network.forward(symmetry(images, s), training=False), labels) for s in range(8)]
    )


def test_images_that_are_not_square(network):
    with pytest.raises(ShapeError, match="square"):
        averaged_logits(network, np.zeros((1, 8, 6, 3), "float32"))
