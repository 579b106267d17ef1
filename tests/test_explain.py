"""What a network sees: maps that are its own, gradients that are derivatives, and a map that finds a planted reason."""

import numpy as np
import pytest

from scratchnet import (
    BatchNorm2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from scratchnet.errors import ConfigError, ShapeError
from scratchnet.nn.models import report
from scratchnet.use.explain import (
    feature_maps,
    grad_cam,
    gradient_at,
    layers_with_maps,
    occlusion,
    receptive_field,
    sights,
)


@pytest.fixture
def network():
    net = Sequential(
        [Conv2D(4, 3), ReLU(), MaxPool2D(2), Conv2D(5, 3), ReLU(), Flatten(), Dense(8), ReLU(), Dropout(0.5), Dense(3)]
    )
    net.build((8, 8, 3), seed=1, dtype="float64")
    return net


def test_the_maps_are_the_network_s_own(rng):
    """At 64 × 64 the first blocks of `forward` are fused; one by one the layers must come to the same."""
    net = report(64)
    net.build(seed=0)
    x = rng.normal(size=(3, 64, 64, 3)).astype("float32")
    maps = feature_maps(net, x)
    assert list(maps) == [layer.name for layer in net.layers]
    np.testing.assert_allclose(maps["dense3"], net.forward(x), rtol=0, atol=1e-4 * np.abs(maps["dense3"]).max())
    np.testing.assert_array_equal(maps["relu1"], np.maximum(maps["conv1"], 0))
    np.testing.assert_array_equal(maps["dropout1"], maps["relu6"])


@pytest.mark.parametrize("layer", ["conv1", "relu1", "pool1", "conv2", "relu2", "dense1", "dense2"])
def test_the_gradient_is_the_derivative(network, rng, layer):
    x, classes = rng.normal(size=(2, 8, 8, 3)), np.array([2, 0])
    maps, gradient = gradient_at(network, x, layer, classes)
    after = network.layers[[one.name for one in network.layers].index(layer) + 1 :]

    def logits(a):
        for one in after:
            a = one.forward(a, training=False)
        return a[np.arange(2), classes]

    np.testing.assert_allclose(logits(maps), network.forward(x)[np.arange(2), classes], atol=1e-12)
    for _ in range(10):
        direction = rng.normal(size=maps.shape) * (maps != 0)  # windows full of zeros sit on a kink of the pooling
        h = 1e-6
        slope = (logits(maps + h * direction) - logits(maps - h * direction)) / (2 * h)
        np.testing.assert_allclose((gradient * direction).reshape(2, -1).sum(axis=1), slope, rtol=1e-6, atol=1e-8)


def test_grad_cam_is_its_equation(network, rng):
    x = rng.normal(size=(3, 8, 8, 3))
    classes = np.array([0, 1, 2])
    assert layers_with_maps(network) == ["relu1", "relu2"]
    maps, gradient = gradient_at(network, x, "relu2", classes)
    heat = grad_cam(network, x, classes)
    for n in range(3):
        expected = np.zeros((4, 4))
        for k in range(5):
            expected += gradient[n, :, :, k].sum() / 16 * maps[n, :, :, k]
        np.testing.assert_allclose(heat[n], np.maximum(expected, 0), atol=1e-14)
    assert heat.any()
    assert (heat == 0).any()


def test_explaining_leaves_nothing_behind(network, rng):
    x = rng.normal(size=(2, 8, 8, 3))
    weights, before = network.state_dict(), network.forward(x)
    grad_cam(network, x, np.array([0, 2]))
    np.testing.assert_array_equal(network.forward(x), before)
    assert all((weights[name] == value).all() for name, value in network.state_dict().items())
    assert all(layer._images is None for layer in network.layers)


def test_dropout_in_a_network_in_the_network(rng):
    inner = Sequential([Dense(8), ReLU(), Dropout(0.9), Dense(2)])
    net = Sequential([Conv2D(4, 3), Flatten(), inner])
    net.build((6, 6, 3), seed=0, dtype="float64")
    x = rng.normal(size=(1, 6, 6, 3))
    first, second = (grad_cam(net, x, np.array([0])) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (1, 6, 6)  # no ReLU follows: the convolution itself


def test_a_layer_that_will_not_do(network, rng):
    x = rng.normal(size=(1, 8, 8, 3))
    with pytest.raises(ConfigError, match="no layer 'conv9'; its layers are conv1, relu1"):
        grad_cam(network, x, np.array([0]), "conv9")
    with pytest.raises(ShapeError, match=r"dense1 puts out \(8,\)"):
        grad_cam(network, x, np.array([0]), "dense1")
    dense = Sequential([Flatten(), Dense(2)])
    dense.build((4, 4, 3))
    with pytest.raises(ConfigError, match="no convolution"):
        layers_with_maps(dense)


def test_both_find_a_planted_reason(rng):
    """A network that answers 1 for green in a picture, made by hand: the green spot is what decided."""
    net = Sequential([Conv2D(1, 1), ReLU(), MaxPool2D(2), Flatten(), Dense(2)])
    net.build((16, 16, 3))
    net.layers[0].weight.value[0, 0, :, 0] = (-1, 1, -1)
    net.layers[4].weight.value[:] = (0, 1)
    image = rng.integers(100, 120, (16, 16, 3), dtype=np.uint8)
    image[4:8, 10:14] = (0, 255, 0)

    def probability(images):
        logits = net.forward((images / 255).astype("float32"))
        return 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))

    spot = np.zeros((16, 16), bool)
    spot[4:8, 10:14] = True
    heat = grad_cam(net, (image[None] / 255).astype("float32"), np.array([1]))[0]
    assert heat[spot].min() > 10 * heat[~spot].max()
    drop = occlusion(probability, image, patch=4)
    assert spot[np.unravel_index(drop.argmax(), drop.shape)]
    assert drop[:, :8].max() <= 1e-6


@pytest.mark.parametrize(("size", "patch"), [(16, 4), (17, 5), (9, 9), (10, 1), (10, 0)])
def test_occlusion_is_its_definition(rng, size, patch):
    image = rng.integers(1, 256, (size, size, 3), dtype=np.uint8)
    weight = rng.normal(size=(size, size, 3))

    def probability(images):
        return (images * weight).sum(axis=(1, 2, 3))

    drop = occlusion(probability, image, patch=patch, fill=7)
    assert drop.shape == (size, size)
    assert np.isfinite(drop).all()  # every pixel has been covered at least once
    if patch == 1:
        np.testing.assert_allclose(drop, ((image - 7.0) * weight).sum(axis=2), atol=1e-9)
    if patch == size:
        np.testing.assert_allclose(drop, ((image - 7.0) * weight).sum(), atol=1e-9)


def test_occlusion_averages_where_patches_overlap(rng):
    """By the definition, pixel by pixel, for patches of 4 that move by 2, in more than one chunk; an answer that is not linear."""
    image = rng.integers(1, 256, (20, 24, 3), dtype=np.uint8)
    weight = rng.normal(size=image.shape) / 1e4
    sizes = []

    def probability(images):
        sizes.append(len(images))
        return 1 / (1 + np.exp(-(images * weight).sum(axis=(1, 2, 3))))

    drop = occlusion(probability, image, patch=4)
    assert max(sizes) <= 64
    assert sum(sizes) == 1 + 9 * 11
    before = probability(image[None])[0]
    for i, j in [(0, 0), (1, 5), (2, 2), (10, 11), (19, 23), (3, 22)]:
        drops = []
        for top in range(0, 17, 2):
            for left in range(0, 21, 2):
                if top <= i < top + 4 and left <= j < left + 4:
                    copy = image.copy()
                    copy[top : top + 4, left : left + 4] = 0
                    drops.append(before - probability(copy[None])[0])
        np.testing.assert_allclose(drop[i, j], np.mean(drops), atol=1e-12)


def test_squares_side_by_side(rng):
    """With a step as large as the patch each pixel is covered once, and a block has one value."""
    image = rng.integers(1, 256, (16, 16, 3), dtype=np.uint8)
    sizes = []

    def probability(images):
        sizes.append(len(images))
        return images.mean(axis=(1, 2, 3)) / 255

    drop = occlusion(probability, image, patch=4, step=4)
    assert sum(sizes) == 1 + 16
    blocks = drop.reshape(4, 4, 4, 4).transpose(0, 2, 1, 3).reshape(16, 16)
    np.testing.assert_allclose(blocks, np.repeat(blocks[:, :1], 16, axis=1), atol=1e-12)
    expected = image.reshape(4, 4, 4, 4, 3).sum(axis=(1, 3, 4)).reshape(16) / image.size / 255
    np.testing.assert_allclose(blocks[:, 0], expected, atol=1e-9)
    with pytest.raises(ConfigError, match="step must be 1 to 4 pixels"):
        occlusion(probability, image, patch=4, step=5)


@pytest.mark.parametrize("patch", [-1, 17])
def test_a_patch_that_does_not_fit(patch):
    with pytest.raises(ConfigError, match="1 to 16 pixels"):
        occlusion(lambda images: np.zeros(len(images)), np.zeros((16, 16, 3), np.uint8), patch=patch)


def test_how_far_a_place_sees(network, rng):
    """What lies outside the receptive field of the middle place moves nothing in it; what lies at its edge does."""
    assert [receptive_field(network, name) for name in ("conv1", "relu1", "pool1", "conv2")] == [3, 3, 4, 8]
    net = report(64)
    net.build(seed=0)
    assert [receptive_field(net, f"relu{k}") for k in range(1, 6)] == [5, 14, 32, 68, 140]
    x = rng.normal(size=(1, 64, 64, 3)).astype("float32")
    field = receptive_field(net, "relu2")
    for shift, changed in ((field // 2 + 2, False), (field // 2 - 3, True)):
        other = x.copy()
        other[0, 32 + shift, 32] += 100
        before, after = (feature_maps(net, one)["conv2"][0, 16, 16] for one in (x, other))
        assert (np.abs(after - before).max() > 0.1) == changed  # the fast kernels round a tile together
    with pytest.raises(ConfigError, match="no layer 'conv9'"):
        receptive_field(net, "conv9")


def seen(net, layer, place):
    """The rows, and the columns, that a place of the layer's maps is said to see, also those beyond the image."""
    (sight,) = [one for other, one in zip(net.layers, sights(net), strict=True) if other.name == layer]
    start = sight.start + place * sight.steps
    return list(range(start, start + sight.field))


def moving(net, x, layer, place, axis):
    """The rows (axis 1) or columns (axis 2) of an image that move a place (row, column) of the layer's maps."""
    before, found = feature_maps(net, x)[layer][0][place], []
    for k in range(x.shape[axis]):
        other = x.copy()
        np.moveaxis(other, axis, 0)[k] += 1
        if (feature_maps(net, other)[layer][0][place] != before).any():
            found.append(k)
    return found


def test_how_far_a_place_sees_through_a_block(rng):
    """What lies further from the place moves nothing in it, by both ways around; a depthwise convolution has a window too."""
    path, around = [Conv2D(4, 3), Sequential([DepthwiseConv2D(3, stride=2)])], [Conv2D(4, 1, stride=2)]
    net = Sequential([Conv2D(4, 3), Residual(path, around), ReLU(), MaxPool2D(2), Flatten(), Dense(2)])
    net.build((24, 24, 3), seed=0, dtype="float64")
    assert layers_with_maps(net) == ["conv1", "relu1"]
    assert moving(net, rng.normal(size=(1, 24, 24, 3)), "residual1", (6, 6), axis=2) == seen(net, "relu1", 6)


def test_a_network_of_blocks_is_explained_as_it_answers():
    """Also what lies within them: places see as far as is said, dropout does nothing, and the gradient is the derivative."""
    block = Residual([Conv2D(6, 3, stride=2), Dropout(0.5), Conv2D(6, 3)], [Conv2D(6, 1, stride=2)])
    net = Sequential(
        [Conv2D(3, 3), BatchNorm2D(), ReLU(), block, ReLU(), Residual([DepthwiseConv2D(5)]), Flatten(), Dense(2)]
    )
    net.build((16, 16, 3), dtype="float64")
    x = np.random.default_rng(0).random((1, 16, 16, 3))
    assert layers_with_maps(net) == ["relu1", "relu2", "residual2"]
    before = net(x)
    for layer in ("conv1", "residual1", "residual2"):
        middle = feature_maps(net, x)[layer].shape[1] // 2
        inside = [k for k in seen(net, layer, middle) if 0 <= k < 16]
        assert moving(net, x, layer, (middle, slice(None)), axis=1) == inside
    assert net(x).tobytes() == before.tobytes()
    maps, gradient = gradient_at(net, x, "relu1", np.array([0]))
    moved = maps.copy()
    moved[0, 8, 8, 1] += 1e-6
    slope = (net[3:](moved) - net[3:](maps))[0, 0] / 1e-6
    np.testing.assert_allclose(gradient[0, 8, 8, 1], slope, rtol=1e-5, atol=1e-8)
