"""How each operation is computed fast: Numba, arrays in, arrays out.

Every operation of the network has a twin of the same meaning in `scratchnet.reference`, and a test that holds the two
equal. What only serves the speed, such as packing, tiles and offsets, has tests of its own.
Kernels trust their arguments (C-contiguous, one dtype, shapes that fit): the layers have checked them.
"""
