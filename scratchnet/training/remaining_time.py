"""The remaining time, estimated from how long each kind of work has taken so far."""

from __future__ import annotations

from collections.abc import Mapping

EVALUATED = 1 / 3  # of the work of a training image: a step is forward and backward, an evaluation forward alone
MEMORY = 0.95  # each measurement multiplies the weight of earlier ones by this: a machine's speed changes


class RemainingTime:
    """The work of a run, and the time that is left for it.

    Training on an image, evaluating one, and saving after an epoch take different times, so each is timed separately.

    epochs: of the whole run. trained, evaluated: images of each epoch; one that is shown in eight positions counts as
    eight. done: images that were trained on before, by an earlier process.

    >>> remaining = RemainingTime(epochs=2, trained=100, evaluated=150)
    >>> remaining.seconds is None
    True
    >>> remaining.did("trained", 50, seconds=5.0)
    >>> remaining.seconds  # 150 images to train on, and 300 to evaluate, each for a third of the time
    25.0
    """

    def __init__(self, *, epochs: int, trained: int, evaluated: int, done: int = 0) -> None:
        finished = done // trained if trained else 0
        each = {"trained": trained, "evaluated": evaluated, "saved": 1}
        self._total: Mapping[str, float] = {kind: epochs * amount for kind, amount in each.items()}
        self._done: dict[str, float] = {kind: finished * amount for kind, amount in each.items()}
        self._done["trained"] = done
        self._timed = dict.fromkeys(each, (0.0, 0.0))  # amount and seconds, the later ones weighing more

    def did(self, kind: str, amount: float, seconds: float) -> None:
        """Notes work that is done. kind: "trained" or "evaluated", with images, or "saved", once after each epoch."""
        self._done[kind] += amount
        before, took = self._timed[kind]
        self._timed[kind] = MEMORY * before + amount, MEMORY * took + seconds

    @property
    def work(self) -> tuple[float, float]:
        """The work done and the total, in images to train on; the first only grows."""
        done, total = (some["trained"] + EVALUATED * some["evaluated"] for some in (self._done, self._total))
        return min(done, total), total

    @property
    def seconds(self) -> float | None:
        """The time left in seconds; None before the first step."""
        rates = {kind: seconds / amount for kind, (amount, seconds) in self._timed.items() if amount}
        if "trained" not in rates:
            return None
        rates.setdefault("evaluated", EVALUATED * rates["trained"])
        return sum(max(self._total[kind] - self._done[kind], 0) * rate for kind, rate in rates.items())
