"""Lessons 2 and 5: conv2d and its gradient."""

from typing import Any

import numpy as np

from course import broken
from course.judges.comparison import Function, generator, twin
from scratchnet import reference as ref

# Images, height, width, channels, filter's height and width, filters, stride. Not square where a mistake could hide in a square.
SHAPES = [
    (1, 5, 5, 1, 3, 3, 1, 1),
    (2, 5, 7, 3, 3, 3, 2, 1),
    (2, 7, 6, 2, 3, 2, 3, 2),
    (3, 4, 4, 2, 1, 1, 2, 1),
    (1, 9, 8, 2, 5, 5, 2, 3),
]


def _cases(seed: int, *, gradient: bool) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = []
    for number, (n, h, w, c, kh, kw, f, s) in enumerate(SHAPES):
        rng = generator(seed, 2, number)
        x, weight = rng.normal(size=(n, h, w, c)), rng.normal(size=(kh, kw, c, f))
        out = (n, (h - kh) // s + 1, (w - kw) // s + 1, f)
        cases.append((x, weight, rng.normal(size=out if gradient else f), s))
    return cases


def _each_place(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    """The windows one pixel apart, and as many as there are with the stride."""
    y = ref.conv2d(x, weight, bias, stride)
    return ref.conv2d(x, weight, bias, 1)[:, : y.shape[1], : y.shape[2]]


def _exchanged(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    if weight.shape[0] != weight.shape[1]:
        return None
    return ref.conv2d(x, weight.swapaxes(0, 1), bias, stride)


def _padded(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    borders = [(0, 0), *((length // 2, length // 2) for length in weight.shape[:2]), (0, 0)]
    return ref.conv2d(np.pad(x, borders), weight, bias, stride)


CONV: dict[str, Function] = {
    "the bias stands inside the sum, and is added once for each product: add it once, after the sum": (
        broken.conv_bias_inside
    ),
    "the bias is added once for each channel: add it once, after the sum": (
        lambda x, weight, bias, stride: ref.conv2d(x, weight, bias * weight.shape[2], stride)
    ),
    "all biases are added to each filter: y[..., f] gets bias[f]": lambda x, weight, bias, stride: ref.conv2d(
        x, weight, 0 * bias + bias.sum(), stride
    ),
    "the bias is missing": lambda x, weight, bias, stride: ref.conv2d(x, weight, 0 * bias, stride),
    "the bias is taken away": lambda x, weight, bias, stride: ref.conv2d(x, weight, -bias, stride),
    "the filters are turned by 180°: here the window and the filter are read in the same direction": (
        lambda x, weight, bias, stride: ref.conv2d(x, weight[::-1, ::-1], bias, stride)
    ),
    "the filters' rows and columns are exchanged": _exchanged,
    "the windows stand one pixel apart, not stride: begin window i at row i · stride": _each_place,
    "the image is padded: here only windows that lie inside it count": _padded,
    "the channels stand first: y is (N, OH, OW, F)": lambda x, weight, bias, stride: np.moveaxis(
        ref.conv2d(x, weight, bias, stride), -1, 1
    ),
    "only channel 0 is looked at": lambda x, weight, bias, stride: ref.conv2d(
        x[..., :1], weight[:, :, :1], bias, stride
    ),
}


def conv2d(mine: Function, seed: int) -> str:
    """Twin: five shapes, not all square, strides 1 to 3."""
    return twin("conv2d", mine, ref.conv2d, _cases(seed, gradient=False), suspects=CONV)


def _last_window(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    dx = np.zeros_like(x)
    for n, i, j in np.ndindex(dy.shape[:3]):
        top, left = i * stride, j * stride
        dx[n, top : top + weight.shape[0], left : left + weight.shape[1]] = weight @ dy[n, i, j]
    return dx, None, None


def _at_stride_1(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    near = x[:, : dy.shape[1] + weight.shape[0] - 1, : dy.shape[2] + weight.shape[1] - 1]
    return None, ref.conv2d_gradient(near, weight, dy, 1)[1], None


def _last_place(dy: Any) -> Any:
    last = np.zeros((*dy.shape[:3], 1))
    last[-1, -1, -1] = 1
    return last


CONV_GRADIENT: dict[str, Function] = {
    "dx: a place that several windows share keeps the share of the last one: += and not =": broken.conv_overwrites,
    "dx: a place that several windows share keeps that of the last one: += and not =": _last_window,
    "dx: the filters are turned the wrong way: x[i + u] went with weight[u], so dy goes back by the same weight[u]": (
        broken.conv_turned
    ),
    "the windows stand one pixel apart, not stride: window i begins at row i · stride": _at_stride_1,
    "dweight is of the last image alone: += over the images": (
        lambda x, weight, dy, stride: (None, ref.conv2d_gradient(x[-1:], weight, dy[-1:], stride)[1], None)
    ),
    "dbias is the mean over images and places: it is their sum": (
        lambda x, weight, dy, stride: (None, None, dy.mean(axis=(0, 1, 2)))
    ),
    "dx: dy is not used: each window gets its filter times dy": lambda x, weight, dy, stride: (
        ref.conv2d_gradient(x, weight, np.ones_like(dy), stride)[0],
        None,
        None,
    ),
    "dbias keeps the share of the last place: += and not =": lambda x, weight, dy, stride: (None, None, dy[-1, -1, -1]),
    "dbias: all of dy for each filter: dbias[f] is the sum of dy[..., f]": lambda x, weight, dy, stride: (
        None,
        None,
        np.full(dy.shape[-1], dy.sum()),
    ),
    "dweight keeps the share of the last place: += and not =": lambda x, weight, dy, stride: (
        None,
        ref.conv2d_gradient(x, weight, dy * _last_place(dy), stride)[1],
        None,
    ),
    "dbias is of the first image alone: sum over the images too": (
        lambda x, weight, dy, stride: (None, None, dy[0].sum(axis=(0, 1)))
    ),
}


def conv2d_gradient(mine: Function, seed: int) -> str:
    """Twin: the shapes of conv2d."""
    return twin(
        "conv2d_gradient",
        mine,
        ref.conv2d_gradient,
        _cases(seed, gradient=True),
        outputs=("dx", "dweight", "dbias"),
        suspects=CONV_GRADIENT,
    )
