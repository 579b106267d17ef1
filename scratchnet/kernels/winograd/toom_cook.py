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
"""

import math
from fractions import Fraction

TILE = 8  # inputs of a tile along one axis, n: one size for all filters, and so one transform of the inputs

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


def outputs(taps: int) -> int:
    """Outputs of a tile along one axis, m = n − r + 1, for a filter of r taps: 6 for 3, 4 for 5, 2 for 7."""
    return TILE - taps + 1


def evaluation(coefficients: int) -> Matrix:
    """E(k): the powers of the points. The value at infinity is the leading coefficient."""
    at_infinity = tuple(Fraction(power == coefficients - 1) for power in range(coefficients))
    return (*(tuple(point**power for power in range(coefficients)) for point in POINTS), at_infinity)


def scales() -> tuple[Fraction, ...]:
    """Σᵢ in E(n)⁻ᵀ = Σ⁻¹ Bᵀ: the denominators of Lagrange's interpolation.

    They may be on either side of ⊙. In G they cost something only once for each filter, and the rows of Bᵀ keep simple numbers.
    """
    denominators = [
        math.prod((point - other for other in POINTS if other != point), start=Fraction(1)) for point in POINTS
    ]
    return (*denominators, Fraction(1))


def output_matrix(taps: int) -> Matrix:
    """Aᵀ = E(m)ᵀ, (m, n)."""
    return transposed(evaluation(outputs(taps)))


def filter_matrix(taps: int) -> Matrix:
    """G = Σ⁻¹ E(r), (n, r)."""
    return tuple(tuple(value / scale for value in row) for row, scale in zip(evaluation(taps), scales(), strict=True))


def input_matrix() -> Matrix:
    """Bᵀ = Σ E(n)⁻ᵀ, (n, n)."""
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
