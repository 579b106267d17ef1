"""Layers beside a way around them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scratchnet import random
from scratchnet.errors import ShapeError
from scratchnet.kernels.elementwise import sum_of
from scratchnet.nn.base import Array, Layer, Parameter, Shape, checked_seed, is_ours, layers_in
from scratchnet.nn.sequential import Sequential


class Residual(Layer):
    """Layers that learn what is to be added to their input, so that a deep network begins near one that passes it on.

    y = layers(x) + shortcut(x)

    layers: one after the other, as in Sequential. shortcut: None for x itself, or layers too: where the layers change the
    shape, usually a convolution of 1×1 with the same stride and as many filters. seed: of dropout; a network sets it.

    Shapes: (N, H, W, C) → what the layers make of it, which must be what the shortcut makes of it.
    Gradient: dx = dx of the layers for dy + dx of the shortcut for dy, which for None is dy itself.
    The parameters are called "residual1.conv1.weight", those of the shortcut "residual1.shortcut.conv1.weight".
    Raises ShapeError if the two ways end in different shapes.
    Source: He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition", section 3.

    >>> from scratchnet import Conv2D, ReLU
    >>> block = Residual([Conv2D(8, 3, stride=2), ReLU(), Conv2D(8, 3)], shortcut=[Conv2D(8, 1, stride=2)])
    >>> block.build((16, 16, 3))
    (8, 8, 8)
    >>> [p.name for p in block.parameters()][-2:]
    ['shortcut.conv1.weight', 'shortcut.conv1.bias']
    """

    kind = "residual"

    def __init__(
        self, layers: Iterable[Any], shortcut: Iterable[Any] | None = None, *, seed: int = 0, name: str | None = None
    ) -> None:
        super().__init__(name)
        self._path = Sequential(layers)
        self._shortcut = None if shortcut is None else Sequential(shortcut)
        self.layers = self._path.layers
        self.shortcut = None if self._shortcut is None else self._shortcut.layers
        self.seed = checked_seed(self, seed)

    @property
    def ways(self) -> list[Sequential]:
        """The networks in it: that of the layers, and that of the shortcut if it has layers."""
        return [self._path] if self._shortcut is None else [self._path, self._shortcut]

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        output_shape = self._path.build(input_shape, rng, self.dtype, seed=self.seed)
        around = input_shape
        if self._shortcut is not None:
            seed = int(random.bits(self.seed, "shortcut", 0, [0])[0]) >> 1
            around = self._shortcut.build(input_shape, rng, self.dtype, seed=seed)
            for parameter in self._shortcut.parameters():
                parameter.name = f"shortcut.{parameter.name}"
        if around != output_shape:
            raise ShapeError(
                f"{self}: the layers make {output_shape} of {input_shape}, the shortcut {around}: give a shortcut that changes "
                "the shape alike, such as [Conv2D(filters, 1, stride=stride)]"
            )
        return output_shape

    def _forward(self, x: Array, training: bool) -> Array:
        if training:
            self.vouch_for(x, self.ways)
        y = self._path.forward(x, training=training)
        return sum_of(y, x if self._shortcut is None else self._shortcut.forward(x, training=training))

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        self.require_batch(dy, self._images)
        found = [way.backward(dy, need_dx=need_dx, accumulate=accumulate) for way in self.ways]
        first, second = [*found, dy][:2]
        return None if first is None or second is None else sum_of(first, second)

    def is_all_ours(self) -> bool:
        """Whether none of the layers in it is a user's own, which could spoil x, or what is added to it, unseen."""
        return all(map(is_ours, layers_in(self)))

    def vouch_for(self, x: Array, ways: Iterable[Sequential]) -> None:
        """Tells the ways that the x which each gets next holds numbers only: it was searched as the block's input."""
        if self.is_all_ours():
            for way in ways:
                way.trusted = x

    def parameters(self) -> list[Parameter]:
        """Those of the layers, then those of the shortcut."""
        return [parameter for way in self.ways for parameter in way.parameters()]

    def buffers(self) -> dict[str, Array]:
        """Those of the layers, and those of the shortcut under "shortcut.…"."""
        around = {} if self._shortcut is None else self._shortcut.buffers()
        return self._path.buffers() | {f"shortcut.{name}": array for name, array in around.items()}

    def observers(self) -> list[Any]:
        """The layers with buffers, on both ways."""
        return [layer for way in self.ways for layer in way.observers()]

    def seed_batch(self, epoch: int, images: ArrayLike) -> None:
        """Names the epoch, and the images (N,) of the next batch by their numbers in the dataset."""
        for way in self.ways:
            way.seed_batch(epoch, images)

    def forget(self) -> None:
        """Releases all that the layers remember for backward."""
        super().forget()
        for way in self.ways:
            way.forget()

    def multiplications(self) -> int:
        """Those of all layers, for one image."""
        return sum(way.multiplications() for way in self.ways)

    def bytes_per_image(self) -> int:
        """Memory of all outputs for one image, its own among them."""
        self.require_built()
        assert self.output_shape is not None
        own = int(np.prod(self.output_shape)) * self.dtype.itemsize
        return own + sum(way.bytes_per_image() for way in self.ways)
