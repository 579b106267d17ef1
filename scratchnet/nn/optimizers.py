"""Optimisers: how each weight moves against its gradient."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scratchnet.errors import ConfigError, OrderError
from scratchnet.kernels.elementwise import scale, sum_of_squares
from scratchnet.kernels.machine.threads import alone
from scratchnet.kernels.update import NEGLIGIBLE, adam_step, sgd_step
from scratchnet.nn.base import Array, Parameter, is_number


class Optimizer:
    """What the optimisers share: the parameters, the learning rate, L2 and the state to save.

    l2 is the λ of a penalty λ/2 · Σ w² that is added to the loss, over the parameters whose `decay` is true: weights,
    not biases.
    """

    moment_names: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Parameter], learning_rate: float, l2: float) -> None:
        self.parameters = list(parameters) if isinstance(parameters, Iterable) else []
        if not isinstance(parameters, Iterable) or not all(isinstance(p, Parameter) for p in self.parameters):
            raise ConfigError(
                f"{type(self).__name__} moves parameters, got {type(parameters).__name__}: give net.parameters()"
            )
        if not (is_number(learning_rate, 0) and learning_rate > 0):
            raise ConfigError(f"learning_rate must be greater than 0, got {learning_rate!r}: the report uses 0.001")
        if not is_number(l2, 0):
            raise ConfigError(f"l2 must be at least 0, got {l2!r}: the report uses 0.0005")
        self.learning_rate = learning_rate
        self.l2 = l2
        self.steps = 0
        self.moments = {name: [np.zeros_like(p.value) for p in self.parameters] for name in self.moment_names}

    def step(self) -> None:
        """Moves every parameter once, by the gradients from backward. Raises OrderError for a network that has been built
        again."""
        if any(parameter.replaced for parameter in self.parameters):
            raise OrderError("the network was built again after this optimiser was made: make a new one, after build")
        with alone():
            self.steps += 1
            for i, parameter in enumerate(self.parameters):
                if parameter.frozen:
                    continue
                self._update(parameter, *(self.moments[name][i] for name in self.moment_names))

    def _update(self, parameter: Parameter, *moments: Array) -> None:
        raise NotImplementedError(f"{type(self).__name__} lacks _update(self, parameter, *moments): write it")

    def clip(self, largest_norm: float) -> float:
        """Shortens the gradient of all parameters together to `largest_norm`, if it is longer; returns the norm before.

        g ← g · min(1, largest_norm / ‖g‖),  ‖g‖² = Σ over all parameters of Σ g². The direction stays. Call it between
        backward and step; the L2 term, which step adds, is not counted.
        Source: Pascanu, Mikolov & Bengio 2013, algorithm 1.

        >>> w = Parameter("w", np.zeros(2), decay=True)
        >>> w.grad[:] = 3.0, 4.0
        >>> SGD([w]).clip(1.0), w.grad.round(3).tolist()
        (5.0, [0.6, 0.8])
        """
        norm = math.sqrt(sum(sum_of_squares(parameter.grad) for parameter in self.parameters if not parameter.frozen))
        self.shorten(norm, largest_norm)
        return norm

    def shorten(self, norm: float, largest_norm: float) -> None:
        """The second half of `clip`, for gradients whose norm is known: that of these and, it may be, of other processes'."""
        if norm > largest_norm:
            for parameter in self.parameters:
                scale(parameter.grad.reshape(-1), parameter.grad.dtype.type(largest_norm / norm))

    def __repr__(self) -> str:
        settings = [name for name in inspect.signature(type(self)).parameters if name != "parameters"]
        said = ", ".join(f"{name}={getattr(self, name, '?')!r}" for name in settings)
        count = sum(parameter.value.size for parameter in self.parameters)
        return f"<{type(self).__name__} of {count:,} weights, {said}; steps done: {self.steps}>"

    def penalty(self) -> float:
        """The L2 term of the loss as it stands: l2/2 · Σ w² over the weights."""
        return (
            0.5 * self.l2 * sum(float(np.vdot(p.value, p.value)) for p in self.parameters if p.decay and not p.frozen)
        )

    def state_dict(self) -> dict[str, Array]:
        """Everything that a resumed run needs: the number of steps, and each parameter's moments under "conv1.weight.mean"."""
        state: dict[str, Array] = {"steps": np.array(self.steps)}
        for name, arrays in self.moments.items():
            state |= {f"{p.name}.{name}": array for p, array in zip(self.parameters, arrays, strict=True)}
        return state

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Takes over a state from `state_dict`. Raises ConfigError if names or shapes differ."""
        if not isinstance(state, Mapping):
            raise ConfigError(f"an optimiser's state is what state_dict() returned, got {type(state).__name__}")
        mine = self.state_dict()
        if mine.keys() != state.keys():
            raise ConfigError(
                f"the state of another optimiser: it lacks {sorted(mine.keys() - state.keys())[:3]}, "
                f"it adds {sorted(state.keys() - mine.keys())[:3]}"
            )
        for name, array in mine.items():
            if array.shape != state[name].shape:
                raise ConfigError(
                    f"the optimiser's {name} has shape {array.shape}, the state's has {state[name].shape}: another network?"
                )
            if array.dtype != state[name].dtype and name != "steps":
                raise ConfigError(f"the optimiser's {name} is {array.dtype}, the state's is {state[name].dtype}")
        for name, array in mine.items():
            if name != "steps":
                array[...] = state[name]
        self.steps = int(state["steps"])


class Adam(Optimizer):
    """Adam: each weight moves by about the learning rate, in the direction of the running mean of its gradient.

    g = grad + l2 · w;  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  m̂ = m / (1 − β₁ᵗ);  v̂ = v / (1 − β₂ᵗ)
    w ← w − learning_rate · (m̂ / (√v̂ + ε) + weight_decay · w)

    l2 is the report's weight decay: a term of the loss, so that its gradient goes through the moments. weight_decay is
    the decoupled decay of AdamW, which does not. Weights and means below 1e-30 (float64: 1e-300) become zero, as
    denormal numbers would cost time (`kernels/update.py`). Raises ConfigError for values that cannot work.
    Source: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2.

    >>> w = Parameter("w", np.array([1.0]), decay=True)
    >>> w.grad[:] = 0.3
    >>> Adam([w], learning_rate=0.1).step()
    >>> w.value.round(6)                        # the first step is the learning rate, whatever the gradient's size
    array([0.9])
    """

    moment_names = ("mean", "square")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        learning_rate: float = 1e-3,
        *,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate, l2)
        self.weight_decay, self.beta1, self.beta2, self.epsilon = weight_decay, beta1, beta2, epsilon
        if not (is_number(beta1, 0, below=1) and is_number(beta2, 0, below=1)):
            raise ConfigError(f"beta1 and beta2 must be at least 0 and less than 1, got {beta1!r} and {beta2!r}")
        if not (is_number(epsilon, 0) and epsilon > 0 and is_number(weight_decay, 0)):
            raise ConfigError(
                f"epsilon must be greater than 0 and weight_decay at least 0, got {epsilon!r} and {weight_decay!r}"
            )

    def _update(self, parameter: Parameter, *moments: Array) -> None:
        rate = float(self.learning_rate)
        scalars = _in_dtype(
            parameter.value.dtype,
            self.l2 if parameter.decay else 0.0,
            rate * self.weight_decay if parameter.decay else 0.0,
            rate / (1 - self.beta1**self.steps),
            self.beta1,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            1 / (1 - self.beta2**self.steps),
            self.epsilon,
        )
        adam_step(*(array.reshape(-1) for array in (parameter.value, parameter.grad, *moments)), *scalars)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, the plainest optimiser there is.

    velocity ← momentum · velocity + grad + l2 · w;  w ← w − learning_rate · velocity

    Source: Robbins & Monro 1951; Polyak 1964 for the momentum.
    """

    moment_names = ("velocity",)

    def __init__(
        self, parameters: Iterable[Parameter], learning_rate: float = 1e-2, *, momentum: float = 0.0, l2: float = 0.0
    ) -> None:
        super().__init__(parameters, learning_rate, l2)
        self.momentum = momentum
        if not is_number(momentum, 0, below=1):
            raise ConfigError(f"momentum must be at least 0 and less than 1, got {momentum!r}")

    def _update(self, parameter: Parameter, *moments: Array) -> None:
        l2 = self.l2 if parameter.decay else 0.0
        scalars = _in_dtype(parameter.value.dtype, l2, float(self.learning_rate), self.momentum)
        sgd_step(*(array.reshape(-1) for array in (parameter.value, parameter.grad, *moments)), *scalars)


@functools.lru_cache(16)
def _in_dtype(dtype: np.dtype[Any], *scalars: float) -> tuple[Any, ...]:
    """The scalars of a kernel, and what it takes for zero, in the arrays' dtype: a float64 among float32 would make it compute in float64.

    Most parameters of a step have the same.
    """
    return tuple(dtype.type(scalar) for scalar in (*scalars, NEGLIGIBLE[dtype.name]))
