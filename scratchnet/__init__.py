"""scratchnet: a convolutional network, every part of it hand-written in Python on NumPy and Numba.

A public name is imported when it is first used (PEP 562), so that `import scratchnet.reference`, the textbook, needs
neither Numba nor anything else of the package.
"""

import sys
from importlib import import_module, util
from typing import TYPE_CHECKING, Any

from scratchnet.version import __version__

__all__ = [
    "SGD", "Adam", "AveragePool2D", "BatchNorm2D", "Classifier", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout",
    "Flatten", "GlobalAveragePool2D", "GradientCheck", "GradientError", "Layer", "LeakyReLU", "MaxPool2D",
    "MeanSquaredError", "Parameter", "Predictor", "ReLU", "Residual", "Schedule", "ScratchnetError", "Sequential",
    "Sigmoid", "SoftmaxCrossEntropy", "Tanh", "__version__", "gradient_check", "load", "models",
]  # fmt: skip

# Where each name is defined: first for Python, then the same for type checkers and editors.
_DEFINED_IN = {
    "scratchnet.errors": ("ScratchnetError",),
    "scratchnet.nn.average_pool": ("AveragePool2D", "GlobalAveragePool2D"),
    "scratchnet.nn.activations": ("LeakyReLU", "Sigmoid", "Tanh"),
    "scratchnet.nn.depthwise": ("DepthwiseConv2D",),
    "scratchnet.nn.residual": ("Residual",),
    "scratchnet.nn.base": ("Layer", "Parameter"),
    "scratchnet.nn.batch_norm": ("BatchNorm2D",),
    "scratchnet.nn.conv": ("Conv2D",),
    "scratchnet.nn.dense": ("Dense",),
    "scratchnet.nn.dropout": ("Dropout",),
    "scratchnet.nn.flatten": ("Flatten",),
    "scratchnet.nn.gradient_check": ("GradientCheck", "GradientError", "gradient_check"),
    "scratchnet.nn.losses": ("MeanSquaredError", "SoftmaxCrossEntropy"),
    "scratchnet.nn.optimizers": ("SGD", "Adam"),
    "scratchnet.nn.pool": ("MaxPool2D",),
    "scratchnet.nn.relu": ("ReLU",),
    "scratchnet.nn.schedules": ("Schedule",),
    "scratchnet.nn.sequential": ("Sequential",),
    "scratchnet.use.classifier": ("Classifier",),
    "scratchnet.use.network": ("load",),
    "scratchnet.use.predictor": ("Predictor",),
}

if TYPE_CHECKING:
    from scratchnet.errors import ScratchnetError
    from scratchnet.nn import models
    from scratchnet.nn.activations import LeakyReLU, Sigmoid, Tanh
    from scratchnet.nn.average_pool import AveragePool2D, GlobalAveragePool2D
    from scratchnet.nn.base import Layer, Parameter
    from scratchnet.nn.batch_norm import BatchNorm2D
    from scratchnet.nn.conv import Conv2D
    from scratchnet.nn.dense import Dense
    from scratchnet.nn.depthwise import DepthwiseConv2D
    from scratchnet.nn.dropout import Dropout
    from scratchnet.nn.flatten import Flatten
    from scratchnet.nn.gradient_check import GradientCheck, GradientError, gradient_check
    from scratchnet.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
    from scratchnet.nn.optimizers import SGD, Adam
    from scratchnet.nn.pool import MaxPool2D
    from scratchnet.nn.relu import ReLU
    from scratchnet.nn.residual import Residual
    from scratchnet.nn.schedules import Schedule
    from scratchnet.nn.sequential import Sequential
    from scratchnet.use.classifier import Classifier
    from scratchnet.use.network import load
    from scratchnet.use.predictor import Predictor
else:  # a type checker that saw this function would accept any name

    def __getattr__(name: str) -> Any:
        """Imports what `scratchnet.name` stands for: a public name, or a folder of the package; `models` is a module of nn."""
        for module, names in _DEFINED_IN.items():
            if name in names:
                found = getattr(import_module(module), name)
                break
        else:
            module = f"{__name__}.nn.models" if name == "models" else f"{__name__}.{name}"
            if name.startswith("_") or not name.isidentifier() or util.find_spec(module) is None:
                message = f"module {__name__!r} has no attribute {name!r}"
                raise AttributeError(message, name=name, obj=sys.modules[__name__])
            found = import_module(module)
        globals()[name] = found  # the next time it is there
        return found


def __dir__() -> list[str]:
    """For completion: the public names, and not the modules that happen to be loaded."""
    return sorted(__all__)
