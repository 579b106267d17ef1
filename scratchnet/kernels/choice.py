"""Which algorithm computes a convolution: the direct one, Winograd's with fewer multiplications, or a dense layer."""

import os

import numba

from scratchnet.errors import ConfigError
from scratchnet.kernels.toom_cook import TILE, outputs

# The costs of the algorithms beyond their multiplications, in multiplications. Measured on one Zen 4 core at 100 GFLOP/s:
# 170 ns to transform 16 channels of a tile, 140 ns to bring 16 filters of it back, 11 ms to transform 512 × 256 filters;
# 3 ms to spread these out to the matrix of a dense layer on 2 × 2 pixels, and 3 ms to gather its gradient.
TRANSFORM_INPUTS = 530  # for each tile and channel
TRANSFORM_OUTPUTS = 440  # for each tile and filter
TRANSFORM_FILTERS = 4200  # for each channel and filter
SPREAD_FILTERS = 75  # for each entry of the matrix


def can_use_winograd(kernel_size: tuple[int, int], stride: int) -> bool:
    """Whether there is such an algorithm: square filters from 3 × 3 to 7 × 7, stride 1; and a compiler for its transforms."""
    return (
        not numba.config.DISABLE_JIT and stride == 1 and kernel_size[0] == kernel_size[1] and 3 <= kernel_size[0] <= 7
    )


def algorithm(
    kernel_size: tuple[int, int],
    stride: int,
    images: int,
    input_shape: tuple[int, int, int],
    output_shape: tuple[int, int, int],
) -> str:
    """The one of the smallest cost for a batch of so many images: "direct", "winograd" or "dense".

    input_shape (H, W, C), output_shape (OH, OW, F). The variable SCRATCHNET_CONV, `direct` or `winograd`, decides
    instead where it is set and can be followed. The answer depends on nothing but the arguments, so that the same
    training takes the same path.
    """
    forced = os.environ.get("SCRATCHNET_CONV", "")
    if forced not in ("", "direct", "winograd"):
        raise ConfigError(f"the variable SCRATCHNET_CONV must be direct or winograd, got {forced!r}")
    costs = {"direct": multiplications("direct", kernel_size, images, input_shape, output_shape)}
    if can_use_winograd(kernel_size, stride):
        products = multiplications("winograd", kernel_size, images, input_shape, output_shape)
        channels, filters = input_shape[2], output_shape[2]
        tiles = images * tiles_of_image(kernel_size[0], output_shape)
        transforms = tiles * (TRANSFORM_INPUTS * channels + TRANSFORM_OUTPUTS * filters)
        costs["winograd"] = products + transforms + TRANSFORM_FILTERS * channels * filters
    if forced:
        return forced if forced in costs else "direct"
    entries = multiplications("dense", kernel_size, 1, input_shape, output_shape)
    weights = kernel_size[0] * kernel_size[1] * input_shape[2] * output_shape[2]
    if entries <= weights:  # a matrix no larger than the filters
        costs["dense"] = (images + SPREAD_FILTERS) * entries
    return min(costs, key=lambda name: costs[name])


def multiplications(
    name: str,
    kernel_size: tuple[int, int],
    images: int,
    input_shape: tuple[int, int, int],
    output_shape: tuple[int, int, int],
) -> int:
    """What an algorithm multiplies in one pass over the batch: forward, or for one of the two gradients."""
    (height, width, channels), (out_height, out_width, filters) = input_shape, output_shape
    if name == "winograd":
        for_each_pair = tiles_of_image(kernel_size[0], output_shape) * TILE**2
    elif name == "dense":
        for_each_pair = height * width * out_height * out_width
    else:
        for_each_pair = out_height * out_width * kernel_size[0] * kernel_size[1]
    return images * for_each_pair * channels * filters


def tiles_of_image(taps: int, output_shape: tuple[int, int, int]) -> int:
    """Tiles that cover the outputs of one image."""
    return -(-output_shape[0] // outputs(taps)) * -(-output_shape[1] // outputs(taps))
