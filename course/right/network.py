"""Right solutions of lessons 2, 3, 5, 6, 7 and 13."""

from collections.abc import Callable
from typing import Any

import numpy as np


def conv_by_places(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    """Window by window, filter by filter."""
    height, width, _, filters = weight.shape
    rows, columns = (x.shape[1] - height) // stride + 1, (x.shape[2] - width) // stride + 1
    y = np.zeros((len(x), rows, columns, filters))
    for n, i, j, f in np.ndindex(y.shape):
        window = x[n, i * stride : i * stride + height, j * stride : j * stride + width]
        y[n, i, j, f] = np.sum(window * weight[..., f]) + bias[f]
    return y


def conv_by_taps(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    """Tap by tap: shifted images times a matrix."""
    rows, columns = (x.shape[1] - weight.shape[0]) // stride + 1, (x.shape[2] - weight.shape[1]) // stride + 1
    y = np.broadcast_to(bias, (len(x), rows, columns, len(bias))).copy()
    for u, v in np.ndindex(weight.shape[:2]):
        y += x[:, u : u + rows * stride : stride, v : v + columns * stride : stride][:, :rows, :columns] @ weight[u, v]
    return y


def conv_gradient_by_places(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    """Window by window: each hands its dy back."""
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(weight.shape[-1])
    height, width = weight.shape[:2]
    for n, i, j, f in np.ndindex(dy.shape):
        place = n, slice(i * stride, i * stride + height), slice(j * stride, j * stride + width)
        dx[place] += dy[n, i, j, f] * weight[..., f]
        dweight[..., f] += dy[n, i, j, f] * x[place]
        dbias[f] += dy[n, i, j, f]
    return dx, dweight, dbias


def conv_gradient_by_turned_filters(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    """dx as a convolution of dy, spread by the stride and with a border, with the filters turned."""
    height, width = weight.shape[:2]
    spread = np.zeros((len(dy), x.shape[1] + height - 1, x.shape[2] + width - 1, dy.shape[-1]))
    ends = height - 1 + stride * dy.shape[1], width - 1 + stride * dy.shape[2]
    spread[:, height - 1 : ends[0] : stride, width - 1 : ends[1] : stride][:, : dy.shape[1], : dy.shape[2]] = dy
    dx = conv_by_taps(spread, weight[::-1, ::-1].swapaxes(2, 3), np.zeros(weight.shape[2]), 1)
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))[:, ::stride, ::stride]
    return [
        dx,
        np.tensordot(windows, dy, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 0, 3),
        dy.reshape(-1, dy.shape[-1]).sum(axis=0),
    ]


def pool_by_places(x: Any, size: int, stride: int) -> Any:
    """Window by window."""
    n, height, width, channels = x.shape
    y = np.full((n, (height - size) // stride + 1, (width - size) // stride + 1, channels), -np.inf)
    for i, j in np.ndindex(y.shape[1:3]):
        y[:, i, j] = x[:, i * stride : i * stride + size, j * stride : j * stride + size].max(axis=(1, 2))
    return y


def pool_gradient_by_places(x: Any, dy: Any, size: int, stride: int) -> Any:
    """argmax finds the first of equals."""
    dx = np.zeros(x.shape)
    for n, i, j, c in np.ndindex(dy.shape):
        top, left = i * stride, j * stride
        u, v = divmod(int(x[n, top : top + size, left : left + size, c].argmax()), size)
        dx[n, top + u, left + v, c] += dy[n, i, j, c]
    return dx


def pool_gradient_by_index(x: Any, dy: Any, size: int, stride: int) -> Any:
    """np.add.at, which adds up what meets."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    u, v = np.divmod(windows.reshape(*windows.shape[:4], -1).argmax(axis=-1), size)
    n, i, j, c = np.indices(dy.shape)
    dx = np.zeros(x.shape)
    np.add.at(dx, (n, i * stride + u, j * stride + v, c), dy)
    return dx


def relu_gradient_in_a_copy(x: Any, dy: Any) -> Any:
    """A copy, with zeros put in."""
    dx = dy.copy()
    dx[x <= 0] = 0
    return dx


def dense_gradient_by_sums(x: Any, weight: Any, dy: Any) -> Any:
    """einsum says which axis goes."""
    return np.einsum("no,io->ni", dy, weight), np.einsum("ni,no->io", x, dy), np.ones(len(dy)) @ dy


def loss_by_logsumexp(logits: Any, labels: Any) -> Any:
    """log Σ exp z − z[label]."""
    largest = logits.max(axis=1)
    return np.array(
        [m + np.log(np.exp(z - m).sum()) - z[label] for z, m, label in zip(logits, largest, labels, strict=True)]
    )


def loss_gradient_with_onehot(logits: Any, labels: Any) -> Any:
    """p − onehot."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) - np.eye(logits.shape[1])[labels]


def columns_by_places(x: Any, size: Any, stride: int) -> Any:
    """A list of rows."""
    rows = []
    for n in range(len(x)):
        for i in range(0, x.shape[1] - size[0] + 1, stride):
            for j in range(0, x.shape[2] - size[1] + 1, stride):
                rows.append(x[n, i : i + size[0], j : j + size[1]].ravel())
    return np.array(rows)


def columns_by_windows(x: Any, size: Any, stride: int) -> Any:
    """A view, whose axes are put in order, copied."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))[:, ::stride, ::stride]
    return np.array(windows.transpose(0, 1, 2, 4, 5, 3)).reshape(-1, size[0] * size[1] * x.shape[-1])


def f23(d: Any, g: Any) -> Any:
    """Lavin & Gray 2016, equation 5."""
    m1, m4 = (d[0] - d[2]) * g[0], (d[1] - d[3]) * g[2]
    m2, m3 = (d[1] + d[2]) * ((g[0] + g[1] + g[2]) / 2), (d[2] - d[1]) * ((g[0] - g[1] + g[2]) / 2)
    return [m1 + m2 + m3, m2 - m3 - m4]


def f23_by_matrices(d: Any, g: Any) -> Any:
    """Aᵀ [(G g) ⊙ (Bᵀ d)], with the ½ in the output's matrix."""
    filters = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]], object) @ g
    data = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], object) @ d
    m = filters * data
    return np.array([m[0] + (m[1] + m[2]) / 2, (m[1] - m[2]) / 2 - m[3]], object)


_BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float)


def adjoint_by_sum(dv: Any) -> Any:
    """dd[p, q] = Σ Bᵀ[i, p] · dv[i, j] · Bᵀ[j, q]."""
    return np.einsum("ip,ij,jq->pq", _BT, dv, _BT)


def adjoint_by_basis(dv: Any) -> Any:
    """What each number of the tile puts into v, times dv: the definition of a gradient."""
    dd = np.zeros((4, 4))
    for p, q in np.ndindex(4, 4):
        tile = np.zeros((4, 4))
        tile[p, q] = 1
        dd[p, q] = np.sum(_BT @ tile @ _BT.T * dv)
    return dd


SOLUTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "conv2d": (conv_by_places, conv_by_taps),
    "conv2d_gradient": (conv_gradient_by_places, conv_gradient_by_turned_filters),
    "max_pool2d": (pool_by_places,),
    "max_pool2d_gradient": (pool_gradient_by_places, pool_gradient_by_index),
    "relu_gradient": (relu_gradient_in_a_copy, lambda x, dy: (x > 0) * dy),
    "dense_gradient": (dense_gradient_by_sums,),
    "softmax_cross_entropy": (loss_by_logsumexp,),
    "softmax_cross_entropy_gradient": (loss_gradient_with_onehot,),
    "im2col": (columns_by_places, columns_by_windows),
    "winograd_f23": (f23, f23_by_matrices),
    "winograd_f23_adjoint": (adjoint_by_sum, adjoint_by_basis),
}
