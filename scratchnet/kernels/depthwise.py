"""Depthwise convolution: each channel with a filter of its own.

It has few multiplications for each number that it reads, so it is a pass over memory and no matrix product. With a stride of 1
the outputs of a row and the inputs at one tap are two lines of OW · C numbers side by side, whatever C is, and the tap's
weights are repeated to such a line.
"""

import numpy as np

from scratchnet.kernels.direct import place
from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch

BLOCKS = 32  # of images, each with a sum of its own: fixed, so that the number of threads changes no bit


def forward(x_padded, weight, bias, stride):
    """`reference.depthwise_conv2d`: x_padded (N, HP, WP, C), weight (KH, KW, C), bias (C,) → y (N, OH, OW, C)."""
    images, height, width, channels = x_padded.shape
    kernel_height, kernel_width, _ = weight.shape
    out_height, out_width = (height - kernel_height) // stride + 1, (width - kernel_width) // stride + 1
    y = empty((images, out_height, out_width, channels), x_padded.dtype)
    convolve_rows(x_padded, np.tile(weight, (1, 1, out_width)), np.tile(bias, out_width), stride, y)
    return y


def backward_input(dy, weight, stride, top, left, height, width):
    """dx (N, height, width, C): the same convolution of dy, spread out by the stride, with the filters turned by 180°."""
    kernel_height, kernel_width, channels = weight.shape
    spread = empty((len(dy), height + kernel_height - 1, width + kernel_width - 1, channels), dy.dtype)
    place(dy, kernel_height - 1 - top, kernel_width - 1 - left, stride, spread)
    turned = np.ascontiguousarray(weight[::-1, ::-1])
    return forward(spread, turned, np.zeros(channels, dy.dtype), 1)


def backward_weight(x_padded, dy, stride, kernel_size):
    """dweight (KH, KW, C)."""
    partial = np.empty((min(BLOCKS, len(dy)), *kernel_size, dy.shape[3]), dy.dtype)
    sums_of_rows(x_padded, dy, stride, partial)
    return partial.sum(axis=0)


@helper
def multiply_add(line, weight, first, step, channels, sums):
    """sums (OW · C) += weight · the line's numbers from `first` on, for outputs that are `step` numbers apart."""
    if step == channels:
        here = line[first : first + sums.size]
        for k in range(sums.size):
            sums[k] += here[k] * weight[k]
    else:
        for j in range(sums.size // channels):
            for c in range(channels):
                sums[j * channels + c] += line[first + j * step + c] * weight[j * channels + c]


@kernel
def convolve_rows(x, weight, bias, stride, y):
    """`reference.depthwise_conv2d`, row by row; weight (KH, KW, OW · C) and bias (OW · C,) are repeated to the length of a row."""
    images, out_height, _, channels = y.shape
    kernel_height, kernel_width, line = weight.shape
    for row in prange(images * out_height):
        rules = flush_denormals()
        n, i = row // out_height, row % out_height
        out = y[n, i].reshape(line)
        for k in range(line):
            out[k] = bias[k]
        for u in range(kernel_height):
            source = x[n, i * stride + u].reshape(-1)
            for v in range(kernel_width):
                multiply_add(source, weight[u, v], v * channels, stride * channels, channels, out)
        restore(rules)


@kernel
def sums_of_rows(x, dy, stride, partial):
    """`reference.depthwise_conv2d_gradient`, its dweight, of each block of images: partial (blocks, KH, KW, C)."""
    images, out_height, out_width, channels = dy.shape
    blocks, kernel_height, kernel_width, _ = partial.shape
    line = out_width * channels
    for block in prange(blocks):
        rules = flush_denormals()
        sums = scratch(kernel_height * kernel_width * line, dy).reshape(kernel_height, kernel_width, line)
        sums[:] = 0
        for n in range(block * images // blocks, (block + 1) * images // blocks):
            for i in range(out_height):
                slope = dy[n, i].reshape(line)
                for u in range(kernel_height):
                    source = x[n, i * stride + u].reshape(-1)
                    for v in range(kernel_width):
                        multiply_add(source, slope, v * channels, stride * channels, channels, sums[u, v])
        partial[block] = 0
        for u in range(kernel_height):
            for v in range(kernel_width):
                for k in range(0, line, channels):
                    for c in range(channels):
                        partial[block, u, v, c] += sums[u, v, k + c]
        restore(rules)
