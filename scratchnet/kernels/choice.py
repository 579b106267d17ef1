"""Which algorithm computes a convolution: the direct one, or Winograd's with fewer multiplications."""

import os

import numba

from scratchnet.errors import ConfigError
from scratchnet.kernels.toom_cook import TILE, outputs

# The costs of Winograd's algorithm beyond its 64 multiplications a tile, in multiplications. Measured on one Zen 4 core
# at 100 GFLOP/s: 170 ns to transform 16 channels of a tile, 140 ns to bring 16 filters of it back, 11 ms to transform
# 512 × 256 filters.
TRANSFORM_INPUTS = 530  # for each tile and channel
TRANSFORM_OUTPUTS = 440  # for each tile and filter
TRANSFORM_FILTERS = 4200  # for each channel and filter


def can_use_winograd(kernel_size: tuple[int, int], stride: int) -> bool:
    """Whether there is such an algorithm: square filters from 3 × 3 to 7 × 7, stride 1; and a compiler for its transforms."""
    return (
        not numba.config.DISABLE_JIT and stride == 1 and kernel_size[0] == kernel_size[1] and 3 <= kernel_size[0] <= 7
    )


def use_winograd(
    kernel_size: tuple[int, int], stride: int, images: int, out_height: int, out_width: int, channels: int, filters: int
) -> bool:
    """Whether Winograd's algorithm has the smaller cost for a batch of this size.

    The variable SCRATCHNET_CONV, `direct` or `winograd`, decides instead where it is set and can be followed. The
    answer depends on nothing but the arguments, so that the same training takes the same path.
    """
    forced = os.environ.get("SCRATCHNET_CONV", "")
    if forced not in ("", "direct", "winograd"):
        raise ConfigError(f"the variable SCRATCHNET_CONV must be direct or winograd, got {forced!r}")
    if forced == "direct" or not can_use_winograd(kernel_size, stride):
        return False
    taps = kernel_size[0]
    tiles = images * -(-out_height // outputs(taps)) * -(-out_width // outputs(taps))
    direct = images * out_height * out_width * taps**2 * channels * filters
    products = tiles * TILE**2 * channels * filters
    transforms = (
        tiles * (TRANSFORM_INPUTS * channels + TRANSFORM_OUTPUTS * filters) + TRANSFORM_FILTERS * channels * filters
    )
    return forced == "winograd" or products + transforms < direct
