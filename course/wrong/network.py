"""Wrong solutions of lessons 6, 7 and 8."""

import math
from typing import Any

import numpy as np

from course.wrong.solution import Wrong
from scratchnet import reference as ref


def _windows(x: Any, k: int, s: int) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::s, ::s]


def _from_zero(x: Any, k: int, s: int) -> Any:
    y = np.zeros(_windows(x, k, s).shape[:4])
    for u, v in np.ndindex(k, k):
        y = np.maximum(y, _windows(x, k, s)[..., u, v])
    return y


def _pool_back(*, assign: bool = False, ties: str = "first", no_stride: bool = False, mean: bool = False) -> Any:
    """The loop over the windows, with a mistake."""

    def max_pool2d_gradient(x: Any, dy: Any, k: int, s: int) -> Any:
        dx, step = np.zeros_like(x), k if no_stride else s
        for n, i, j, c in np.ndindex(dy.shape):
            window = x[n, i * step : i * step + k, j * step : j * step + k, c]
            part = dx[n, i * step : i * step + k, j * step : j * step + k, c]
            if not window.size:
                continue
            if mean:
                part += dy[n, i, j, c] / k**2
            elif ties in ("all", "shared"):
                won = window == window.max()
                part += won * dy[n, i, j, c] / (won.sum() if ties == "shared" else 1)
            else:
                flat = window.argmax() if ties == "first" else window.size - 1 - window.ravel()[::-1].argmax()
                at = np.unravel_index(flat, window.shape)
                part[at] = dy[n, i, j, c] + (0 if assign else part[at])
        return dx

    return max_pool2d_gradient


def _misplaced(kind: str) -> Any:
    """The loop over the windows, with the winner at another place."""

    def max_pool2d_gradient(x: Any, dy: Any, k: int, s: int) -> Any:
        dx, step = np.zeros_like(x), 1 if kind == "windows one pixel apart" else s
        for n, i, j, c in np.ndindex(dy.shape):
            part = x[n, i * step : i * step + k, j * step : j * step + k, c]
            u, v = np.unravel_index(part.argmax(), part.shape)
            by = {"no offset": 0, "i + u": 1}.get(kind, step)
            dx[n, i * by + u, j * by + v, c] += dy[n, i, j, c]
        return dx

    return max_pool2d_gradient


def _pooled(largest: Any) -> Any:
    def max_pool2d(x: Any, k: int, s: int) -> Any:
        y = np.empty((len(x), (x.shape[1] - k) // s + 1, (x.shape[2] - k) // s + 1, x.shape[3]))
        for i, j in np.ndindex(y.shape[1:3]):
            y[:, i, j] = largest(x[:, i * s : i * s + k, j * s : j * s + k])
        return y

    return max_pool2d


def _of_values(x: Any, dy: Any, k: int, s: int) -> Any:
    """Every pixel of the image that equals its window's maximum, found by its value."""
    return ref.max_pool2d_gradient(x, np.abs(dy), k, s)


def _pool_in_place(x: Any, dy: Any, k: int, s: int) -> Any:
    dx = ref.max_pool2d_gradient(x, dy, k, s)
    dy[...] = 0
    return dx


def _picked(values: Any, labels: Any) -> Any:
    return values[np.arange(len(labels)), labels]


def _naive(z: Any, labels: Any) -> Any:
    return -np.log(_picked(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), labels))


def _one_maximum(z: Any, labels: Any) -> Any:
    e = np.exp(z - z.max())
    return -np.log(_picked(e / e.sum(axis=1, keepdims=True), labels))


def _clipped(z: Any, labels: Any) -> Any:
    return -np.log(np.clip(_picked(ref.softmax(z), labels), 1e-3, 1))


def _over_images(z: Any, labels: Any) -> Any:
    return -_picked(ref.log_softmax(z.T).T, labels)


def _z_in_place(z: Any, labels: Any) -> Any:
    z -= z.max(axis=1, keepdims=True)
    return ref.softmax_cross_entropy(z, labels)


def _slopes(kind: str) -> Any:
    def softmax_cross_entropy_gradient(z: Any, labels: Any) -> Any:
        with np.errstate(all="ignore"):
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) if kind == "naive" else ref.softmax(z)
        y = np.eye(z.shape[1])[labels]
        if kind == "through p":
            return (p - y) * p * (1 - p)
        if kind == "images":
            return np.exp(ref.log_softmax(z.T).T) - y
        made = {
            "sign": y - p,
            "mean": (p - y) / len(z),
            "no label": p,
            "class 0": p - np.eye(z.shape[1])[0],
            "naive": p - y,
        }
        return made[kind]

    return softmax_cross_entropy_gradient


def _xavier(kind: str) -> Any:
    def xavier_uniform(rng: Any, shape: Any) -> Any:
        taps = math.prod(shape[:-2])
        fan_in, fan_out = taps * shape[-2], taps * shape[-1]
        limit = math.sqrt(6 / (fan_in + fan_out))
        if kind == "positive":
            return rng.uniform(0, limit, shape)
        if kind == "normal":
            return rng.normal(0, math.sqrt(2 / (fan_in + fan_out)), shape)
        if kind == "global":
            return np.random.default_rng().uniform(-limit, limit, shape)
        if kind == "constant":
            return np.random.default_rng(7).uniform(-limit, limit, shape)
        if kind == "two numbers":
            return rng.choice([-1, 1], shape) * limit / math.sqrt(3)
        if kind == "rows alike":
            return np.resize(rng.permutation(np.linspace(-limit, limit, shape[-1])), shape)
        if kind == "few near 0":  # the variance is right
            u = rng.uniform(-1, 1, shape)
            return limit * math.sqrt(2 / 3) * np.sign(u) * np.sqrt(np.abs(u))
        limits = {
            "no taps": math.sqrt(6 / (shape[-2] + shape[-1])), "fan in": math.sqrt(3 / fan_in), "he": math.sqrt(6 / fan_in),
            "deviation": math.sqrt(2 / (fan_in + fan_out)), "fan out": math.sqrt(3 / fan_out), "half": limit / 2,
        }  # fmt: skip
        return rng.uniform(-limits[kind], limits[kind], shape)

    return xavier_uniform


WRONG = (
    Wrong("max_pool2d", "the mean", "the mean of each window", lambda x, k, s: _windows(x, k, s).mean(axis=(-2, -1))),
    Wrong(
        "max_pool2d",
        "argmax",
        "the place of the largest",
        lambda x, k, s: _windows(x, k, s).reshape(*_windows(x, k, s).shape[:4], -1).argmax(-1),
    ),
    Wrong(
        "max_pool2d_gradient",
        "1 for dy",
        "1 where dy",
        lambda x, dy, k, s: ref.max_pool2d_gradient(x, dy * 0 + 1, k, s),
    ),
    Wrong(
        "max_pool2d_gradient",
        "x for dy",
        "x where dy",
        lambda x, dy, k, s: ref.max_pool2d_gradient(x, ref.max_pool2d(x, k, s), k, s),
    ),
    Wrong("max_pool2d", "the smallest", "the smallest of each", lambda x, k, s: _windows(x, k, s).min(axis=(-2, -1))),
    Wrong(
        "max_pool2d",
        "without the sign",
        "without its sign",
        lambda x, k, s: np.abs(_windows(x, k, s)).max(axis=(-2, -1)),
    ),
    Wrong("max_pool2d", "begins with 0", "nothing below 0 comes out", _from_zero),
    Wrong("max_pool2d", "stride forgotten", "the stride is forgotten", lambda x, k, s: ref.max_pool2d(x, k, 1)),
    Wrong(
        "max_pool2d",
        "stride counted in the outputs alone",
        "one pixel apart, not stride",
        lambda x, k, s: ref.max_pool2d(x, k, 1)[:, : (x.shape[1] - k) // s + 1, : (x.shape[2] - k) // s + 1],
    ),
    Wrong(
        "max_pool2d",
        "stride taken as size",
        "stride and size are taken for each other",
        lambda x, k, s: ref.max_pool2d(x, k, k),
    ),
    Wrong(
        "max_pool2d",
        "a part of a window at the edge",
        "windows that reach over the edge",
        lambda x, k, s: ref.max_pool2d(
            np.pad(x, ((0, 0), (0, -x.shape[1] % s), (0, -x.shape[2] % s), (0, 0)), "edge"), k, s
        ),
    ),
    Wrong(
        "max_pool2d",
        "over the channels too",
        "the largest of all channels",
        lambda x, k, s: ref.max_pool2d(x * 0 + x.max(-1, keepdims=True), k, s),
    ),
    Wrong("max_pool2d_gradient", "= for +=", "+= and not =", _pool_back(assign=True)),
    Wrong("max_pool2d_gradient", "to all equals", "every place that equals the maximum", _pool_back(ties="all")),
    Wrong("max_pool2d_gradient", "shared among equals", "shared among equals", _pool_back(ties="shared")),
    Wrong("max_pool2d_gradient", "the last of equals", "the last of equals", _pool_back(ties="last")),
    Wrong("max_pool2d_gradient", "stride taken as size", "one size apart, not one stride", _pool_back(no_stride=True)),
    Wrong("max_pool2d", "max without axes", "one maximum for all images", _pooled(lambda part: part.max())),
    Wrong(
        "max_pool2d",
        "windows one short",
        "one row and column short",
        _pooled(lambda part: part[:, :-1, :-1].max((1, 2))),
    ),
    Wrong("max_pool2d_gradient", "no offset", "is counted in its window: add i · stride", _misplaced("no offset")),
    Wrong("max_pool2d_gradient", "i + u", "added to i and j", _misplaced("i + u")),
    Wrong("max_pool2d_gradient", "windows one pixel apart", "one pixel apart", _misplaced("windows one pixel apart")),
    Wrong("max_pool2d_gradient", "the mean's", "the gradient of the mean", _pool_back(mean=True)),
    Wrong("max_pool2d_gradient", "without dy's sign", "wrong", _of_values),
    Wrong("max_pool2d_gradient", "changes dy", "changes its arguments in place: dy", _pool_in_place),
    Wrong("max_pool2d_gradient", "dx of the windows", "expected (2, 4, 4, 1)", lambda x, dy, k, s: dy),
    Wrong("softmax_cross_entropy", "exp overflows", "overflows", _naive),
    Wrong("softmax_cross_entropy", "one maximum for the batch", "take each row's maximum away", _one_maximum),
    Wrong(
        "softmax_cross_entropy",
        "log(p + 1e-12)",
        "added to p before the logarithm",
        lambda z, t: -np.log(_picked(ref.softmax(z), t) + 1e-12),
    ),
    Wrong(
        "softmax_cross_entropy",
        "log(p + 1e-7)",
        "added to p before the logarithm",
        lambda z, t: -np.log(_picked(ref.softmax(z), t) + 1e-7),
    ),
    Wrong("softmax_cross_entropy", "p is cut at 0.001", "p is cut off at 0.001", _clipped),
    Wrong("softmax_cross_entropy", "softmax over the images", "over the images", _over_images),
    Wrong(
        "softmax_cross_entropy",
        "the mean",
        "one number for all of them?",
        lambda z, t: ref.softmax_cross_entropy(z, t).mean(),
    ),
    Wrong("softmax_cross_entropy", "base 2", "base 2", lambda z, t: ref.softmax_cross_entropy(z, t) / math.log(2)),
    Wrong("softmax_cross_entropy", "the sign", "−log p", lambda z, t: -ref.softmax_cross_entropy(z, t)),
    Wrong("softmax_cross_entropy", "class 0", "class 0, whatever", lambda z, t: ref.softmax_cross_entropy(z, 0 * t)),
    Wrong("softmax_cross_entropy", "changes the logits", "changes its arguments in place: logits", _z_in_place),
    *(
        Wrong("softmax_cross_entropy_gradient", kind, line, _slopes(kind))
        for kind, line in {
            "sign": "the right one with the other sign",
            "mean": "0.25 times the right one, everywhere: divided by the number of images?",
            "no label": "the 1 at the label is not taken away",
            "through p": "p · (1 − p)",
            "class 0": "at class 0",
            "naive": "overflows",
            "images": "over the images",
        }.items()
    ),
    *(
        Wrong("xavier_uniform", kind, line, _xavier(kind))
        for kind, line in {
            "no taps": "height and width count in the fans",
            "fan in": "fan_in alone",
            "fan out": "fan_out alone",
            "he": "is fan_out missing?",
            "deviation": "√(2 / …) the deviation",
            "positive": "no weight is negative",
            "normal": "not uniform",
            "global": "draw all from rng",
            "constant": "another generator gives the same weights",
            "half": "it reaches from −limit to +limit",
            "two numbers": "the same numbers again and again",
            "rows alike": "the same numbers again and again",
            "few near 0": "this distribution is not uniform",
        }.items()
    ),
)
