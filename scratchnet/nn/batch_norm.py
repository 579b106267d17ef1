"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.kernels import batch_norm
from scratchnet.kernels.machine.memory import empty
from scratchnet.nn.base import Array, Layer, Parameter, Shape, is_number, is_ours

FAR = 1e10  # constants below it make no infinity of numbers


class BatchNorm2D(Layer):
    """Brings each channel to a mean and a spread that are learnt, so that the layers after it need not follow those before it.

    y = gamma · (x − mean) / √(variance + epsilon) + beta, for each channel

    While training, mean and variance (the mean squared distance from the mean) are those of the channel over all images and
    positions of the batch at hand, and the running statistics follow them: r ← (1 − momentum) · r + momentum · new, where
    the new variance is divided by one position fewer, as in PyTorch. Otherwise the running statistics take their place.

    momentum: the weight of the newest batch (in Keras the word means 1 − this). epsilon: keeps a constant channel from a
    division by zero. fixed, an attribute: with True the running statistics are used, and kept, while training too.

    "The batch at hand" is what one forward pass gets. A `Trainer` runs a large batch in micro-batches, and then each of
    them has statistics of its own ("ghost batch normalisation", Hoffer, Hubara & Soudry 2017, who find that it generalises
    better), and the running ones follow from micro-batch to micro-batch, in their order. So the size of the micro-batch is
    part of what is computed, and is recorded in the configuration of a run; threads and ranks are not, and change no bit.

    Shapes: (N, H, W, C), unchanged; gamma (C,), which starts at one, beta (C,), at zero: neither is decayed, like biases.
    Buffers: running_mean (C,), from zero, running_variance (C,), from one.
    Gradient, with x̂ = (x − mean) / √(variance + epsilon): dgamma = Σ dy · x̂, dbeta = Σ dy, dx = gamma / √(variance + epsilon)
    · (dy − mean(dy) − x̂ · mean(dy · x̂)); sums and means over images and positions. With fixed statistics the last two
    terms are missing.
    Raises ShapeError for an input that is not images, and in training for a single position, which has no variance.
    Source: Ioffe & Szegedy 2015, algorithms 1 and 2.

    >>> norm = BatchNorm2D()
    >>> norm.build((2, 2, 1))
    (2, 2, 1)
    >>> norm.forward(np.array([[[[1.0], [3]], [[1], [3]]]], "float32"), training=True).ravel().round(3)
    array([-1.,  1., -1.,  1.], dtype=float32)
    >>> {name: round(float(array[0]), 3) for name, array in norm.buffers().items()}
    {'running_mean': 0.2, 'running_variance': 1.033}
    """

    kind = "norm"

    def __init__(self, *, momentum: float = 0.1, epsilon: float = 1e-5, name: str | None = None) -> None:
        super().__init__(name)
        if not (is_number(momentum, 0) and momentum <= 1):
            raise ConfigError(
                f"{self}: momentum, the weight of the newest batch, must be from 0 to 1, got {momentum!r}"
            )
        if not (is_number(epsilon, 0) and epsilon > 0):
            raise ConfigError(f"{self}: epsilon must be greater than 0, got {epsilon!r}")
        self.momentum, self.epsilon = momentum, epsilon
        self.fixed = False
        self._remembered: Any = None
        self._sum: Array | None = None

    def _build(self, input_shape: Shape, rng: np.random.Generator) -> Shape:
        self.require_images(input_shape)
        channels = input_shape[2]
        self.gamma = Parameter(f"{self.name}.gamma", np.ones(channels, self.dtype), decay=False)
        self.beta = Parameter(f"{self.name}.beta", np.zeros(channels, self.dtype), decay=False)
        self.running_mean, self.running_variance = np.zeros(channels, self.dtype), np.ones(channels, self.dtype)
        self.observed = np.zeros((2, channels), self.dtype)
        return input_shape

    def sees_finite(self, x: Array) -> bool:
        """Always, if the moments are those of x, in which a NaN shows: `_moments` looks for it."""
        return super().sees_finite(x) or (is_ours(self) and not self.fixed)

    def _forward(self, x: Array, training: bool) -> Array:
        return self.run(x, training, -np.inf)

    def run(self, x: Array, training: bool, floor: float, more: Array | None = None) -> Array:
        """y, plus `more` if there is any, where that is above floor, else floor: with a floor of 0 it is the ReLU of the sum."""
        own = training and not self.fixed
        if own:
            mean, variance = self._moments(x)
        else:
            mean, variance = self.running_mean.astype(np.float64), self.running_variance.astype(np.float64)
        inverse = 1 / np.sqrt(variance + self.epsilon)
        factor = (self.gamma.value * inverse).astype(x.dtype)
        constants = batch_norm.constants_of(mean.astype(x.dtype), factor, self.beta.value, floor)
        y = empty(x.shape, x.dtype)
        batch_norm.forward(x.reshape(-1), constants, (x[:0] if more is None else more).reshape(-1), y.reshape(-1))
        if training:
            # No x is further from its mean than √(M · variance), M the positions: y stays below 1e22, and `more` changes nothing.
            self.finite = bool(own and variance.max() < FAR and all(np.abs(row).max() < FAR for row in constants[:3]))
            self._remembered, self._images, self._sum = (
                (x, constants, inverse, own),
                len(x),
                None if more is None else y,
            )
        return y

    def _moments(self, x: Array) -> tuple[Array, Array]:
        """Mean and variance of a batch, which the running ones then follow."""
        count = x.size // x.shape[3]
        if count == 1:
            raise ShapeError(f"{self}: one position has no variance: train with more images in a (micro-)batch")
        mean, variance = batch_norm.moments(x.reshape(-1), x.shape[3])
        if not np.isfinite(mean).all():
            self.require_finite(x)
        self.observed = np.stack([mean, variance * (count / (count - 1))]).astype(self.dtype)
        self.observe(self.observed)
        return mean, variance

    def observe(self, observed: Array) -> None:
        """Moves the running statistics by those of a batch: observed (2, C), its mean and its variance over one position fewer."""
        for running, new in zip((self.running_mean, self.running_variance), observed, strict=True):
            running[...] = (1 - self.momentum) * running + self.momentum * new

    def _backward(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        return self.slopes(dy, need_dx, accumulate)

    def slopes(self, dy: Array, need_dx: bool, accumulate: bool) -> Array | None:
        """dx of the last `run`, which had no `more`, and the gradients of gamma and beta."""
        self.require_batch(dy, self._images if self._sum is None else None)
        x, constants, _, _ = self._remembered
        sums = batch_norm.sums(dy.reshape(-1), x.reshape(-1), constants, x.shape[3])
        return self._dx(dy, sums, constants, need_dx, accumulate)

    def slopes_of_sum(self, dy: Array, need_dx: bool, accumulate: bool) -> tuple[Array, Array | None]:
        """The same for the last `run` if it had `more` and a floor of 0; before dx, the gradient of the sum itself."""
        y = self._sum
        self.require_batch(dy, None if y is None else self._images)
        assert y is not None  # an error else
        x, constants, _, _ = self._remembered
        dz = empty(dy.shape, dy.dtype)
        sums = batch_norm.sums_above(
            dy.reshape(-1), y.reshape(-1), x.reshape(-1), constants, x.shape[3], dz.reshape(-1)
        )
        return dz, self._dx(dz, sums, constants._replace(floor=dy.dtype.type(-np.inf)), need_dx, accumulate)

    def _dx(
        self, dy: Array, sums: Array, constants: batch_norm.Constants, need_dx: bool, accumulate: bool
    ) -> Array | None:
        """dx and the gradients, once the sums of dy are there: `batch_norm.sums`."""
        x, _, inverse, own = self._remembered
        total, products = sums
        self.beta.take(total.astype(self.dtype), accumulate)
        self.gamma.take((products * inverse).astype(self.dtype), accumulate)
        if not need_dx:
            return None
        count, factor = x.size // total.size, constants.factor[: total.size].astype(np.float64)
        slope, offset = -factor * products * inverse**2 / count, -factor * total / count
        dx = empty(x.shape, x.dtype)
        terms = [(one if own else np.zeros_like(one)).astype(self.dtype) for one in (slope, offset)]
        batch_norm.backward(dy.reshape(-1), x.reshape(-1), constants, terms[0], terms[1], dx.reshape(-1))
        return dx

    def parameters(self) -> list[Parameter]:
        """Gamma and beta, (C,) each."""
        self.require_built()
        return [self.gamma, self.beta]

    def buffers(self) -> dict[str, Array]:
        """The running statistics, (C,) each."""
        self.require_built()
        return {"running_mean": self.running_mean, "running_variance": self.running_variance}

    def forget(self) -> None:
        """Releases the images."""
        super().forget()
        self._remembered = self._sum = None
