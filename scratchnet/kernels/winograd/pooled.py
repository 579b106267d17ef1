"""Max-pooling over windows of 2 × 2, for a vector of channels at a time: forward, and back to where each maximum came from.

Arrays are flat; a vector is given by the index of its first number. `winner` holds, for each maximum, the corner of its
window: 0 and 1 above, 2 and 3 below; or CUT, where nothing in the window was above zero, so that ReLU passes nothing on.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from scratchnet.kernels.machine.jit import helper
from scratchnet.kernels.machine.registers import Vectors

CUT = 4
# Stands in for `winner` when the array was not pooled. An empty array and not None, for which Numba would compile
# every kernel once more.
NOT_POOLED = np.empty((0, 0, 0, 0), np.uint8)


@helper
def is_pooled(winner):
    """Whether the array beside this `winner` is what max-pooling left."""
    return winner.size > 0


def largest_of_window(vectors, corners):
    """Code for the largest of zero and the four vectors of a window, and for the winner's corner, the first among equals."""
    builder, (first, second, third, fourth) = vectors.builder, corners

    def larger(a, b, place_of_a, place_of_b):
        """The larger of two vectors, and its corner; the first if they are equal. A NaN is larger than any number."""
        is_first = builder.or_(builder.fcmp_ordered(">=", a, b), builder.fcmp_unordered("uno", a, a))
        return builder.select(is_first, a, b), builder.select(is_first, place_of_a, place_of_b)

    place = [vectors.constant(number, ir.IntType(8)) for number in range(CUT + 1)]
    above, place_above = larger(first, second, place[0], place[1])
    lower, place_below = larger(third, fourth, place[2], place[3])
    best, place_of_best = larger(above, lower, place_above, place_below)
    nothing, lowest = vectors.constant(0.0), vectors.constant(-math.inf)
    cut = builder.and_(builder.fcmp_ordered("<=", best, nothing), builder.fcmp_ordered(">", best, lowest))
    return builder.select(cut, nothing, best), builder.select(cut, place[CUT], place_of_best)


@intrinsic
def pool_window(typingctx, source, index, row_step, column_step, y, winner, target):
    """y[target] = the largest of zero and the four vectors of a window, winner[target] = its corner, the first among equals.

    Where all four are −∞ it is that: ReLU makes no zero of what has overflowed.
    The window's vectors are source[index], source[index + column_step], and the two that lie row_step further on.
    """
    signature = types.void(source, types.intp, types.intp, types.intp, y, winner, types.intp)

    def generate(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature, arguments, like=0)
        _, index, row_step, column_step, _, _, target = arguments
        below = builder.add(index, row_step)
        corners = [index, builder.add(index, column_step), below, builder.add(below, column_step)]
        best, corner = largest_of_window(vectors, [vectors.load(vectors.at(0, corner)) for corner in corners])
        vectors.store(best, vectors.at(4, target))
        vectors.store(corner, vectors.at(5, target))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def share_of_corner(typingctx, dy, winner, index, corner, target, start):
    """target[start] = the vector dy[index] where winner[index] is this corner of the window, elsewhere zero."""
    signature = types.void(dy, winner, types.intp, types.intp, target, types.intp)

    def generate(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature, arguments, like=0)
        _, _, index, corner, _, start = arguments
        gradient, won = (vectors.load(vectors.at(position, index)) for position in (0, 1))
        here = builder.icmp_unsigned("==", won, vectors.everywhere(builder.trunc(corner, ir.IntType(8))))
        vectors.store(builder.select(here, gradient, vectors.constant(0.0)), vectors.at(4, start))
        return context.get_dummy_value()

    return signature, generate
