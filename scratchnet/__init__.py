"""scratchnet: a convolutional network, every part of it hand-written in Python on NumPy and Numba.

A public name is imported when it is first used (PEP 562), so that `import scratchnet.reference`, the textbook, needs
neither Numba nor anything else of the package.
"""

import sys
from collections.abc import Callable, Mapping
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
    "scratchnet.nn": ("models",),
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


def imported_on_use(package: str, defined_in: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: imports what `package.name` stands for, and keeps it there for the next time.

    defined_in: {module: (names, …)}. Any other name is that of a module or a folder in the package, or raises AttributeError.
    """
    modules = {name: module for module, names in defined_in.items() for name in names}

    def find(name: str) -> Any:
        here = sys.modules[package]
        if name in modules:
            # With a fromlist, a name that is a module in a folder is imported too: `models` of scratchnet.nn.
            found = getattr(__import__(modules[name], fromlist=[name]), name)
        else:
            module = f"{package}.{name}"
            if name.startswith("_") or not name.isidentifier() or util.find_spec(module) is None:
                raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=here)
            found = import_module(module)
        vars(here)[name] = found
        return found

    return find


if not TYPE_CHECKING:  # a type checker that saw this function would accept any name
    __getattr__ = imported_on_use(__name__, _DEFINED_IN)


def __dir__() -> list[str]:
    """For completion: the public names, and not the modules that happen to be loaded."""
    return sorted(__all__)
