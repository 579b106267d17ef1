"""The convolution of an image so small that much of a filter lies beside it: products of the taps inside, and no others.

Between input pixel (p, q) and output pixel (i, j) stands one tap of the filter, or none:

    y[n, i, j, f] = bias[f] + Σ over p, q, c of x[n, p, q, c] · weight[p − i · stride + top, q − j · stride + left, c, f]

A 5 × 5 filter on 2 × 2 pixels has 16 such pairs, where the definition multiplies 100 times, mostly by the zeros of the padding.
Each output pixel is one `gathered_product` for all images, whose lists say which inputs and which rows of the filters meet.

Sizes: N images of H × W pixels and C channels, filters KH × KW, F filters, outputs OH × OW.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.matmul import apart, gathered_product, row_offsets
from scratchnet.kernels.transpose import transposed


class Pair(NamedTuple):
    """An input pixel, an output pixel, and the tap between them, each by its number, row by row."""

    pixel: int
    output: int
    tap: int


@functools.lru_cache(64)
def pairs_inside(geometry):
    """All pairs between which a tap stands, in a fixed order."""
    (height, width, _), (out_height, out_width, _) = geometry.input_shape, geometry.output_shape
    (kernel_height, kernel_width), (top, _, left, _) = geometry.kernel_size, geometry.pads
    found = []
    for p, q, i, j in itertools.product(*map(range, (height, width, out_height, out_width))):
        u, v = p - i * geometry.stride + top, q - j * geometry.stride + left
        if 0 <= u < kernel_height and 0 <= v < kernel_width:
            found.append(Pair(p * width + q, i * out_width + j, u * kernel_width + v))
    return tuple(found)


def forward(geometry, x, weight, bias):
    """y (N, OH, OW, F) of x (N, H, W, C), around which stand zeros."""
    images, _, _, channels = x.shape
    out_height, out_width, filters = geometry.output_shape
    y = empty((out_height * out_width, images, filters), x.dtype)
    pairs = pairs_inside(geometry)
    x = apart(x)
    rows = row_offsets(images, x.shape[1])
    for output in range(len(y)):
        met = [pair for pair in pairs if pair.output == output]
        inputs, taps = (_each([getattr(pair, name) for pair in met], channels) for name in ("pixel", "tap"))
        gathered_product(x.reshape(-1), rows, inputs, weight.reshape(-1, filters), taps, bias, False, y[output])
    return np.ascontiguousarray(y.transpose(1, 0, 2)).reshape(images, out_height, out_width, filters)


def backward_weight(geometry, x, dy, dweight, accumulate):
    """dweight (KH, KW, C, F), written or added to: for each tap the sum over the pairs between which it stands."""
    images, _, _, channels = x.shape
    _, out_height, out_width, filters = dy.shape
    pairs = pairs_inside(geometry)
    x_transposed = transposed(x.reshape(images, -1)).reshape(-1)
    rows, n, no_bias = row_offsets(channels, images), np.arange(images), np.zeros(filters, dy.dtype)
    for tap, gradient in enumerate(dweight.reshape(-1, channels, filters)):
        met = [pair for pair in pairs if pair.tap == tap]
        if met:
            inputs = np.concatenate([pair.pixel * channels * images + n for pair in met])
            outputs = np.concatenate([n * (out_height * out_width) + pair.output for pair in met])
            gathered_product(
                x_transposed, rows, inputs, dy.reshape(-1, filters), outputs, no_bias, accumulate, gradient
            )
        elif not accumulate:
            gradient[...] = 0


def backward_input(geometry, dy, weight):
    """dx (N, H, W, C) of dy (N, OH, OW, F).

    Computed as dxᵀ = W · dyᵀ, one input pixel after another: the filters are read where they lie.
    """
    images, filters = len(dy), dy.shape[3]
    height, width, channels = geometry.input_shape
    pairs = pairs_inside(geometry)
    dy_transposed = transposed(dy.reshape(images, -1))
    dx = empty((height * width, channels, images), dy.dtype)
    rows, no_bias = row_offsets(channels, filters), np.zeros(images, dy.dtype)
    for pixel in range(len(dx)):
        met = [pair for pair in pairs if pair.pixel == pixel]
        taps = np.concatenate([pair.tap * channels * filters + np.arange(filters) for pair in met] or [rows[:0]])
        outputs = _each([pair.output for pair in met], filters)
        gathered_product(weight.reshape(-1), rows, taps, dy_transposed, outputs, no_bias, False, dx[pixel])
    return transposed(dx.reshape(-1, images)).reshape(images, height, width, channels)


def _each(numbers, count):
    """Where the numbers of each of these pixels, or taps, lie: `count` for each, in order; int64."""
    return (np.array(numbers, np.int64)[:, None] * count + np.arange(count)).reshape(-1)
