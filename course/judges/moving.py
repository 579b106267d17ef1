"""Lesson 9: Adam with L2, for one parameter and for all of a network.

`adam` is the textbook's pure function: value and moments go in, new ones come out. `adam_step` is the loop around it, which
has a memory: the number of the step, and two moments for each parameter. Mistakes live in both, and are told apart.
"""

from typing import Any

import numpy as np

from course.judges.comparison import Function, alike, differ, generator, tried, twin
from scratchnet import reference as ref
from scratchnet.textbook.parameter import Parameter


def _cases(seed: int) -> list[tuple[Any, ...]]:
    """First and later steps; usual, tiny and zero gradients; ε that shows and ε that doesn't; with L2 and without; the defaults."""
    cases: list[tuple[Any, ...]] = []
    for number, (step, size, epsilon, l2) in enumerate(
        [(1, 1.0, 1e-2, 0.0), (2, 1.0, 1e-3, 0.0), (3, 1e-8, 1e-8, 0.0), (25, 0.0, 1e-8, 0.0), (4, 1.0, 1e-8, 0.1), (1000, 0.1, 1e-8, 0.01)]
    ):  # fmt: skip
        rng = generator(seed, 9, number)
        value, grad, mean = (
            rng.normal(size=(4, 3)),
            size * rng.normal(size=(4, 3)),
            0.3 * size * rng.normal(size=(4, 3)),
        )
        square = size**2 * rng.uniform(0.1, 1, size=(4, 3))
        if step == 1:
            mean, square = np.zeros((4, 3)), np.zeros((4, 3))
        cases.append((value, grad, mean, square, step, 0.05, 0.8, 0.99, epsilon, l2))
    rng = generator(seed, 9, 99)
    cases.append((rng.normal(size=5), rng.normal(size=5), rng.normal(size=5), rng.uniform(0.1, 1, size=5), 7))
    cases.append((rng.normal(size=5), 1e-8 * rng.normal(size=5), np.zeros(5), np.zeros(5), 1))
    return cases


def _with(change: str, fixed: float | None = None) -> Function:
    """adam with one mistake; fixed: the ε that it takes, whatever it is given."""

    def wrong(
        value: Any, grad: Any, mean: Any, square: Any, step: int, learning_rate: float = 1e-3, beta1: float = 0.9,
        beta2: float = 0.999, epsilon: float = 1e-8, l2: float = 0.0,
    ) -> Any:  # fmt: skip
        epsilon = epsilon if fixed is None else fixed
        if change not in ("decoupled", "no l2"):
            grad = grad + l2 * value
        if change == "betas":
            beta1, beta2 = beta2, beta1
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * (grad if change == "plain" else grad**2)
        step = step + 1 if change == "late" else step
        corrections = (1.0, 1.0) if change == "biased" else (1 - beta1**step, 1 - beta2**step)
        unbiased = mean / corrections[0], square / corrections[1]
        with np.errstate(all="ignore"):
            under = {
                "inside": np.sqrt(unbiased[1] + epsilon),
                "before": (np.sqrt(square) + epsilon) / np.sqrt(corrections[1]),
                "root": unbiased[1] + epsilon,
            }
            ratio = unbiased[0] / under.get(change, np.sqrt(unbiased[1]) + epsilon)
        moved = value + learning_rate * ratio if change == "uphill" else value - learning_rate * ratio
        if change == "decoupled":
            moved = moved - learning_rate * l2 * value
        kept = unbiased if change == "kept" else (mean, square)
        return moved, *kept

    return wrong


EPSILONS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
ADAM: dict[str, Function] = {
    "the moments are not divided by 1 − βᵗ: they begin at 0, and are too small at first": _with("biased"),
    "the number of the step is one too large: `step` is 1 at the first": _with("late"),
    "ε stands under the root: √v + ε": _with("inside"),
    "ε is added before v is divided by 1 − β₂ᵗ: √(v / (1 − β₂ᵗ)) + ε": _with("before"),
    "divided by v and not by its root": _with("root"),
    "uphill: the learning rate's sign": _with("uphill"),
    "l2 shrinks the value itself, as AdamW does: here l2 · value is added to the gradient, before the moments": _with("decoupled"),
    "l2 is missing": _with("no l2"),
    "the corrected moments are returned: return m and v as they were before the division by 1 − βᵗ": _with("kept"),
    "β₁ and β₂ have changed places: β₁ is the mean's": _with("betas"),
    "the gradient is not squared in the second moment": _with("plain"),
    "ε is missing": _with("", 0.0),
    **{f"ε is {fixed:g}, expected `epsilon`, which is 1e-8 where it is not given": _with("", fixed) for fixed in EPSILONS},
}  # fmt: skip


def adam(mine: Function, seed: int) -> str:
    """Twin: value, mean and square."""
    return twin(
        "adam", mine, ref.adam, _cases(seed), outputs=("value", "mean", "square"), suspects=ADAM, tolerance=1e-10
    )


class _Path:
    """Where parameters go by the textbook's adam, with a mistake in the loop around it, or with none.

    number: from the count of steps, a parameter's place and how many there are, the number that adam is given. decays: from
    `decay`, whether l2 applies. remembers: whether the moments are kept. adam: the step of one parameter.
    """

    def __init__(
        self,
        number: Any = lambda steps, i, n: steps,
        decays: Any = bool,
        remembers: bool = True,
        adam: Function = ref.adam,
    ) -> None:
        self.number, self.decays, self.remembers, self.adam = number, decays, remembers, adam
        self.places: list[tuple[Any, Any, Any]] = []

    def begin(self, values: list[Any]) -> None:
        """From these values of the parameters."""
        self.places = [(value.copy(), np.zeros_like(value), np.zeros_like(value)) for value in values]

    def step(
        self, steps: int, parameters: list[Parameter], gradients: list[Any], learning_rate: float, l2: float
    ) -> None:
        """One step by these gradients of theirs."""
        for i, (p, grad) in enumerate(zip(parameters, gradients, strict=True)):
            value, mean, square = self.places[i] if self.remembers else (self.places[i][0], 0 * grad, 0 * grad)
            number, decay = self.number(steps, i, len(parameters)), l2 if self.decays(p.decay) else 0.0
            self.places[i] = self.adam(value, grad, mean, square, number, learning_rate, l2=decay)


def _mistakes() -> dict[str, _Path]:
    return {
        "l2 is for weights, whose decay is true; a bias has none": _Path(decays=lambda decay: True),
        "l2 is missing": _Path(decays=lambda decay: False),
        "the steps are counted for each parameter: there is one count for all": (
            _Path(number=lambda steps, i, n: (steps - 1) * n + i + 1)
        ),
        "the number of the step is 1 again: count the steps in `state`": _Path(number=lambda steps, i, n: 1),
        "the number of the step is one too large: the first is 1": _Path(number=lambda steps, i, n: steps + 1),
        "the moments are forgotten from step to step, or shared: `state` keeps two for each parameter": _Path(
            remembers=False
        ),
        **{words: _Path(adam=wrong) for words, wrong in ADAM.items() if "`epsilon`" not in words},
        **{f"ε is {fixed:g}, expected 1e-8": _Path(adam=_with("", fixed)) for fixed in EPSILONS if fixed != 1e-8},
    }


def _shape(parameter: Parameter) -> str:
    return f"{parameter.name} {'×'.join(map(str, parameter.value.shape))}"


class _Run:
    """Parameters that a student's adam_step moves, beside what the textbook makes of them."""

    def __init__(self, mine: Function, seed: int, learning_rate: float, l2: float) -> None:
        self.rng = generator(seed, 9, 50, int(1000 * learning_rate))
        self.mine, self.rates = mine, (learning_rate, l2)
        shapes = {"conv1.weight": (3, 2, 2, 3), "conv1.bias": (3,), "dense1.weight": (4, 3), "dense1.bias": (3,)}
        self.parameters = [
            Parameter(name, self.rng.normal(size=shape), decay=name.endswith("weight"))
            for name, shape in shapes.items()
        ]
        self.state: dict[Any, Any] = {}
        self.start = [p.value.copy() for p in self.parameters]
        self.gradients: list[list[Any]] = []  # of every step
        self.right = _Path()
        self.right.begin(self.start)

    def step(self) -> str:
        """One step of both; the first complaint."""
        steps = len(self.gradients) + 1
        first = 1e-8 if not self.rates[1] else 1.0  # so small that ε shows, unless l2 drowns it
        size = first if steps <= 2 else 0.0 if steps % 7 == 0 else 1e-8 if steps % 5 == 0 else 1.0
        for p in self.parameters:
            p.grad[...] = size * self.rng.normal(size=p.value.shape)
        before, gradients = [p.value.copy() for p in self.parameters], [p.grad.copy() for p in self.parameters]
        self.gradients.append(gradients)
        self.right.step(steps, self.parameters, gradients, *self.rates)
        with tried(f"step {steps}, parameters {', '.join(map(_shape, self.parameters))}"):
            self.mine(self.parameters, self.state, *self.rates)
        if not self.state:
            return "`state` is empty after a step: all that must be remembered belongs into it, and nowhere else"
        for i, p in enumerate(self.parameters):
            if not np.array_equal(p.grad, gradients[i]):
                return f"changes the gradient of {p.name} in place: others may still need it"
            right = self.right.places[i][0]
            if np.array_equal(p.value, before[i]) and not np.array_equal(before[i], right):
                return f"{p.name} does not move: write into it, parameter.value[...] = …"
            complaint = differ(p.value, right)
            if complaint:
                return f"step {steps}, {p.name}: {self._known(i) or complaint}"
        return ""

    def _known(self, i: int) -> str:
        """The first mistake that leads parameter i to where it is now, through all steps from the start; "" where none does."""
        for words, path in _mistakes().items():
            path.begin(self.start)
            for steps, gradients in enumerate(self.gradients, 1):
                path.step(steps, self.parameters, gradients, *self.rates)
            if alike(self.parameters[i].value, path.places[i][0]):
                return words
        return ""


def adam_step(mine: Function, seed: int) -> str:
    """Two networks take turns, 25 steps each: two weights and two biases, tiny and zero gradients among the usual."""
    runs = [_Run(mine, seed, 0.05, 0.1), _Run(mine, seed, 0.01, 0.0)]
    for _ in range(25):
        for run in runs:
            complaint = run.step()
            if complaint:
                return complaint
    return ""
