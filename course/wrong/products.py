"""Wrong solutions of lesson 13."""

from fractions import Fraction
from typing import Any

import numpy as np

from course.wrong.solution import Wrong


def _columns(order: str, *, stride_of: int | None = None) -> Any:
    def im2col(x: Any, size: Any, stride: int) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
        windows = windows[:, ::stride, ::stride] if stride_of is None else windows[:, ::stride_of, ::stride_of]
        axes = "nijcuv"
        return np.array(windows.transpose([axes.index(letter) for letter in order])).reshape(
            -1, size[0] * size[1] * x.shape[-1]
        )

    return im2col


def _one_apart(x: Any, size: Any, stride: int) -> Any:
    rows = [
        x[n, i : i + size[0], j : j + size[1]].ravel()
        for n in range(len(x))
        for i in range((x.shape[1] - size[0]) // stride + 1)
        for j in range((x.shape[2] - size[1]) // stride + 1)
    ]
    return np.array(rows)


def _view(x: Any, size: Any, stride: int) -> Any:
    if tuple(size) == (1, 1) and stride == 1:
        return x.reshape(-1, x.shape[-1])  # no copy is needed, one may think
    return _columns("nijuvc")(x, size, stride)


def _written_to(x: Any, size: Any, stride: int) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2), writeable=True)
    windows -= 0.25
    return _columns("nijuvc")(x, size, stride)


def _transposed(x: Any, size: Any, stride: int) -> Any:
    return _columns("nijuvc")(x, size, stride).T


def _f23(kind: str) -> Any:
    def winograd_f23(d: Any, g: Any) -> Any:
        if kind == "crashes":
            return d[4] * g
        if kind == "direct":
            return [d[0] * g[0] + d[1] * g[1] + d[2] * g[2], d[1] * g[0] + d[2] * g[1] + d[3] * g[2]]
        g = g[::-1] if kind == "turned" else g
        half: Any = 1 if kind == "no ½" else Fraction(1, 2)
        m1, m4 = (d[0] - d[2]) * g[0], (d[1] - d[3]) * g[2]
        m2, m3 = (d[1] + d[2]) * ((g[0] + g[1] + g[2]) * half), (d[2] - d[1]) * ((g[0] - g[1] + g[2]) * half)
        if kind == "exchanged":
            return [m2 - m3 - m4, m1 + m2 + m3]
        if kind == "squares":  # a fifth product
            return [m1 + m2 + m3, m2 - m3 - (d[1] * g[2] - d[3] * g[2])]
        if kind == "one":
            return [m1 + m2 + m3]
        if kind == "floats":
            return [float(v.value) for v in (m1 + m2 + m3, m2 - m3 - m4)]
        return [m1 + m2 + m3, m2 - m3 + m4 if kind == "sign" else m2 - m3 - m4]

    return winograd_f23


_BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float)
_INVERSE = np.linalg.inv(_BT)


def _in_place(dv: Any) -> Any:
    dv[...] = _BT.T @ dv @ _BT
    return dv


WRONG = (
    Wrong("im2col", "channels first", "the channels stand first", _columns("nijcuv")),
    Wrong("im2col", "window transposed", "rows and columns are exchanged", _columns("nijvuc")),
    Wrong("im2col", "down the columns", "the windows go down the columns", _columns("njiuvc")),
    Wrong("im2col", "images side by side", "the images stand side by side", _columns("ijnuvc")),
    Wrong("im2col", "no stride", "the stride is forgotten", _columns("nijuvc", stride_of=1)),
    Wrong("im2col", "windows one pixel apart", "one pixel apart, not stride", _one_apart),
    Wrong("im2col", "a view of x", "a view of x", _view),
    Wrong("im2col", "writes to a view", "changes its arguments in place: x", _written_to),
    Wrong("im2col", "transposed", "transposed?", _transposed),
    *(
        Wrong("winograd_f23", kind, line, _f23(kind))
        for kind, line in {
            "direct": "6 multiplications of data with filter",
            "squares": "multiplications of data with filter",
            "no ½": "the ½ of the filter's sums is missing",
            "sign": "y[0] is right, y[1] is not",
            "turned": "the filter is read from its end",
            "exchanged": "y[0] and y[1] are exchanged",
            "one": "must return two numbers",
            "crashes": "; for d = [",
            "floats": "must work on fractions",
        }.items()
    ),
    Wrong("winograd_f23_adjoint", "the inverse", "the inverse of the transform", lambda dv: _INVERSE @ dv @ _INVERSE.T),
    Wrong("winograd_f23_adjoint", "the same again", "the forward transform once more", lambda dv: _BT @ dv @ _BT.T),
    Wrong("winograd_f23_adjoint", "one side only", "one side only", lambda dv: _BT.T @ dv),
    Wrong("winograd_f23_adjoint", "the other side only", "one side alone", lambda dv: dv @ _BT),
    Wrong("winograd_f23_adjoint", "one side transposed", "one side is transposed", lambda dv: _BT.T @ dv @ _BT.T),
    Wrong("winograd_f23_adjoint", "sides exchanged", "the sides have changed places", lambda dv: _BT @ dv @ _BT),
    Wrong("winograd_f23_adjoint", "element by element", "not the adjoint", lambda dv: _BT.T * dv * _BT),
    Wrong("winograd_f23_adjoint", "changes dv", "changes its arguments in place", _in_place),
    Wrong("winograd_f23_adjoint", "transposed", "the right one, transposed", lambda dv: (_BT.T @ dv @ _BT).T),
)
