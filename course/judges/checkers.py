"""Lesson 4: the student writes the judge, and it is judged by layers that are broken on purpose."""

from collections.abc import Callable
from typing import Any

import numpy as np

from course import broken
from course.judges.comparison import Function, generator, tried
from course.judges.spied_layer import Spied
from scratchnet import reference as ref
from scratchnet import textbook

Maker = Callable[[], textbook.Layer]


def _pool(**wrong: Function) -> textbook.Layer:
    return textbook.MaxPool2D(3, 1, functions=wrong)


def _conv(**wrong: Function) -> textbook.Layer:
    return textbook.Conv2D(2, 3, padding="valid", functions=wrong)


def _dense(**wrong: Function) -> textbook.Layer:
    return textbook.Dense(4, functions=wrong)


def _relu(**wrong: Function) -> textbook.Layer:
    return textbook.ReLU(functions=wrong)


def _last_number(x: Any, weight: Any, dy: Any) -> Any:
    dx, dweight, dbias = ref.dense_gradient(x, weight, dy)
    dbias[-1] *= 2
    return dx, dweight, dbias


def _changed(place: int, function: Function, gradient: Function) -> Function:
    """`gradient` with its result number `place` put through `function`."""

    def wrong(*arguments: Any) -> Any:
        results = list(gradient(*arguments))
        results[place] = function(results[place])
        return tuple(results)

    return wrong


def _relu_in_place(x: Any, dy: Any) -> Any:
    dy[x <= 0] = 0
    return dy


class _AddsUp(textbook.Dense):
    """Its gradients are added to those of the call before."""

    def backward(self, dy: Any, *, need_dx: bool = True, accumulate: bool = False) -> Any:
        return super().backward(dy, need_dx=need_dx, accumulate=True)


# What is wrong with each, and the layer. All but the last two are found by a difference quotient with a dy drawn at random, at all
# numbers; the last two by looking at what backward is given, and at what it leaves.
BROKEN: dict[str, Maker] = {
    "max-pooling, whose shared places keep the last window's gradient (= for +=)": (
        lambda: _pool(max_pool2d_gradient=broken.pool_overwrites)
    ),
    "convolution, whose dx keeps the last window's share (= for +=)": lambda: _conv(conv2d_gradient=broken.conv_overwrites),
    "convolution, which sends dx back by turned filters": (
        lambda: _conv(conv2d_gradient=broken.conv_turned)
    ),
    "convolution, whose dweight is the mean over the images": (
        lambda: _conv(conv2d_gradient=_changed(1, lambda dweight: dweight / 2, ref.conv2d_gradient))
    ),
    "dense layer, which multiplies by dy's mean over its outputs": (
        lambda: _dense(dense_gradient=lambda x, w, dy: ref.dense_gradient(x, w, np.broadcast_to(dy.mean(axis=1, keepdims=True), dy.shape)))
    ),
    "dense layer, whose dbias is the mean over the images": (
        lambda: _dense(dense_gradient=_changed(2, lambda dbias: dbias / 2, ref.dense_gradient))
    ),
    "dense layer, which takes W for Wᵀ": lambda: _dense(dense_gradient=lambda x, w, dy: (dy @ w, x.T @ dy, dy.sum(axis=0))),
    "dense layer, of whose dbias only the last number is wrong": lambda: _dense(dense_gradient=_last_number),
    "dense layer, whose dx is 0.1 % too large": (
        lambda: _dense(dense_gradient=_changed(0, lambda dx: 1.001 * dx, ref.dense_gradient))
    ),
    "ReLU, which lets dy pass where dy is positive": lambda: _relu(relu_gradient=lambda x, dy: np.where(dy > 0, dy, 0)),
    "ReLU, which returns its slope and leaves dy out": lambda: _relu(relu_gradient=lambda x, dy: np.where(x > 0, 1.0, 0.0)),
    "ReLU, gradient right only in image 0": (
        lambda: _relu(relu_gradient=lambda x, dy: np.where(x > 0, dy, 0) * (np.arange(len(x)) == 0).reshape(-1, *[1] * (x.ndim - 1)))
    ),
    "max-pooling, with the gradient of the mean": (
        lambda: _pool(max_pool2d_gradient=lambda x, dy, size, stride: _mean_gradient(x, dy, size, stride))
    ),
    "ReLU, which changes dy in place (is dy afterwards what it was?)": lambda: _relu(relu_gradient=_relu_in_place),
    "dense layer, which adds to grad where it should write (fill grad with other numbers first)": lambda: _AddsUp(4),
}  # fmt: skip


def _mean_gradient(x: Any, dy: Any, size: int, stride: int) -> Any:
    dx = np.zeros_like(x)
    for u, v in np.ndindex(size, size):
        dx[:, u : u + (dy.shape[1] - 1) * stride + 1 : stride, v : v + (dy.shape[2] - 1) * stride + 1 : stride] += (
            dy / size**2
        )
    return dx


RIGHT: dict[str, Maker] = {
    "convolution": _conv,
    "max-pooling": _pool,
    "dense layer": _dense,
    "ReLU": _relu,
    "convolution with a stride": lambda: textbook.Conv2D(3, 2, stride=2, padding="same"),
}
INPUTS = {"conv": (5, 4, 2), "pool": (5, 4, 2), "relu": (3, 2), "dense": (4,)}


def built(make: Maker, seed: int) -> textbook.Layer:
    """The layer, with weights drawn at random, biases too."""
    layer, rng = make(), generator(seed, 4)
    layer.build(INPUTS[layer.kind], rng)
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return layer


def check(mine: Function, seed: int) -> str:
    """Every right layer must pass, and every broken one must not."""
    for name, make, expected, words in [
        *((name, make, True, f"calls a right {name} wrong") for name, make in RIGHT.items()),
        *((name, make, False, f"does not notice: {name}") for name, make in BROKEN.items()),
    ]:
        layer = built(make, seed)
        before = {p.name: p.value.copy() for p in layer.parameters()}
        try:
            with tried(name):
                answer: Any = mine(layer)
        except AssertionError:
            answer = False
        if any(not np.array_equal(p.value, before[p.name]) for p in layer.parameters()):
            return "leaves a parameter changed: put back every number that was moved"
        if not isinstance(answer, bool | np.bool_):
            return f"must return True or False, got {type(answer).__name__}"
        if bool(answer) is not expected:
            return _why(mine, make, seed, words, alarm=expected)
    return ""


def _answer(mine: Function, layer: textbook.Layer) -> bool:
    """What a checker says; one that raises, whatever it is, has said no: it is asked to find the reason of a complaint, no more."""
    try:
        return bool(mine(layer))
    except Exception:
        return False


def _why(mine: Function, make: Maker, seed: int, words: str, *, alarm: bool) -> str:
    """The complaint `words` with its likely reason: layers of which one known mistake makes right ones, and what was asked."""
    spied = Spied(built(make, seed))
    _answer(mine, spied.layer)
    if alarm:
        if not spied.asked:
            return f"{words}, without asking it: call forward and backward, and compare"
        for reason, change in LOSSES.items():
            if _answer(mine, _goes_back_by(change, seed)):
                return f"{words}: {reason}"
        otherwise = "is L = Σ r · forward(x), with this same r? Is each number put back? Or is the tolerance too tight?"
        return f"{words}: {spied.false_alarm() or otherwise}"
    if _answer(mine, _off_by(1, seed)) != _answer(mine, _off_by(-1, seed)):
        return f"{words} (is the difference's absolute value compared, for every number?)"
    found = spied.miss()
    return f"{words} ({found})" if found else words


# Mistakes in L, and what must arrive at backward in the place of dy for L to be right.
LOSSES: dict[str, Function] = {
    "L lacks r: L = Σ r · forward(x), with the r that backward is given": np.ones_like,
    "L is a mean: L = Σ r · forward(x), the sum": lambda dy: dy / np.size(dy),
    "L is a mean over the images: L = Σ r · forward(x), the sum": lambda dy: dy / len(dy),
}


def _goes_back_by(change: Function, seed: int) -> textbook.Layer:
    layer = built(_dense, seed)
    backward = layer.backward
    layer.backward = lambda dy, **options: backward(change(dy), **options)  # type: ignore[method-assign]
    return layer


def _off_by(number: float, seed: int) -> textbook.Layer:
    """A dense layer all of whose gradients are too large by a number."""
    return built(
        lambda: _dense(dense_gradient=lambda x, w, dy: tuple(g + number for g in ref.dense_gradient(x, w, dy))), seed
    )
