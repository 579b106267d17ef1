"""Convolution with few multiplications, on tiles of 8 × 8 inputs: `passes.py` is where to begin.

It may import the register tile of `kernels.matmul`, and `kernels.machine`.
"""
