"""The three matrices of a fast convolution, derived exactly from the points at which polynomials are evaluated.

A polynomial of degree n − 1 is determined by its values at n points, and two polynomials are multiplied by
multiplying their values. Multiplying a filter of r taps with m numbers gives n = m + r − 1 coefficients, so n
multiplications are enough instead of m · r (Toom 1963, Cook 1966):

    g * h = E(n)⁻¹ [ (E(r) g) ⊙ (E(m) h) ],   E(k)[i, j] = pointᵢ^j: values at n points from k coefficients

For fixed g this is a linear map from h to g * h. What a layer computes, m outputs yᵢ = Σ_u g_u d_{i+u} from n inputs,
is that map transposed:

    y = E(m)ᵀ [ (E(r) g) ⊙ (E(n)⁻ᵀ d) ] = Aᵀ [ (G g) ⊙ (Bᵀ d) ]

and in two dimensions Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A (Winograd, "Arithmetic Complexity of Computations", 1980;
Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Fractions keep the derivation exact; only the
finished matrices are rounded.

An image of n numbers with zeros around it, of which n outputs are wanted, needs no tile of m + r − 1 inputs, most of them
zeros. Output i and input j meet at the tap j − i from the middle, so that a filter has 2n − 1 taps at most that count. With
y* for y turned round, the sum over all yᵢ g_{j−i} dⱼ goes over the coefficients of the product y* · d, which has 2n − 1 of
them. Now g takes the place that d had above, that of the longest of the three:

    y* = E(n)ᵀ [ (E(2n − 1)⁻ᵀ g) ⊙ (E(n) d) ]

For n = 4 these are 7 points instead of 8, in two dimensions 49 instead of 64; for n = 2 they are 3, and 9. Images larger than
the filter would need more points than the n + r − 1 of a tile made for them.
"""

import math
from fractions import Fraction

from numba.extending import register_jitable

TILE = 8  # inputs of a tile along one axis, n: one size for all filters, and so one transform of the inputs
WHOLE = 2, 3, 4  # or n of a whole image that is a tile by itself

# Small numbers with small powers, because these powers amplify rounding; in ± pairs, which share half of their sums;
# and each with its inverse.
POINTS = (
    Fraction(0),
    Fraction(1),
    Fraction(-1),
    Fraction(2),
    Fraction(-2),
    Fraction(1, 2),
    Fraction(-1, 2),
)  # and infinity

Matrix = tuple[tuple[Fraction, ...], ...]


@register_jitable
def outputs(taps: int, inputs: int) -> int:
    """Outputs of a tile along one axis, for a filter of r taps: m = n − r + 1, 6 for 3, 4 for 5, 2 for 7; of a whole image n."""
    return inputs - taps + 1 if inputs == TILE else inputs


@register_jitable
def points(inputs: int) -> int:
    """Points along one axis, which are multiplications: n; of a whole image 2n − 1."""
    return inputs if inputs == TILE else 2 * inputs - 1


@register_jitable
def reach(taps: int, inputs: int) -> int:
    """The taps of a filter that meet pixels: all, but of a whole image 2n − 1 at most, those in the middle."""
    return min(taps, 2 * inputs - 1)


def tile_sizes(taps: int) -> tuple[int, ...]:
    """The inputs of a tile that there are for a filter of so many taps: 8, and whole images no larger than a filter that has a middle."""
    return (TILE, *(size for size in WHOLE if size <= taps and taps % 2 == 1))


def evaluation(coefficients: int, count: int = TILE) -> Matrix:
    """E(k): the powers of the first `count` points. The value at infinity, the last of them, is the leading coefficient."""
    at_infinity = tuple(Fraction(power == coefficients - 1) for power in range(coefficients))
    return (*(tuple(point**power for power in range(coefficients)) for point in POINTS), at_infinity)[:count]


def scales() -> tuple[Fraction, ...]:
    """Σᵢ in E(n)⁻ᵀ = Σ⁻¹ Bᵀ: the denominators of Lagrange's interpolation.

    They may be on either side of ⊙. In G they cost something only once for each filter, and the rows of Bᵀ keep simple numbers.
    """
    denominators = [
        math.prod((point - other for other in POINTS if other != point), start=Fraction(1)) for point in POINTS
    ]
    return (*denominators, Fraction(1))


def output_matrix(taps: int, inputs: int) -> Matrix:
    """Aᵀ = E(m)ᵀ, (m, points); of a whole image with its rows turned round."""
    rows = transposed(evaluation(outputs(taps, inputs), points(inputs)))
    return rows if inputs == TILE else rows[::-1]


def filter_matrix(taps: int, inputs: int) -> Matrix:
    """G = Σ⁻¹ E(r), (n, r); of a whole image the columns of E(2n − 1)⁻ᵀ that belong to taps, (2n − 1, reach)."""
    count = points(inputs)
    if inputs == TILE:
        return tuple(
            tuple(value / scale for value in row) for row, scale in zip(evaluation(taps), scales(), strict=True)
        )
    rim = (count - reach(taps, inputs)) // 2
    return tuple(row[rim : count - rim] for row in transposed(inverse(evaluation(count, count))))


def input_matrix(inputs: int) -> Matrix:
    """Bᵀ = Σ E(n)⁻ᵀ, (n, n); of a whole image E(n), (2n − 1, n)."""
    if inputs < TILE:
        return evaluation(inputs, points(inputs))
    rows = transposed(inverse(evaluation(TILE)))
    return tuple(tuple(value * scale for value in row) for row, scale in zip(rows, scales(), strict=True))


def transposed(matrix: Matrix) -> Matrix:
    """Rows become columns."""
    return tuple(zip(*matrix, strict=True))


def inverse(matrix: Matrix) -> Matrix:
    """Inverts the matrix by Gauss-Jordan elimination; exact, since the entries are fractions."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [value - rows[k][i] * above for value, above in zip(rows[k], rows[i], strict=True)]
    return tuple(tuple(row[size:]) for row in rows)
