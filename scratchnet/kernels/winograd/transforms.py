"""One-dimensional transforms of a fast convolution: a small constant matrix times a vector of channels at each position.

The matrices are those of `toom_cook.py`. They are known when the kernel is compiled, so that the product is written out
as the few additions and multiplications that are left of it: zeros and ones cost nothing, and the points ±a share their
sums.
"""

from numba import types
from numba.extending import intrinsic

from scratchnet.kernels.machine.jit import helper
from scratchnet.kernels.machine.registers import INDEX, Vectors, multiply_add
from scratchnet.kernels.machine.vectors import lanes_of
from scratchnet.kernels.winograd import toom_cook

TO_INPUTS, TO_OUTPUTS, FROM_OUTPUTS, TO_FILTERS, FROM_FILTERS = range(5)  # the matrices Bᵀ, Aᵀ, A, G, Gᵀ


def matrix_of(name, taps, inputs):
    """The matrix of a one-dimensional transform, as fractions."""
    if name == TO_INPUTS:
        return toom_cook.input_matrix(inputs)
    of = toom_cook.output_matrix if name in (TO_OUTPUTS, FROM_OUTPUTS) else toom_cook.filter_matrix
    matrix = of(taps, inputs)
    return toom_cook.transposed(matrix) if name in (FROM_OUTPUTS, FROM_FILTERS) else matrix


@intrinsic(prefer_literal=True)
def transform(typingctx, name, taps, inputs, source, start, step, target, first, stride):
    """target[first + i · stride] = Σ_j matrix[i, j] · source[start + j · step], for a vector of neighbouring numbers at each position.

    name, taps and inputs say which matrix. The first two are constants, from which the code for each size of a tile is written:
    zeros and ones of its matrix cost nothing, and points in ± pairs share their sums. inputs chooses among the sizes.
    """
    sizes = toom_cook.tile_sizes(taps.literal_value)
    matrices = [matrix_of(name.literal_value, taps.literal_value, size) for size in sizes]
    signature = types.void(name, taps, types.intp, source, types.intp, types.intp, target, types.intp, types.intp)

    def generate(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature, arguments, like=3)
        _, _, inputs, _, start, step, _, first, stride = arguments

        def code_of(matrix):
            x = [vectors.load(place) for place in vectors.along(3, start, step, len(matrix[0]))]
            places = vectors.along(6, first, stride, len(matrix))
            for y, place in zip(products(builder, vectors, matrix, x), places, strict=True):
                vectors.store(y, place)

        after = builder.append_basic_block("transformed")
        for size, matrix in zip(sizes[1:], matrices[1:], strict=True):
            here, other = (builder.append_basic_block(f"tile_of_{size}") for _ in range(2))
            builder.cbranch(builder.icmp_signed("==", inputs, INDEX(size)), here, other)
            builder.position_at_end(here)
            code_of(matrix)
            builder.branch(after)
            builder.position_at_end(other)
        code_of(matrices[0])
        builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return signature, generate


def products(builder, vectors, matrix, x):
    """matrix · x, where x is a list of vectors, with about half of the operations of the definition.

    Points ±a have the same even powers and opposite odd ones. Two rows of such a kind are (s + d, s − d) with s and d the sums
    over the columns where they agree and where they differ; for two columns of such a kind, (x + x′, x − x′) replace them.
    """
    columns = toom_cook.transposed(matrix)
    if _pairs_anywhere(columns) and len(matrix) < len(x):
        folded, folded_columns = list(x), [list(column) for column in columns]
        for p, q in _pairs(columns):
            folded[p], folded[q] = builder.fadd(x[p], x[q]), builder.fsub(x[p], x[q])
            folded_columns[p], folded_columns[q] = _agreeing(columns[p], columns[q]), _differing(columns[p], columns[q])
        return [_weighted_sum(builder, vectors, row, folded) for row in zip(*folded_columns, strict=True)]
    result = [None] * len(matrix)
    for p, q in _pairs(matrix):
        same = _weighted_sum(builder, vectors, _agreeing(matrix[p], matrix[q]), x)
        different = _weighted_sum(builder, vectors, _differing(matrix[p], matrix[q]), x)
        result[p], result[q] = builder.fadd(same, different), builder.fsub(same, different)
    return [
        _weighted_sum(builder, vectors, row, x) if done is None else done
        for row, done in zip(matrix, result, strict=True)
    ]


def _weighted_sum(builder, vectors, coefficients, x):
    """Σ_j coefficients[j] · x[j]; None if all coefficients are zero. Terms with ±1 come first: they need no multiplication."""

    terms = sorted(((c, v) for c, v in zip(coefficients, x, strict=True) if c != 0), key=lambda term: abs(term[0]) != 1)
    total = None
    for c, v in terms:
        if total is None:
            total = v if c == 1 else builder.fmul(v, vectors.constant(float(c)))
        elif c == 1:
            total = builder.fadd(total, v)
        elif c == -1:
            total = builder.fsub(total, v)
        else:
            total = multiply_add(builder, v, vectors.constant(float(c)), total)
    return total


def _agreeing(row, other):
    """The row where the other one is equal, zero elsewhere."""
    return [a if a == b else 0 for a, b in zip(row, other, strict=True)]


def _differing(row, other):
    """The row where the other one is different, zero elsewhere."""
    return [a if a != b else 0 for a, b in zip(row, other, strict=True)]


def _pairs_anywhere(rows):
    return any(_paired(rows[p], rows[q]) for q in range(len(rows)) for p in range(q))


def _pairs(rows):
    return [(p, p + 1) for p in range(len(rows) - 1) if _paired(rows[p], rows[p + 1])]


def _paired(row, other):
    """Whether two rows differ in some signs and in nothing else, and agree somewhere."""
    signs = {a == b for a, b in zip(row, other, strict=True) if a != 0 or b != 0}
    return signs == {True, False} and all(abs(a) == abs(b) for a, b in zip(row, other, strict=True))


@helper
def transform_square(
    name, taps, inputs, source, start, row_step, column_step, side,
    target, first, target_row_step, target_column_step, half,
):  # fmt: skip
    """target = matrix · source · matrixᵀ: a transform of both axes, for a vector of channels.

    source: `side` × `side` vectors, the first at `start`, the one below it row_step and the one beside it column_step
    further on; target likewise, from `first` on, with as many on a side as the matrix has rows. half: memory for the square
    after the first axis, line by line.
    """
    vector = lanes_of(half)
    lines = half.size // (side * vector)
    for b in range(side):
        transform(name, taps, inputs, source, start + b * column_step, row_step, half, b * vector, side * vector)
    for a in range(lines):
        transform(
            name, taps, inputs, half, a * side * vector, vector, target, first + a * target_row_step, target_column_step
        )
