"""How each operation is computed fast: Numba, arrays in, arrays out.

Every function here has a twin of the same meaning in `scratchnet.reference`, and a test that holds the two equal.
Kernels trust their arguments (C-contiguous, one dtype, shapes that fit): the layers have checked them.
"""
