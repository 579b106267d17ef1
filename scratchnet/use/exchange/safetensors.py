"""safetensors: a file of named arrays that other tools read, with everything needed to use them in its metadata.

Written by this library it holds the arrays under their names and in the layout of this library ("conv1.weight": (KH, KW,
C, F)), and the metadata

| key          | what                                                                         |
|--------------|------------------------------------------------------------------------------|
| `format`     | "scratchnet"                                                                 |
| `about`      | JSON: configuration, class names, pixel scaling, preprocessing, versions     |

A file that PyTorch has written (`safetensors.torch.save_file(model.state_dict(), …)`) is read too, and transposed.
"""

from __future__ import annotations

import json
import os

import numpy as np

from scratchnet.data.pixels import PixelScaling
from scratchnet.errors import ConfigError, DataError
from scratchnet.extras import require
from scratchnet.storage.file_kinds import kind_of
from scratchnet.storage.files import as_path, write_atomically, writing
from scratchnet.storage.foreign_files import foreign_file, is_safetensors
from scratchnet.use.exchange.layouts import from_torch
from scratchnet.use.predictor import Predictor, network_of

FORMAT = "scratchnet"
OF_THE_NETWORK = (
    "config", "class_names", "class_labels", "pixel_scaling", "familiar", "preprocessing", "versions", "arithmetic",
)  # fmt: skip
"""What the weights of another network may take over from a run's description: neither its training data nor its epochs."""


def write_safetensors(predictor: Predictor, path: str | os.PathLike[str]) -> None:
    """Writes the weights and what belongs to them.

    Raises DataError where no such file can be written, MissingExtraError without the extra [export].
    """
    numpy = require("safetensors.numpy")
    if not predictor.about:
        raise ConfigError(f"{path}: a network of your own making has no configuration to be written with its weights")
    # The library writes a transposed array's memory as it is, which would be wrong: C order first.
    arrays = {name: np.ascontiguousarray(value) for name, value in predictor.network.state_dict().items()}
    with writing(path) as file, write_atomically(file) as temporary:
        temporary.write_bytes(numpy.save(arrays, {"format": FORMAT, "about": json.dumps(predictor.about)}))


def read_safetensors(path: str | os.PathLike[str], like: Predictor | None = None) -> Predictor:
    """The network in a file, ready for use.

    like: for a file that PyTorch has written, a network of the same architecture: its classes, pixel scaling and
    preprocessing are taken over, and its weights are replaced. Layers are matched by kind and shape, whatever their
    names; those of one shape in the order of the numbers in their names. What it was trained on is then unknown.
    Numbers of 16, 32 or 64 bits are cast to the type of `like`.

    Raises DataError if the file cannot be read or doesn't fit the network, ConfigError if `like` is missing or superfluous,
    MissingExtraError without the extra [export].
    """
    library, path = require("safetensors"), as_path(path)
    if not path.is_file():
        what = "is a folder: give the file of arrays in it" if path.is_dir() else "there is no such file"
        raise DataError(f"{path}: {what}")
    if not is_safetensors(path):
        expected = "expected a file of safetensors, as export and PyTorch's safetensors.torch.save_file write it"
        other = foreign_file(path, expected) or f"{kind_of(path).name}: {expected}"
        raise DataError(f"{path} is {other}")
    try:
        with library.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (library.SafetensorError, AttributeError, TypeError, ValueError) as error:
        if "bfloat16" in str(error).lower() or "bf16" in str(error).lower():
            raise DataError(
                f"{path} holds bfloat16, which NumPy does not have: save the model as model.float() before"
            ) from error
        raise DataError(f"{path}: not a readable safetensors file ({error})") from error
    ours = metadata.get("format") == FORMAT
    if ours and like is not None:
        raise ConfigError(f"{path} was written by scratchnet and says all about itself: leave the other network out")
    if not ours and like is None:
        raise ConfigError(
            f"{path} does not say which classes and scaling it has: name a run that is like it with --like"
        )
    try:
        if like is None:
            about = json.loads(metadata["about"])
            network = network_of(about, weights=sum(array.size for array in arrays.values()))
            network.load_state_dict(arrays)
        else:
            about = {name: like.about[name] for name in OF_THE_NETWORK if name in like.about}
            network = network_of(about)
            state = from_torch(arrays, network, ordered=False)
            network.load_state_dict({name: array.astype(network.dtype) for name, array in state.items()})
        scaling = PixelScaling.from_dict(about["pixel_scaling"])
        return Predictor(network, about["class_names"], scaling, about["preprocessing"], about=about, source=path)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not the weights of a network that can be built here: {error}") from error
