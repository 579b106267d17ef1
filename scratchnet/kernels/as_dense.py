"""The convolution of an image so small that most of a filter lies outside it: a dense layer whose matrix repeats the filters.

Every output is a weighted sum of all inputs, with weight zero where the filter doesn't reach:

    y[n, (i, j, f)] = bias[f] + Σ over p, q, c of x[n, (p, q, c)] · matrix[(p, q, c), (i, j, f)]
    matrix[(p, q, c), (i, j, f)] = weight[p − i · stride + top, q − j · stride + left, c, f]

A 5 × 5 filter on 2 × 2 pixels has 16 such weights for each channel and filter, where the definition multiplies 100
times, mostly by the zeros of the padding.

Sizes: N images of H × W pixels and C channels, filters KH × KW, F filters, outputs OH × OW.
"""

import itertools

import numpy as np

from scratchnet.kernels.elementwise import add_to
from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.matmul import dense_backward_input, dense_backward_weight, dense_forward


def taps_between(height, width, out_height, out_width, kernel_size, stride, top, left):
    """For every pair of an input (p, q) and an output (i, j), the tap (u, v) between them: p, q, i, j, u, v."""
    for p, q, i, j in itertools.product(range(height), range(width), range(out_height), range(out_width)):
        u, v = p - i * stride + top, q - j * stride + left
        if 0 <= u < kernel_size[0] and 0 <= v < kernel_size[1]:
            yield p, q, i, j, u, v


def matrix_of(weight, height, width, out_height, out_width, stride, top, left):
    """weight (KH, KW, C, F) → (H · W · C, OH · OW · F)."""
    kernel_height, kernel_width, channels, filters = weight.shape
    matrix = empty((height, width, channels, out_height, out_width, filters), weight.dtype)
    matrix[...] = 0
    size = kernel_height, kernel_width
    for p, q, i, j, u, v in taps_between(height, width, out_height, out_width, size, stride, top, left):
        matrix[p, q, :, i, j] = weight[u, v]
    return matrix.reshape(height * width * channels, -1)


def forward(x, weight, bias, stride, top, left, out_height, out_width):
    """y (N, OH, OW, F) of x (N, H, W, C) padded with zeros, `top` rows above and `left` columns before it."""
    images, height, width, _ = x.shape
    matrix = matrix_of(weight, height, width, out_height, out_width, stride, top, left)
    y = dense_forward(x.reshape(images, -1), matrix, np.tile(bias, out_height * out_width))
    return y.reshape(images, out_height, out_width, -1)


def backward_weight(x, dy, stride, top, left, dweight, accumulate):
    """dweight (KH, KW, C, F), written or added to: each gradient of the matrix is added to that of the weight it repeats."""
    images, height, width, channels = x.shape
    _, out_height, out_width, filters = dy.shape
    shape = (height, width, channels, out_height, out_width, filters)
    dmatrix = empty(shape, dy.dtype)
    flat = dmatrix.reshape(height * width * channels, -1)
    dense_backward_weight(x.reshape(images, -1), dy.reshape(images, -1), flat, False)
    sums = np.empty_like(dweight) if accumulate else dweight  # the sum is made apart, and added once
    sums[...] = 0
    for p, q, i, j, u, v in taps_between(height, width, out_height, out_width, dweight.shape[:2], stride, top, left):
        sums[u, v] += dmatrix[p, q, :, i, j]
    if accumulate:
        add_to(dweight, sums)


def backward_input(dy, weight, stride, top, left, height, width):
    """dx (N, H, W, C) of dy (N, OH, OW, F)."""
    images, out_height, out_width, _ = dy.shape
    matrix = matrix_of(weight, height, width, out_height, out_width, stride, top, left)
    return dense_backward_input(dy.reshape(images, -1), matrix).reshape(images, height, width, -1)
