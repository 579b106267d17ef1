"""The depthwise convolution layer."""

from __future__ import annotations

import numpy as np

from scratchnet.kernels import depthwise, direct
from scratchnet.kernels.machine.memory import empty
from scratchnet.nn.base import Array, Parameter, Shape
from scratchnet.nn.conv import Window2D
from scratchnet.nn.initializers import Initializer, initializer


class DepthwiseConv2D(Window2D):
    """Looks for a small pattern of its own in each channel.

    y[n, i, j, c] = bias[c] + Σ over u, v of x[n, i·stride + u − top, j·stride + v − left, c] · weight[u, v, c]

    with zeros outside the image. With a 1×1 convolution after it, which mixes the channels, it does the work of a whole
    convolution with about KH · KW times fewer multiplications.

    kernel_size: K, or (KH, KW). stride, padding, weight_init: as in Conv2D.

    Shapes: (N, H, W, C) → (N, OH, OW, C), OH and OW as in Conv2D; weight (KH, KW, C), bias (C,), which starts at zero.
    Gradient: dweight[u, v, c] = Σ over n, i, j of x[n, i·s + u − top, j·s + v − left, c] · dy[n, i, j, c]; dbias[c] = Σ dy;
    dx[n, p, q, c] = Σ over i, j of dy[n, i, j, c] · weight[p + top − i·s, q + left − j·s, c], where those indices exist.
    Raises ShapeError if the filter is larger than the padded image.
    Source: Chollet 2017, "Xception: Deep Learning with Depthwise Separable Convolutions", section 1.

    >>> DepthwiseConv2D(3).build((64, 64, 8))
    (64, 64, 8)
    """

    kind = "depthwise"

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: str | int = "same",
        weight_init: str | Initializer = "xavier_uniform",
        name: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, name)
        self.weight_init = initializer(weight_init, self)

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        sizes, channels = self._sizes(input_shape), input_shape[2]
        taps = self.kernel_size[0] * self.kernel_size[1]
        weight = self.weight_init(rng, (*self.kernel_size, channels), taps, taps)
        self.weight = Parameter(f"{self.name}.weight", weight, self.dtype, decay=True)
        self.bias = Parameter(f"{self.name}.bias", np.zeros(channels, self.dtype), decay=False)
        return *sizes, channels

    def _forward(self, x: Array, training: bool) -> Array:
        assert self.output_shape is not None
        y = empty((len(x), *self.output_shape), x.dtype)
        depthwise.forward(x, self.weight.value, self.bias.value, self.stride, self.pads[0], self.pads[2], y)
        if training:
            self._remembered = x
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        x, window = self._remembered, (self.stride, self.pads[0], self.pads[2])
        self.bias.take(direct.backward_bias(dy), accumulate)
        self.weight.take(depthwise.backward_weight(x, dy, *window, self.kernel_size), accumulate)
        if not need_dx:
            return None
        dx = empty(x.shape, x.dtype)
        depthwise.backward_input(dy, self.weight.value, *window, dx)
        return dx
