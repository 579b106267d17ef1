"""The checks of a layer that lesson 4 sets beside the student's own. Each is given a layer, and says whether it takes it for right."""

from typing import Any

import numpy as np


def loss_falls(layer: Any) -> bool:
    """Ten steps downhill on Σ y², in the parameters, or in x where there are none: does it end lower?"""
    x = np.random.default_rng(2).normal(size=(3, *layer.input_shape))
    kept = [p.value.copy() for p in layer.parameters()]
    losses = []
    for _ in range(10):
        y = layer.forward(x, training=True)
        losses.append(np.sum(y**2))
        dx = layer.backward(2 * y)
        for p in layer.parameters():
            p.value -= 1e-5 * p.grad
        if not kept:
            x = x - 1e-3 * dx
    for p, value in zip(layer.parameters(), kept, strict=True):
        p.value[...] = value
    return bool(losses[-1] < losses[0])


def with_ones(layer: Any, numbers: int | None, tolerance: float) -> bool:
    """The difference quotient with dy = 1, for the first so many numbers of x and of each parameter."""
    x = np.random.default_rng(3).normal(size=(3, *layer.input_shape))
    dx = layer.backward(np.ones_like(layer.forward(x, training=True)))
    gradients = [np.array(dx)] + [p.grad.copy() for p in layer.parameters()]
    for value, gradient in zip([x, *(p.value for p in layer.parameters())], gradients, strict=True):
        for place in list(np.ndindex(value.shape))[:numbers]:
            kept, sums = value[place], []
            for h in (1e-5, -1e-5):
                value[place] = kept + h
                sums.append(layer.forward(x).sum())
            value[place] = kept
            measured = (sums[0] - sums[1]) / 2e-5
            if abs(measured - gradient[place]) > tolerance * max(1, abs(measured)):
                return False
    return True


def same_as_twin(layer: Any, twin: Any) -> bool:
    """Outputs and gradients equal those of a right layer, on whole numbers from −2 to 2."""
    rng = np.random.default_rng(4)
    x = rng.integers(-2, 3, size=(3, *layer.input_shape)).astype(float)
    y, expected = layer.forward(x, training=True), twin.forward(x, training=True)
    dy = rng.normal(size=y.shape)
    given = dy.copy()
    pairs = [(y, expected), (layer.backward(given), twin.backward(dy)), (given, dy)]
    pairs += [(p.grad, q.grad) for p, q in zip(layer.parameters(), twin.parameters(), strict=True)]
    return all(np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in pairs)
