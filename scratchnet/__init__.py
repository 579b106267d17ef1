"""scratchnet: a convolutional network, every part of it hand-written in Python on NumPy and Numba."""

from scratchnet import models
from scratchnet.classifier import Classifier
from scratchnet.errors import ScratchnetError
from scratchnet.gradient_check import GradientCheck, GradientError, gradient_check
from scratchnet.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, Parameter, ReLU
from scratchnet.losses import SoftmaxCrossEntropy
from scratchnet.network import Sequential
from scratchnet.optimizers import SGD, Adam
from scratchnet.predictor import Predictor, load
from scratchnet.schedules import Schedule
from scratchnet.version import __version__

__all__ = [
    "SGD",
    "Adam",
    "Classifier",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GradientCheck",
    "GradientError",
    "Layer",
    "MaxPool2D",
    "Parameter",
    "Predictor",
    "ReLU",
    "Schedule",
    "ScratchnetError",
    "Sequential",
    "SoftmaxCrossEntropy",
    "__version__",
    "gradient_check",
    "load",
    "models",
]
