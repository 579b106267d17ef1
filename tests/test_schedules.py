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
    with pytest.raises(ConfigError, match="must be one of constant, cosine, got 'linear'"):
        Schedule("linear", peak=1.0, warmup=0, total=1)
