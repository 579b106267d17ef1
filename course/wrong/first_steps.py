"""Wrong solutions of lessons 1, 3 and 4."""

from typing import Any

import numpy as np

from course.wrong.solution import Wrong
from scratchnet import reference as ref

CHANNELS = (0, 1, 2)


def _bytes(train: Any, images: Any) -> Any:
    return (images - train.mean(axis=CHANNELS).astype(np.uint8)) / train.std(axis=CHANNELS)


def _in_place(train: Any, images: Any) -> Any:
    result = (images - train.mean(axis=CHANNELS)) / train.std(axis=CHANNELS)
    images[...] = 0
    return result


def _each_image(train: Any, images: Any) -> Any:
    return (images - images.mean(axis=(1, 2), keepdims=True)) / images.std(axis=(1, 2), keepdims=True)


def _one_sided(h: float) -> Any:
    def slope(f: Any, x: Any, place: Any) -> float:
        y = x.copy()
        y[place] += h
        return float((f(y) - f(x)) / h)

    return slope


def _central(h: float, *, by: float = 2.0, sign: int = 1) -> Any:
    def slope(f: Any, x: Any, place: Any) -> float:
        above, below = x.copy(), x.copy()
        above[place] += h
        below[place] -= h
        return float(sign * (f(above) - f(below)) / (by * h))

    return slope


def _not_restored(f: Any, x: Any, place: Any) -> float:
    x[place] += 1e-5
    above = f(x)
    x[place] -= 2e-5
    return float((above - f(x)) / 2e-5)


def _nearly_restored(f: Any, x: Any, place: Any) -> float:
    x[place] += 1e-5
    above = f(x)
    x[place] -= 2e-5
    below = f(x)
    x[place] += 1.0000001e-5
    return float((above - below) / 2e-5)


def _no_copy(f: Any, x: Any, place: Any) -> float:
    above = x
    above[place] += 1e-5
    below = x
    below[place] -= 1e-5
    return float((f(above) - f(below)) / 2e-5)


def _one_copy(f: Any, x: Any, place: Any) -> float:
    below = above = x.copy()
    above[place] += 1e-5
    below[place] -= 2e-5
    return float((f(above) - f(below)) / 2e-5)


def _all_at_once(f: Any, x: Any, place: Any) -> float:
    return float((f(x + 1e-5) - f(x - 1e-5)) / 2e-5)


def _relu_in_place(x: Any, dy: Any) -> Any:
    dy[x <= 0] = 0
    return dy


def _square(right: Any, wrong: Any) -> Any:
    """wrong where the weight is square, where it is not noticed."""
    return lambda x, w, dy: (wrong if w.shape[0] == w.shape[1] else right)(x, w, dy)


def _normal(rng: Any, size: Any) -> Any:
    return rng.normal(size=size)


def _loss(r: Any, y: Any) -> Any:
    return np.sum(r * y)


def _checker(
    *, draw: Any = _normal, images: int = 2, shape: Any = None, r: float | None = None, fill: float = 7, compared: bool = True,
    arrays: str = "all", numbers: int | None = None, h: float = 1e-5, loss: Any = _loss, off: Any = abs, tolerance: float = 1e-6,
    restore: bool = True,
) -> Any:  # fmt: skip
    """A checker by difference quotients with something left out, or with a slip. fill: what stands in grad before."""

    def check(layer: Any) -> bool:
        rng = np.random.default_rng(3)
        x = draw(rng, (images, *(layer.input_shape if shape is None or layer.kind == "dense" else shape(layer))))
        y = layer.forward(x, training=True)
        dy = rng.normal(size=y.shape) if r is None else np.full(y.shape, r)
        for parameter in layer.parameters():
            parameter.grad[...] = fill
        before = dy.copy()
        dx = layer.backward(dy).copy()
        if compared and not np.array_equal(dy, before):
            return False
        pairs = [(x, dx)] if arrays != "parameters" else []
        if arrays != "x":
            pairs += [(p.value, p.grad.copy()) for p in layer.parameters()]
        for value, gradient in pairs:
            for place in list(np.ndindex(value.shape))[:numbers]:
                kept, losses = value[place], []
                for step in (h, -h):
                    value[place] = kept + step
                    losses.append(loss(dy, layer.forward(x)))
                value[place] = kept
                if off((losses[0] - losses[1]) / (2 * h) - gradient[place]) > tolerance:
                    return False
            if not restore:
                value += 1e-9
        return True

    return check


def _loss_falls(layer: Any) -> bool:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2, *layer.input_shape))
    dy = rng.normal(size=layer.forward(x, training=True).shape)
    dx = layer.backward(dy)
    return bool(np.sum(dy * layer.forward(x - 1e-3 * dx)) < np.sum(dy * layer.forward(x)))


def _one_window(layer: Any) -> Any:
    size = getattr(layer, "pool_size", 3)
    return (size, size, layer.input_shape[-1]) if layer.kind in ("conv", "pool") else layer.input_shape


WRONG = (
    Wrong(
        "standardise",
        "statistics of the images given",
        "of images, not of train",
        lambda t, i: (i - i.mean(CHANNELS)) / i.std(CHANNELS),
    ),
    Wrong("standardise", "uint8 wraps round", "wraps round below 0", _bytes),
    Wrong(
        "standardise",
        "one mean and deviation for all channels",
        "one mean and one deviation",
        lambda t, i: (i - t.mean()) / t.std(),
    ),
    Wrong("standardise", "one mean", "one mean for all channels", lambda t, i: (i - t.mean()) / t.std(axis=CHANNELS)),
    Wrong("standardise", "one deviation", "one deviation for all", lambda t, i: (i - t.mean(axis=CHANNELS)) / t.std()),
    Wrong(
        "standardise",
        "the variance",
        "divided by the variance",
        lambda t, i: (i - t.mean(axis=CHANNELS)) / t.var(axis=CHANNELS),
    ),
    Wrong("standardise", "centred alone", "not divided by the deviation", lambda t, i: i - t.mean(axis=CHANNELS)),
    Wrong("standardise", "scaled alone", "the mean is not taken away", lambda t, i: i / t.std(axis=CHANNELS)),
    Wrong("standardise", "each image by itself", "each image has a mean and a deviation of its own", _each_image),
    Wrong("standardise", "changes images", "changes its arguments in place: images", _in_place),
    Wrong(
        "standardise",
        "in float32",
        "right to about 7 digits",
        lambda t, i: ((i - t.mean(CHANNELS)) / t.std(CHANNELS)).astype("float32"),
    ),
    *(
        Wrong("standardise", what, line, function)
        for what, line, function in (
            ("each column", "each column has a mean", lambda t, i: (i - t.mean((0, 1))) / t.std((0, 1))),
            ("images / 255", "train is not", lambda t, i: (i / 255 - t.mean(CHANNELS)) / t.std(CHANNELS)),
            ("own, all channels", "of images, and of all channels at once", lambda t, i: (i - i.mean()) / i.std()),
            ("each pixel", "for each pixel", lambda t, i: (i - t.mean(0)) / t.std(0)),
            ("brackets", "brackets", lambda t, i: i - t.mean(CHANNELS) / t.std(CHANNELS)),
            ("ddof", "without ddof", lambda t, i: (i - t.mean(CHANNELS)) / t.std(CHANNELS, ddof=1)),
            ("train back", "train comes back", lambda t, i: (t - t.mean(CHANNELS)) / t.std(CHANNELS)),
            ("whole", "cut to whole numbers", lambda t, i: ((i - t.mean(CHANNELS)) / t.std(CHANNELS)).astype(int)),
            ("min and max", "from the smallest", lambda t, i: (i - t.min(CHANNELS)) / np.ptp(t, CHANNELS)),
        )
    ),
    Wrong("slope", "h = 1e-10", "lost in rounding", _central(1e-10)),
    Wrong("slope", "/ 2 * h", "brackets", _central(1e-5, by=2e10)),
    Wrong(
        "slope",
        "a step in parts of x",
        "lost in rounding",
        lambda f, x, place: _central(1e-5 * abs(x[place]))(f, x, place),
    ),
    Wrong("slope", "one-sided", "one-sided", _one_sided(1e-6)),
    Wrong("slope", "one-sided, the best h", "one-sided", _one_sided(1e-8)),
    Wrong("slope", "one-sided, below", "one-sided", _one_sided(-1e-7)),
    Wrong("slope", "h = 1e-15", "lost in rounding", _central(1e-15)),
    Wrong("slope", "h = 0.1", "leaves the tangent", _central(0.1)),
    Wrong("slope", "h = 1e-3", "a step of 0.001 is so long that it leaves the tangent", _central(1e-3)),
    Wrong("slope", "h = 3e-4", "leaves the tangent", _central(3e-4)),
    Wrong("slope", "divided by h", "2 times the right slope", _central(1e-5, by=1.0)),
    Wrong("slope", "the other sign", "-1 times the right slope", _central(1e-5, sign=-1)),
    Wrong("slope", "x is not restored", "x is not restored", _not_restored),
    Wrong("slope", "x is restored to 13 digits", "x is not restored", _nearly_restored),
    Wrong("slope", "no copy", "b = x is no copy", _no_copy),
    Wrong("slope", "one copy for both", "b = x is no copy", _one_copy),
    Wrong("slope", "all numbers at once", "moves other numbers", _all_at_once),
    Wrong("slope", "returns nothing", "returned nothing", lambda f, x, place: print(end="")),
    Wrong("relu_gradient", "changes dy", "changes its arguments in place: dy", _relu_in_place),
    Wrong("relu_gradient", "x · dy", "x · dy: only the sign", lambda x, dy: np.maximum(x, 0) * dy),
    Wrong("relu_gradient", "where x < 0", "wrong way round", lambda x, dy: np.where(x < 0, dy, 0)),
    Wrong("relu_gradient", "the sign of x", "−dy where x is below 0", lambda x, dy: dy * np.sign(x)),
    Wrong("relu_gradient", "≥ 0", "x > 0 and not x ≥ 0", lambda x, dy: dy * (x >= 0)),
    Wrong("relu_gradient", "mask of dy", "the sign of dy decides", lambda x, dy: dy * (dy > 0)),
    Wrong("relu_gradient", "relu itself", "x where dy is expected", lambda x, dy: np.maximum(x, 0)),
    Wrong("relu_gradient", "the slope alone", "1 where dy is expected", lambda x, dy: (x > 0).astype(float)),
    Wrong("relu_gradient", "½ at 0", "not half of dy", lambda x, dy: dy * np.heaviside(x, 0.5)),
    Wrong("relu_gradient", "the mask alone", "1 where dy is expected", lambda x, dy: x > 0),
    Wrong(
        "dense_gradient",
        "db is the mean",
        "dbias: 0.25 times the right one",
        lambda x, w, dy: (dy @ w.T, x.T @ dy, dy.mean(0)),
    ),
    Wrong(
        "dense_gradient",
        "dW is the mean",
        "dweight: 0.25 times the right one",
        lambda x, w, dy: (dy @ w.T, x.T @ dy / len(x), dy.sum(0)),
    ),
    Wrong("dense_gradient", "db not summed", "not summed over the images?", lambda x, w, dy: (dy @ w.T, x.T @ dy, dy)),
    Wrong(
        "dense_gradient",
        "dW transposed if square",
        "dweight: the right one, transposed",
        _square(ref.dense_gradient, lambda x, w, dy: (dy @ w.T, dy.T @ x, dy.sum(0))),
    ),
    Wrong(
        "dense_gradient",
        "no Wᵀ if square",
        "W is not transposed",
        _square(ref.dense_gradient, lambda x, w, dy: (dy @ w, x.T @ dy, dy.sum(0))),
    ),
    Wrong(
        "dense_gradient",
        "dW transposed",
        "dweight: shape (2, 3), expected (3, 2): transposed?",
        lambda x, w, dy: (dy @ w.T, dy.T @ x, dy.sum(0)),
    ),
    Wrong(
        "dense_gradient", "db over axis 1", "summed over the outputs", lambda x, w, dy: (dy @ w.T, x.T @ dy, dy.sum(1))
    ),
    Wrong(
        "dense_gradient",
        "dW without dy",
        "dweight: dy is not used",
        lambda x, w, dy: (dy @ w.T, x.T @ (0 * dy + 1), dy.sum(0)),
    ),
    Wrong("dense_gradient", "dx alone", "expected (dx, dweight, dbias)", lambda x, w, dy: dy @ w.T),
    Wrong(
        "dense_gradient",
        "dW of the first image",
        "dweight is of the first image",
        lambda x, w, dy: (dy @ w.T, x[:1].T @ dy[:1], dy.sum(0)),
    ),
    Wrong("check", "dy is 1 everywhere", "(is r random? It is 1 everywhere)", _checker(r=1)),
    Wrong(
        "check",
        "dy is 2 everywhere",
        "does not notice: dense layer, which multiplies by dy's mean",
        _checker(r=2),
    ),
    Wrong("check", "one index, to 1e-2", "does not notice: ", _checker(numbers=1, tolerance=1e-2)),
    Wrong("check", "the first number of each array", "does not notice: ", _checker(numbers=1)),
    Wrong("check", "to 1e-2", "0.1 % too large", _checker(tolerance=1e-2)),
    Wrong("check", "one window, no overlap", "(= for +=)", _checker(shape=_one_window)),
    Wrong("check", "the loss falls", "does not notice: ", _loss_falls),
    Wrong("check", "x alone", "dweight is the mean", _checker(arrays="x")),
    Wrong("check", "parameters alone", "does not notice: max-pooling", _checker(arrays="parameters")),
    Wrong("check", "one image", "right only in image 0", _checker(images=1)),
    Wrong("check", "dy is not compared afterwards", "ReLU, which changes dy in place", _checker(compared=False)),
    Wrong("check", "grad is 0 before", "adds to grad where it should write", _checker(fill=0)),
    Wrong("check", "leaves the weights moved", "leaves a parameter changed", _checker(restore=False)),
    Wrong("check", "to 1e-15", "Or is the tolerance too tight?", _checker(tolerance=1e-15)),
    Wrong("check", "L without r", "L lacks r", _checker(loss=lambda r, y: y.sum())),
    Wrong("check", "L is a mean", "L is a mean:", _checker(loss=lambda r, y: (r * y).mean())),
    Wrong("check", "h = 0.1", "a step of 0.1 is so long", _checker(h=0.1)),
    Wrong(
        "check",
        "whole numbers",
        "x has ties or zeros",
        _checker(draw=lambda rng, size: rng.integers(-2, 3, size).astype(float)),
    ),
    Wrong("check", "x from 0 to 1", "has x numbers below 0?", _checker(draw=lambda rng, size: rng.random(size) + 0.1)),
    Wrong("check", "NaN in grad", "no comparison with NaN is true", _checker(fill=np.nan)),
    Wrong("check", "signed", "absolute value compared, for every number?", _checker(off=float)),
    Wrong("check", "five numbers", "numbers of x are compared: compare more", _checker(numbers=5)),
    Wrong("check", "always yes", "does not notice: max-pooling, whose shared places", lambda layer: True),
    Wrong("check", "always no", "without asking it", lambda layer: False),
    Wrong("check", "returns nothing", "must return True or False", lambda layer: print(end="")),
)
