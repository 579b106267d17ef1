"""A convolution, whichever algorithm computes it: all that the layers call.

There are three, and `algorithm` chooses the one of the smallest cost for a batch:

    "direct"    25 products for each output of a 5 × 5 filter, as `reference.conv2d` says     direct.py
    "winograd"  the same from 64 products for 16 outputs, for square filters at stride 1;
                of a whole image of 4 × 4 pixels from 49, of 2 × 2 from 9                     winograd/passes.py
                of few channels, with pooling, by vectors of tiles instead of channels        few_channels.py
    "inside"    the products of "direct" without those by the zeros around small images       inside.py

All compute what `reference.conv2d` and `reference.conv2d_gradient` say, to rounding. `forward_pooled` computes ReLU and a
2 × 2 max-pooling in the same pass over memory.
"""

import functools
import os
from typing import NamedTuple

import numba
import numpy as np

from scratchnet.errors import ConfigError
from scratchnet.kernels import corners, direct, few_channels, inside
from scratchnet.kernels.geometry import Geometry
from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.winograd import passes as winograd
from scratchnet.kernels.winograd.pooled import NOT_POOLED
from scratchnet.kernels.winograd.toom_cook import TILE, outputs, points, tile_sizes

# The costs of the algorithms in addition to their multiplications, in multiplications. Measured on one Zen 4 core at
# 100 GFLOP/s: 170 ns to transform 16 channels of a tile, 140 ns to bring 16 filters of it back; 3 channels take as long as 16,
# but in `few_channels`.
CHANNELS_OF_TRANSFORM = 16  # which share its vectors
TRANSFORM_INPUTS = 530  # for each tile and channel
TRANSFORM_OUTPUTS = 440  # for each tile and filter
TRANSFORM_FILTERS = 1000  # for each channel and filter
PACK_FILTERS = 8  # for each channel, filter, and pair of pixels
ROWS = 8  # that are multiplied even where fewer are wanted; on every machine, whatever its tile has: the choice decides bits
FEW_PIXELS = 9  # of outputs: for each the images are a product of their own


class Remembered(NamedTuple):
    """What a forward pass keeps for the backward pass: the algorithm, its x, and the winners of a fused pooling, if any."""

    how: str
    x: np.ndarray
    winner: np.ndarray = NOT_POOLED


def forward(geometry, x, weight, bias):
    """y (N, OH, OW, F) of images x (N, H, W, C), weight (KH, KW, C, F) and bias (F,); and what backward needs."""
    how = algorithm(geometry, len(x))
    if how == "winograd":
        top, _, left, _ = geometry.pads
        y = empty((len(x), *geometry.output_shape), x.dtype)
        winograd.forward(x, weight, bias, top, left, tile_inputs(geometry), y)
    elif how == "inside":
        y = inside.forward(geometry, x, weight, bias)
    else:
        x = direct.pad(x, *geometry.pads)
        y = direct.forward(x, weight, bias, geometry.stride)
    return y, Remembered(how, x)


def forward_pooled(geometry, x, weight, bias):
    """The 2 × 2 max-pool of ReLU of the convolution, (N, OH // 2, OW // 2, F), where `pools_inside`; and what backward needs."""
    out_height, out_width, filters = geometry.output_shape
    top, _, left, _ = geometry.pads
    shape = len(x), out_height // 2, out_width // 2, filters
    y, winner = empty(shape, x.dtype), empty(shape, np.uint8)
    inputs = tile_inputs(geometry)
    if inputs == TILE and few_channels.fits(len(weight), x.shape[3]):
        few_channels.forward_pooled(x, weight, bias, top, left, y, winner)
    else:
        winograd.forward_pooled(x, weight, bias, top, left, inputs, y, winner)
    return y, Remembered("winograd", x, winner)


def backward_bias(remembered, dy):
    """dbias (F,). dy: the gradient with respect to the y of the forward pass that left `remembered`, here and below."""
    if remembered.winner.size == 0:
        return direct.backward_bias(dy)
    return winograd.backward_bias(dy, remembered.winner)


def backward_weight(geometry, remembered, dy, dweight, accumulate):
    """Writes dweight (KH, KW, C, F), or adds to it."""
    how, x, winner = remembered
    out_height, out_width, _ = geometry.output_shape
    top, _, left, _ = geometry.pads
    if winner.size and corners.fits(dweight.shape[:2], dweight.shape[2], dweight.dtype):
        corners.backward_weight(x, dy, winner, top, left, dweight, accumulate)
    elif how == "winograd":
        inputs = tile_inputs(geometry)
        winograd.backward_weight(x, dy, winner, top, left, inputs, out_height, out_width, dweight, accumulate)
    elif how == "inside":
        inside.backward_weight(geometry, x, dy, dweight, accumulate)
    else:
        direct.backward_weight(x, dy, geometry.stride, dweight, accumulate)


def backward_input(geometry, remembered, dy, weight):
    """dx (N, H, W, C)."""
    if remembered.how != "winograd":
        products = inside if remembered.how == "inside" else direct
        return products.backward_input(geometry, dy, weight)
    top, _, left, _ = geometry.pads
    dx = empty((len(dy), *geometry.input_shape), dy.dtype)
    winograd.backward_input(dy, remembered.winner, weight, top, left, tile_inputs(geometry), dx)
    return dx


def can_use_winograd(kernel_size: tuple[int, int], stride: int) -> bool:
    """Whether Winograd's algorithm applies: square filters from 3 × 3 to 7 × 7, stride 1; and a compiler for its transforms."""
    return (
        not numba.config.DISABLE_JIT and stride == 1 and kernel_size[0] == kernel_size[1] and 3 <= kernel_size[0] <= 7
    )


def can_pool_inside(kernel_size: tuple[int, int], stride: int) -> bool:
    """Whether ReLU and a 2 × 2 max-pooling can be part of the pass: the tiles of this filter's size must have an even number of
    outputs."""
    return can_use_winograd(kernel_size, stride) and outputs(kernel_size[0], TILE) % 2 == 0


def pools_inside(geometry: Geometry, images: int) -> bool:
    """Whether they should be, for a batch of so many images."""
    return can_pool_inside(geometry.kernel_size, geometry.stride) and algorithm(geometry, images) == "winograd"


def algorithm(geometry: Geometry, images: int) -> str:
    """The algorithm of the smallest cost for a batch of so many images: "direct", "winograd" or "inside".

    The variable SCRATCHNET_CONV, `direct` or `winograd`, decides instead if it is set and that algorithm applies. The
    answer depends only on the arguments, so that the same training takes the same path.
    """
    forced = os.environ.get("SCRATCHNET_CONV", "")
    if forced not in ("", "direct", "winograd"):
        raise ConfigError(f"the variable SCRATCHNET_CONV must be direct or winograd, got {forced!r}")
    return _cheapest(geometry, images, forced)


@functools.lru_cache(256)
def _cheapest(geometry: Geometry, images: int, forced: str) -> str:
    """The algorithm of the smallest cost, or the one that is forced if it applies; each step of a training asks again."""
    channels, filters = geometry.input_shape[2], geometry.output_shape[2]
    costs = {"direct": multiplications("direct", geometry, images)}
    if can_use_winograd(geometry.kernel_size, geometry.stride):
        tiles = images * tiles_of_image(geometry)
        products = -(-tiles // ROWS) * ROWS * TILE**2 * channels * filters
        inputs, results = (-(-count // CHANNELS_OF_TRANSFORM) * CHANNELS_OF_TRANSFORM for count in (channels, filters))
        transforms = tiles * (TRANSFORM_INPUTS * inputs + TRANSFORM_OUTPUTS * results)
        cost = products + transforms + TRANSFORM_FILTERS * channels * filters  # of tiles of 8 × 8 points
        costs["winograd"] = cost * points(tile_inputs(geometry)) ** 2 // TILE**2
    if forced:
        return forced if forced in costs else "direct"
    if geometry.output_shape[0] * geometry.output_shape[1] <= FEW_PIXELS:
        rows = -(-images // ROWS) * ROWS
        costs["inside"] = multiplications("inside", geometry, rows + PACK_FILTERS)
    return min(costs, key=lambda name: costs[name])


def multiplications(name: str, geometry: Geometry, images: int) -> int:
    """The multiplications of an algorithm in one pass over the batch: forward, or for one of the two gradients."""
    channels, (out_height, out_width, filters) = geometry.input_shape[2], geometry.output_shape
    if name == "winograd":
        for_each_pair = tiles_of_image(geometry) * points(tile_inputs(geometry)) ** 2
    elif name == "inside":
        for_each_pair = len(inside.pairs_inside(geometry))
    else:
        for_each_pair = out_height * out_width * geometry.kernel_size[0] * geometry.kernel_size[1]
    return images * for_each_pair * channels * filters


def tiles_of_image(geometry: Geometry) -> int:
    """Tiles that cover the outputs of one image."""
    size = outputs(geometry.kernel_size[0], tile_inputs(geometry))
    return -(-geometry.output_shape[0] // size) * -(-geometry.output_shape[1] // size)


@functools.lru_cache(256)
def tile_inputs(geometry: Geometry) -> int:
    """Inputs of a tile along one axis: 8, or all of a small square image, no larger than the filter, with as many outputs."""
    (height, width, _), taps = geometry.input_shape, geometry.kernel_size[0]
    same = geometry.output_shape[:2] == (height, width) and geometry.pads == (taps // 2,) * 4
    return height if same and height == width and height in tile_sizes(taps) else TILE
