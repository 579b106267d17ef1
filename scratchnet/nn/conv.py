"""The convolution layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.kernels import convolution
from scratchnet.nn.base import Array, Layer, Parameter, Shape, is_whole
from scratchnet.nn.initializers import Initializer, initializer


class Window2D(Layer):
    """What the convolutions share: a window of KH × KW that moves over the padded image, and a weight and a bias."""

    weight: Parameter
    bias: Parameter

    def __init__(self, kernel_size: int | tuple[int, int], stride: int, padding: str | int, name: str | None) -> None:
        super().__init__(name)
        sizes = tuple(kernel_size) if isinstance(kernel_size, Sequence) else (kernel_size, kernel_size)
        if len(sizes) != 2 or not all(is_whole(value, 1) for value in (*sizes, stride)):
            raise ConfigError(
                f"{self}: kernel_size and stride must be whole numbers from 1 up, got {kernel_size!r}, {stride!r}"
            )
        if padding not in ("same", "valid") and not is_whole(padding, 0):
            raise ConfigError(f"{self}: padding must be 'same', 'valid' or an integer from 0 up, got {padding!r}")
        self.stride = int(stride)
        self.kernel_size = int(sizes[0]), int(sizes[1])
        self.padding = padding if isinstance(padding, str) else int(padding)
        self._remembered: Any = None

    def _sizes(self, input_shape: Shape) -> tuple[int, int]:
        """Fixes the padding; returns height and width of the output. Raises ShapeError if the window is larger than the image."""
        self.require_images(input_shape)
        height, width, _ = input_shape
        kernel_height, kernel_width = self.kernel_size
        self.pads = (*self._pad_one_axis(height, kernel_height), *self._pad_one_axis(width, kernel_width))
        top, bottom, left, right = self.pads
        padded_height, padded_width = height + top + bottom, width + left + right
        if padded_height < kernel_height or padded_width < kernel_width:
            raise ShapeError(
                f"{self}: a filter of {kernel_height}×{kernel_width} is larger than the image of "
                f"{padded_height}×{padded_width} (padding included): "
                "use a smaller kernel_size, more padding or larger images"
            )
        return (padded_height - kernel_height) // self.stride + 1, (padded_width - kernel_width) // self.stride + 1

    def _pad_one_axis(self, size: int, kernel: int) -> tuple[int, int]:
        if isinstance(self.padding, int):
            return self.padding, self.padding
        if self.padding == "valid":
            return 0, 0
        outputs = -(-size // self.stride)
        total = max(0, (outputs - 1) * self.stride + kernel - size)
        return total // 2, total - total // 2

    def parameters(self) -> list[Parameter]:
        """Weight and bias."""
        self.require_built()
        return [self.weight, self.bias]

    def forget(self) -> None:
        """Releases the images."""
        super().forget()
        self._remembered = None

    def multiplications(self) -> int:
        """For each output pixel as many as there are weights."""
        self.require_built()
        assert self.output_shape is not None
        return self.output_shape[0] * self.output_shape[1] * self.weight.value.size


class Conv2D(Window2D):
    """Looks for F small patterns at every position of an image.

    y[n, i, j, f] = bias[f] + Σ over u, v, c of x[n, i·stride + u − top, j·stride + v − left, c] · weight[u, v, c, f]

    with zeros outside the image. (It is called a convolution, but is a cross-correlation: the filter isn't flipped.)

    filters: F. kernel_size: K, or (KH, KW). stride: s ≥ 1. padding: "same" pads so that OH = ⌈H / s⌉, the odd row at
    the bottom; "valid" pads nothing, OH = ⌊(H − KH) / s⌋ + 1; an integer p pads p on every side, OH = ⌊(H + 2p − KH) /
    s⌋ + 1. OW likewise. weight_init: "xavier_uniform", "xavier_normal", "he_uniform", "he_normal".

    Shapes: (N, H, W, C) → (N, OH, OW, F); weight (KH, KW, C, F), bias (F,), which starts at zero.
    Gradient: dweight[u, v, c, f] = Σ over n, i, j of x[n, i·s + u − top, j·s + v − left, c] · dy[n, i, j, f]; dbias[f] = Σ over
    n, i, j of dy[n, i, j, f]; dx[n, p, q, c] = Σ over i, j, f of dy[n, i, j, f] · weight[p + top − i·s, q + left − j·s, c, f], over
    those indices of the weight that exist. With s = 1 dx is the convolution of dy with the filters turned by 180°.
    Raises ShapeError if the filter is larger than the padded image.
    Source: LeCun et al. 1998, section II.A; output sizes as in Dumoulin & Visin 2016, section 2.

    >>> Conv2D(32, kernel_size=5).build((64, 64, 3))
    (64, 64, 32)
    >>> Conv2D(8, kernel_size=3, stride=2, padding="valid").build((64, 64, 3))
    (31, 31, 8)
    """

    kind = "conv"

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: str | int = "same",
        weight_init: str | Initializer = "xavier_uniform",
        name: str | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, name)
        if not is_whole(filters, 1):
            raise ConfigError(f"{self}: filters must be a whole number from 1 up, got {filters!r}")
        self.filters = int(filters)
        self.weight_init = initializer(weight_init, self)

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        out_height, out_width = self._sizes(input_shape)
        channels, taps = input_shape[2], self.kernel_size[0] * self.kernel_size[1]
        weight = self.weight_init(
            rng, (*self.kernel_size, channels, self.filters), taps * channels, taps * self.filters
        )
        self.weight = Parameter(f"{self.name}.weight", weight, self.dtype, decay=True)
        self.bias = Parameter(f"{self.name}.bias", np.zeros(self.filters, self.dtype), decay=False)
        output_shape = out_height, out_width, self.filters
        self.geometry = convolution.Geometry(
            (input_shape[0], input_shape[1], channels), output_shape, self.kernel_size, self.stride, self.pads
        )
        return output_shape

    def _forward(self, x: Array, training: bool) -> Array:
        y, remembered = convolution.forward(self.geometry, x, self.weight.value, self.bias.value)
        if training:
            self._remembered = remembered
        return y

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        if not self.weight.frozen:
            self.bias.take(convolution.backward_bias(self._remembered, dy), accumulate)
            convolution.backward_weight(self.geometry, self._remembered, dy, self.weight.grad, accumulate)
        if not need_dx:
            return None
        return convolution.backward_input(self.geometry, self._remembered, dy, self.weight.value)
