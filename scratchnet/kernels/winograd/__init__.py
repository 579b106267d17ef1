"""Convolution with few multiplications, on tiles of 8 × 8 inputs or whole small images: begin with `passes.py`.

It may import the register tile of `kernels.matmul`, `kernels.transpose`, and `kernels.machine`.
"""
