"""The gradient of the filters where a 2 × 2 max-pooling follows and the image has few channels: that of the first layer.

Of the four gradients in a window three are zero, and the fourth stands where the window's winner was. With few channels all
that one row of a filter sees of the image, KW · C numbers side by side, is a vector or two. So nothing is transformed:

    dweight[u, :, :, f] += dy[n, i, j, f] · x[n, 2i + a + u − top, 2j + b − left : 2j + b − left + KW, :]

with (a, b) the winner's corner, for each window and filter. A filter's KH rows of sums stay in registers while the windows of
a row go by: KH multiplications of a vector for each, where the fast convolution would transform zeros.

Sizes: N images of H × W pixels and C channels, filters KH × KW, F filters, pooled outputs OH × OW.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from scratchnet.kernels.elementwise import add_to
from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.registers import INDEX, Vectors, copy_numbers, loop, multiply_add
from scratchnet.kernels.machine.vectors import TILE_ROWS, TILE_VECTORS, lanes
from scratchnet.kernels.winograd.pooled import CUT

STRIP = 16  # windows side by side in the first cache: what they see is 12 KB for 5 × 5 filters
SLOTS = 32  # tasks with sums of their own, whatever the number of threads
MOST_SUMS = TILE_ROWS * TILE_VECTORS  # vectors of sums that registers hold beside what is multiplied


def vectors_of(kernel_size, channels, dtype):
    """Vectors that hold one row of a filter."""
    return -(-kernel_size[1] * channels // lanes(dtype))


def fits(kernel_size, channels, dtype):
    """Whether a filter's sums fit into registers."""
    return kernel_size[0] * vectors_of(kernel_size, channels, dtype) <= MOST_SUMS


def backward_weight(x, dy, winner, top, left, dweight, accumulate):
    """Writes dweight (KH, KW, C, F), or adds to it: x (N, H, W, C), dy and winner (N, OH, OW, F) of the pooled outputs."""
    kernel_height, kernel_width, channels, filters = dweight.shape
    vectors = vectors_of((kernel_height, kernel_width), channels, dy.dtype)
    slots = min(SLOTS, len(dy) * dy.shape[1])
    partial = empty((slots, filters, kernel_height, vectors * lanes(dy.dtype)), dy.dtype)
    sum_kernel(kernel_height, vectors)(x, dy, winner, top, left, partial)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel
        sums = partial.sum(axis=0)[:, :, : kernel_width * channels]
        sums = sums.reshape(filters, kernel_height, kernel_width, channels).transpose(1, 2, 3, 0)
        if accumulate:
            add_to(dweight, np.ascontiguousarray(sums))
        else:
            dweight[...] = sums


@intrinsic(prefer_literal=True)
def spread(typingctx, taps, vectors, lines, length, channels, count, seen):
    """seen[p, a] = what a filter sees of row a from pixel p on, for `count` pixels and taps + 1 rows: `vectors` vectors of numbers.

    lines: the rows, flat, each `length` numbers long; seen: flat. In the lines most vectors would straddle two lines of the
    cache; here none does, and what a window sees lies in a row. taps and vectors must be constants.
    """
    signature = types.void(taps, vectors, lines, types.intp, types.intp, types.intp, seen)
    rows, across = taps.literal_value + 1, vectors.literal_value

    def generate(context, builder, signature, arguments):
        wide = Vectors(context, builder, signature, arguments, like=2)
        length, channels, count = arguments[3:6]

        def pixel(p, values):
            line, target = (
                wide.at(2, builder.mul(p, channels)),
                wide.at(6, builder.mul(p, INDEX(rows * across * wide.count))),
            )
            for a in range(rows):
                for v in range(across):
                    wide.store(wide.load(line, v), target, a * across + v)
                line = builder.gep(line, [length])
            return []

        loop(builder, INDEX(0), count, [], pixel)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def add_windows(typingctx, taps, vectors, seen, dy, winner, start, step, count, sums):
    """sums[u] += Σ over `count` windows j of dy[j] · seen[2j + b, a + u], for the `taps` rows u of one filter.

    seen (positions, taps + 1, vectors of numbers), flat: what `spread` has laid out. dy, winner: flat, of window j at start + j · step;
    (a, b) is the winner's corner. sums (taps, vectors of numbers), contiguous. taps and vectors must be constants, so that
    the loop finds the rows of what a window has seen without a multiplication.
    """
    signature = types.void(taps, vectors, seen, dy, winner, types.intp, types.intp, types.intp, sums)
    rows, across = taps.literal_value, vectors.literal_value

    def generate(context, builder, signature, arguments):
        wide = Vectors(context, builder, signature, arguments, like=3)
        start, step, count = arguments[5:8]
        byte, zero, out = ir.IntType(8), ir.Constant(wide.scalar, 0.0), wide.array(8).data
        row = across * wide.count  # numbers from one to the next

        def window(j, values):
            place, *added = values
            won = builder.load(wide.at(4, place))
            gradient = builder.load(wide.at(3, place))
            gradient = builder.select(builder.icmp_unsigned("<", won, byte(CUT)), gradient, zero)
            below = builder.zext(builder.and_(builder.lshr(won, byte(1)), byte(1)), INDEX)
            pixel = builder.add(builder.shl(j, INDEX(1)), builder.zext(builder.and_(won, byte(1)), INDEX))
            corner = builder.add(builder.mul(pixel, INDEX((rows + 1) * row)), builder.mul(below, INDEX(row)))
            here, many = wide.at(2, corner), wide.everywhere(gradient)
            sums_now = [multiply_add(builder, many, wide.load(here, i), total) for i, total in enumerate(added)]
            return [builder.add(place, step), *sums_now]

        held = [wide.load(out, i) for i in range(rows * across)]
        _, *totals = loop(builder, INDEX(0), count, [start, *held], window)
        for i, total in enumerate(totals):
            wide.store(total, out, i)
        return context.get_dummy_value()

    return signature, generate


@helper
def copy_lines(x, n, row, column, lines, count, length):
    """lines (count, length), flat: rows of image n from (row, column) on, all channels; zeros outside the image."""
    _, height, width, channels = x.shape
    begin = max(0, -column) * channels
    size = min(length - begin, (width - column) * channels - begin)
    x_flat = x.reshape(-1)  # Numba refuses an x that is not contiguous
    lines[:] = 0
    for a in range(max(0, -row), min(count, height - row)):
        copy_numbers(
            x_flat, ((n * height + row + a) * width + column) * channels + begin, lines, a * length + begin, size
        )


@functools.cache
def sum_kernel(taps, vectors):
    """The kernel for filters of so many rows, each of so many vectors; compiled when it is first called."""

    @kernel
    def sum_of_corners(x, dy, winner, top, left, partial):
        """partial[i] = Σ over the i-th share of all rows of windows of dy · x, row by row of a filter.

        It computes the dweight of `reference.conv2d_gradient` of `reference.max_pool2d_gradient`. x (N, H, W, C), dy, winner
        (N, OH, OW, F), partial (slots, F, KH, whole vectors). The shares are fixed, and each is added up in order: the
        number of threads changes no bit.
        """
        slots, filters, _, width = partial.shape
        _, down, across, _ = dy.shape
        channels = x.shape[3]
        length = (2 * across + 1) * channels + width
        dy_flat, winner_flat = dy.reshape(-1), winner.reshape(-1)
        for slot in prange(slots):
            rules = flush_denormals()
            lines = scratch((taps + 1) * length, x)
            seen = scratch(2 * STRIP * (taps + 1) * width, x)
            partial[slot] = 0
            total = dy.shape[0] * down
            for number in range(slot * total // slots, (slot + 1) * total // slots):
                copy_lines(x, number // down, 2 * (number % down) - top, -left, lines, taps + 1, length)
                for first in range(0, across, STRIP):
                    count = min(STRIP, across - first)
                    spread(taps, vectors, lines[2 * first * channels :], length, channels, 2 * count, seen)
                    for f in range(filters):
                        start = (number * across + first) * filters + f
                        add_windows(taps, vectors, seen, dy_flat, winner_flat, start, filters, count, partial[slot, f])
            restore(rules)

    return sum_of_corners
