"""The matrix product that everything rests on, written so that it also computes a convolution.

A convolution is a product of a matrix of patches with the matrix of filters. The matrix of patches (`im2col`) is 25
times as large as the images for a 5×5 filter, so it is never built. Its entry for output pixel p and filter tap t is an
entry of the images, and its place is a sum:

    patches[p, t] = image[pixel_offset[p] + tap_offset[t]]

The product below therefore takes its left matrix as an array and two lists of offsets. With offsets (p · columns, t) it
is a plain product; with the lists exchanged it is the product with the transpose, which is what the gradient of the
filters needs. The idea is that of the indirect convolution (Dukhan, "The Indirect Convolution Algorithm", 2019), here
with one offset an entry instead of one pointer a patch.

Each task packs the pieces of the right matrix that it needs into panels as wide as a register tile, so that the
innermost loop reads them from end to end (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008).
"""

import functools
import math

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, inlined, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import LINE, empty, scratch
from scratchnet.kernels.machine.registers import INDEX, Vectors, loop, multiply_add, prefetch
from scratchnet.kernels.machine.threads import thread_count
from scratchnet.kernels.machine.vectors import TILE_ROWS, TILE_VECTORS, lanes_of, panel_width
from scratchnet.kernels.transpose import LITTLE, transposed

DEPTH = 512  # products summed in registers before they are added to C: 512 × 32 float32 of B are 64 KB and stay in a core's L2 cache
BLOCK_TILES = 16  # register tiles below each other in one task, all of which use the same piece of B
BESIDE = 128  # columns of b packed beside each other, where tasks are enough: its rows are read in runs of 512 bytes
PACKED = 1 << 15  # numbers of b packed at a time at most: 128 KB of a core's L2 cache
AHEAD = 8  # rows of b that memory is asked for in advance: the processor does so by itself only along a row, and runs are short
ROWS_OF_B = 64  # packed at a time where whole rows are read: 64 × 1024 float32 are 256 KB
LONG, FEW = 1024, 64  # with at least so many rows of b, and at most so few rows of a, reading b is most of the work
CHUNKS, ROWS_OF_CHUNK = 32, 256  # a product whose b is read once is cut into so many, of at least so many rows
ENOUGH = 1 << 21  # products that are worth another thread, some 40 µs
SUMMED = 1 << 17  # numbers to be summed that are
TASKS_OF_THREAD = 4  # so that all are busy to the end; with more, more of them would pack the same pieces of b


# The register tile: TILE_ROWS rows by one panel of TILE_VECTORS vectors V; with AVX-512, 8 rows by 2 vectors of 16 float32.
# All sums stay in registers while k runs:
#
#                               b[panel, k]:   [  V  ] [  V  ]      two vectors are loaded
#
#     a[rows[row + 0] + cols[k]]   →  sum 0:   [  V  ] [  V  ]      one number of a is repeated over a vector, multiplied
#     a[rows[row + 1] + cols[k]]   →  sum 1:   [  V  ] [  V  ]      with both vectors of b and added to the row's two sums
#        …
#     a[rows[row + 7] + cols[k]]   →  sum 7:   [  V  ] [  V  ]      16 multiply-and-add instructions for 10 loads
#
# Where b has so few columns that one vector holds them, its panel is one vector wide, and so is the tile.


def tile_product_in_numpy(a, rows, row, cols, start, stop, b, panel, add, tile):
    """tile[r, f] = Σ over start ≤ k < stop of a[rows[row + r] + cols[k]] · b[panel, k, f], for TILE_ROWS rows and b's panel width.

    With `add` the sum goes on from what tile holds: cut into pieces, it is still one sum in the order of k, to the last bit.
    The twin of what follows, which is `tile_product` where Numba is switched off (NUMBA_DISABLE_JIT), as in a debugger.
    """
    product = a[rows[row : row + TILE_ROWS, None] + cols[start:stop]] @ b[panel, start:stop]
    tile[:TILE_ROWS] = tile[:TILE_ROWS] + product if add else product


def _tile_product_code(typingctx, a, rows, row, cols, start, stop, b, panel, add, tile):
    """`tile_product_in_numpy`, in LLVM's language because no compiler finds the register tile by itself."""
    signature = types.void(a, rows, types.intp, cols, types.intp, types.intp, b, types.intp, types.boolean, tile)

    def generate(context, builder, signature, arguments):
        wide = Vectors(context, builder, signature, arguments, like=0)
        a_data, rows_data, cols_data, tile_data = (wide.array(position).data for position in (0, 1, 3, 9))
        row, start, stop, panel = (arguments[position] for position in (2, 4, 5, 7))
        depth, width = (builder.extract_value(wide.array(6).shape, axis) for axis in (1, 2))
        b_start = wide.at(6, builder.mul(builder.add(builder.mul(panel, depth), start), width))
        a_rows = [
            builder.gep(a_data, [builder.load(builder.gep(rows_data, [builder.add(row, INDEX(r))]))])
            for r in range(TILE_ROWS)
        ]
        add = context.is_true(builder, types.boolean, arguments[8])

        def sum_up(vectors):
            """The loop over k for a panel of so many vectors."""

            def products(k, values):
                b_here, *sums = values
                col = builder.load(builder.gep(cols_data, [k]))
                b_numbers = [wide.load(b_here, v) for v in range(vectors)]
                new_sums = []
                for r in range(TILE_ROWS):
                    number = wide.everywhere(builder.load(builder.gep(a_rows[r], [col])))
                    for v in range(vectors):
                        new_sums.append(multiply_add(builder, number, b_numbers[v], sums[vectors * r + v]))
                return [builder.gep(b_here, [INDEX(vectors * wide.count)]), *new_sums]

            zero, before = wide.constant(0.0), builder.block
            with builder.if_then(add):
                held, go_on = [wide.load(tile_data, i) for i in range(vectors * TILE_ROWS)], builder.block
            at_first = [builder.phi(wide.kind) for _ in held]
            for phi, one in zip(at_first, held, strict=True):
                phi.add_incoming(zero, before)
                phi.add_incoming(one, go_on)
            _, *totals = loop(builder, start, stop, [b_start, *at_first], products)
            for i, total in enumerate(totals):
                wide.store(total, tile_data, i)

        with builder.if_else(builder.icmp_signed("==", width, INDEX(wide.count))) as (narrow, full):
            with narrow:
                sum_up(1)
            with full:
                sum_up(TILE_VECTORS)
        return context.get_dummy_value()

    return signature, generate


tile_product = tile_product_in_numpy if numba.config.DISABLE_JIT else intrinsic(_tile_product_code)


@inlined
def pack_line(b, k, first, packed):
    """packed (panel width,) = b[k, first:], zero beyond the last column."""
    here = b[k, first : first + packed.size]
    for f in range(here.size):
        packed[f] = here[f]
    packed[here.size :] = 0


@helper
def write_rows(tile, rows, c, first, bias):
    """c[:rows, first:] = bias + tile, cut off at the last column of c."""
    for r in range(rows):
        target, sums, bias_here = c[r, first : first + tile.shape[1]], tile[r], bias[first:]
        for f in range(target.size):
            target[f] = bias_here[f] + sums[f]


@helper
def add_rows(tile, rows, c, first):
    """c[:rows, first:] += tile, cut off at the last column of c."""
    for r in range(rows):
        target, sums = c[r, first : first + tile.shape[1]], tile[r]
        for f in range(target.size):
            target[f] += sums[f]


def gathered_product(a, rows, cols, b, picks, bias, accumulate, c):
    """c[m, f] = bias[f] + Σ_k a[rows[m] + cols[k]] · b[picks[k], f]; or, with accumulate, what c holds plus the sum over k.

    It computes `reference.dense` and `reference.conv2d`, and each of their gradients, by the offsets that it is given.

    a (any length), b (any number of rows, F), bias (F,), c (M, F): float32 or float64. rows (M rounded up to whole
    tiles,), cols (K,): int64 offsets into a. picks (K,): int64, the rows of b.
    """
    shape = shape_of_tasks(*c.shape, cols.size, c.dtype, TASKS_OF_THREAD * thread_count())
    product_in_tasks(a, rows, cols, b, picks, bias, accumulate, c, *shape)


@functools.lru_cache(64)
def shape_of_tasks(height, width, depth, dtype, enough):
    """(block, group, at_once): tiles of rows below each other, panels beside each other, and rows of b that a task packs at once.

    There are at least `enough` tasks, if c (height, width) has so many register tiles and the work is worth so many.
    """
    columns = panel_width(dtype, width)
    tiles, panels = -(-height // TILE_ROWS), max(1, -(-width // columns))
    products = tiles * TILE_ROWS * panels * columns * (depth + TILE_ROWS)
    enough = min(enough, TASKS_OF_THREAD * products // ENOUGH)
    block, group = max(1, min(BLOCK_TILES, tiles)), min(panels, max(BESIDE, PACKED // max(1, depth)) // columns)
    while block * group > 1 and -(-tiles // block) * -(-panels // group) < enough:
        if group > 1:
            group = (group + 1) // 2
        else:
            block = block // 2
    group = -(-panels // -(-panels // group))  # the same number of groups, but of equal size
    return block, group, max(1, min(depth, DEPTH, PACKED // (group * columns)))


@kernel
def product_in_tasks(a, rows, cols, b, picks, bias, accumulate, c, block, group, at_once):
    """The `reference.dense` that `gathered_product` describes, in tasks of the shape that `shape_of_tasks` gives.

    A task is a group of panels beside each other and a few tiles of rows, and packs the pieces of b that it needs:

                   group
                 ┌───┬───┐ b
          at_once│   │   │
                 └───┴───┘
           ┌──┐  ┌───┬───┐ c
      block│ a│  ├───┼───┤
           └──┘  └───┴───┘

    Where few numbers are summed (gradient of weights: one term an image), c is the larger matrix. A group is as wide as c, if its
    piece of b fits into the cache and tasks are enough: whole rows of c are written. Where many are summed (the layer forward), b is
    larger. One panel of a row of b is a line or two of the cache, and the next row lies in another page: read so, memory gave a
    quarter of what it gives for runs of 512 bytes that it was asked for some rows before. With many threads groups are narrower.

    Each number of c is summed by one thread, in the order of k, so that the number of threads and tasks changes no bit. The sum
    is made apart, and then added once to the bias or to what c holds.
    """
    height, width = c.shape
    depth = cols.size
    vector = lanes_of(c)
    columns = vector if width <= vector else TILE_VECTORS * vector
    panels = (width + columns - 1) // columns
    tiles = (height + TILE_ROWS - 1) // TILE_ROWS
    groups = (panels + group - 1) // group
    cost = block * TILE_ROWS * group * columns * (depth + TILE_ROWS)  # of a task, in products
    for task in prange((tiles + block - 1) // block * groups, 1 + ENOUGH // cost):
        rules = flush_denormals()
        first = task % groups * group * columns
        used = min(group, panels - task % groups * group)
        top = task // groups * block * TILE_ROWS
        bottom = min(height, top + block * TILE_ROWS)
        piece = scratch(used * at_once * columns, c).reshape(used, at_once, columns)
        several = depth > at_once
        ahead = AHEAD if several and group > 1 else depth
        held = block * used if several else 1
        sums = scratch(held * TILE_ROWS * columns, c).reshape(held, TILE_ROWS, columns)
        for start in range(0, max(1, depth), at_once):
            stop = min(depth, start + at_once)
            for k in range(start, stop):
                if k + ahead < depth:
                    for f in range(first, min(width, first + used * columns), LINE // c.itemsize):
                        prefetch(b, picks[k + ahead] * width + f)
                for panel in range(used):
                    pack_line(b, picks[k], first + panel * columns, piece[panel, k - start])
            number = 0
            for row in range(top, bottom, TILE_ROWS):
                for panel in range(used):
                    tile = sums[number]
                    tile_product(a, rows, row, cols[start:], 0, stop - start, piece, panel, start > 0, tile)
                    if stop == depth and accumulate:
                        add_rows(tile, min(TILE_ROWS, bottom - row), c[row:], first + panel * columns)
                    elif stop == depth:
                        write_rows(tile, min(TILE_ROWS, bottom - row), c[row:], first + panel * columns, bias)
                    number += several
        restore(rules)


@kernel
def chunks_of_product(a, rows, cols, b, partial):
    """partial[i] = the part of the product above that the i-th chunk of k's makes; their sum is `reference.dense`. The chunks are fixed.

    For a b (K, F) so large that reading it is all the work: each task reads whole rows of it, one after the other.
    partial (chunks, M, F).
    """
    chunks, height, width = partial.shape
    depth = cols.size
    vector = lanes_of(partial)
    columns = vector if width <= vector else TILE_VECTORS * vector
    panels = (width + columns - 1) // columns
    cost = height * panels * columns * depth // chunks
    for chunk in prange(chunks, 1 + ENOUGH // (cost + 1)):
        rules = flush_denormals()
        sums = partial[chunk]
        sums[:] = 0
        piece = scratch(panels * ROWS_OF_B * columns, partial).reshape(panels, ROWS_OF_B, columns)
        tile = scratch(TILE_ROWS * columns, partial).reshape(TILE_ROWS, columns)
        end = (chunk + 1) * depth // chunks
        for start in range(chunk * depth // chunks, end, ROWS_OF_B):
            stop = min(end, start + ROWS_OF_B)
            for k in range(start, stop):
                for panel in range(panels):
                    pack_line(b, k, panel * columns, piece[panel, k - start])
            for panel in range(panels):
                for row in range(0, height, TILE_ROWS):
                    tile_product(a, rows, row, cols[start:], 0, stop - start, piece, panel, False, tile)
                    add_rows(tile, min(TILE_ROWS, height - row), sums[row:], panel * columns)
        restore(rules)


@kernel
def block_sums(matrix, partial):
    """`np.sum(block, axis=0)`: partial[i] = the sum of the i-th block of rows of the matrix (M, F).

    The blocks are fixed, whatever the number of threads.
    """
    rows = matrix.shape[0]
    blocks = partial.shape[0]
    for i in prange(blocks, 1 + SUMMED * blocks // matrix.size):
        partial[i] = 0
        for row in range(i * rows // blocks, (i + 1) * rows // blocks):
            for f in range(matrix.shape[1]):
                partial[i, f] += matrix[row, f]


def column_sums(matrix):
    """Σ over rows: matrix (M, F) → (F,), the gradient of a bias. The same bits on any number of threads."""
    with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel
        if matrix.size <= LITTLE:
            return matrix.sum(axis=0)
        partial = np.empty((min(64, matrix.shape[0]), matrix.shape[1]), matrix.dtype)
        block_sums(matrix, partial)
        return partial.sum(axis=0)


def whole_tiles(rows):
    """Offsets of rows, the last one repeated until they fill whole register tiles; the results of the extra rows are
    thrown away."""
    return np.concatenate([rows, np.repeat(rows[-1:], -rows.size % TILE_ROWS)])


@functools.lru_cache(64)
def row_offsets(count, step):
    """Where `count` rows begin, each `step` numbers after the one before, in whole tiles; kept, to be read only."""
    return whole_tiles(np.arange(count) * step)


def apart(x):
    """A copy of x (N, ...) as (N, K): the numbers of each image, and after them a cache line that is not set.

    A register tile reads its rows side by side. At powers of two from each other, as the images of a batch often are, they
    would share a few places of the first cache and drive each other out of it.
    """
    features = math.prod(x.shape[1:])
    copy = empty((len(x), features + LINE // x.itemsize), x.dtype)
    copy[:, :features] = x.reshape(len(x), features)
    return copy


def dense_forward(x, weight, bias):
    """y = x · W + b: x (N, in), weight (in, out), bias (out,) → (N, out)."""
    images, features = x.shape
    if chunks := chunk_count(images, features):
        return sum_of_chunks(products_of_chunks(x, weight, chunks), bias)
    y = empty((images, weight.shape[1]), x.dtype)
    rows = row_offsets(images, features)
    every = np.arange(features)
    gathered_product(x.reshape(-1), rows, every, weight, every, bias, False, y)
    return y


def chunk_count(images, features):
    """Into how many chunks of equal size, if features is a multiple of it, a dense layer's forward product is cut; 0 if it isn't."""
    return min(CHUNKS, features // ROWS_OF_CHUNK) if features >= LONG and images <= FEW else 0


def products_of_chunks(x, weight, chunks):
    """(chunks, N, out): the parts of x · W that the chunks of W's rows make. Some chunks alone give the same bits as among all."""
    images, features = x.shape
    partial = empty((chunks, images, weight.shape[1]), x.dtype)
    chunks_of_product(x.reshape(-1), row_offsets(images, features), np.arange(features), weight, partial)
    return partial


def sum_of_chunks(partial, bias):
    """y (N, out) of the parts (chunks, N, out) and the bias."""
    y = empty(partial.shape[1:], partial.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel; who asks for it is told by all_finite
        np.add(partial.sum(axis=0), bias, out=y)
    return y


def dense_backward_input(dy, weight):
    """dx = dy · Wᵀ: dy (N, out), weight (in, out) → (N, in).

    Computed as dxᵀ = W · dyᵀ: the large matrix is read where it lies, and small ones are transposed.
    """
    features, units = weight.shape
    dx_transposed = empty((features, len(dy)), dy.dtype)
    rows = row_offsets(features, units)
    no_bias = np.zeros(len(dy), dy.dtype)
    every = np.arange(units)
    gathered_product(weight.reshape(-1), rows, every, transposed(dy), every, no_bias, False, dx_transposed)
    return transposed(dx_transposed)


def dense_backward_weight(x, dy, dweight, accumulate):
    """dW = xᵀ · dy, written to dweight (in, out) or added to it: x (N, in), dy (N, out)."""
    images, features = x.shape
    # An image's features lie far apart in x, at powers of two: they would share a few places of the cache.
    x_transposed = transposed(x)
    rows = row_offsets(features, images)
    no_bias = np.zeros(dy.shape[1], dy.dtype)
    every = np.arange(images)
    gathered_product(x_transposed.reshape(-1), rows, every, dy, every, no_bias, accumulate, dweight)
