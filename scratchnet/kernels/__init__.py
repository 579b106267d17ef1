"""How each operation is computed fast: Numba, arrays in, arrays out. It may import errors.

`convolution` chooses the algorithm of a convolution; everything rests on `matmul`; `winograd` needs fewer multiplications;
`machine` is compilation, vectors, memory and threads.

Every operation of the network has a twin of the same meaning in `scratchnet.reference`, and a test that the two agree. What
only serves speed, such as packing, tiles and offsets, has tests of its own.
Kernels trust their arguments (C-contiguous, one dtype, shapes that fit): the layers have checked them.
"""
