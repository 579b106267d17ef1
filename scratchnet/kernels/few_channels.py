"""The forward pass of the first layer: Winograd's tiles of an image of few channels, with ReLU and 2 × 2 max-pooling inside.

It computes what `winograd/passes.py` says, Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A, in another order. There a vector holds the channels
of a tile, of which an image has three; and V, M and Aᵀ M are written and read for three multiplications at each point.
Here a task takes a row of tiles through these steps:

    lines    Bᵀ d        down the eight lines of the tiles, for a vector of neighbouring numbers, whatever pixels they belong to
    turned               as many tiles as a vector has numbers: now it holds one number, pixel and channel, of each of them
    v        Bᵀ d B      across, for all these tiles at once
    half     Aᵀ M        M = V · U of one column of points, for a vector of filters and two tiles, in registers; M is never
                         in memory
    y        Aᵀ M A      two lines of outputs, whose windows are pooled in registers

Sizes: N images of H × W pixels and C channels, filters of T × T taps, F filters; tiles of 8 × 8 inputs and m × m outputs, m = 9 − T.
"""

import functools

import numpy as np
from numba import types
from numba.extending import intrinsic

from scratchnet.kernels.corners import copy_lines
from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.registers import INDEX, Vectors, loop, multiply_add
from scratchnet.kernels.machine.vectors import lanes, lanes_of
from scratchnet.kernels.transpose import transpose_square
from scratchnet.kernels.winograd.filters import transformed_filters
from scratchnet.kernels.winograd.pooled import largest_of_window
from scratchnet.kernels.winograd.toom_cook import TILE, outputs
from scratchnet.kernels.winograd.transforms import TO_INPUTS, TO_OUTPUTS, matrix_of, products, transform

MOST_CHANNELS = 4  # of which U and V of one vector of filters and of tiles, 64 · C vectors each, fill the first cache
# Tiles whose sums at eight points are made together. Where there are 16 registers, as with AVX2, they do not hold all of them; but with one
# tile, whose sums fit, each number of U is loaded for one product, and the kernel takes 4.9 instead of 3.0 ms
# (docs/measurements.md).
BESIDE = 2


def fits(taps, channels):
    """Whether the image has few channels, and tiles whole windows."""
    return channels <= MOST_CHANNELS and outputs(taps, TILE) % 2 == 0


def forward_pooled(x, weight, bias, top, left, y, winner):
    """Fills y (N, OH // 2, OW // 2, F) with the 2 × 2 max-pool of ReLU of the convolution of x (N, H, W, C), and winner; both as
    `winograd.passes.forward_pooled` does."""
    taps, _, channels, filters = weight.shape
    vector = lanes(x.dtype)
    u = transformed_filters(weight, TILE, False)[:, :, :channels]
    panels, points, _, columns = u.shape
    in_vectors = empty((panels, columns // vector, points, channels, vector), x.dtype)
    in_vectors[...] = u.reshape(panels, points, channels, -1, vector).transpose(0, 3, 1, 2, 4)
    biases = np.zeros(panels * columns, x.dtype)
    biases[:filters] = bias
    pooling_kernel(taps, channels)(x, in_vectors.reshape(-1), biases, top, left, y, winner)


@intrinsic(prefer_literal=True)
def multiply_columns(typingctx, taps, channels, v, first, u, start, bias, first_bias, half):
    """half[t, :, b] = Aᵀ (Σ_c v[:, b, c] · u[:, b, c]) for each column of points b, BESIDE tiles t from `first` on, a vector of filters.

    v (8, 8, C, vector of tiles), u (8, 8, C, vector of filters) from `start` on, half (BESIDE, m, 8, vector of filters), flat.
    taps and channels must be constants.
    """
    signature = types.void(taps, channels, v, types.intp, u, types.intp, bias, types.intp, half)
    m, depth = outputs(taps.literal_value, TILE), channels.literal_value
    matrix = matrix_of(TO_OUTPUTS, taps.literal_value, TILE)

    def generate(context, builder, signature, arguments):
        wide = Vectors(context, builder, signature, arguments, like=2)
        zero, vector = wide.constant(0.0), INDEX(wide.count)
        added = wide.load(wide.at(6, arguments[7]))

        def column(b, values):
            inputs, filters, target = values
            sums = [[zero] * TILE for _ in range(BESIDE)]
            for c in range(depth):
                for a in range(TILE):
                    place = a * TILE * depth + c
                    numbers = wide.load(filters, place)
                    for t in range(BESIDE):
                        number = builder.load(builder.gep(inputs, [INDEX(place * wide.count + t)]))
                        sums[t][a] = multiply_add(builder, wide.everywhere(number), numbers, sums[t][a])
            # The point (1, 1): Aᵀ and A are all ones there, so that a bias added to it reaches every output alike.
            here = builder.select(builder.icmp_signed("==", b, INDEX(1)), added, zero)
            for t in range(BESIDE):
                sums[t][1] = builder.fadd(sums[t][1], here)
                for i, made in enumerate(products(builder, wide, matrix, sums[t])):
                    wide.store(made, target, (t * m + i) * TILE)
            further = builder.mul(vector, INDEX(depth))
            return [builder.gep(inputs, [further]), builder.gep(filters, [further]), builder.gep(target, [vector])]

        begins = [wide.at(2, arguments[3]), wide.at(4, arguments[5]), wide.array(8).data]
        loop(builder, INDEX(0), INDEX(TILE), begins, column)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def pool_tile(typingctx, taps, half, number, down, across, used, y, winner, start, row_step, step):
    """y, winner = the 2 × 2 max-pool of ReLU of Aᵀ M A, for one tile and a vector of filters.

    half (tiles, m, 8, vector of filters), flat, of which tile `number` is meant. down × across windows are inside the image, and so
    many filters `used`; y, winner: flat, from `start` on, the window below row_step and the one beside it `step` further.
    """
    signature = types.void(taps, half, *(types.intp,) * 4, y, winner, *(types.intp,) * 3)
    m = outputs(taps.literal_value, TILE)
    matrix = matrix_of(TO_OUTPUTS, taps.literal_value, TILE)

    def generate(context, builder, signature, arguments):
        wide = Vectors(context, builder, signature, arguments, like=1)
        number, down, across, used = arguments[2:6]
        start, row_step, step = arguments[8:]
        is_whole = builder.icmp_signed("==", used, INDEX(wide.count))

        def write(vector, pointer):
            with builder.if_else(is_whole) as (whole, cut_off):
                with whole:
                    wide.store(vector, pointer)
                with cut_off:

                    def one(f, values):
                        builder.store(builder.extract_element(vector, f), builder.gep(pointer, [f]))
                        return []

                    loop(builder, INDEX(0), used, [], one)

        def windows(i, values):
            source, place = values
            upper, lower = (
                products(builder, wide, matrix, [wide.load(source, a * TILE + b) for b in range(TILE)]) for a in (0, 1)
            )
            for j in range(m // 2):
                best, corner = largest_of_window(wide, [*upper[2 * j : 2 * j + 2], *lower[2 * j : 2 * j + 2]])
                with builder.if_then(builder.icmp_signed("<", INDEX(j), across)):
                    here = builder.add(place, builder.mul(step, INDEX(j)))
                    write(best, wide.at(6, here))
                    write(corner, wide.at(7, here))
            return [builder.gep(source, [INDEX(2 * TILE * wide.count)]), builder.add(place, row_step)]

        begin = wide.at(1, builder.mul(number, INDEX(m * TILE * wide.count)))
        loop(builder, INDEX(0), down, [begin, start], windows)
        return context.get_dummy_value()

    return signature, generate


@functools.cache
def pooling_kernel(taps, channels):
    """The kernel for filters of taps × taps and so many channels; compiled when it is first called."""
    m = outputs(taps, TILE)
    windows, depth = m // 2, TILE * channels  # of a tile on a side; numbers in a line of a tile

    @kernel
    def pool_rows_of_tiles(x, u, biases, top, left, y, winner):
        """Computes `reference.max_pool2d` of `reference.relu` of `reference.conv2d`, one row of tiles after another.

        x (N, H, W, C), y and winner (N, OH, OW, F); u: flat, for each vector of filters (64, C, vector); biases (whole vectors,).
        """
        images, height, width, filters = y.shape
        vector = lanes_of(x)
        rows, columns = (height + windows - 1) // windows, (width + windows - 1) // windows
        squares = (depth + vector - 1) // vector
        length = (columns + vector - 1) // vector * vector * m * channels + squares * vector
        y_flat, winner_flat = y.reshape(-1), winner.reshape(-1)
        for task in prange(images * rows):
            rules = flush_denormals()
            n, i = task // rows, task % rows * windows
            lines = scratch(TILE * length, x)
            turned = scratch(squares * vector * vector, x)
            v = scratch(TILE * depth * vector, x)
            half = scratch(BESIDE * m * TILE * vector, x)
            copy_lines(x, n, 2 * i - top, -left, lines, TILE, length)
            for k in range(0, length, vector):
                transform(TO_INPUTS, taps, TILE, lines, k, length, lines, k, length)
            for first in range(0, columns, vector):
                for a in range(TILE):
                    line, pixel = a * length + first * m * channels, channels * vector
                    for k in range(0, squares * vector, vector):
                        transpose_square(lines, line + k, m * channels, turned, k * vector, vector)
                    for c in range(0, pixel, vector):
                        transform(TO_INPUTS, taps, TILE, turned, c, pixel, v, a * depth * vector + c, pixel)
                last = min(first + vector, columns)
                for f in range(0, filters, vector):
                    for t in range(first, last, BESIDE):
                        multiply_columns(taps, channels, v, t - first, u, f * TILE * depth, biases, f, half)
                        for tile in range(t, min(t + BESIDE, last)):
                            j = tile * windows
                            pool_tile(
                                taps, half, tile - t, min(windows, height - i), min(windows, width - j), min(vector, filters - f),
                                y_flat, winner_flat, ((n * height + i) * width + j) * filters + f, width * filters, filters,
                            )  # fmt: skip
            restore(rules)

    return pool_rows_of_tiles
