"""A network alone, without a run: trained on arrays, written into a file and read from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data.batches import slices
from scratchnet.errors import ConfigError, DataError, OrderError, ScratchnetError, ShapeError
from scratchnet.nn.base import require_array
from scratchnet.nn.description import build_for, by_name, described, from_description
from scratchnet.nn.optimizers import Adam, Optimizer
from scratchnet.nn.sequential import Sequential
from scratchnet.nn.transfer import take_over
from scratchnet.reference import softmax
from scratchnet.storage.files import writing
from scratchnet.training.checkpoint import load_checkpoint, read_about, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.in_memory import OnNumbers, as_input, fit_in_memory
from scratchnet.training.trainer import evaluation_batch_size
from scratchnet.use.ensemble import Where
from scratchnet.use.ensemble import load as load_runs
from scratchnet.use.predictor import ALONE, weights_file


def fit(
    network: Sequential,
    images: NDArray[Any],
    labels: ArrayLike,
    validation_data: tuple[NDArray[Any], ArrayLike] | None,
    optimizer: Optimizer | None,
    *,
    verbose: bool,
    **settings: Any,
) -> list[dict[str, float]]:
    """Trains the network as `Sequential.fit` says. settings: epochs, batch_size, patience, seed."""
    if not (validation_data is None or (isinstance(validation_data, tuple | list) and len(validation_data) == 2)):
        raise ShapeError(f"validation_data is a pair, (images, labels), got {type(validation_data).__name__}")
    if not (optimizer is None or isinstance(optimizer, Optimizer)):
        raise ConfigError(f"optimizer: expected Adam(net.parameters()) or the like, or None, got {optimizer!r}")
    if network.output_shape is None:
        require_array("fit: images must be", images)
        shape, dtype = images.shape[1:], str(images.dtype)
        network.build(shape, dtype=dtype if dtype in ("float32", "float64") else "float32", seed=settings["seed"])
    if settings["patience"] and validation_data is None:
        raise ConfigError("patience is for validation_data: give images and labels to judge each epoch by")
    optimizer = Adam(network.parameters()) if optimizer is None else optimizer
    if {*map(id, optimizer.parameters)} - {*map(id, network.parameters())}:
        raise ConfigError(
            "optimizer: it moves other parameters than this network's: build the network, then Adam(net.parameters())"
        )
    rate = optimizer.learning_rate
    config = Config(best_metric="loss", dtype=network.dtype.name, learning_rate=rate, warmup=0, **settings)
    training = OnNumbers(network, config, optimizer, (images, labels), validation_data)
    return fit_in_memory(training, "fit", verbose=verbose)


def probabilities(network: Sequential, images: NDArray[Any]) -> NDArray[np.float64]:
    """softmax of the network's output for images (N, *input_shape), a few at a time: (N, classes)."""
    if network.output_shape is None:
        raise OrderError("the network has learnt nothing yet: call fit(images, labels), or build, first")
    images, size = as_input(network, images), evaluation_batch_size(network)
    return softmax(np.concatenate([network.forward(images[part]) for part in slices(len(images), size)]))


def state_of(other: Any) -> dict[str, Any]:
    """The weights and buffers of a network, of a run, or of a file of weights, by name."""
    if isinstance(other, str | os.PathLike):
        return load_checkpoint(weights_file(Path(other))).weights
    state = other.state_dict() if hasattr(other, "state_dict") else other
    if not isinstance(state, Mapping):
        raise ConfigError(f"expected a network, its state_dict, or a run to start from, got {type(other).__name__}")
    return dict(state)


def start(network: Sequential, config: Config, class_names: Sequence[str]) -> str:
    """Takes over the weights of `start_from`, for a new run; returns which were taken and which not, "" where nothing was asked.

    class_names: of this run; where they differ, the last layer stays new. Raises DataError or ConfigError, in one line, if there
    is no such file, or nothing in it fits.
    """
    if not config.start_from:
        return ""
    checkpoint = load_checkpoint(weights_file(Path(config.start_from)))
    theirs = checkpoint.about.get("class_names")
    try:
        taken, left = take_over(
            network, checkpoint.weights, new_head=theirs is not None and theirs != list(class_names)
        )
    except ConfigError as error:
        raise ConfigError(f"start_from {config.start_from}: {error}") from error
    new = ", ".join(f"{name} ({why})" for name, why in left.items())
    return f"from {config.start_from}: {', '.join(taken)}; {f'new: {new}' if new else 'all of them'}"


def save(network: Sequential, path: str | os.PathLike[str]) -> None:
    """Writes layers, weights and buffers, as `Sequential.save` says."""
    state = network.state_dict()
    facts = {"input_shape": network.input_shape, "dtype": network.dtype.name, "seed": network.seed}
    about = {ALONE: {"layers": json.loads(described(network)), **facts}}
    with writing(path) as file:
        save_checkpoint(file, state, about)


def load(
    path: Where | Sequence[Where], weights: str | None = None, *, raw: bool = False, layers: Iterable[Any] = ()
) -> Any:
    """What a file or a run holds: the Sequential that `net.save` wrote; of a run, or a file of its weights, a Predictor.

    Of a list of runs it is the `Ensemble`. weights: of a run, "last" or "best": see `Predictor.load`. raw: leave out
    what a run learnt from validation images, temperature and threshold. layers: the classes of layers of your own that the network has,
    [Square], since a file holds no code.

    Raises DataError, in one line that names the file, if it is missing, damaged, or not a network that this version can
    build.
    """
    file = Path(path) if isinstance(path, str | os.PathLike) else None
    if file is None or not os.path.isfile(file) or ALONE not in read_about(file)[0]:
        return load_runs(path, weights, raw=raw, layers=layers)
    checkpoint = load_checkpoint(file)
    network = alone(file, checkpoint.about, sum(array.size for array in checkpoint.weights.values()), by_name(layers))
    try:
        network.load_state_dict(checkpoint.weights)
    except (TypeError, ValueError, ScratchnetError) as error:
        raise DataError(f"{path}: not a network that can be built here: {error}") from error
    return network


def alone(file: Path, about: Mapping[str, Any], holds: int, own: Mapping[str, Any] | None = None) -> Sequential:
    """The network that `save` has described, built, with weights that are still to be loaded. holds: how many there are.

    Raises DataError if it cannot be built.
    """
    try:
        facts = about[ALONE]
        network = from_description(json.dumps(facts["layers"]), own)
        build_for(network, tuple(facts["input_shape"]), facts["dtype"], facts["seed"], holds)
    except (KeyError, TypeError, ValueError, ScratchnetError) as error:
        what = f"its description lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{file}: not a network that can be built here: {what}") from error
    return network
