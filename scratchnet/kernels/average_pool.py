"""Average-pooling, of windows and of whole images. The innermost loops run over channels, which lie side by side in memory."""

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange


@kernel
def average_pool2d_forward(x, size, stride, y):
    """`reference.average_pool2d`: x (N, H, W, C), y (N, OH, OW, C)."""
    images, out_height, out_width, channels = y.shape
    share = x.dtype.type(1 / (size * size))
    for row in prange(images * out_height):
        rules = flush_denormals()
        n, i = row // out_height, row % out_height
        for j in range(out_width):
            out = y[n, i, j]
            out[:] = 0
            for u in range(size):
                for v in range(size):
                    pixel = x[n, i * stride + u, j * stride + v]
                    for c in range(channels):
                        out[c] += pixel[c]
            for c in range(channels):
                out[c] *= share
        restore(rules)


@kernel
def average_pool2d_backward(dy, size, stride, dx):
    """`reference.average_pool2d_gradient`. Windows may overlap inside an image, so one thread owns it."""
    images, out_height, out_width, channels = dy.shape
    share = dy.dtype.type(1 / (size * size))
    for n in prange(images):
        rules = flush_denormals()
        dx[n] = 0
        for i in range(out_height):
            for j in range(out_width):
                slope = dy[n, i, j]
                for u in range(size):
                    for v in range(size):
                        pixel = dx[n, i * stride + u, j * stride + v]
                        for c in range(channels):
                            pixel[c] += slope[c] * share
        restore(rules)


@kernel
def global_average_pool2d_forward(x, y):
    """`reference.global_average_pool2d`: x (N, positions, C), y (N, C)."""
    images, positions, channels = x.shape
    for n in prange(images):
        rules = flush_denormals()
        out = y[n]
        out[:] = 0
        for position in range(positions):
            pixel = x[n, position]
            for c in range(channels):
                out[c] += pixel[c]
        for c in range(channels):
            out[c] /= positions
        restore(rules)


@kernel
def global_average_pool2d_backward(dy, dx):
    """`reference.global_average_pool2d_gradient`: dy (N, C), dx (N, positions, C)."""
    images, positions, channels = dx.shape
    share = dy.dtype.type(1 / positions)
    for n in prange(images):
        rules = flush_denormals()
        for position in range(positions):
            for c in range(channels):
                dx[n, position, c] = dy[n, c] * share
        restore(rules)
