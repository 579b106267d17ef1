"""How the learning rate changes with the steps."""

import math

from scratchnet.errors import ConfigError
from scratchnet.nn.arguments import Remembers


class Schedule(Remembers):
    """The learning rate of each step: a warm-up, then constant, down in steps, or along half a cosine.

    Step t = 0, 1, … counts updates of the weights. While t < warmup the rate climbs evenly, peak · (t + 1) / warmup; then

        "constant"   peak
        "step"       peak · factor^⌊t / every⌋
        "cosine"     peak · ½ (1 + cos(π (t − warmup) / (total − warmup))), zero from t = total on

    peak: the largest rate. warmup, total: steps, total of the whole training. every, factor: of "step" alone: every so
    many steps, counted from the first, the rate is multiplied by factor. "constant" and "step" don't depend on total,
    so a longer training is the same up to there; a longer cosine falls more slowly from the start.

    Raises ConfigError for another shape, for "step" without every ≥ 1 or without 0 < factor < 1, and if one of the
    two is given to another shape.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 for the warm-up, section 5.1 for steps (a tenth
    after 30, 60 and 80 epochs); Loshchilov & Hutter 2017, "SGDR", equation 5, for the cosine, here without restarts.

    >>> schedule = Schedule("constant", peak=0.001, warmup=4, total=100)
    >>> [schedule.rate(t) for t in (0, 1, 3, 50)]
    [0.00025, 0.0005, 0.001, 0.001]
    >>> falling = Schedule("step", peak=0.8, warmup=0, total=100, every=10, factor=0.5)
    >>> [falling.rate(t) for t in (0, 9, 10, 25, 30)]
    [0.8, 0.8, 0.4, 0.2, 0.1]
    """

    SHAPES = ("constant", "step", "cosine")

    def __init__(
        self,
        shape: str,
        *,
        peak: float,
        warmup: int,
        total: int,
        every: int | None = None,
        factor: float | None = None,
    ) -> None:
        if shape not in self.SHAPES:
            raise ConfigError(f"the schedule must be one of {', '.join(self.SHAPES)}, got {shape!r}")
        if shape == "step":
            if every is None or factor is None or not (every >= 1 and 0 < factor < 1):
                raise ConfigError(
                    f"a schedule of steps needs every ≥ 1 and 0 < factor < 1, got every {every}, factor {factor}"
                )
        elif every is not None or factor is not None:
            raise ConfigError(f"every and factor are for the schedule 'step', got them for {shape!r}: leave them out")
        self.shape, self.peak, self.warmup, self.total = shape, peak, warmup, total
        self.every, self.factor = every or 0, factor or 0.0

    def rate(self, step: int) -> float:
        """The learning rate of step number `step` ≥ 0. Raises ConfigError for a step before the first."""
        if step < 0:
            raise ConfigError(f"the steps of a schedule count from 0, got {step}")
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.shape == "constant":
            return self.peak
        if self.shape == "step":
            return float(self.peak * self.factor ** (step // self.every))
        progress = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        return self.peak * 0.5 * (1 + math.cos(math.pi * progress))
