"""Convolution, ReLU and max-pooling in one pass over memory."""

from __future__ import annotations

from typing import Any

from scratchnet.kernels import winograd
from scratchnet.kernels.choice import can_use_winograd
from scratchnet.layers.base import Array, Parameter
from scratchnet.layers.conv import Conv2D
from scratchnet.layers.pool import MaxPool2D
from scratchnet.layers.relu import ReLU


class ConvReluPool:
    """Runs three layers that stand in a row as one kernel, where Winograd's algorithm is worth its while; otherwise one by one.

    y = pool(relu(conv(x))). The kernel has a tile of the convolution's output in the first cache; it takes the maximum
    of each 2 × 2 window there and writes that, and which of the four it was, or that none was above zero. What the
    convolution and ReLU put out never reaches memory. Backward needs x, dy and the winners.

    The result is that of the three layers, to rounding. They keep their names, parameters and places in the summary;
    this is no layer but the network's way of running them.
    """

    def __init__(self, conv: Conv2D, relu: ReLU, pool: MaxPool2D) -> None:
        self.conv, self.relu, self.pool = conv, relu, pool
        self._x: Array | None = None
        self._winner: Array | None = None

    @staticmethod
    def fits(layers: list[Any]) -> bool:
        """Whether these are three layers that can be fused: the filter's size must leave an even number of outputs to a tile."""
        return (
            [type(layer) for layer in layers] == [Conv2D, ReLU, MaxPool2D]
            and layers[2].pool_size == layers[2].stride == 2
            and can_use_winograd(layers[0].kernel_size, layers[0].stride)
            and layers[0].kernel_size[0] % 2 == 1
        )

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """The pooled output for a batch x."""
        if training:
            self.forget()
        if self.conv.algorithm(len(x)) != "winograd":
            for layer in (self.conv, self.relu, self.pool):
                x = layer.forward(x, training=training)
            return x
        x = self.conv.checked(x)
        assert self.conv.output_shape is not None
        height, width, _ = self.conv.output_shape
        u = winograd.transformed_filters(self.conv.weight.value)
        taps, (top, _, left, _) = self.conv.kernel_size[0], self.conv.pads
        y, winner = winograd.forward_pooled(x, u, self.conv.bias.value, taps, top, left, height, width)
        if training:
            self._x, self._winner = x, winner
        return y

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx of the last forward(training=True), and the gradients of the convolution's parameters."""
        if self._x is None or self._winner is None:
            dz = self.relu.backward(self.pool.backward(dy))  # type: ignore[arg-type]  # not None: need_dx is true
            return self.conv.backward(dz, need_dx=need_dx, accumulate=accumulate)  # type: ignore[arg-type]
        dy = self.pool.checked_dy(dy)
        self.pool.require_batch(dy, len(self._x))
        weight, bias = self.conv.weight, self.conv.bias
        taps, (top, _, left, _) = self.conv.kernel_size[0], self.conv.pads
        assert self.conv.output_shape is not None
        out_height, out_width, _ = self.conv.output_shape
        winograd.backward_weight(self._x, dy, self._winner, top, left, out_height, out_width, weight.grad, accumulate)
        dbias = winograd.backward_bias(dy, self._winner)
        bias.take(dbias, accumulate)
        if not need_dx:
            return None
        u = winograd.transformed_filters(winograd.turned(weight.value))
        return winograd.backward_input(dy, self._winner, u, taps, top, left, *self._x.shape[1:])

    def parameters(self) -> list[Parameter]:
        """The convolution's."""
        return self.conv.parameters()

    def forget(self) -> None:
        """Lets go of what backward needs."""
        self._x = self._winner = None
        for layer in (self.conv, self.relu, self.pool):
            layer.forget()
