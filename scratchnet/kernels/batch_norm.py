"""Batch normalisation, in three passes over memory: two read x, one writes y.

x is flat here, (M · C,): M positions of C channels that lie side by side. With few channels a loop over them is too short
for vectors, so several positions are taken together as one line, and what belongs to a channel is repeated as often.

Sums are made in fixed blocks, which stay in a core's cache while their mean and the squared distances from it are taken, and
are then added in float64 in the order of the blocks (Chan, Golub & LeVeque 1983): the number of threads changes no bit, and no
digits are lost where the mean is large beside the spread.

A ReLU after it, and the sum of a residual block between the two, are part of the last pass.
"""

from typing import NamedTuple

import numpy as np

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import scratch

LINE = 256  # numbers in a line, at least, if there are so many channels or fewer
BLOCK = 16384  # numbers in a block: 64 KB of float32 stay in a core's L2 cache


class Constants(NamedTuple):
    """What y = factor · (x − mean) + beta is made of, each as long as a line in the dtype of x, and floor, below which no y falls.

    floor is 0 where ReLU comes next and is part of the pass, else −∞.
    """

    mean: np.ndarray
    factor: np.ndarray
    beta: np.ndarray
    floor: float


def in_lines(*rows):
    """Each row (C,) repeated for the positions of a line: (rows, line)."""
    channels = rows[0].size
    wide = np.empty((len(rows), positions_of_line(channels), channels), rows[0].dtype)
    for target, row in zip(wide, rows, strict=True):
        target[:] = row
    return wide.reshape(len(rows), -1)


def constants_of(mean, factor, beta, floor):
    """`Constants` of mean, factor and beta, (C,) each."""
    return Constants(*in_lines(mean, factor, beta), mean.dtype.type(floor))


def positions_of_line(channels):
    """Positions that are taken together."""
    return max(1, LINE // channels)


def cut(size, line):
    """How x (size,) is cut: numbers in a block, number of blocks."""
    block = line * max(1, BLOCK // line)
    return block, -(-size // block)


def moments(x, channels):
    """`reference.batch_moments` of x (M · C,): mean and variance, (C,) float64."""
    together = positions_of_line(channels)
    block, blocks = cut(x.size, together * channels)
    partial = np.empty((blocks, 2, channels))
    block_moments(x, together, block, partial)
    counts = np.full((blocks, 1), block // channels)
    counts[-1] = (x.size - (blocks - 1) * block) // channels
    total = x.size // channels
    mean = (counts * partial[:, 0]).sum(axis=0) / total
    squares = partial[:, 1].sum(axis=0) + (counts * (partial[:, 0] - mean) ** 2).sum(axis=0)
    return mean, squares / total


def forward(x, constants, more, y):
    """Fills y (M · C,) with `reference.batch_norm` of x, where factor = gamma / √(variance + epsilon), and what `more` holds.

    more: like x, or empty.
    """
    block, _ = cut(x.size, constants.mean.size)
    normalise(x, *constants, more, block, y)


def sums(dy, x, constants, channels):
    """Σ dy and Σ dy · (x − mean) over the positions whose y was above floor: (2, C) float64."""
    block, blocks = cut(x.size, constants.mean.size)
    partial = np.empty((blocks, 2, channels))
    block_sums_of_products(dy, x, *constants, block, partial)
    return partial.sum(axis=0)


def sums_above(dy, y, x, constants, channels, dz):
    """Fills dz with dy where y > 0, else 0, and returns the `sums` of dz: all (M · C,)."""
    block, blocks = cut(x.size, constants.mean.size)
    partial = np.empty((blocks, 2, channels))
    block_sums_above(dy, y, x, constants.mean, block, dz, partial)
    return partial.sum(axis=0)


def backward(dy, x, constants, slope, offset, dx):
    """Fills dx (M · C,) = factor · dy + slope · (x − mean) + offset, with dy = 0 where y was not above floor; slope, offset (C,)."""
    block, _ = cut(x.size, constants.mean.size)
    combine(dy, x, *constants, *in_lines(slope, offset), block, dx)


@helper
def fold(line, channels):
    """line[:channels] = the sum of all its pieces of so many channels."""
    for start in range(channels, line.size, channels):
        for c in range(channels):
            line[c] += line[start + c]


@kernel
def block_moments(x, together, block, partial):
    """`np.mean` of each block of x, and the sum of the `np.square` of all distances from it: partial (blocks, 2, C) float64."""
    blocks, _, channels = partial.shape
    line = together * channels
    for i in prange(blocks):
        rules = flush_denormals()
        here = x[i * block : min(x.size, (i + 1) * block)]
        total, mean = scratch(line, x), scratch(line, x)
        total[:] = 0
        for start in range(0, here.size, line):
            numbers = here[start : start + line]
            for k in range(numbers.size):
                total[k] += numbers[k]
        fold(total, channels)
        for k in range(line):
            mean[k] = total[k % channels] / (here.size // channels)
        total[:] = 0
        for start in range(0, here.size, line):
            numbers = here[start : start + line]
            for k in range(numbers.size):
                total[k] += (numbers[k] - mean[k]) * (numbers[k] - mean[k])
        fold(total, channels)
        partial[i, 0] = mean[:channels]
        partial[i, 1] = total[:channels]
        restore(rules)


@kernel
def normalise(x, mean, factor, beta, floor, more, block, y):
    """`reference.batch_norm`: y = factor · (x − mean) + beta, plus `more` if there is any, or floor if that is larger.

    What belongs to channels is as long as a line. −∞ stays: no ReLU makes zero of what has overflowed.
    """
    lowest = x.dtype.type(-np.inf)
    for i in prange((x.size + block - 1) // block):
        rules = flush_denormals()
        for start in range(i * block, min(x.size, (i + 1) * block), mean.size):
            numbers, out = x[start : start + mean.size], y[start : start + mean.size]
            if more.size > 0:
                added = more[start : start + mean.size]
                for k in range(numbers.size):
                    value = factor[k] * (numbers[k] - mean[k]) + beta[k] + added[k]
                    out[k] = floor if lowest < value < floor else value
            else:
                for k in range(numbers.size):
                    value = factor[k] * (numbers[k] - mean[k]) + beta[k]
                    out[k] = floor if lowest < value < floor else value
        restore(rules)


@kernel
def block_sums_of_products(dy, x, mean, factor, beta, floor, block, partial):
    """`np.sum` of dy and of dy · (x − mean) in each block, where y was above floor: partial (blocks, 2, C) float64."""
    blocks, _, channels = partial.shape
    line = mean.size
    for i in prange(blocks):
        rules = flush_denormals()
        first, last = i * block, min(x.size, (i + 1) * block)
        total, products = scratch(line, x), scratch(line, x)
        total[:] = 0
        products[:] = 0
        for start in range(first, last, line):
            numbers, slopes = x[start : min(last, start + line)], dy[start : min(last, start + line)]
            for k in range(numbers.size):
                distance = numbers[k] - mean[k]
                slope = slopes[k] if factor[k] * distance + beta[k] > floor else x.dtype.type(0)
                total[k] += slope
                products[k] += slope * distance
        fold(total, channels)
        fold(products, channels)
        partial[i, 0] = total[:channels]
        partial[i, 1] = products[:channels]
        restore(rules)


@kernel
def block_sums_above(dy, y, x, mean, block, dz, partial):
    """`reference.relu_gradient`: dz = dy where y > 0, else 0; and the `np.sum` of dz and of dz · (x − mean) in each block.

    partial (blocks, 2, C) float64; mean is as long as a line.
    """
    blocks, _, channels = partial.shape
    line = mean.size
    for i in prange(blocks):
        rules = flush_denormals()
        last = min(x.size, (i + 1) * block)
        total, products = scratch(line, x), scratch(line, x)
        total[:] = 0
        products[:] = 0
        for start in range(i * block, last, line):
            stop = min(last, start + line)
            numbers, slopes, outputs, kept = x[start:stop], dy[start:stop], y[start:stop], dz[start:stop]
            for k in range(numbers.size):
                slope = slopes[k] if outputs[k] > 0 else x.dtype.type(0)
                kept[k] = slope
                total[k] += slope
                products[k] += slope * (numbers[k] - mean[k])
        fold(total, channels)
        fold(products, channels)
        partial[i, 0] = total[:channels]
        partial[i, 1] = products[:channels]
        restore(rules)


@kernel
def combine(dy, x, mean, factor, beta, floor, slope, offset, block, dx):
    """`reference.batch_norm_gradient`, its dx, with all sums in slope and offset; what belongs to channels is as long as a line."""
    for i in prange((x.size + block - 1) // block):
        rules = flush_denormals()
        for start in range(i * block, min(x.size, (i + 1) * block), mean.size):
            numbers, slopes = x[start : start + mean.size], dy[start : start + mean.size]
            out = dx[start : start + mean.size]
            for k in range(numbers.size):
                distance = numbers[k] - mean[k]
                above = slopes[k] if factor[k] * distance + beta[k] > floor else x.dtype.type(0)
                out[k] = factor[k] * above + slope[k] * distance + offset[k]
        restore(rules)
