"""The learning rate over the steps."""

import pytest

from scratchnet import Schedule
from scratchnet.errors import ConfigError


def test_warmup_climbs_evenly_to_the_peak():
    schedule = Schedule("constant", peak=0.8, warmup=4, total=10)
    assert [schedule.rate(t) for t in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_constant_without_warmup():
    schedule = Schedule("constant", peak=0.001, warmup=0, total=10)
    assert {schedule.rate(t) for t in range(12)} == {0.001}


def test_cosine_falls_from_the_peak_to_zero():
    schedule = Schedule("cosine", peak=2.0, warmup=5, total=25)
    assert schedule.rate(4) == schedule.rate(5) == 2
    assert schedule.rate(15) == pytest.approx(1)  # half way
    assert schedule.rate(10) == pytest.approx(1 + 0.5**0.5)  # cos(π/4)
    assert schedule.rate(25) == pytest.approx(0, abs=1e-15)
    rates = [schedule.rate(t) for t in range(5, 26)]
    assert rates == sorted(rates, reverse=True)


def test_cosine_stays_at_zero_after_the_end():
    assert Schedule("cosine", peak=2.0, warmup=0, total=4).rate(9) == pytest.approx(0, abs=1e-15)


def test_a_warmup_longer_than_the_run():
    schedule = Schedule("cosine", peak=1.0, warmup=10, total=5)
    assert [schedule.rate(t) for t in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


def test_a_step_before_the_first():
    with pytest.raises(ConfigError, match="the steps of a schedule count from 0, got -1"):
        Schedule("constant", peak=1.0, warmup=2, total=4).rate(-1)


def test_unknown_shape():
    with pytest.raises(ConfigError, match="must be one of constant, step, cosine, got 'linear'"):
        Schedule("linear", peak=1.0, warmup=0, total=1)


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_steps_multiply_the_rate_again_and_again(factor):
    schedule = Schedule("step", peak=2.0, warmup=3, total=100, every=10, factor=factor)
    assert [schedule.rate(t) for t in (0, 1, 2)] == pytest.approx([2 / 3, 4 / 3, 2])
    for t in range(3, 100):
        assert schedule.rate(t) == pytest.approx(2 * factor ** (t // 10))
    assert schedule.rate(9) == 2.0
    assert schedule.rate(10) == 2 * factor


def test_a_longer_training_changes_constant_and_steps_nowhere_and_cosine_everywhere():
    def rates(shape, total, **steps):
        schedule = Schedule(shape, peak=1.0, warmup=2, total=total, **steps)
        return [schedule.rate(t) for t in range(20)]

    assert rates("constant", 20) == rates("constant", 40)
    assert rates("step", 20, every=5, factor=0.5) == rates("step", 40, every=5, factor=0.5)
    assert all(
        longer > shorter for longer, shorter in zip(rates("cosine", 40)[3:], rates("cosine", 20)[3:], strict=True)
    )


@pytest.mark.parametrize(
    "steps", [{}, {"every": 5}, {"factor": 0.5}, {"every": 0, "factor": 0.5}, {"every": 5, "factor": 1.0},
              {"every": 5, "factor": 0.0}, {"every": 5, "factor": float("nan")}],
)  # fmt: skip
def test_steps_that_cannot_be(steps):
    with pytest.raises(ConfigError, match="needs every ≥ 1 and 0 < factor < 1"):
        Schedule("step", peak=1.0, warmup=0, total=10, **steps)


@pytest.mark.parametrize("shape", ["constant", "cosine"])
@pytest.mark.parametrize("steps", [{"every": 5}, {"factor": 0.5}])
def test_what_only_steps_have_is_refused_elsewhere(shape, steps):
    with pytest.raises(ConfigError, match=f"for the schedule 'step', got them for '{shape}'"):
        Schedule(shape, peak=1.0, warmup=0, total=10, **steps)
