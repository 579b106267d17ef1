"""Max-pooling."""

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

    Windows may overlap inside an image, so one thread owns it; images are independent.
    """
    images, out_height, out_width, channels = dy.shape
    for n in prange(images):
        dx[n] = 0
        for i in range(out_height):
            for j in range(out_width):
                for c in range(channels):
                    u, v = winner[n, i, j, c] // size, winner[n, i, j, c] % size
                    dx[n, i * stride + u, j * stride + v, c] += dy[n, i, j, c]
