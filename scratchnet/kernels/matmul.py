"""The matrix product that everything rests on, written so that a convolution is one too.

A convolution is a product of a matrix of patches with the matrix of filters. The matrix of patches (`im2col`) is 25
times as large as the images for a 5×5 filter, so it is never built. Its entry for output pixel p and filter tap t is an
entry of the images, and its place is a sum:

    patches[p, t] = image[pixel_offset[p] + tap_offset[t]]

The product below therefore takes its left matrix as an array and two lists of offsets. With offsets (p · columns, t) it
is a plain product; with the lists exchanged it is the product with the transpose, which is what the gradient of the
filters needs. The idea is that of the indirect convolution (Dukhan, "The Indirect Convolution Algorithm", 2019), here
with one offset an entry instead of one pointer a patch.

The right matrix is packed beforehand into panels as wide as a register tile, so that the innermost loop reads it from
end to end (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 2008).
"""

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from scratchnet.kernels.jit import kernel
from scratchnet.kernels.vectors import TILE_ROWS, lanes, panel_width

DEPTH = 512  # products summed in registers before they are added to C: 512 × 32 float32 of B are 64 KB and stay in a core's L2 cache
BLOCK_TILES = 16  # register tiles below each other in one task, all of which use the same piece of B
ENOUGH_TASKS = 64  # so that sixteen threads are kept busy to the end


def _tile_product_code(typingctx, a, rows, row, cols, start, stop, b, panel, tile):
    """tile[r, f] = Σ over start ≤ k < stop of a[rows[row + r] + cols[k]] · b[panel, k, f], for TILE_ROWS rows and one panel's width.

    Written in LLVM's language because no compiler finds the register tile by itself. For each k: load two vectors of B;
    for each row broadcast one number of A and multiply and add it to that row's two vectors of sums, which never leave
    the registers. Multiplication and addition carry the flag `contract`: one instruction where the machine has a fused
    one, two elsewhere.
    """
    signature = types.void(a, rows, types.intp, cols, types.intp, types.intp, b, types.intp, tile)

    def generate(context, builder, signature, arguments):
        dtype = signature.args[0].dtype
        count = lanes(dtype.name)
        scalar = context.get_value_type(dtype)
        vector = ir.VectorType(scalar, count)
        index = ir.IntType(64)

        def memory(position):
            return context.make_array(signature.args[position])(context, builder, arguments[position])

        a_data, rows_data, cols_data, tile_data = (memory(position).data for position in (0, 1, 3, 8))
        row, start, stop, panel = (arguments[position] for position in (2, 4, 5, 7))
        depth = builder.extract_value(memory(6).shape, 1)
        first = builder.mul(builder.add(builder.mul(panel, depth), start), index(2 * count))
        b_start = builder.gep(memory(6).data, [first])
        a_rows = [
            builder.gep(a_data, [builder.load(builder.gep(rows_data, [builder.add(row, index(r))]))])
            for r in range(TILE_ROWS)
        ]

        before = builder.block
        loop = builder.append_basic_block("over_k")
        after = builder.append_basic_block("after_k")
        builder.branch(loop)

        builder.position_at_end(loop)
        k = builder.phi(index, "k")
        b_here = builder.phi(b_start.type, "b")
        sums = [builder.phi(vector, f"sum{i}") for i in range(2 * TILE_ROWS)]
        col = builder.load(builder.gep(cols_data, [k]))
        b_vectors = builder.bitcast(b_here, vector.as_pointer())
        b_pair = [
            builder.load(builder.gep(b_vectors, [index(v)]), align=scalar.get_abi_alignment(context.target_data))
            for v in (0, 1)
        ]
        new_sums = []
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
        nothing = ir.Constant(vector, ir.Undefined)
        for r in range(TILE_ROWS):
            number = builder.load(builder.gep(a_rows[r], [col]))
            broadcast = builder.shuffle_vector(
                builder.insert_element(nothing, number, ir.IntType(32)(0)), nothing, everywhere
            )
            for v in (0, 1):
                product = builder.fmul(broadcast, b_pair[v], flags=("contract",))
                new_sums.append(builder.fadd(sums[2 * r + v], product, flags=("contract",)))
        next_k = builder.add(k, index(1))
        next_b = builder.gep(b_here, [index(2 * count)])
        builder.cbranch(builder.icmp_signed("<", next_k, stop), loop, after)

        zero = ir.Constant(vector, [0.0] * count)
        for phi, at_first, again in [
            (k, start, next_k),
            (b_here, b_start, next_b),
            *((s, zero, n) for s, n in zip(sums, new_sums, strict=True)),
        ]:
            phi.add_incoming(at_first, before)
            phi.add_incoming(again, loop)

        builder.position_at_end(after)
        out = builder.bitcast(tile_data, vector.as_pointer())
        for i, vector_of_sums in enumerate(new_sums):
            builder.store(
                vector_of_sums, builder.gep(out, [index(i)]), align=scalar.get_abi_alignment(context.target_data)
            )
        return context.get_dummy_value()

    return signature, generate


if numba.config.DISABLE_JIT:

    def tile_product(a, rows, row, cols, start, stop, b, panel, tile):
        """What the intrinsic computes, for stepping through with a debugger."""
        tile[:] = a[rows[row : row + TILE_ROWS, None] + cols[start:stop]] @ b[panel, start:stop]
else:
    tile_product = intrinsic(_tile_product_code)


@kernel
def gathered_product(a, rows, cols, b, bias, accumulate, c):
    """c[m, f] = bias[f] + Σ_k a[rows[m] + cols[k]] · B[k, f], or the same sum added to what c holds.

    a (any length), b (panels, K, panel width) packed, bias (F,), c (M, F): float32 or float64. rows (M rounded up to
    whole tiles,), cols (K,): int64 offsets into a. A task is one panel and a few tiles of rows; each number of c is
    summed by one thread, in the order of k, so that the number of threads changes no bit.
    """
    height, width = c.shape
    depth = cols.size
    panels, _, columns = b.shape
    tiles = (height + TILE_ROWS - 1) // TILE_ROWS
    block = BLOCK_TILES
    while block > 1 and (tiles + block - 1) // block * panels < ENOUGH_TASKS:
        block //= 2
    for task in prange((tiles + block - 1) // block * panels):
        panel = task % panels
        first_column = panel * columns
        used_columns = min(columns, width - first_column)
        top = task // panels * block * TILE_ROWS
        bottom = min(height, top + block * TILE_ROWS)
        tile = np.empty((TILE_ROWS, columns), c.dtype)
        for start in range(0, depth, DEPTH):
            stop = min(depth, start + DEPTH)
            for row in range(top, bottom, TILE_ROWS):
                tile_product(a, rows, row, cols, start, stop, b, panel, tile)
                for r in range(min(TILE_ROWS, bottom - row)):
                    if start > 0 or accumulate:
                        for f in range(used_columns):
                            c[row + r, first_column + f] += tile[r, f]
                    else:
                        for f in range(used_columns):
                            c[row + r, first_column + f] = bias[first_column + f] + tile[r, f]


@kernel
def pack(matrix, panels):
    """panels[p, k, f] = matrix[k, p · width + f], zero beyond the last column.

    matrix (K, F) → panels (⌈F / width⌉, K, width).
    """
    count, depth, width = panels.shape
    for task in prange(count * depth):
        p, k = task // depth, task % depth
        used = min(width, matrix.shape[1] - p * width)
        for f in range(used):
            panels[p, k, f] = matrix[k, p * width + f]
        for f in range(used, width):
            panels[p, k, f] = 0


@kernel
def pack_turned(filters, panels):
    """Packs the filters of the backward pass: taps in reverse order, and the two channel axes exchanged.

    filters (T, C, F) with T taps → panels of the matrix (T·F, C) with entry [t·F + f, c] = filters[T − 1 − t, c, f]. A
    dense layer has one tap.
    """
    taps, channels, features = filters.shape
    count, _, width = panels.shape
    for task in prange(count * taps):
        p, t = task // taps, task % taps
        used = min(width, channels - p * width)
        for f in range(features):
            for c in range(used):
                panels[p, t * features + f, c] = filters[taps - 1 - t, p * width + c, f]
            for c in range(used, width):
                panels[p, t * features + f, c] = 0


@kernel
def block_sums(matrix, partial):
    """partial[i] = the sum of the i-th block of rows of the matrix (M, F); the blocks are fixed, whatever the number of threads."""
    rows = matrix.shape[0]
    blocks = partial.shape[0]
    for i in prange(blocks):
        partial[i] = 0
        for row in range(i * rows // blocks, (i + 1) * rows // blocks):
            for f in range(matrix.shape[1]):
                partial[i, f] += matrix[row, f]


def column_sums(matrix):
    """Σ over rows: matrix (M, F) → (F,), the gradient of a bias. The same bits on any number of threads."""
    partial = np.empty((min(64, matrix.shape[0]), matrix.shape[1]), matrix.dtype)
    block_sums(matrix, partial)
    return partial.sum(axis=0)


def packed(matrix):
    """The right matrix of a product, (K, F), as panels."""
    width = panel_width(matrix.dtype)
    panels = np.empty((-(-matrix.shape[1] // width), matrix.shape[0], width), matrix.dtype)
    pack(matrix, panels)
    return panels


def packed_turned(filters):
    """Filters (T, C, F), taps reversed and channel axes exchanged, as panels: see `pack_turned`."""
    taps, channels, features = filters.shape
    width = panel_width(filters.dtype)
    panels = np.empty((-(-channels // width), taps * features, width), filters.dtype)
    pack_turned(filters, panels)
    return panels


def whole_tiles(rows):
    """Offsets of rows, the last one repeated until they fill whole register tiles; what the extra rows give is thrown away."""
    return np.concatenate([rows, np.repeat(rows[-1:], -rows.size % TILE_ROWS)])


def dense_forward(x, weight, bias):
    """y = x · W + b: x (N, in), weight (in, out), bias (out,) → (N, out)."""
    images, features = x.shape
    y = np.empty((images, weight.shape[1]), x.dtype)
    rows = whole_tiles(np.arange(images) * features)
    gathered_product(x.reshape(-1), rows, np.arange(features), packed(weight), bias, False, y)
    return y


def dense_backward_input(dy, weight):
    """dx = dy · Wᵀ: dy (N, out), weight (in, out) → (N, in)."""
    images, features = dy.shape
    dx = np.empty((images, weight.shape[0]), dy.dtype)
    rows = whole_tiles(np.arange(images) * features)
    no_bias = np.zeros(dx.shape[1], dy.dtype)
    gathered_product(dy.reshape(-1), rows, np.arange(features), packed_turned(weight[None]), no_bias, False, dx)
    return dx


def dense_backward_weight(x, dy, dweight, accumulate):
    """dW = xᵀ · dy, written to dweight (in, out) or added to it: x (N, in), dy (N, out)."""
    images, features = x.shape
    rows = whole_tiles(np.arange(features))
    no_bias = np.zeros(dy.shape[1], dy.dtype)
    gathered_product(x.reshape(-1), rows, np.arange(images) * features, packed(dy), no_bias, accumulate, dweight)
