"""A layer that notes what a checker asks of it: from that follows which mistake the checker makes."""

from typing import Any

import numpy as np

from scratchnet import textbook


class Spied:
    """Notes of one layer: x and dy as they were given, which numbers were moved, and how far."""

    def __init__(self, layer: textbook.Layer) -> None:
        self.layer = layer
        self.x: Any = None
        self.dy: Any = None
        self.nan = False
        self.calls = 0
        self.steps: list[float] = []
        self.moved: dict[str, set[int]] = {name: set() for name in ("x", *(p.name for p in layer.parameters()))}
        self._values = {p.name: p.value.copy() for p in layer.parameters()}
        self._forward, self._backward = layer.forward, layer.backward
        layer.forward, layer.backward = self.forward, self.backward  # type: ignore[method-assign]

    def forward(self, x: Any, **options: Any) -> Any:
        """The layer's, noted."""
        self.calls += 1
        if self.x is None or self.x.shape != np.shape(x):
            self.x = np.array(x)
        self._compare("x", x, self.x)
        for parameter in self.layer.parameters():
            self._compare(parameter.name, parameter.value, self._values[parameter.name])
        return self._forward(x, **options)

    def backward(self, dy: Any, **options: Any) -> Any:
        """The layer's, noted."""
        self.calls += 1
        self.dy = np.array(dy)
        self.nan |= any(bool(np.isnan(p.grad).any()) for p in self.layer.parameters())
        return self._backward(dy, **options)

    def _compare(self, name: str, now: Any, before: Any) -> None:
        places = np.flatnonzero(now != before)
        self.moved[name].update(map(int, places))
        if len(places):
            self.steps.append(float(np.abs(now - before).max()))

    @property
    def asked(self) -> bool:
        """Whether backward was called, and something beside it: with less nothing can be said of a layer."""
        return self.calls >= 2 and self.dy is not None

    def false_alarm(self) -> str:
        """Why a right layer may be called wrong; "" where nothing is seen."""
        if self.steps and max(self.steps) > 1e-3:
            return f"a step of {max(self.steps):.3g} is so long that it leaves the tangent: try h = 1e-5"
        if self.steps and max(self.steps) < 1e-8:
            return f"a step of {max(self.steps):.3g} is lost in rounding: try h = 1e-5"
        if len(np.unique(self.x)) < self.x.size or not self.x.all():
            return "x has ties or zeros, where there is no slope: draw it with rng.normal"
        return ""

    def miss(self) -> str:
        """Why a broken layer may be called right; "" where nothing is seen."""
        if self.x is None or self.dy is None:
            return "it is not asked: call forward and backward"
        if self.dy.size > 1 and np.ptp(self.dy) == 0:
            return f"is r random? It is {self.dy.flat[0]:g} everywhere"
        if self.nan:
            return "grad is filled with NaN, and no comparison with NaN is true: fill it with other numbers"
        if not (self.x < 0).any():
            return "has x numbers below 0? draw it with rng.normal"
        if len(self.x) < 2:
            return "x has one image: draw several"
        for name, places in self.moved.items():
            size = self.x.size if name == "x" else self._values[name].size
            if len(places) < min(size, 30):
                return f"{len(places)} of the {size} numbers of {name} are compared: compare more"
        return ""
