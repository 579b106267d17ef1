"""Matrices turned over in squares of vectors, and what is left of them at the edges."""

import numpy as np
import pytest

from scratchnet.kernels.machine.vectors import lanes
from scratchnet.kernels.transpose import transpose_square, transpose_square_in_numpy, transposed, turn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 16, 32), (2, 37, 21), (1, 5, 70), (25, 20, 3)])
def test_turned(shape, dtype):
    matrices = np.random.default_rng(0).normal(size=shape).astype(dtype)
    found = np.full((shape[0], shape[2], shape[1]), 9, dtype)
    turn(matrices, found)
    np.testing.assert_array_equal(found, matrices[::-1].transpose(0, 2, 1))
    np.testing.assert_array_equal(transposed(matrices[0]), matrices[0].T)


@pytest.mark.parametrize("shape", [(3, 5), (130, 127)])
def test_a_matrix_of_few_numbers_and_of_many(shape):
    matrix = np.arange(np.prod(shape)).reshape(shape).astype("float32")
    found = transposed(matrix)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, matrix.T)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_square_as_in_numpy(dtype):
    """Inside larger arrays, of which nothing else changes."""
    import numba

    side = lanes(dtype)
    source = np.arange(3.0 * side * (side + 3)).astype(dtype)

    @numba.njit
    def compiled(source, start, step, target, place, stride):
        transpose_square(source, start, step, target, place, stride)

    found, expected = np.zeros(4 * side * side, dtype), np.zeros(4 * side * side, dtype)
    compiled(source, 5, side + 3, found, 7, side + 1)
    transpose_square_in_numpy(source, 5, side + 3, expected, 7, side + 1)
    np.testing.assert_array_equal(found, expected)
    assert found.any()
