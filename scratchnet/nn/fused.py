"""Layers that are run as one: fewer passes over memory."""

from __future__ import annotations

from typing import Any

from scratchnet.errors import NonFiniteError
from scratchnet.kernels import convolution
from scratchnet.kernels.elementwise import sum_of
from scratchnet.nn.base import Array, Parameter
from scratchnet.nn.batch_norm import BatchNorm2D
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU


class ConvReluPool:
    """Runs three consecutive layers as one kernel if `convolution.pools_inside`; otherwise one by one.

    y = pool(relu(conv(x))). The kernel has a tile of the convolution's output in the first cache; there it takes the
    maximum of each 2 × 2 window and writes it with the position of the winner, or a mark that none was above zero.
    The outputs of convolution and ReLU never reach memory. Backward needs x, dy and the winners.

    The result is that of the three layers, to rounding. They keep their names, parameters and rows in the summary;
    this is not a layer of its own, but the network's way of running the three.
    """

    length = 3
    releases_x = True  # before dx is made, if asked to: dx then takes its place in memory

    def __init__(self, conv: Conv2D, relu: ReLU, pool: MaxPool2D) -> None:
        self.first, self.conv, self.relu, self.pool = conv, conv, relu, pool
        self.last = pool  # whose output it puts out
        self._remembered: Any = None

    @property
    def name(self) -> str:
        """The convolution's."""
        return self.conv.name

    @staticmethod
    def fits(layers: list[Any]) -> bool:
        """Whether these are three layers that can be fused."""
        return (
            [type(layer) for layer in layers] == [Conv2D, ReLU, MaxPool2D]
            and layers[2].pool_size == layers[2].stride == 2
            and convolution.can_pool_inside(layers[0].kernel_size, layers[0].stride)
        )

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """The pooled output for a batch x."""
        if training:
            self.forget()
        if not convolution.pools_inside(self.conv.geometry, len(x)):
            for layer in (self.conv, self.relu, self.pool):
                x = layer.forward(x, training=training)
            return x
        x = self.conv.checked(x, training)
        y, remembered = convolution.forward_pooled(self.conv.geometry, x, self.conv.weight.value, self.conv.bias.value)
        if training:
            self._remembered = remembered
        return y

    def backward(
        self, dy: Array, *, need_dx: bool = True, accumulate: bool = False, release: bool = False
    ) -> Array | None:
        """dx of the last forward(training=True), and the gradients of the convolution's parameters. release: see `Releases`."""
        if self._remembered is None:
            dz = self.relu.backward(self.pool.backward(dy))  # type: ignore[arg-type]  # not None: need_dx is true
            return self.conv.backward(dz, need_dx=need_dx, accumulate=accumulate)  # type: ignore[arg-type]
        dy = self.pool.checked_dy(dy)
        self.pool.require_batch(dy, len(self._remembered.x))
        geometry, weight = self.conv.geometry, self.conv.weight
        if not weight.frozen:
            self.conv.bias.take(convolution.backward_bias(self._remembered, dy), accumulate)
            convolution.backward_weight(geometry, self._remembered, dy, weight.grad, accumulate)
        remembered = self._remembered
        if release:
            self._remembered, remembered = None, remembered._replace(x=None)
        return convolution.backward_input(geometry, remembered, dy, weight.value) if need_dx else None

    def parameters(self) -> list[Parameter]:
        """The convolution's."""
        return self.conv.parameters()

    def forget(self) -> None:
        """Releases what backward needs."""
        self._remembered = None
        for layer in (self.conv, self.relu, self.pool):
            layer.forget()


class NormRelu:
    """Runs batch normalisation and ReLU as one: y = max(norm(x), 0), of which backward needs x alone.

    The result is that of the two layers, to rounding. Like the above, it is no layer of its own.
    """

    length = 2

    def __init__(self, norm: BatchNorm2D, relu: ReLU) -> None:
        self.first, self.norm, self.relu = norm, norm, relu
        self.last = relu

    @property
    def name(self) -> str:
        """The normalisation's."""
        return self.norm.name

    @staticmethod
    def fits(layers: list[Any]) -> bool:
        """Whether these are the two layers."""
        return [type(layer) for layer in layers] == [BatchNorm2D, ReLU]

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """The rectified output for a batch x."""
        return self.norm.run(self.norm.checked(x, training), training, 0.0)

    @property
    def finite(self) -> bool:
        """As of the normalisation."""
        return self.norm.finite

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx of the last forward(training=True), and the gradients of the normalisation's parameters."""
        return self.norm.slopes(self.relu.checked_dy(dy), need_dx, accumulate)

    def parameters(self) -> list[Parameter]:
        """The normalisation's."""
        return self.norm.parameters()

    def forget(self) -> None:
        """Releases what backward needs."""
        self.norm.forget()


class ResidualRelu:
    """Runs a residual block whose layers end with batch normalisation, and the ReLU after it: y = max(norm(h) + around, 0) in one pass.

    h is what the layers before the normalisation make of x, around what the shortcut makes of it. The result is that of the
    layers, to rounding; like the above, it is no layer of its own.
    """

    length = 2

    def __init__(self, residual: Any, relu: ReLU) -> None:
        self.first, self.residual, self.relu = residual, residual, relu
        self.last = relu
        path, *self.around = residual.ways
        self.before, self.norm = path[:-1], path[-1]

    @property
    def name(self) -> str:
        """The block's."""
        return self.residual.name

    @staticmethod
    def fits(layers: list[Any]) -> bool:
        """Whether these are the two layers."""
        from scratchnet.nn.residual import Residual  # which stands on networks, and these on this file

        return (
            [type(layer) for layer in layers] == [Residual, ReLU]
            and len(layers[0].layers) > 1
            and type(layers[0].layers[-1]) is BatchNorm2D
        )

    def forward(self, x: Array, *, training: bool = False) -> Array:
        """The rectified sum for a batch x."""
        x = self.residual.checked(x, training)
        if training:
            self.residual.vouch_for(x, (self.before, *self.around))
        h = self.before.forward(x, training=training)
        around = self.around[0].forward(x, training=training) if self.around else x
        try:
            return self.norm.run(self.norm.checked(h, training), training, 0.0, around)
        except NonFiniteError as error:
            self.before.blame_last(h, error)
            raise

    @property
    def finite(self) -> bool:
        """If the normalisation's output is, and what is added to it."""
        return self.norm.finite and self.residual.is_all_ours() and all(way.finite for way in self.around)

    def backward(self, dy: Array, *, need_dx: bool = True, accumulate: bool = False) -> Array | None:
        """dx of the last forward(training=True), and the gradients of all parameters in the block."""
        wanted = need_dx or any(not parameter.frozen for parameter in self.before.parameters())
        dz, dh = self.norm.slopes_of_sum(self.relu.checked_dy(dy), wanted, accumulate)
        dx = None if dh is None else self.before.backward(dh, need_dx=need_dx, accumulate=accumulate)
        beside = self.around[0].backward(dz, need_dx=need_dx, accumulate=accumulate) if self.around else dz
        return None if dx is None or beside is None else sum_of(dx, beside)

    def parameters(self) -> list[Parameter]:
        """The block's."""
        return self.residual.parameters()

    def bytes_per_image(self) -> int:
        """Memory of the outputs on both ways, for one image: the block's own stands in place of the normalisation's."""
        return sum(way.bytes_per_image() for way in self.residual.ways)

    def forget(self) -> None:
        """Releases what backward needs."""
        for part in (self.before, self.norm, self.residual):
            part.forget()


FUSED: tuple[Any, ...] = (ConvReluPool, NormRelu, ResidualRelu)
