"""One step of an optimiser on one parameter, in one pass over its memory. Arrays come flat, (size,), all of one dtype, scalars too."""

import numpy as np
from numba import prange

from scratchnet.kernels.jit import kernel


@kernel
def adam_step(value, grad, mean, square, l2, decay, step_size, beta1, rest1, beta2, rest2, correction, epsilon):
    """Moves value by one step of Adam, and its moments with it.

    g = grad + l2 · value;  mean ← β₁ mean + (1 − β₁) g;  square ← β₂ square + (1 − β₂) g²;
    value ← value − decay · value − step_size · mean / (√(square · correction) + ε)

    step_size = learning rate / (1 − β₁ᵗ) and correction = 1 / (1 − β₂ᵗ) hold the bias corrections of
    step t. rest = 1 − β comes as a number of its own: the difference of two float32 would lose digits.
    """
    for i in prange(value.size):
        g = grad[i] + l2 * value[i]
        mean[i] = beta1 * mean[i] + rest1 * g
        square[i] = beta2 * square[i] + rest2 * g * g
        value[i] -= decay * value[i] + step_size * mean[i] / (np.sqrt(square[i] * correction) + epsilon)


@kernel
def sgd_step(value, grad, velocity, l2, learning_rate, momentum):
    """velocity ← momentum · velocity + grad + l2 · value;  value ← value − learning_rate · velocity."""
    for i in prange(value.size):
        velocity[i] = momentum * velocity[i] + grad[i] + l2 * value[i]
        value[i] -= learning_rate * velocity[i]
