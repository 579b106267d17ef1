"""The direct convolution: three products of gathered patches, after the padding has been made explicit.

Sizes: N images of H × W pixels and C channels, padded to HP × WP; filters KH × KW; F filters; outputs OH × OW with OH =
(HP − KH) // stride + 1.
"""

import itertools
from typing import NamedTuple

import numpy as np

from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.matmul import CHUNKS, chunks_of_product, column_sums, gathered_product, whole_tiles
from scratchnet.kernels.transpose import turn

MANY = 2  # pixels for each tap


@kernel
def place(x, top, left, step, out):
    """`reference.pad`, for a step of 1: out = zeros, with pixel (i, j) of x at (top + i · step, left + j · step) where that lies inside.

    x (N, H, W, C), out (N, HP, WP, C). With step 1 it pads; with the stride as step it spreads dy as the backward pass
    needs it. top and left may be negative: then it crops.
    """
    images, height, width, channels = x.shape
    _, out_height, out_width, _ = out.shape
    for task in prange(images * out_height):
        n, row = task // out_height, task % out_height
        i = (row - top) // step
        inside = (row - top) % step == 0 and 0 <= i < height
        for column in range(out_width):
            j = (column - left) // step
            if inside and (column - left) % step == 0 and 0 <= j < width:
                for c in range(channels):
                    out[n, row, column, c] = x[n, i, j, c]
            else:
                for c in range(channels):
                    out[n, row, column, c] = 0


def pad(x, top, bottom, left, right):
    """Images with a border of zeros: x (N, H, W, C) → (N, H + top + bottom, W + left + right, C). Without a border, x
    itself."""
    if top == bottom == left == right == 0:
        return x
    images, height, width, channels = x.shape
    out = np.empty((images, height + top + bottom, width + left + right, channels), x.dtype)
    place(x, top, left, 1, out)
    return out


def pixel_offsets(images, out_height, out_width, stride, padded_shape):
    """Where the patch of each output pixel begins in the padded images: (N · OH · OW,) int64, in the order of the outputs."""
    height, width, channels = padded_shape
    n = np.arange(images)[:, None, None]
    i = np.arange(out_height)[:, None] * stride
    j = np.arange(out_width) * stride
    return (((n * height + i) * width + j) * channels).reshape(-1)


def tap_offsets(kernel_height, kernel_width, padded_shape):
    """Where each entry of a patch lies, counted from the patch's beginning: (KH · KW · C,) int64, in the order of the filters."""
    _, width, channels = padded_shape
    u = np.arange(kernel_height)[:, None, None]
    v = np.arange(kernel_width)[:, None]
    return ((u * width + v) * channels + np.arange(channels)).reshape(-1)


def forward(x_padded, weight, bias, stride):
    """y[n, i, j, f] = bias[f] + Σ over u, v, c of x_padded[n, i·stride + u, j·stride + v, c] · weight[u, v, c, f].

    x_padded (N, HP, WP, C), weight (KH, KW, C, F), bias (F,) → y (N, OH, OW, F).
    """
    images, height, width, _ = x_padded.shape
    kernel_height, kernel_width, _, filters = weight.shape
    out_height, out_width = (height - kernel_height) // stride + 1, (width - kernel_width) // stride + 1
    y = np.empty((images, out_height, out_width, filters), x_padded.dtype)
    pixels = pixel_offsets(images, out_height, out_width, stride, x_padded.shape[1:])
    taps = tap_offsets(kernel_height, kernel_width, x_padded.shape[1:])
    matrix = weight.reshape(-1, filters)
    every = np.arange(taps.size)
    gathered_product(
        x_padded.reshape(-1), whole_tiles(pixels), taps, matrix, every, bias, False, y.reshape(-1, filters)
    )
    return y


def backward_weight(x_padded, dy, stride, dweight, accumulate):
    """dweight[u, v, c, f] = Σ over n, i, j of x_padded[n, i·stride + u, j·stride + v, c] · dy[n, i, j, f], or the same added to it.

    The product of the forward pass with the two lists of offsets exchanged: now the taps are the rows and the pixels
    are summed. Where they are many, they are cut into chunks, which threads sum side by side: else each of the few tiles of
    taps would pack all of dy for itself.
    """
    images, out_height, out_width, filters = dy.shape
    pixels = pixel_offsets(images, out_height, out_width, stride, x_padded.shape[1:])
    taps = tap_offsets(*dweight.shape[:2], x_padded.shape[1:])
    matrix, out = dy.reshape(-1, filters), dweight.reshape(-1, filters)
    if pixels.size >= MANY * taps.size:
        partial = empty((CHUNKS, *out.shape), dy.dtype)
        chunks_of_product(x_padded.reshape(-1), whole_tiles(taps), pixels, matrix, partial)
        np.add(partial.sum(axis=0), out if accumulate else 0, out=out)
        return
    no_bias, every = np.zeros(filters, dy.dtype), np.arange(pixels.size)
    gathered_product(x_padded.reshape(-1), whole_tiles(taps), pixels, matrix, every, no_bias, accumulate, out)


def backward_bias(dy):
    """dbias[f] = Σ over n, i, j of dy[n, i, j, f]."""
    return column_sums(dy.reshape(-1, dy.shape[-1]))


def backward_input(geometry, dy, weight):
    """dx[n, i, j, c] = Σ of dy · weight over all outputs whose patch holds (i, j): dy (N, OH, OW, F) → dx (N, H, W, C).

    Which taps reach a pixel depends on its row and column modulo the stride. For each of the stride² kinds of pixels it is a
    convolution of dy with those taps, turned by 180°, their channel axes exchanged.
    """
    images, out_height, out_width, filters = dy.shape
    (height, width, channels), (kernel_height, kernel_width), stride, (top, _, left, _) = (
        geometry.input_shape, geometry.kernel_size, geometry.stride, geometry.pads,
    )  # fmt: skip
    dx = empty((images, height, width, channels), dy.dtype)
    rows = [taps_of(start, stride, top, kernel_height, height) for start in range(stride)]
    columns = [taps_of(start, stride, left, kernel_width, width) for start in range(stride)]
    vertical, horizontal = border(rows, out_height), border(columns, out_width)
    padded = pad(dy, *vertical, *horizontal)
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        shape = images, row.pixels, column.pixels
        if row.taps.size == 0 or column.taps.size == 0:
            dx[:, i::stride, j::stride] = 0
        elif 0 not in shape:
            first = ((row.first + vertical[0]) * padded.shape[2] + column.first + horizontal[0]) * filters
            pixels = pixel_offsets(*shape, 1, padded.shape[1:]) + first
            taps = tap_offsets(row.taps.size, column.taps.size, padded.shape[1:])
            chosen = np.ascontiguousarray(weight[row.taps[:, None], column.taps])
            matrix = np.empty((row.taps.size * column.taps.size, filters, channels), dy.dtype)
            turn(chosen.reshape(-1, channels, filters), matrix)
            out = dx if stride == 1 else empty((*shape, channels), dy.dtype)
            gathered_product(
                padded.reshape(-1), whole_tiles(pixels), taps, matrix.reshape(-1, channels), np.arange(taps.size),
                np.zeros(channels, dy.dtype), False, out.reshape(-1, channels),
            )  # fmt: skip
            if stride > 1:
                dx[:, i::stride, j::stride] = out
    return dx


class Taps(NamedTuple):
    """Along one axis: the taps that reach the pixels start, start + stride, …, which are so many, in the order in which `turn` takes
    them; and the first output that the first of these pixels is reached from."""

    taps: np.ndarray
    pixels: int
    first: int


def taps_of(start, stride, before, taps, size):
    """`Taps` of an axis of `size` pixels with `before` pixels of padding and filters of `taps` taps."""
    first = (start + before) % stride
    reaching = np.arange(first, taps, stride)
    return Taps(reaching, -(-(size - start) // stride), (start + before) // stride - max(0, reaching.size - 1))


def border(kinds, outputs):
    """The zeros that all kinds of pixels need before and after an axis of so many outputs."""
    used = [kind for kind in kinds if kind.taps.size and kind.pixels > 0]
    before = max([0, *(-kind.first for kind in used)])
    return before, max([0, *(kind.first + kind.pixels + kind.taps.size - 1 - outputs for kind in used)])
