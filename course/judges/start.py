"""Lesson 8: weights to begin with."""

import math

import numpy as np

from course.diagnose import number
from course.judges.comparison import Function, generator, tried

SHAPES = [(300, 200), (500, 40), (5, 5, 16, 64), (3, 3, 48, 24), (1, 1, 90, 110)]


def xavier_uniform(mine: Function, seed: int) -> str:
    """Properties: mean 0 and variance 2 / (fan_in + fan_out), each to 5 standard errors; the bound; the generator."""
    for shape in SHAPES:
        with tried(f"shape {shape}"):
            weights, again, other = (
                mine(rng, shape) for rng in (generator(seed, 8), generator(seed, 8), generator(seed, 8, 1))
            )
        if weights is None:
            return "returned nothing: does it end with return?"
        weights = np.asarray(weights)
        if weights.shape != shape:
            return f"shape {weights.shape}, expected {shape}"
        if not np.array_equal(weights, again):
            return "the same generator gives other weights: draw all from rng, nothing from np.random"
        if np.array_equal(weights, other):
            return "another generator gives the same weights: draw them from rng"
        complaint = _distribution(weights.astype(np.float64), shape)
        if complaint:
            return f"{complaint}; for shape {shape}"
    return ""


def _distribution(weights: np.ndarray, shape: tuple[int, ...]) -> str:
    taps = math.prod(shape[:-2])
    variance = 2 / (taps * (shape[-2] + shape[-1]))
    limit, count = math.sqrt(3 * variance), weights.size
    if weights.min() >= 0:
        return "no weight is negative: draw from −limit to +limit"
    if abs(weights.var() - variance) > 5 * variance * math.sqrt(
        0.8 / count
    ):  # a uniform distribution's kurtosis is 1.8
        times = weights.var() / variance
        return f"the variance is {times:.2g} times the right one{_reason(times, shape)}"
    if abs(weights.mean()) > 5 * math.sqrt(variance / count):
        return f"the mean is {number(weights.mean())}, expected 0: draw from −limit to +limit"
    if np.abs(weights).max() > limit:
        return f"the largest is {number(np.abs(weights).max())}, the limit {number(limit)}: this distribution is not uniform"
    if len(np.unique(weights)) < 0.9 * count:
        return "the same numbers again and again: each weight draws its own"
    # Kolmogorov and Smirnov's distance; chance makes it as large as this once in a million times.
    uniform = (np.sort(weights, axis=None) + limit) / (2 * limit)
    if np.abs(uniform - (np.arange(count) + 0.5) / count).max() > 2.7 / math.sqrt(count):
        return "the variance is right, but this distribution is not uniform: draw by rng.uniform(−limit, limit, shape)"
    return ""


def _reason(times: float, shape: tuple[int, ...]) -> str:
    """Which usual mistake makes the variance so many times as large; for a shape that tells the mistakes apart."""
    taps, fan_in, fan_out = math.prod(shape[:-2]), shape[-2], shape[-1]
    both = fan_in + fan_out
    reasons = {
        ": the limit is √(6 / (fan_in + fan_out)), and √(2 / …) the deviation": 1 / 3,
        ": it reaches from −limit to +limit, and is twice the limit wide": 1 / 4,
        ": is fan_out missing?": both / fan_in,
        ": fan_in alone, as in He's or LeCun's rule?": both / (2 * fan_in),
        ": is fan_in missing?": both / fan_out,
        ": fan_out alone?": both / (2 * fan_out),
    }
    if taps > 1:
        reasons[": a filter's height and width count in the fans too"] = float(taps)
    near = {words: abs(times / factor - 1) for words, factor in reasons.items()}
    best = min(near, key=lambda words: near[words])
    return best if near[best] < 0.05 else ""
