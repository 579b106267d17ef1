"""The mistakes that the lessons show: each is a right solution but for the line that its docstring tells of.

They stand here, and not in the lessons, so that no lesson prints most of the answer to an exercise. The judges know some of them
by sight. `course.wrong`, by which the judges are tried, takes none of them: it writes its own.
"""

from typing import Any

import numpy as np

from scratchnet import reference as ref


def slope_with(f: Any, x: Any, place: Any, step: float, low: float) -> Any:
    """The slope of f along x[place] from values at x + step and x − low · step: any step, and one-sided with low = 0."""
    above, below = x.copy(), x.copy()
    above[place] += step
    below[place] -= low * step
    return (f(above) - f(below)) / (step + low * step)


def conv_turned(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    """The dx of filters that are turned around."""
    return ref.conv2d_gradient(x, weight[::-1, ::-1], dy, stride)[0], *ref.conv2d_gradient(x, weight, dy, stride)[1:]


def conv_exchanged(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    """Rows and columns of dy are exchanged: a slip in an index, and the shapes allow it."""
    return ref.conv2d_gradient(x, weight, dy.swapaxes(1, 2), stride)


def conv_overwrites(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    """= where += is meant: of all stamps on a pixel of dx, only the last stays."""
    dx = np.zeros_like(x)
    for u, v in np.ndindex(weight.shape[:2]):
        down = slice(u, u + (dy.shape[1] - 1) * stride + 1, stride)
        across = slice(v, v + (dy.shape[2] - 1) * stride + 1, stride)
        dx[:, down, across] = dy @ weight[u, v].T
    return dx, *ref.conv2d_gradient(x, weight, dy, stride)[1:]


def conv_bias_inside(x: Any, weight: Any, bias: Any, stride: int) -> Any:
    """The bias is added to each product."""
    return ref.conv2d(x, weight, bias * np.prod(weight.shape[:3]), stride)


def conv_bias_inside_gradient(x: Any, weight: Any, dy: Any, stride: int) -> Any:
    """The right gradient of a convolution that adds the bias to each product."""
    dx, dweight, dbias = ref.conv2d_gradient(x, weight, dy, stride)
    return dx, dweight, dbias * np.prod(weight.shape[:3])


def pool_overwrites(x: Any, dy: Any, size: int, stride: int) -> Any:
    """= where += is meant: a number that wins several windows hears only the last."""
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        part = x[n, i * stride : i * stride + size, j * stride : j * stride + size, c]
        u, v = np.unravel_index(part.argmax(), part.shape)
        dx[n, i * stride + u, j * stride + v, c] = dy[n, i, j, c]
    return dx


def pool_all_equals(x: Any, dy: Any, size: int, stride: int) -> Any:
    """Among equals, each gets all of dy."""
    dx = np.zeros_like(x, dtype=np.float64)
    for i, j in np.ndindex(dy.shape[1:3]):
        rows, columns = slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
        part = x[:, rows, columns]
        dx[:, rows, columns] += (part == part.max(axis=(1, 2), keepdims=True)) * dy[:, i, j][:, None, None]
    return dx


def dropout_unscaled(x: Any, rate: float, rng: Any, training: bool) -> Any:
    """What is kept stays as it is: it is not divided by 1 − rate."""
    kept = rng.random(x.shape) >= rate if training else np.ones(x.shape, bool)
    return (np.where(kept, x, 0) if training else x), kept


def dropout_of_one_coin(x: Any, rate: float, rng: Any, training: bool) -> Any:
    """The same coins for all images and steps."""
    if not training:
        return x, np.ones(x.shape, bool)
    kept = np.broadcast_to(np.random.default_rng(7).random(x.shape[1:]) >= rate, x.shape)
    return ref.dropout(x, kept, rate), kept


def train_step_adds_up(network: Any, optimiser: Any, images: Any, labels: Any) -> float:
    """The gradients of all steps are added up."""
    return _step(network, optimiser, images, labels, len(labels), accumulate=True)


def train_step_of_the_sum(network: Any, optimiser: Any, images: Any, labels: Any) -> float:
    """The gradient of the sum over the images, not of the mean."""
    return _step(network, optimiser, images, labels, 1)


def _step(network: Any, optimiser: Any, images: Any, labels: Any, divisor: int, **options: bool) -> float:
    logits = network.forward(images, training=True)
    network.backward(ref.softmax_cross_entropy_gradient(logits, labels) / divisor, **options)
    optimiser.step()
    return float(ref.softmax_cross_entropy(logits, labels).mean())


def accuracy_in_training(network: Any, images: Any, labels: Any) -> float:
    """Dropout throws its coins in the test."""
    return float(np.mean(network.forward(images, training=True).argmax(axis=1) == labels))


def interval_over_images(correct: Any, subjects: Any, rng: Any) -> tuple[float, float]:
    """The bootstrap over images: as if each cell came from another person."""
    drawn = rng.integers(len(correct), size=(1000, len(correct)))
    low, high = np.quantile(correct[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def interval_without_replacement(correct: Any, subjects: Any, rng: Any) -> tuple[float, float]:
    """All subjects, each once, in another order."""
    values = []
    for _ in range(100):
        order = rng.permutation(np.unique(subjects))
        values.append(np.concatenate([correct[subjects == name] for name in order]).mean())
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def split_sorted_and_cut(labels: Any, subjects: Any, share: float, rng: Any) -> Any:
    """Whole people, but always the same, and names may go by class."""
    names = np.unique(subjects)
    return np.isin(subjects, names[: int(share * len(names))])


def winograd_f23_without_halves(d: Any, g: Any) -> list[Any]:
    """The ½ of m₂ and m₃ are forgotten."""
    m1, m4 = (d[0] - d[2]) * g[0], (d[1] - d[3]) * g[2]
    m2, m3 = (d[1] + d[2]) * (g[0] + g[1] + g[2]), (d[2] - d[1]) * (g[0] - g[1] + g[2])
    return [m1 + m2 + m3, m2 - m3 - m4]


def combine_mean_of_means(parts: Any) -> Any:
    """As if all workers had as many images."""
    return np.mean([gradient for gradient, _ in parts], axis=0)


def combine_sum_of_means(parts: Any) -> Any:
    """The learning rate grows with the number of workers."""
    return sum(gradient for gradient, _ in parts)


def combine_without_the_rest(parts: Any) -> Any:
    """The last, smaller part is left out, to be even."""
    most = max(count for _, count in parts)
    return np.mean([gradient for gradient, count in parts if count == most], axis=0)
