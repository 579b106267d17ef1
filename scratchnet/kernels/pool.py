"""Max-pooling."""

import numpy as np

from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange


@kernel
def max_pool2d_forward(x, size, stride, y, winner):
    """`reference.max_pool2d`: writes y and, for the backward pass, which of the size² positions won.

    x (N, H, W, C), y (N, OH, OW, C) float32 or float64; winner like y, uint16. The innermost loop runs over channels,
    which lie side by side in memory, so that it becomes vector instructions.
    """
    images, out_height, out_width, channels = y.shape
    for row in prange(images * out_height):
        n, i = row // out_height, row % out_height
        for j in range(out_width):
            for c in range(channels):
                y[n, i, j, c] = x[n, i * stride, j * stride, c]
                winner[n, i, j, c] = 0
            for u in range(size):
                for v in range(size):
                    for c in range(channels):
                        candidate = x[n, i * stride + u, j * stride + v, c]
                        if candidate > y[n, i, j, c]:
                            y[n, i, j, c] = candidate
                            winner[n, i, j, c] = u * size + v


@kernel
def max_pool2d_backward(dy, winner, size, stride, dx):
    """`reference.max_pool2d_gradient`: adds each dy to the dx of its winner.

    Windows may overlap inside an image, so one thread owns it; images are independent. Each position of a window takes the
    slopes that it has won and zeros for the others, so that the loop over channels becomes vector instructions.
    """
    images, out_height, out_width, channels = dy.shape
    for n in prange(images):
        dx[n] = 0
        for i in range(out_height):
            for j in range(out_width):
                slope, won = dy[n, i, j], winner[n, i, j]
                for u in range(size):
                    for v in range(size):
                        pixel = dx[n, i * stride + u, j * stride + v]
                        position = np.uint16(u * size + v)
                        for c in range(channels):
                            pixel[c] += slope[c] if won[c] == position else dy.dtype.type(0)
