"""The report's networks, and the residual one."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import Dropout
from scratchnet.errors import ConfigError


def parameter_count(filters, features):
    """Five 5×5 convolutions, dense 1024, dense 1024, dense 2, each with its biases."""
    channels = [3, *filters]
    convolutions = sum(5 * 5 * before * after + after for before, after in zip(channels, filters, strict=False))
    return convolutions + (features * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 2 + 2)


def test_the_report_network():
    network = sn.models.report(64)
    assert network.build(seed=0) == (2,)
    outputs = {layer.name: layer.output_shape for layer in network.layers}
    assert [outputs[f"pool{i}"] for i in range(1, 6)] == [
        (32, 32, 32),
        (16, 16, 64),
        (8, 8, 128),
        (4, 4, 256),
        (2, 2, 512),
    ]
    assert outputs["flatten1"] == (2048,)
    assert sum(p.value.size for p in network.parameters()) == parameter_count([32, 64, 128, 256, 512], 2 * 2 * 512)
    assert [layer.rate for layer in network.layers if isinstance(layer, Dropout)] == [0.5, 0.5]


def test_the_wide_report_network():
    """At 256 it has the report's printed shapes, 128×128×64, 64×64×128, … 8×8×512; at 64 a quarter of the sides."""
    network = sn.models.report_wide(64)
    assert network.input_shape == (64, 64, 3)
    network.build(seed=0)
    outputs = {layer.name: layer.output_shape for layer in network.layers}
    assert [outputs[f"pool{i}"] for i in range(1, 6)] == [
        (32, 32, 64),
        (16, 16, 128),
        (8, 8, 256),
        (4, 4, 512),
        (2, 2, 512),
    ]
    assert sum(p.value.size for p in network.parameters()) == parameter_count([64, 128, 256, 512, 512], 2 * 2 * 512)


def test_the_default_image_size_is_the_reports():
    assert sn.models.report().input_shape == sn.models.report_wide().input_shape == (256, 256, 3)


def test_the_smallest_image_of_the_report_network():
    network = sn.models.report(32, channels=1, classes=5, dropout=0.0)
    assert network.build(seed=0) == (5,)
    assert network.forward(np.zeros((1, 32, 32, 1), "float32")).shape == (1, 5)
    for size in (16, 31, "64", 64.5, True):
        with pytest.raises(ConfigError, match=f"image_size must be a whole number from 32 up, got {size!r}: the 2×2"):
            sn.models.report(size)
        with pytest.raises(ConfigError, match="32 up"):
            sn.models.residual(size)


@pytest.mark.parametrize("size", [32, 33, 64, 100, 256])
def test_the_residual_network_has_the_same_weights_for_images_of_any_size(size):
    """Two 3×3 convolutions in each of four blocks, with a 1×1 convolution where the maps become more; two of each normalisation."""
    network = sn.models.residual(size, classes=5)
    assert network.build(seed=0) == (5,)
    blocks = [layer for layer in network.layers if layer.kind == "residual"]
    assert [layer.output_shape for layer in blocks] == [
        (size // 2, size // 2, 32),
        (size // 4, size // 4, 64),
        (size // 8, size // 8, 128),
        (size // 16, size // 16, 128),
    ]
    expected = 25 * 3 * 32 + 32 + 2 * 32 + 128 * 5 + 5
    for before, after in ((32, 32), (32, 64), (64, 128), (128, 128)):
        around = before * after + after + 2 * after if before != after else 0
        expected += 9 * (before + after) * after + 2 * after + 4 * after + around
    assert sum(parameter.value.size for parameter in network.parameters()) == expected < 700_000
    assert network.forward(np.zeros((1, size, size, 3), "float32")).shape == (1, 5)


def test_the_residual_network_learns_the_same_on_any_number_of_threads(rng, thread_counts):
    """Its options reach the layers, and two steps end with the same bits."""
    assert [layer.rate for layer in sn.models.residual(32, dropout=0.3).layers if isinstance(layer, Dropout)] == [0.3]
    images, labels, found = rng.normal(size=(6, 32, 32, 3)).astype("float32"), np.arange(6) % 2, []
    for _ in thread_counts:
        network = sn.models.residual(32, weight_init="he_uniform")
        network.build(seed=3)
        loss, optimizer = sn.SoftmaxCrossEntropy(), sn.Adam(network.parameters(), 0.001)
        for _ in range(2):
            loss.forward(network.forward(images, training=True), labels)
            network.backward(loss.backward(), need_dx=False)
            optimizer.step()
        found.append({name: array.tobytes() for name, array in network.state_dict().items()})
    assert all(one == found[0] for one in found)
