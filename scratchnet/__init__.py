"""scratchnet: a convolutional network, every part of it hand-written in Python on NumPy and Numba.

A public name is imported when it is first asked for (PEP 562), so that `import scratchnet.reference`, the textbook, needs
neither Numba nor anything else of the package.
"""

import sys
from importlib import import_module, util
from typing import TYPE_CHECKING, Any

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

# Where each name is defined: first for Python, then the same for type checkers and editors.
_DEFINED_IN = {
    "scratchnet.classifier": ("Classifier",),
    "scratchnet.errors": ("ScratchnetError",),
    "scratchnet.gradients": ("GradientCheck", "GradientError", "gradient_check"),
    "scratchnet.layers": ("Conv2D", "Dense", "Dropout", "Flatten", "Layer", "MaxPool2D", "Parameter", "ReLU"),
    "scratchnet.losses": ("SoftmaxCrossEntropy",),
    "scratchnet.network": ("Sequential",),
    "scratchnet.optimizers": ("SGD", "Adam"),
    "scratchnet.predictor": ("Predictor", "load"),
    "scratchnet.schedules": ("Schedule",),
}

if TYPE_CHECKING:
    from scratchnet import models
    from scratchnet.classifier import Classifier
    from scratchnet.errors import ScratchnetError
    from scratchnet.gradients import GradientCheck, GradientError, gradient_check
    from scratchnet.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, Parameter, ReLU
    from scratchnet.losses import SoftmaxCrossEntropy
    from scratchnet.network import Sequential
    from scratchnet.optimizers import SGD, Adam
    from scratchnet.predictor import Predictor, load
    from scratchnet.schedules import Schedule
else:  # a type checker that saw this function would accept any name

    def __getattr__(name: str) -> Any:
        """Imports what `scratchnet.name` stands for: a public name, or a module of the package."""
        for module, names in _DEFINED_IN.items():
            if name in names:
                found = getattr(import_module(module), name)
                break
        else:
            module = f"{__name__}.{name}"
            if name.startswith("_") or not name.isidentifier() or util.find_spec(module) is None:
                message = f"module {__name__!r} has no attribute {name!r}"
                raise AttributeError(message, name=name, obj=sys.modules[__name__])
            found = import_module(module)
        globals()[name] = found  # the next time it is there
        return found


def __dir__() -> list[str]:
    """What completion offers: the public names, and not the modules that happen to be loaded."""
    return sorted(__all__)
