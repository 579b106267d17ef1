"""One step of an optimiser on one parameter, in one pass over its memory. Arrays are flat, (size,), and share one
dtype with the scalars.

Unneeded weights keep shrinking, and would be denormal for most of a long training; many processors multiply denormal numbers a
hundred times as slowly as others (`denormals.py`). Whatever falls below NEGLIGIBLE becomes zero. The rest is not denormal even
when it is multiplied by a small number. A weight at zero is not lost: the next gradient moves it as before.
"""

import numpy as np

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange

BLOCK = 16384  # numbers in one task
ENOUGH = 4  # tasks that are worth another thread: 30 µs and more, as fast as memory answers
# The smallest normal numbers are 1.2e-38 and 2.2e-308.
NEGLIGIBLE = {"float32": 1e-30, "float64": 1e-300}


@helper
def above(number, bound):
    """The number, or an exact zero where it is smaller than the bound; a NaN stays a NaN."""
    return number - number if abs(number) < bound else number


@kernel
def adam_step(
    value, grad, mean, square, l2, decay, step_size, beta1, rest1, beta2, rest2, correction, epsilon, negligible
):
    """`reference.adam`: moves value by one step of Adam, and its moments with it.

    g = grad + l2 · value;  mean ← β₁ mean + (1 − β₁) g;  square ← β₂ square + (1 − β₂) g²;
    value ← value − decay · value − step_size · mean / (√(square · correction) + ε)

    step_size = learning rate / (1 − β₁ᵗ) and correction = 1 / (1 − β₂ᵗ) hold the bias corrections of
    step t. rest = 1 − β is an argument of its own: the difference of two float32 would lose digits. Values and means
    below `negligible` become zero; a square, whose root counts, only where it is denormal.
    """
    for task in prange((value.size + BLOCK - 1) // BLOCK, ENOUGH):
        here = slice(task * BLOCK, min(value.size, (task + 1) * BLOCK))
        w, gradient, m, v = value[here], grad[here], mean[here], square[here]
        rules = flush_denormals()
        for i in range(w.size):
            g = gradient[i] + l2 * w[i]
            m[i] = above(beta1 * m[i] + rest1 * g, negligible)
            v[i] = beta2 * v[i] + rest2 * g * g
            move = decay * w[i] + step_size * m[i] / (np.sqrt(v[i] * correction) + epsilon)
            w[i] = above(w[i] - move, negligible)
        restore(rules)


@kernel
def sgd_step(value, grad, velocity, l2, learning_rate, momentum, negligible):
    """`reference.sgd`: velocity ← momentum · velocity + grad + l2 · value;  value ← value − learning_rate · velocity.

    Values below `negligible` become zero.
    """
    for task in prange((value.size + BLOCK - 1) // BLOCK, ENOUGH):
        here = slice(task * BLOCK, min(value.size, (task + 1) * BLOCK))
        w, gradient, v = value[here], grad[here], velocity[here]
        rules = flush_denormals()
        for i in range(w.size):
            v[i] = above(momentum * v[i] + gradient[i] + l2 * w[i], negligible)
            w[i] = above(w[i] - learning_rate * v[i], negligible)
        restore(rules)
