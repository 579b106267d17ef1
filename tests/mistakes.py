"""Layers as a student writes them, which inherit from nothing, and the mistakes that are made in them."""

import numpy as np

from scratchnet import Parameter


class Own:
    """y = x² · W + b, with a list of parameters as an attribute."""

    def __init__(self, mistake=lambda layer, dx: dx):
        rng = np.random.default_rng(0)
        self.weight = Parameter("weight", rng.normal(size=(3, 3)), decay=True)
        self.bias = Parameter("bias", rng.normal(size=3), decay=False)
        self.parameters = [self.weight, self.bias]
        self.mistake = mistake

    def forward(self, x, *, training):
        self.x = x.copy()
        return x**2 @ self.weight.value + self.bias.value

    def backward(self, dy, *, need_dx=True):
        self.weight.grad[:] = (self.x**2).T @ dy
        self.bias.grad[:] = dy.sum(axis=0)
        return self.mistake(self, dy @ self.weight.value.T * 2 * self.x)


def mistake(change):
    """A layer whose gradients are right until `change` has been at them."""

    def applied(layer, dx):
        changed = change(layer, dx)
        return dx if changed is None else changed

    return Own(applied)


def one_wrong_sign(layer, dx):
    layer.weight.grad[1, 2] *= -1


def one_wrong_sign_in_dx(layer, dx):
    dx[1, 1] *= -1


def transposed(layer, dx):
    layer.weight.grad[:] = layer.weight.grad.T.copy()


def no_bias(layer, dx):
    layer.bias.grad[:] = 0


def scaled_by_a_hundred_thousandth(layer, dx):
    layer.weight.grad *= 1 + 1e-5


def mean_for_sum(layer, dx):
    layer.bias.grad /= len(dx)


def nan_in_a_gradient(layer, dx):
    layer.weight.grad[0, 0] = np.nan


def gradient_of_another_shape(layer, dx):
    layer.weight.grad = layer.weight.grad[:2]


class Function:
    """y = f(x), with the derivative of a student."""

    def __init__(self, f, derivative):
        self.f, self.derivative = f, derivative

    def forward(self, x, *, training):
        self.x = x.copy()
        return self.f(x)

    def backward(self, dy, *, need_dx=True):
        return self.derivative(self.x, dy)
