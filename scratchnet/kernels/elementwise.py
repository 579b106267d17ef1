"""Operations on each number separately: activations, dropout, the search for NaN and infinity, and squares. Arrays are flat, (size,)."""

import numpy as np

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty

BLOCK = 16384  # numbers in one task: few enough to share evenly
ENOUGH = 16  # tasks that are worth another thread, some 40 µs
DRAWS = 65536  # numbers of dropout that are


@helper
def blocks(x):
    """The number of tasks for x."""
    return (x.size + BLOCK - 1) // BLOCK


@helper
def part(x, task):
    """The numbers of x that are this task's: the same on any number of threads, and so are those that share a vector, and their last bits.

    A slice, because only of a loop from zero to its size does the compiler see that no index counts from the end.
    """
    return x[task * BLOCK : min(x.size, (task + 1) * BLOCK)]


@kernel
def relu_forward(x, y):
    """`reference.relu`: y = 0 where x < 0, else x; a NaN stays a NaN."""
    for task in prange(blocks(x), ENOUGH):
        x_here, y_here = part(x, task), part(y, task)
        for i in range(x_here.size):
            y_here[i] = x.dtype.type(0) if x_here[i] < 0 else x_here[i]


@kernel
def relu_backward(dy, y, dx):
    """`reference.relu_gradient`: dx = dy where y > 0, else 0."""
    for task in prange(blocks(dy), ENOUGH):
        dy_here, y_here, dx_here = part(dy, task), part(y, task), part(dx, task)
        for i in range(dy_here.size):
            dx_here[i] = dy_here[i] if y_here[i] > 0 else dy.dtype.type(0)


@kernel
def leaky_relu_forward(x, slope, y):
    """`reference.leaky_relu`: y = x where x > 0, else slope · x."""
    for task in prange(blocks(x), ENOUGH):
        rules = flush_denormals()
        x_here, y_here = part(x, task), part(y, task)
        for i in range(x_here.size):
            y_here[i] = x_here[i] if x_here[i] > 0 else slope * x_here[i]
        restore(rules)


@kernel
def leaky_relu_backward(dy, y, slope, dx):
    """`reference.leaky_relu_gradient`: dx = dy where x > 0, which is where y > 0, else slope · dy."""
    for task in prange(blocks(dy), ENOUGH):
        rules = flush_denormals()
        dy_here, y_here, dx_here = part(dy, task), part(y, task), part(dx, task)
        for i in range(dy_here.size):
            dx_here[i] = dy_here[i] if y_here[i] > 0 else slope * dy_here[i]
        restore(rules)


@kernel
def sigmoid_forward(x, y):
    """`reference.sigmoid`: y = 1 / (1 + exp(−x))."""
    one = x.dtype.type(1)
    for task in prange(blocks(x)):
        rules = flush_denormals()
        x_here, y_here = part(x, task), part(y, task)
        for i in range(x_here.size):
            small = np.exp(-abs(x_here[i]))
            y_here[i] = (small if x_here[i] < 0 else one) / (one + small)
        restore(rules)


@kernel
def sigmoid_backward(dy, y, dx):
    """`reference.sigmoid_gradient`: dx = dy · y · (1 − y)."""
    for task in prange(blocks(dy)):
        rules = flush_denormals()
        dy_here, y_here, dx_here = part(dy, task), part(y, task), part(dx, task)
        for i in range(dy_here.size):
            dx_here[i] = dy_here[i] * y_here[i] * (y.dtype.type(1) - y_here[i])
        restore(rules)


@kernel
def tanh_forward(x, y):
    """`reference.tanh`: y = tanh x."""
    for task in prange(blocks(x)):
        rules = flush_denormals()
        x_here, y_here = part(x, task), part(y, task)
        for i in range(x_here.size):
            y_here[i] = np.tanh(x_here[i])
        restore(rules)


@kernel
def tanh_backward(dy, y, dx):
    """`reference.tanh_gradient`: dx = dy · (1 − y²)."""
    for task in prange(blocks(dy)):
        rules = flush_denormals()
        dy_here, y_here, dx_here = part(dy, task), part(y, task), part(dx, task)
        for i in range(dy_here.size):
            dx_here[i] = dy_here[i] * (y.dtype.type(1) - y_here[i] * y_here[i])
        restore(rules)


@kernel
def dropout_forward(x, keys, rate, scale, y, kept):
    """`reference.dropout_kept` and `reference.dropout`: y[n, j] = x[n, j] · scale where kept[n, j], else 0.

    kept (N, F) bool: where a draw for (image n, feature j) is at least `rate`. x, y (N, F). keys (N,) uint64: one for
    each image. The draw mixes the key and the feature's number as `scratchnet.random.mix` does; its upper 53 bits make a
    number in [0, 1).
    """
    images, features = x.shape
    for n in prange(images, 1 + DRAWS // features):
        rules = flush_denormals()
        for j in range(features):
            z = keys[n] + np.uint64(j + 1) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            kept[n, j] = np.float64(z >> np.uint64(11)) * 2.0**-53 >= rate
            y[n, j] = x[n, j] * scale if kept[n, j] else x.dtype.type(0)
        restore(rules)


@kernel
def dropout_backward(dy, kept, scale, dx):
    """`reference.dropout_gradient`: dx = dy · scale where kept, else 0: all (N, F)."""
    images, features = dy.shape
    for n in prange(images, 1 + DRAWS // features):
        rules = flush_denormals()
        for j in range(features):
            dx[n, j] = dy[n, j] * scale if kept[n, j] else dy.dtype.type(0)
        restore(rules)


@kernel
def search_non_finite(x, largest, found):
    """Not `np.isfinite(x).all()`: found[0] = True if a number of x lies outside ±largest, or is NaN."""
    for task in prange(blocks(x), ENOUGH):
        outside = 0
        here = part(x, task)
        for k in range(here.size):
            outside += not (-largest <= here[k] <= largest)
        if outside:  # whichever threads write, they write the same
            found[0] = True


def all_finite(x):
    """Whether x, of any shape, holds no NaN and no infinity."""
    if x.size < BLOCK:  # NumPy is through before threads would have begun, and nothing needs compiling
        return bool(np.isfinite(x).all())
    found = np.zeros(1, np.bool_)
    search_non_finite(x.reshape(-1), np.finfo(x.dtype).max, found)
    return not found[0]


@kernel
def block_squares(x, sums):
    """`np.sum(x**2)` of each block of x, in float64."""
    for i in prange(sums.size, ENOUGH):
        rules = flush_denormals()
        total = 0.0
        here = part(x, i)
        for k in range(here.size):
            total += np.float64(here[k]) * np.float64(here[k])
        sums[i] = total
        restore(rules)


def sum_of_squares(x):
    """Σ x² over an array of any shape, float64: the same bits on any number of threads."""
    sums = np.empty(-(-x.size // BLOCK), np.float64)
    block_squares(x.reshape(-1), sums)
    return float(sums.sum())


@kernel
def sum_flat(one, other, sums):
    """`np.add`: sums = one + other."""
    for task in prange(blocks(sums), ENOUGH):
        sums_here, one_here, other_here = part(sums, task), part(one, task), part(other, task)
        for i in range(sums_here.size):
            sums_here[i] = one_here[i] + other_here[i]


def sum_of(one, other):
    """one + other, two arrays of one shape and dtype, C-contiguous."""
    sums = empty(one.shape, one.dtype)
    sum_flat(one.reshape(-1), other.reshape(-1), sums.reshape(-1))
    return sums


@kernel
def add_flat(sums, more):
    """`np.add`: sums += more, denormal numbers as zeros, as wherever a kernel adds to what is there."""
    for task in prange(blocks(sums), ENOUGH):
        rules = flush_denormals()
        sums_here, more_here = part(sums, task), part(more, task)
        for i in range(sums_here.size):
            sums_here[i] += more_here[i]
        restore(rules)


def add_to(sums, more):
    """sums += more, two arrays of one shape and dtype, C-contiguous."""
    add_flat(sums.reshape(-1), more.reshape(-1))


@kernel
def scale(x, factor):
    """`np.multiply(x, factor, out=x)`; factor of the dtype of x."""
    for task in prange(blocks(x), ENOUGH):
        rules = flush_denormals()
        here = part(x, task)
        for i in range(here.size):
            here[i] *= factor
        restore(rules)
