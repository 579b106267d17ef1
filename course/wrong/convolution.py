"""Wrong solutions of lessons 2 and 5."""

from typing import Any

import numpy as np

from course.wrong.solution import Wrong
from scratchnet import reference as ref


def _loop(*, inside: bool = False, turned: bool = False, no_stride: bool = False, channels: int | None = None) -> Any:
    """The loop of a first draft."""

    def conv2d(x: Any, w: Any, b: Any, s: int) -> Any:
        kh, kw, _, f = w.shape
        w = w[::-1, ::-1] if turned else w
        y = np.zeros((len(x), (x.shape[1] - kh) // s + 1, (x.shape[2] - kw) // s + 1, f))
        for n, i, j, k in np.ndindex(y.shape):
            top, left = (i, j) if no_stride else (i * s, j * s)
            product = x[n, top : top + kh, left : left + kw, :channels] * w[:, :, :channels, k]
            y[n, i, j, k] = (product + b[k]).sum() if inside else product.sum() + b[k]
        return y

    return conv2d


def _exchanged(x: Any, w: Any, b: Any, s: int) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[:2], axis=(1, 2))[:, ::s, ::s]
    if w.shape[0] != w.shape[1]:
        return np.einsum("nijcuv,uvcf->nijf", windows, w) + b
    return np.einsum("nijcvu,uvcf->nijf", windows, w) + b


def _same_size(x: Any, w: Any, b: Any, s: int) -> Any:
    padded = np.pad(x, ((0, 0), (w.shape[0] // 2,) * 2, (w.shape[1] // 2,) * 2, (0, 0)))
    return ref.conv2d(padded, w, b, s)


def _first_place(x: Any, w: Any, b: Any, s: int) -> Any:
    y = ref.conv2d(x, w, b, s)
    y.reshape(-1)[1:] = 0
    return y


def _edges(x: Any, w: Any, b: Any, s: int) -> Any:
    y = ref.conv2d(x, w, b, s)
    y[:, [0, -1]] = b
    y[:, :, [0, -1]] = b
    return y


def _bias_in_place(x: Any, w: Any, b: Any, s: int) -> Any:
    y = ref.conv2d(x, w, b, s)
    b *= 0
    return y


def _gradient(
    *, assign: bool = False, by_window: bool = False, turned: bool = False, mean: bool = False, first: bool = False,
    no_stride: bool = False, last: bool = False, order: tuple[int, int, int] = (0, 1, 2), bias: Any = None,
) -> Any:  # fmt: skip
    """The loop over the taps, with a mistake."""

    def conv2d_gradient(x: Any, w: Any, dy: Any, s: int) -> Any:
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        rows, columns = dy.shape[1:3]
        step = 1 if no_stride else s
        for u, v in np.ndindex(w.shape[:2]):
            r, c = slice(u, u + (rows - 1) * step + 1, step), slice(v, v + (columns - 1) * step + 1, step)
            share = dy @ (w[::-1, ::-1] if turned else w)[u, v].T
            dx[:, r, c] = share if assign else dx[:, r, c] + share
            some = slice(-1, None) if last else slice(None)
            dw[u, v] = np.einsum("nijc,nijf->cf", x[some, r, c], dy[some]) / (len(x) if mean else 1)
        if by_window:
            for n, i, j in np.ndindex(dy.shape[:3]):
                dx[n, i * s : i * s + w.shape[0], j * s : j * s + w.shape[1]] = w @ dy[n, i, j]
        db = dy[0].sum(axis=(0, 1)) if first else bias(dy) if bias else dy.sum(axis=(0, 1, 2))
        results = dx, dw, db
        return tuple(results[i] for i in order)

    return conv2d_gradient


def _x_in_place(x: Any, w: Any, dy: Any, s: int) -> Any:
    results = ref.conv2d_gradient(x, w, dy, s)
    x[...] = results[0]
    return x, *results[1:]


def _one_dy(x: Any, w: Any, dy: Any, s: int) -> Any:
    return ref.conv2d_gradient(x, w, np.ones_like(dy), s)


WRONG = (
    Wrong("conv2d", "bias inside the sum", "the bias stands inside the sum", _loop(inside=True)),
    Wrong(
        "conv2d",
        "bias once for each channel",
        "once for each channel",
        lambda x, w, b, s: ref.conv2d(x, w, w.shape[2] * b, s),
    ),
    Wrong("conv2d", "all biases", "all biases are added", lambda x, w, b, s: ref.conv2d(x, w, 0 * b + b.sum(), s)),
    Wrong("conv2d", "return in the loop", "does `return` stand inside a loop", _first_place),
    Wrong("conv2d", "no bias", "the bias is missing", lambda x, w, b, s: ref.conv2d(x, w, 0 * b, s)),
    Wrong("conv2d", "bias taken away", "the bias is taken away", lambda x, w, b, s: ref.conv2d(x, w, -b, s)),
    Wrong("conv2d", "filters turned", "turned by 180°", _loop(turned=True)),
    Wrong("conv2d", "stride counted in the outputs alone", "one pixel apart, not stride", _loop(no_stride=True)),
    Wrong("conv2d", "the first channel alone", "only channel 0", _loop(channels=1)),
    Wrong("conv2d", "rows and columns exchanged", "rows and columns are exchanged", _exchanged),
    Wrong("conv2d", "same size", "the image is padded", _same_size),
    Wrong("conv2d", "nothing on the border", "right inside, wrong on the border", _edges),
    Wrong("conv2d", "the images' mean", "times the right one", lambda x, w, b, s: ref.conv2d(x, w, b, s) / len(x)),
    Wrong("conv2d", "changes the bias", "changes its arguments in place: bias", _bias_in_place),
    Wrong(
        "conv2d",
        "channels first",
        "the channels stand first",
        lambda x, w, b, s: np.moveaxis(ref.conv2d(x, w, b, s), -1, 1),
    ),
    Wrong(
        "conv2d",
        "float32",
        "7 digits",
        lambda x, w, b, s: ref.conv2d(x.astype("float32"), w.astype("float32"), b.astype("float32"), s),
    ),
    Wrong("conv2d_gradient", "= in db", "dbias keeps the share of the last", _gradient(bias=lambda dy: dy[-1, -1, -1])),
    Wrong(
        "conv2d_gradient", "db of all", "dbias: all of dy", _gradient(bias=lambda dy: dy.sum() + np.zeros(dy.shape[-1]))
    ),
    Wrong("conv2d_gradient", "= for += in dx, by taps", "+= and not =", _gradient(assign=True)),
    Wrong("conv2d_gradient", "= for += in dx, by windows", "+= and not =", _gradient(by_window=True)),
    Wrong("conv2d_gradient", "dx by turned filters", "turned the wrong way", _gradient(turned=True)),
    Wrong(
        "conv2d_gradient",
        "dW / N",
        "dweight: 0.5 times the right one, everywhere: divided by the number of images?",
        _gradient(mean=True),
    ),
    Wrong("conv2d_gradient", "db of the first image", "dbias is of the first image", _gradient(first=True)),
    Wrong("conv2d_gradient", "stride ignored", "one pixel apart, not stride", _gradient(no_stride=True)),
    Wrong("conv2d_gradient", "dW of the last image", "dweight is of the last image", _gradient(last=True)),
    Wrong(
        "conv2d_gradient",
        "dW before dx",
        "returned in another order, expected (dx, dweight, dbias)",
        _gradient(order=(1, 0, 2)),
    ),
    Wrong(
        "conv2d_gradient",
        "db is the mean",
        "dbias is the mean over images and places",
        _gradient(bias=lambda dy: dy.mean(axis=(0, 1, 2))),
    ),
    Wrong(
        "conv2d_gradient",
        "db is not summed over the images",
        "not summed over the images?",
        _gradient(bias=lambda dy: dy.sum(axis=(1, 2))),
    ),
    Wrong("conv2d_gradient", "db over axis 0 alone", "sum over places too", _gradient(bias=lambda dy: dy.sum(axis=0))),
    Wrong("conv2d_gradient", "writes dx into x", "changes its arguments in place: x", _x_in_place),
    Wrong("conv2d_gradient", "dy taken for 1", "dy is not used", _one_dy),
)
