"""Matrices turned over: rows become columns, a square of vectors at a time.

Read along its rows, a matrix is written down columns, a number here and a number there; a processor does that one number
at a time. A square of n vectors of n numbers is transposed inside the registers instead. With n = 4:

    a0 a1 a2 a3      a0 a1 c0 c1      a0 b0 c0 d0      first the quarters of the square change places, b with c
    b0 b1 b2 b3  →   b0 b1 d0 d1  →   a1 b1 c1 d1      as blocks of 2 × 2; then the same inside each quarter
    c0 c1 c2 c3      a2 a3 c2 c3      a2 b2 c2 d2
    d0 d1 d2 d3      b2 b3 d2 d3      a3 b3 c3 d3
"""

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.machine.registers import Vectors
from scratchnet.kernels.machine.vectors import lanes_of

ENOUGH = 65536  # numbers that are worth another thread, some 30 µs
LITTLE = 16384  # numbers, with which NumPy is through before threads have begun; and nothing needs compiling for it


def transpose_square_in_numpy(source, start, step, target, place, stride):
    """target[place + f · stride + c] = source[start + c · step + f], for all c and f below the numbers of a vector; flat arrays."""
    side = lanes_of(source)
    for c in range(side):
        for f in range(side):
            target[place + f * stride + c] = source[start + c * step + f]


def _transpose_square_code(typingctx, source, start, step, target, place, stride):
    """`transpose_square_in_numpy` in LLVM's language."""
    signature = types.void(source, types.intp, types.intp, target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature, arguments, like=0)
        side, lane = vectors.count, vectors.of(ir.IntType(32))
        _, start, step, _, place, stride = arguments
        rows = [vectors.load(pointer) for pointer in vectors.along(0, start, step, side)]
        width = side // 2
        while width:
            for i in (i for i in range(side) if not i & width):
                above, below = rows[i], rows[i + width]
                # Lanes of `above` count from 0, those of `below` from `side`.
                upper = [k if not k & width else side + k - width for k in range(side)]
                lower = [k + width if not k & width else side + k for k in range(side)]
                rows[i] = builder.shuffle_vector(above, below, ir.Constant(lane, upper))
                rows[i + width] = builder.shuffle_vector(above, below, ir.Constant(lane, lower))
            width //= 2
        for row, pointer in zip(rows, vectors.along(3, place, stride, side), strict=True):
            vectors.store(row, pointer)
        return context.get_dummy_value()

    return signature, generate


transpose_square = transpose_square_in_numpy if config.DISABLE_JIT else intrinsic(_transpose_square_code)


@kernel
def turn(matrices, turned):
    """`np.transpose(matrices[::-1], (0, 2, 1))`: matrices (T, C, F) transposed, and in reverse order.

    Filters with T taps become those of the backward pass; with T = 1 it is a plain transposition. A task is a band of
    columns of one matrix, as wide as a vector.
    """
    count, height, width = matrices.shape
    side = lanes_of(matrices)
    bands = (width + side - 1) // side
    source, target = matrices.reshape(-1), turned.reshape(-1)
    for task in prange(count * bands, 1 + ENOUGH // (side * height)):
        t, left = task // bands, task % bands * side
        for top in range(0, height, side):
            start = (t * height + top) * width + left
            place = ((count - 1 - t) * width + left) * height + top
            if top + side <= height and left + side <= width:
                transpose_square(source, start, width, target, place, height)
            else:
                for c in range(min(side, height - top)):
                    for f in range(min(side, width - left)):
                        target[place + f * height + c] = source[start + c * width + f]


def transposed(matrix):
    """A copy of the matrix (M, F) with its axes exchanged: (F, M)."""
    if matrix.size <= LITTLE:
        return np.ascontiguousarray(matrix.T)
    out = empty(matrix.shape[::-1], matrix.dtype)
    turn(matrix[None], out[None])
    return out
