"""Libraries that only some uses need, which come as extras of this package."""

import importlib
from typing import Any

from scratchnet.errors import MissingExtraError

EXTRAS = {
    "matplotlib": "viz",
    "tensorboard": "viz",
    "onnx": "export",
    "onnxruntime": "export",
    "safetensors": "export",
    "sklearn": "parity",
    "torch": "parity",
}


def require(module: str) -> Any:
    """Imports a module of an extra, such as "matplotlib.pyplot", and returns it.

    Raises MissingExtraError where it is not installed, with the command that installs it.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        raise MissingExtraError(
            f"{library} is not installed: it comes with the extra [{EXTRAS[library]}]: "
            f"python -m pip install 'scratchnet[{EXTRAS[library]}]', or '.[{EXTRAS[library]}]' in a checkout"
        ) from error
