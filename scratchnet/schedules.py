"""How the learning rate changes with the steps."""

import math

from scratchnet.errors import ConfigError


class Schedule:
    """The learning rate of each step: a warm-up, then constant or along half a cosine.

    Step t = 0, 1, … counts updates of the weights. While t < warmup the rate climbs evenly: peak · (t + 1) / warmup.
    After that "constant" stays at the peak, and "cosine" falls to zero at the end:
    peak · ½ (1 + cos(π (t − warmup) / (total − warmup))).

    Source: Goyal et al. 2017, section 2.2, for the warm-up; Loshchilov & Hutter 2017 for the cosine.

    >>> schedule = Schedule("constant", peak=0.001, warmup=4, total=100)
    >>> [schedule.rate(t) for t in (0, 1, 3, 50)]
    [0.00025, 0.0005, 0.001, 0.001]
    """

    SHAPES = ("constant", "cosine")

    def __init__(self, shape: str, *, peak: float, warmup: int, total: int) -> None:
        if shape not in self.SHAPES:
            raise ConfigError(f"the schedule must be one of {', '.join(self.SHAPES)}, got {shape!r}")
        self.shape, self.peak, self.warmup, self.total = shape, peak, warmup, total

    def rate(self, step: int) -> float:
        """The learning rate of step number `step` ≥ 0. Raises ConfigError for a step before the first."""
        if step < 0:
            raise ConfigError(f"the steps of a schedule count from 0, got {step}")
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.shape == "constant":
            return self.peak
        progress = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        return self.peak * 0.5 * (1 + math.cos(math.pi * progress))
