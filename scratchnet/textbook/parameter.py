"""What the textbook's layers learn: `scratchnet.Parameter` in NumPy alone, without the kernel that adds up gradients."""

import numpy as np

from scratchnet.reference import Array


class Parameter:
    """An array that is learnt, with its gradient beside it.

    name: "conv1.weight" once a network has named its layers. value, grad: arrays of one shape and dtype; `backward` writes
    grad. decay: whether L2 applies (to weights, not to biases).
    """

    def __init__(self, name: str, value: Array, *, decay: bool) -> None:
        self.name = name
        self.value = np.array(value, order="C")
        self.grad = np.zeros(value.shape, value.dtype)
        self.decay = decay

    def take(self, gradient: Array, accumulate: bool) -> None:
        """Writes the gradient, or adds it to the previous one."""
        self.grad[...] = self.grad + gradient if accumulate else gradient

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.value.shape}, {self.value.dtype}, decay={self.decay})"
