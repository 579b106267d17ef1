"""Lesson 6: max-pooling and its way back."""

from functools import partial
from typing import Any

import numpy as np

from course import broken
from course.judges.comparison import Function, generator, twin
from scratchnet import reference as ref

# Images, height, width, channels, size, stride: windows that touch, overlap and leave gaps, and pixels that fill no window.
SHAPES = [(2, 4, 4, 1, 2, 2), (2, 5, 7, 3, 2, 2), (1, 6, 6, 2, 3, 1), (2, 7, 5, 2, 3, 2), (1, 5, 5, 1, 2, 3)]


def _cases(seed: int, *, gradient: bool) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = []
    for number, (n, h, w, c, k, s) in enumerate(SHAPES):
        for ties in (False, True):
            rng = generator(seed, 6, number, ties)
            x = rng.normal(size=(n, h, w, c)) - 1
            if ties:
                x = rng.integers(-2, 2, size=(n, h, w, c)).astype(float)
            dy = rng.normal(size=(n, (h - k) // s + 1, (w - k) // s + 1, c))
            cases.append((x, dy, k, s) if gradient else (x, k, s))
    return cases


def _windows(x: Any, size: int, stride: int) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def _short(x: Any, size: int, stride: int) -> Any:
    """The largest of windows whose last row and column are left out."""
    return _windows(x, size, stride)[..., : size - 1, : size - 1].max(axis=(-2, -1))


POOL: dict[str, Function] = {
    "the stride is forgotten: window i begins at row i · stride, and H' = (H − size) // stride + 1": (
        lambda x, size, stride: ref.max_pool2d(x, size, 1)
    ),
    "the windows stand one pixel apart, not stride: begin window i at row i · stride": lambda x, size, stride: (
        ref.max_pool2d(x, size, 1)[:, : (x.shape[1] - size) // stride + 1, : (x.shape[2] - size) // stride + 1]
    ),
    "stride and size are taken for each other, or are one: window i begins at row i · stride": (
        lambda x, size, stride: ref.max_pool2d(x, size, size)
    ),
    "windows that reach over the edge count: only whole windows do": lambda x, size, stride: (
        ref.max_pool2d(np.pad(x, [(0, 0), *[(0, -(length - size) % stride) for length in x.shape[1:3]], (0, 0)], "edge"), size, stride)
    ),
    "the place of the largest (argmax), not the largest": lambda x, size, stride: (
        _windows(x, size, stride).reshape(*_windows(x, size, stride).shape[:4], -1).argmax(axis=-1)
    ),
    "the mean of each window, not the largest": lambda x, size, stride: _windows(x, size, stride).mean(axis=(-2, -1)),
    "the smallest of each window, not the largest": lambda x, size, stride: _windows(x, size, stride).min(axis=(-2, -1)),
    "the largest without its sign: compare the numbers, not their absolute values": (
        lambda x, size, stride: np.abs(_windows(x, size, stride)).max(axis=(-2, -1))
    ),
    "nothing below 0 comes out: begin with −∞, or with the first number, and not with 0": (
        lambda x, size, stride: np.maximum(ref.max_pool2d(x, size, stride), 0)
    ),
    "one maximum for all images and channels: take it over the axes (1, 2) of the window": (
        lambda x, size, stride: np.broadcast_to(
            ref.max_pool2d(x, size, stride).max(axis=(0, 3), keepdims=True), ref.max_pool2d(x, size, stride).shape
        )
    ),
    "the windows are one row and column short: they go from i · stride to i · stride + size": _short,
    "the largest of all channels: each channel for itself": (
        lambda x, size, stride: np.broadcast_to(
            ref.max_pool2d(x, size, stride).max(axis=-1, keepdims=True), ref.max_pool2d(x, size, stride).shape
        )
    ),
}  # fmt: skip


def max_pool2d(mine: Function, seed: int) -> str:
    """Twin: windows that touch, that overlap and that leave gaps, with and without equal numbers."""
    return twin("max_pool2d", mine, ref.max_pool2d, _cases(seed, gradient=False), suspects=POOL)


def _walk(x: Any, dy: Any, size: int, stride: int, how: str) -> Any:
    """dx with a mistake: window by window."""
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        top, left = i * stride, j * stride
        if top >= x.shape[1] or left >= x.shape[2]:
            continue
        window, share = x[n, top : top + size, left : left + size, c], dx[n, top : top + size, left : left + size, c]
        if how == "split":
            share += (window == window.max()) * dy[n, i, j, c] / (window == window.max()).sum()
        elif how == "mean":
            share += dy[n, i, j, c] / size**2
        else:
            flat = window.argmax() if how != "last" else window.size - 1 - window.ravel()[::-1].argmax()
            at = np.unravel_index(flat, window.shape)
            at = at[::-1] if how == "exchanged" else at
            if how in ("no offset", "no stride"):
                at, share = (at if how == "no offset" else (i + at[0], j + at[1])), dx[n, :, :, c]
            share[at] += dy[n, i, j, c]
    return dx


GRADIENT: dict[str, Function] = {
    "a place that wins several windows keeps the last one's share: += and not =": broken.pool_overwrites,
    "every place that equals the maximum gets all of dy: only the first in reading order wins": (
        broken.pool_all_equals
    ),
    "dy is shared among equals: only the first in reading order wins": partial(_walk, how="split"),
    "the last of equals wins, expected the first in reading order": partial(_walk, how="last"),
    "1 where dy is expected: the winner gets its window's dy": lambda x, dy, size, stride: ref.max_pool2d_gradient(
        x, np.ones_like(dy), size, stride
    ),
    "x where dy is expected: the winner gets its window's dy": lambda x, dy, size, stride: ref.max_pool2d_gradient(
        x, ref.max_pool2d(x, size, stride), size, stride
    ),
    "the winner's place is counted in its window: add i · stride and j · stride": partial(_walk, how="no offset"),
    "the winner's place is added to i and j: add it to i · stride and j · stride": partial(_walk, how="no stride"),
    "the windows stand one pixel apart, not stride: window i begins at row i · stride": (
        lambda x, dy, size, stride: _walk(x, dy, size, 1, "right")
    ),
    "the winner's row and column are exchanged": partial(_walk, how="exchanged"),
    "the windows begin one size apart, not one stride": lambda x, dy, size, stride: _walk(x, dy, size, size, "right"),
    "the gradient of the mean: dy goes to the winner alone": partial(_walk, how="mean"),
}


def max_pool2d_gradient(mine: Function, seed: int) -> str:
    """Twin: as for max_pool2d; with stride 1 a place wins several windows, and whole numbers have equals."""
    return twin("max_pool2d_gradient", mine, ref.max_pool2d_gradient, _cases(seed, gradient=True), suspects=GRADIENT)
