"""The direct convolution: three products of gathered patches, after the padding has been made explicit.

Sizes: N images of H × W pixels and C channels, padded to HP × WP; filters KH × KW; F filters; outputs OH × OW with OH =
(HP − KH) // stride + 1.
"""

import numpy as np
from numba import prange

from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.matmul import column_sums, gathered_product, whole_tiles
from scratchnet.kernels.transpose import turn


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
    are summed.
    """
    images, out_height, out_width, filters = dy.shape
    pixels = pixel_offsets(images, out_height, out_width, stride, x_padded.shape[1:])
    taps = tap_offsets(*dweight.shape[:2], x_padded.shape[1:])
    no_bias = np.zeros(filters, dy.dtype)
    matrix = dy.reshape(-1, filters)
    every = np.arange(pixels.size)
    gathered_product(
        x_padded.reshape(-1),
        whole_tiles(taps),
        pixels,
        matrix,
        every,
        no_bias,
        accumulate,
        dweight.reshape(-1, filters),
    )


def backward_bias(dy):
    """dbias[f] = Σ over n, i, j of dy[n, i, j, f]."""
    return column_sums(dy.reshape(-1, dy.shape[-1]))


def backward_input(dy, weight, stride, top, left, height, width):
    """dx[n, i, j, c] = Σ of dy · weight over all outputs whose patch holds (i, j): dy (N, OH, OW, F) → dx (N, height, width, C).

    It is a convolution too: dy spread out by the stride, with the filters turned by 180° and their channel axes
    exchanged. top and left are the padding of the forward pass.
    """
    images, _, _, filters = dy.shape
    kernel_height, kernel_width, channels, _ = weight.shape
    spread = np.empty((images, height + kernel_height - 1, width + kernel_width - 1, filters), dy.dtype)
    place(dy, kernel_height - 1 - top, kernel_width - 1 - left, stride, spread)
    dx = np.empty((images, height, width, channels), dy.dtype)
    pixels = pixel_offsets(images, height, width, 1, spread.shape[1:])
    taps = tap_offsets(kernel_height, kernel_width, spread.shape[1:])
    matrix = np.empty((kernel_height * kernel_width, filters, channels), dy.dtype)
    turn(weight.reshape(-1, channels, filters), matrix)
    no_bias = np.zeros(channels, dy.dtype)
    gathered_product(
        spread.reshape(-1),
        whole_tiles(pixels),
        taps,
        matrix.reshape(-1, channels),
        np.arange(taps.size),
        no_bias,
        False,
        dx.reshape(-1, channels),
    )
    return dx
