"""The textbook: every operation of the network and its gradient, in plain NumPy, in a few lines each.

This file says what is computed; `scratchnet.kernels` says how it is computed fast; tests hold the two equal. Any dtype,
no speed, no checks. Axes as everywhere in scratchnet: images (N, H, W, C), filters (KH, KW, C, F), dense weights (in,
out). A gradient is named after its operation and answers with the gradients of the operation's arguments, in their
order. Source of the whole: Goodfellow, Bengio & Courville, "Deep Learning", 2016, chapters 6 to 9.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scratchnet import random

Array = NDArray


def pad(x: Array, top: int, bottom: int, left: int, right: int) -> Array:
    """Images with a border of zeros."""
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


def pad_gradient(dy: Array, top: int, bottom: int, left: int, right: int) -> Array:
    """dx: the border's gradient is thrown away."""
    return dy[:, top : dy.shape[1] - bottom, left : dy.shape[2] - right]


def conv2d(x: Array, weight: Array, bias: Array, stride: int) -> Array:
    """y[n, i, j, f] = bias[f] + Σ over u, v, c of x[n, i·stride + u, j·stride + v, c] · weight[u, v, c, f]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nijcuv,uvcf->nijf", windows, weight, order="C", optimize=True) + bias


def conv2d_gradient(x: Array, weight: Array, dy: Array, stride: int) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias: each product x · weight in the sum hands dy · weight to its x, and dy · x to its weight.

    dx[n, p, q, c] = Σ over i, j, f of dy[n, i, j, f] · weight[p − i·stride, q − j·stride, c, f], where those indices exist;
    dweight[u, v, c, f] = Σ over n, i, j of x[n, i·stride + u, j·stride + v, c] · dy[n, i, j, f]; dbias[f] = Σ over n, i, j of dy.
    """
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    out_height, out_width = dy.shape[1:3]
    for u, v in np.ndindex(weight.shape[:2]):
        rows = slice(u, u + (out_height - 1) * stride + 1, stride)
        columns = slice(v, v + (out_width - 1) * stride + 1, stride)
        dx[:, rows, columns] += dy @ weight[u, v].T
        dweight[u, v] = np.einsum("nijc,nijf->cf", x[:, rows, columns], dy, optimize=True)
    return dx, dweight, dy.sum(axis=(0, 1, 2))


def depthwise_conv2d(x: Array, weight: Array, bias: Array, stride: int) -> Array:
    """y[n, i, j, c] = bias[c] + Σ over u, v of x[n, i·stride + u, j·stride + v, c] · weight[u, v, c]: each channel by itself."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nijcuv,uvc->nijc", windows, weight, order="C", optimize=True) + bias


def depthwise_conv2d_gradient(x: Array, weight: Array, dy: Array, stride: int) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias: those of `conv2d_gradient`, without the sums over channels."""
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    out_height, out_width = dy.shape[1:3]
    for u, v in np.ndindex(weight.shape[:2]):
        rows = slice(u, u + (out_height - 1) * stride + 1, stride)
        columns = slice(v, v + (out_width - 1) * stride + 1, stride)
        dx[:, rows, columns] += dy * weight[u, v]
        dweight[u, v] = (x[:, rows, columns] * dy).sum(axis=(0, 1, 2))
    return dx, dweight, dy.sum(axis=(0, 1, 2))


def max_pool2d(x: Array, size: int, stride: int) -> Array:
    """y[n, i, j, c] = max over 0 ≤ u, v < size of x[n, i·stride + u, j·stride + v, c]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(-2, -1))


def max_pool2d_gradient(x: Array, dy: Array, size: int, stride: int) -> Array:
    """dx: each dy[n, i, j, c] goes to the position that won its window, the first in reading order among equals."""
    dx, y = np.zeros_like(x), max_pool2d(x, size, stride)
    undecided = np.ones(y.shape, bool)
    out_height, out_width = y.shape[1:3]
    for u, v in np.ndindex(size, size):
        rows = slice(u, u + (out_height - 1) * stride + 1, stride)
        columns = slice(v, v + (out_width - 1) * stride + 1, stride)
        won = undecided & (x[:, rows, columns] == y)
        dx[:, rows, columns] += np.where(won, dy, 0)
        undecided &= ~won
    return dx


def average_pool2d(x: Array, size: int, stride: int) -> Array:
    """y[n, i, j, c] = mean over 0 ≤ u, v < size of x[n, i·stride + u, j·stride + v, c]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return np.asarray(windows[:, ::stride, ::stride].mean(axis=(-2, -1)))


def average_pool2d_gradient(x: Array, dy: Array, size: int, stride: int) -> Array:
    """dx: each dy[n, i, j, c] is shared out evenly to its window."""
    dx, (out_height, out_width) = np.zeros_like(x), dy.shape[1:3]
    for u, v in np.ndindex(size, size):
        rows = slice(u, u + (out_height - 1) * stride + 1, stride)
        columns = slice(v, v + (out_width - 1) * stride + 1, stride)
        dx[:, rows, columns] += dy / size**2
    return dx


def global_average_pool2d(x: Array) -> Array:
    """y[n, c] = mean over i, j of x[n, i, j, c]."""
    return np.asarray(x.mean(axis=(1, 2)))


def global_average_pool2d_gradient(x: Array, dy: Array) -> Array:
    """dx[n, i, j, c] = dy[n, c] / (H · W)."""
    return np.zeros_like(x) + dy[:, None, None] / np.asarray(x.shape[1] * x.shape[2], x.dtype)


def dense(x: Array, weight: Array, bias: Array) -> Array:
    """y = x · W + b."""
    return x @ weight + bias


def dense_gradient(x: Array, weight: Array, dy: Array) -> tuple[Array, Array, Array]:
    """dx = dy · Wᵀ, dW = xᵀ · dy, db = Σ over images of dy."""
    return dy @ weight.T, x.T @ dy, dy.sum(axis=0)


def relu(x: Array) -> Array:
    """y = max(x, 0)."""
    return np.maximum(x, 0)


def relu_gradient(x: Array, dy: Array) -> Array:
    """dx = dy where x > 0, else 0; at 0 itself, where there is no derivative, 0."""
    return np.where(x > 0, dy, 0)


def leaky_relu(x: Array, slope: float) -> Array:
    """y = x where x > 0, else slope · x."""
    return np.where(x > 0, x, np.asarray(slope, x.dtype) * x)


def leaky_relu_gradient(x: Array, dy: Array, slope: float) -> Array:
    """dx = dy where x > 0, else slope · dy."""
    return np.where(x > 0, dy, np.asarray(slope, dy.dtype) * dy)


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + exp(−x)), from exp(−|x|), which cannot overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def sigmoid_gradient(x: Array, dy: Array) -> Array:
    """dx = dy · y · (1 − y)."""
    y = sigmoid(x)
    return dy * y * (1 - y)


def tanh(x: Array) -> Array:
    """y = tanh x."""
    return np.asarray(np.tanh(x))


def tanh_gradient(x: Array, dy: Array) -> Array:
    """dx = dy · (1 − y²)."""
    return dy * (1 - tanh(x) ** 2)


def batch_moments(x: Array) -> tuple[Array, Array]:
    """mean[c] and variance[c] over n, i, j of x[n, i, j, c]; the variance is the mean of the squared distances."""
    return x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))


def batch_norm(x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    """y = gamma · (x − mean) / √(variance + epsilon) + beta, for each channel."""
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def batch_norm_gradient(x: Array, gamma: Array, dy: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta where mean and variance are those of x, and so depend on it.

    With x̂ = (x − mean) / √(variance + epsilon) and means over n, i, j: dgamma = Σ dy · x̂, dbeta = Σ dy,
    dx = gamma / √(variance + epsilon) · (dy − mean(dy) − x̂ · mean(dy · x̂)). Ioffe & Szegedy 2015, section 3.
    """
    (mean, variance), axes = batch_moments(x), (0, 1, 2)
    scaled = (x - mean) / np.sqrt(variance + epsilon)
    centred = dy - dy.mean(axis=axes) - scaled * (dy * scaled).mean(axis=axes)
    return gamma / np.sqrt(variance + epsilon) * centred, (dy * scaled).sum(axis=axes), dy.sum(axis=axes)


def dropout_kept(keys: NDArray[np.uint64], features: int, rate: float) -> NDArray[np.bool_]:
    """Which features of each image stay, (N, features): each with probability 1 − rate, drawn from the image's key (N,)."""
    counters = np.arange(features, dtype=np.uint64) * random.GOLDEN_GAMMA
    return random.uniform(random.mix(keys[:, None] + counters)) >= rate


def dropout(x: Array, kept: NDArray[np.bool_], rate: float) -> Array:
    """y = x / (1 − rate) where kept, else 0: the mean over all masks is x ("inverted" dropout)."""
    return np.where(kept, x / np.asarray(1 - rate, x.dtype), 0)


def dropout_gradient(dy: Array, kept: NDArray[np.bool_], rate: float) -> Array:
    """dx = dy / (1 − rate) where kept, else 0."""
    return np.where(kept, dy / np.asarray(1 - rate, dy.dtype), 0)


def warped(image: Array, angle: float, zoom: float) -> Array:
    """An image (S, S, C) turned about its middle, against the clock, and enlarged: each pixel looks up where it came from.

    y[p] = Σ over the four pixels q around p₀ = c + R(angle)ᵀ (p − c) / zoom of (1 − |p₀ − q|₁ along each axis) · x[q], p₀ kept inside the
    image and rounded to 1/32 of a pixel; rounded half up.
    """
    size, turn = len(image), math.radians(angle)
    y = np.empty_like(image)
    for i, j in np.ndindex(size, size):
        down, right = i - (size - 1) / 2, j - (size - 1) / 2
        place = (
            (math.cos(turn) * down + math.sin(turn) * right) / zoom + (size - 1) / 2,
            (math.cos(turn) * right - math.sin(turn) * down) / zoom + (size - 1) / 2,
        )
        p, q = (min(max(round(32 * one) / 32, 0), size - 1) for one in place)
        around = [(u, v) for u in (int(p), int(p) + 1) for v in (int(q), int(q) + 1) if max(u, v) < size]
        y[i, j] = np.floor(sum((1 - abs(p - u)) * (1 - abs(q - v)) * image[u, v] for u, v in around) + 0.5)
    return y


def restained(image: Array, stains: Array, scale: Array, shift: Array) -> Array:
    """The colours (…, 3) of an image whose amounts of stain become scale · amount + shift; stains: a row of absorptions for each."""
    amounts = -np.log((image + 1.0) / 256) @ np.linalg.inv(stains)
    light = np.exp(-(amounts * scale + shift) @ stains)
    return np.clip(np.rint(256 * light - 1), 0, 255) * image.any(axis=-1, keepdims=True)


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Initial weights, uniform in ±√(6 / (fan_in + fan_out)), so that no signal grows or fades from layer to layer.

    fan_in: the inputs that one output sums over; fan_out: the outputs that one input reaches. Glorot & Bengio 2010,
    equation 16. shape: (KH, KW, C, F) of a convolution, or (in, out) of a dense layer.
    """
    *window, channels, filters = shape
    limit = np.sqrt(6 / (math.prod(window) * (channels + filters)))
    return rng.uniform(-limit, limit, shape)


def log_softmax(logits: Array) -> Array:
    """log pᵢ = zᵢ − log Σⱼ exp zⱼ for each row; the row's maximum is taken away first, so that no exp overflows."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(logits: Array) -> NDArray[np.float64]:
    """pᵢ = exp zᵢ / Σⱼ exp zⱼ for each row, in float64, whatever the logits are: (N, classes)."""
    return np.asarray(np.exp(log_softmax(logits.astype(np.float64))))


def log_mean_softmax(logits: Array) -> Array:
    """log of the mean over the views of the probabilities: logits (views, N, classes) → (N, classes), without overflow."""
    logs = np.stack([log_softmax(one) for one in logits])
    largest = logs.max(axis=0)
    return largest + np.log(np.exp(logs - largest).mean(axis=0))


def softmax_cross_entropy(
    logits: Array, labels: NDArray[np.int64], weights: Array | None = None, smoothing: float = 0.0, focus: float = 0.0
) -> Array:
    """−weights[label] · log p[label] of each image: logits (N, classes), labels (N,), weights (classes,), 1 unless given → (N,).

    smoothing s: instead of log p[label], (1 − s) · log p[label] + s · mean over the classes of log p (Szegedy et al. 2016).
    focus f: times (1 − p[label])^f, which is small where the network is right already (Lin et al. 2017).
    """
    logs = log_softmax(logits)
    loss = -logs[np.arange(len(labels)), labels]
    if smoothing:
        loss = (1 - smoothing) * loss - smoothing * logs.mean(axis=1)
    if focus:
        loss = (-np.expm1(-loss)) ** focus * loss
    return loss if weights is None else weights[labels] * loss


def softmax_cross_entropy_gradient(
    logits: Array, labels: NDArray[np.int64], weights: Array | None = None, smoothing: float = 0.0, focus: float = 0.0
) -> Array:
    """dlogits of the sum over the images: weights[label] · (p − q), q = 1 at the label, or (1 − s) there and s / classes more everywhere.

    With focus, and p and log p those of the label: times (1 − p)^f · (1 − f · p · log p / (1 − p)), whose fraction tends to −1.
    """
    logs, rows = log_softmax(logits), np.arange(len(labels))
    gradient = np.exp(logs)
    gradient[rows, labels] -= 1 - smoothing
    if smoothing:
        gradient -= smoothing / logits.shape[1]
    if focus:
        log = logs[rows, labels]
        rest = -np.expm1(log)
        fraction = np.divide(log, rest, out=np.full_like(log, -1), where=rest > 0)
        gradient *= (rest**focus * (1 - focus * np.exp(log) * fraction))[:, None]
    return gradient if weights is None else weights[labels, None] * gradient


def mean_squared_error(y: Array, targets: Array) -> Array:
    """The mean of (y − target)² over all numbers of an image: y and targets (N, …) → (N,)."""
    return ((y - targets) ** 2).reshape(len(y), -1).mean(axis=1)


def mean_squared_error_gradient(y: Array, targets: Array) -> Array:
    """dy of the sum over the images: 2 · (y − target) / numbers of an image."""
    return 2 * (y - targets) / np.asarray(y[0].size, y.dtype)


def adam(
    value: Array,
    grad: Array,
    mean: Array,
    square: Array,
    step: int,
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    l2: float = 0.0,
    decay: float = 0.0,
) -> tuple[Array, Array, Array]:
    """The new value and moments after step number `step` ≥ 1: Kingma & Ba 2015, algorithm 1.

    l2 is added to the gradient, l2 · value (the gradient of l2/2 · Σ value²); decay shrinks the value itself
    (Loshchilov & Hutter 2019).
    """
    grad = grad + l2 * value
    mean = beta1 * mean + (1 - beta1) * grad
    square = beta2 * square + (1 - beta2) * grad**2
    unbiased_mean = mean / (1 - beta1**step)
    unbiased_square = square / (1 - beta2**step)
    value = value - learning_rate * (decay * value + unbiased_mean / (np.sqrt(unbiased_square) + epsilon))
    return value, mean, square


def sgd(
    value: Array, grad: Array, velocity: Array, learning_rate: float, momentum: float, l2: float = 0.0
) -> tuple[Array, Array]:
    """The new value and velocity: v ← momentum · v + grad + l2 · value, value ← value − learning_rate · v (Polyak 1964)."""
    velocity = momentum * velocity + grad + l2 * value
    return value - learning_rate * velocity, velocity
