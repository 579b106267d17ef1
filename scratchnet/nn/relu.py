"""The rectified linear unit."""

from __future__ import annotations

from scratchnet.kernels.elementwise import relu_backward, relu_forward
from scratchnet.nn.activations import Activation


class ReLU(Activation):
    """Keeps positive numbers and sets all others to zero.

    y = max(x, 0)

    Shapes: any, unchanged.
    Gradient: dx = dy where x > 0, else 0; at 0 itself, where there is no derivative, 0.
    Source: Nair & Hinton 2010.

    >>> import numpy as np
    >>> relu = ReLU()
    >>> relu.build((3,))
    (3,)
    >>> relu.forward(np.array([[-1, 0, 2]], "float32"), training=False)
    array([[0., 0., 2.]], dtype=float32)
    """

    kind = "relu"
    finite = True

    forward_kernel = staticmethod(relu_forward)
    backward_kernel = staticmethod(relu_backward)
