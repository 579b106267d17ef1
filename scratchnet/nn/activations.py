"""Activations: what they share, and those beside ReLU."""

from __future__ import annotations

from typing import Any

from scratchnet.errors import ConfigError
from scratchnet.kernels import elementwise
from scratchnet.kernels.machine.memory import empty
from scratchnet.nn.base import Array, Layer, is_number


class Activation(Layer):
    """A function of each number by itself, whose gradient follows from its output: two kernels, and what they are told besides."""

    forward_kernel: Any
    backward_kernel: Any

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self._y: Any = None

    def _forward(self, x: Array, training: bool) -> Array:
        y = empty(x.shape, x.dtype)
        self.forward_kernel(x.reshape(-1), *map(x.dtype.type, self.constants), y.reshape(-1))
        if training:
            self._y = y
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        if not need_dx:
            return None
        dx = empty(dy.shape, dy.dtype)
        self.backward_kernel(dy.reshape(-1), self._y.reshape(-1), *map(dy.dtype.type, self.constants), dx.reshape(-1))
        return dx

    @property
    def constants(self) -> tuple[float, ...]:
        """What its kernels are told besides: nothing."""
        return ()

    def forget(self) -> None:
        """Releases the output."""
        super().forget()
        self._y = None


class LeakyReLU(Activation):
    """Keeps positive numbers and makes all others small, so that no unit is ever without a gradient.

    y = x where x > 0, else slope · x

    slope: 0 ≤ slope < 1. Shapes: any, unchanged.
    Gradient: dx = dy where x > 0, else slope · dy. Raises ConfigError for another slope.
    Source: Maas, Hannun & Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", section 2.

    >>> import numpy as np
    >>> relu = LeakyReLU(0.25)
    >>> relu.build((3,))
    (3,)
    >>> relu.forward(np.array([[-1, 0, 2]], "float32"))
    array([[-0.25,  0.  ,  2.  ]], dtype=float32)
    """

    kind = "leaky_relu"

    forward_kernel = staticmethod(elementwise.leaky_relu_forward)
    backward_kernel = staticmethod(elementwise.leaky_relu_backward)

    def __init__(self, slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not is_number(slope, 0, below=1):
            raise ConfigError(f"{self}: slope must be at least 0 and less than 1, got {slope!r}")
        self.slope = slope

    @property
    def constants(self) -> tuple[float, ...]:
        """The slope."""
        return (self.slope,)


class Sigmoid(Activation):
    """Brings every number between 0 and 1, as a probability.

    y = 1 / (1 + exp(−x)), computed from exp(−|x|), so that nothing overflows

    Shapes: any, unchanged. Gradient: dx = dy · y · (1 − y).
    Source: Goodfellow, Bengio & Courville 2016, section 6.2.2.2.

    >>> import numpy as np
    >>> sigmoid = Sigmoid()
    >>> sigmoid.build((3,))
    (3,)
    >>> sigmoid.forward(np.array([[-1000.0, 0, 1000]], "float32"))
    array([[0. , 0.5, 1. ]], dtype=float32)
    """

    kind = "sigmoid"
    forward_kernel = staticmethod(elementwise.sigmoid_forward)
    backward_kernel = staticmethod(elementwise.sigmoid_backward)


class Tanh(Activation):
    """Brings every number between −1 and 1.

    y = tanh x

    Shapes: any, unchanged. Gradient: dx = dy · (1 − y²).
    Source: LeCun et al. 1998, "Efficient BackProp", section 4.4.

    >>> import numpy as np
    >>> tanh = Tanh()
    >>> tanh.build((3,))
    (3,)
    >>> tanh.forward(np.array([[-1000.0, 0, 1000]], "float32"))
    array([[-1.,  0.,  1.]], dtype=float32)
    """

    kind = "tanh"
    forward_kernel = staticmethod(elementwise.tanh_forward)
    backward_kernel = staticmethod(elementwise.tanh_backward)
