"""What a network sees in an image: the maps of its layers, and which parts of the image decided.

Two questions about the same decision. Grad-CAM asks the network: which positions of its own maps would raise this
class? Occlusion asks the picture: by how much does the probability fall if this part is covered? A part at which both
point mattered; neither proves that the reason was a good one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.kernels.machine.threads import alone
from scratchnet.nn.base import layers_in
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Window2D
from scratchnet.nn.dropout import Dropout
from scratchnet.nn.relu import ReLU
from scratchnet.nn.sequential import Sequential
from scratchnet.reference import Array
from scratchnet.terminal.bar import Bar

CHUNK = 64  # copies of an image that are covered, and shown to the network, at once


def feature_maps(network: Sequential, x: Array) -> dict[str, Array]:
    """The output of every layer for a batch x (N, *input_shape), by the layer's name, in order, as in prediction.

    The layers are run one by one, where `forward` may run three as one; the last output is that of `forward`, to rounding.
    Maps of convolutions are (N, H, W, C): map c shows where filter c found its pattern, brighter where the match is clearer.

    >>> from scratchnet.nn.models import report
    >>> network = report(32)
    >>> _ = network.build(seed=0)
    >>> maps = feature_maps(network, np.zeros((1, 32, 32, 3), "float32"))
    >>> maps["relu2"].shape, maps["dense3"].shape
    ((1, 16, 16, 64), (1, 2))
    """
    maps = {}
    for layer in network.layers:
        x = layer.forward(x, training=False)
        maps[layer.name] = x
    return maps


def layers_with_maps(network: Sequential) -> list[str]:
    """The convolutions and residual blocks of a network, or rather the ReLU that follows each of them, also after
    normalisation, where the maps can be shown.

    Raises ConfigError if the network has no convolution.
    """
    names = []
    for number, layer in enumerate(network.layers):
        if convolves(layer):
            following = itertools.dropwhile(lambda one: isinstance(one, BatchNorm2D), network.layers[number + 1 :])
            after = next(following, None)
            names.append(str(after.name if isinstance(after, ReLU) else layer.name))
    if not names:
        raise ConfigError("the network has no convolution, whose maps could be looked at")
    return names


def convolves(layer: Any) -> bool:
    """Whether it is a convolution, or a block with one inside."""
    return any(isinstance(one, Window2D) for one in layers_in(layer))


def receptive_field(network: Sequential, layer: str) -> int:
    """On how many pixels along each axis a position of the layer's maps depends, inside the image or beyond it.

    field = 1 + Σ (window − 1) · steps, over the layers up to this one; steps: the product of the strides before it.
    Raises ConfigError, naming the layers, for one that does not exist.

    >>> from scratchnet.nn.models import report
    >>> network = report(64)
    >>> _ = network.build(seed=0)
    >>> receptive_field(network, "relu1"), receptive_field(network, "relu5")
    (5, 140)
    """
    return list(sights(network))[_number_of(network, layer)].field


class Sight(NamedTuple):
    """Which pixels a position of a layer's maps depends on: position k, `field` pixels from start + k · steps on, along each axis."""

    field: int
    steps: int
    start: int


def sights(network: Sequential) -> Iterator[Sight]:
    """For each layer of a network that has been built, in order."""
    sight = Sight(1, 1, 0)
    for layer in network.layers:
        sight = _seen_through(layer, sight)
        yield sight


def _seen_through(layer: Any, sight: Sight) -> Sight:
    """Which pixels a position of this layer's maps depends on, by what one of its input does; of several ways: what any sees."""
    if not hasattr(layer, "layers"):
        field, steps, start = sight
        window = max(layer.kernel_size) if isinstance(layer, Window2D) else getattr(layer, "pool_size", 1)
        start -= layer.pads[0] * steps if isinstance(layer, Window2D) else 0
        return Sight(field + (window - 1) * steps, steps * getattr(layer, "stride", 1), start)
    ends = []
    for way in getattr(layer, "ways", [layer]):
        end = sight
        for one in way.layers:
            end = _seen_through(one, end)
        ends.append(end)
    first = min(end.start for end in ends)
    return Sight(max(end.start + end.field for end in ends) - first, ends[0].steps, first)


def _number_of(network: Sequential, layer: str) -> int:
    names = [one.name for one in network.layers]
    if layer not in names:
        raise ConfigError(f"the network has no layer {layer!r}; its layers are {', '.join(names)}")
    return names.index(layer)


def gradient_at(network: Sequential, x: Array, layer: str, classes: Array) -> tuple[Array, Array]:
    """A, the output of `layer` for a batch x, and dA, the gradient of one logit of each image with respect to it.

    dA[n] = ∂ logits[n, classes[n]] / ∂A[n]

    classes (N,): integers. Without dropout and with fixed statistics, as in prediction. The network's parameters stay; their
    gradients are those of this call afterwards. Raises ConfigError, naming the layers, for one that does not exist.
    """
    cut = _number_of(network, layer) + 1
    for one in network.layers[:cut]:
        x = one.forward(x, training=False)
    maps, after = x, network.layers[cut:]
    dropouts = [one for one in layers_in(network) if isinstance(one, Dropout)]
    # A web service may explain several images at once, with the same layers. Observers use and keep their buffers.
    with alone(), _set(network.observers(), "fixed", True), _set(dropouts, "rate", 0.0):
        for one in after:
            x = one.forward(x, training=True)  # remembers what backward needs
        gradient = np.zeros_like(x)
        gradient[np.arange(len(x)), classes] = 1
        for one in reversed(after):
            gradient = one.backward(gradient)
            one.forget()
    return maps, gradient


@contextlib.contextmanager
def _set(layers: list[Any], name: str, value: Any) -> Iterator[None]:
    """Within the block this attribute of the layers has this value."""
    before = [getattr(layer, name, False) for layer in layers]
    for layer in layers:
        setattr(layer, name, value)
    try:
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            setattr(layer, name, was)


def grad_cam(network: Sequential, x: Array, classes: Array, layer: str | None = None) -> Array:
    """Where the evidence for a class lies, by the gradient of its logit: (N, h, w) ≥ 0, in the size of the layer's maps.

    L = relu(Σₖ αₖ Aₖ),  αₖ = 1/(h·w) Σ over i, j of ∂ logit / ∂A[i, j, k]

    αₖ says how much the class gains if map k grows everywhere; L is the weighted sum of the maps, without what speaks
    against the class.

    x (N, *input_shape): scaled images. classes (N,): the class in question for each. layer: any layer whose output has
    positions, (N, h, w, C); by default the last of `layers_with_maps`, the deepest that still has positions.
    Raises ConfigError for a layer that does not exist, ShapeError for one without positions.
    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks", ICCV 2017, section 3.

    >>> from scratchnet.nn.models import report
    >>> network = report(64)
    >>> _ = network.build(seed=0)
    >>> x = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
    >>> grad_cam(network, x, np.array([0, 1])).shape
    (2, 4, 4)
    """
    layer = layer or layers_with_maps(network)[-1]
    maps, gradient = gradient_at(network, x, layer, classes)
    if maps.ndim != 4:
        raise ShapeError(f"{layer} puts out {maps.shape[1:]}, which has no places: choose a layer before Flatten")
    alpha = gradient.mean(axis=(1, 2), keepdims=True)
    heat: Array = np.maximum((alpha * maps).sum(axis=3), 0)
    return heat


def occlusion(
    probability: Callable[[NDArray[np.uint8]], Array],
    image: NDArray[np.uint8],
    *,
    patch: int = 0,
    fill: int = 0,
    step: int = 0,
) -> Array:
    """How much the probability falls when each pixel of an image is covered: (H, W), positive where it spoke for the class.

    drop[i, j] = mean over the positions of a square patch that cover (i, j) of (p(image) − p(image with that square covered))

    probability: (N, H, W, 3) uint8 → (N,), the probability of the class in question. image (H, W, 3) uint8.
    patch: the square's side in pixels (0: an eighth of the image). step: by how many pixels it moves (0: half of its side).
    fill: 0 … 255; black is the ground on which cells are cut out. At most CHUNK covered copies are in memory at once; in a
    terminal a bar shows how far it is.
    Raises ConfigError if the patch does not fit inside the image, or the step leaves pixels out.
    Source: Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.

    >>> bright_corner = lambda images: images[:, :4, :4].mean(axis=(1, 2, 3)) / 255
    >>> drop = occlusion(bright_corner, np.full((8, 8, 3), 255, np.uint8), patch=4)
    >>> float(drop[0, 0]), float(drop[7, 7])
    (1.0, 0.0)
    """
    height, width, _ = image.shape
    patch = patch or default_patch(min(height, width))
    if not 1 <= patch <= min(height, width):
        raise ConfigError(f"the patch must be 1 to {min(height, width)} pixels wide, got {patch}")
    step = step or max(1, patch // 2)
    if not 1 <= step <= patch:
        raise ConfigError(f"the step must be 1 to {patch} pixels, the side of the patch, got {step}")
    corners = [(top, left) for top in _positions(height, patch, step) for left in _positions(width, patch, step)]
    before = float(probability(image[None])[0])
    total, times = np.zeros((height, width)), np.zeros((height, width))
    with Bar(total=len(corners), desc="covering", unit=" places", disable=None, leave=False) as bar:
        for start in range(0, len(corners), CHUNK):
            part = corners[start : start + CHUNK]
            drops = before - np.asarray(probability(_covered(image, part, patch, fill)), np.float64)
            for (top, left), drop in zip(part, drops, strict=True):
                total[top : top + patch, left : left + patch] += drop
                times[top : top + patch, left : left + patch] += 1
            bar.update(len(part))
    return total / times


def default_patch(size: int) -> int:
    """The default side of the covering square: an eighth of the image, and at least 2 pixels.

    >>> default_patch(64), default_patch(9)
    (8, 2)
    """
    return max(2, size // 8)


def _covered(image: NDArray[np.uint8], corners: list[tuple[int, int]], patch: int, fill: int) -> NDArray[np.uint8]:
    """A copy of the image for each corner, in which the square that begins there is covered: (len(corners), H, W, 3)."""
    copies = np.repeat(image[None], len(corners), axis=0)
    for copy, (top, left) in zip(copies, corners, strict=True):
        copy[top : top + patch, left : left + patch] = fill
    return copies


def _positions(size: int, patch: int, step: int) -> list[int]:
    """Where the patch begins along an axis: every step, and once at the end, so that every pixel is covered."""
    return sorted({*range(0, size - patch + 1, step), size - patch})
