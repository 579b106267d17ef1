"""Networks and layers of a user's own, from a Python file that is named on the command line: its code is run."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import sys
from collections.abc import Container
from pathlib import Path
from typing import Any

from scratchnet.errors import ConfigError
from scratchnet.nn.base import Layer
from scratchnet.nn.description import OWN
from scratchnet.nn.models import MODELS
from scratchnet.nn.sequential import Sequential
from scratchnet.terminal.command_line import printable
from scratchnet.training.config import Config
from scratchnet.training.network import Maker, refuse_without_effect

# Settings that a model may take when it is made; a network of one's own need not.
OF_MODELS = ("dropout", "weight_init")


def add_layers_argument(parser: argparse.ArgumentParser) -> None:
    """--layers, for every command that may meet a network with layers of a user's own."""
    parser.add_argument(
        "--layers",
        metavar="FILE.py",
        type=_take_layers,
        help="the file with the classes of layers of your own that the network has, if there are any: this runs its code",
    )


def own_model(text: str | None) -> Maker | None:
    """What --model FILE.py:NAME names; None for one of the report's networks. Says that the file's code is run, and runs it.

    Raises ConfigError, in one line, if there is no such file or nothing of that name, or the code fails.
    """
    if text is None or text in MODELS or not (text.endswith(".py") or ".py:" in text):
        return None
    file, _, name = text.rpartition(":")
    file, name = (file, name) if file.endswith(".py") else (text, "")
    try:
        found = _run(file)
    except ConfigError as error:
        raise ConfigError(f"--model {text}: {error}") from error
    if name not in found or name.startswith("_"):
        there = [
            one
            for one, value in found.items()
            if isinstance(value, Sequential) or (inspect.isfunction(value) and value.__module__ == found["__name__"])
        ]
        said = f"it has {', '.join(there)}" if there else "it has neither a Sequential nor a function"
        raise ConfigError(f"--model {text}: say which network of {file}, {file}:NAME; {said}")
    return Maker(found[name], text)


def _take_layers(file: str) -> str:
    """Makes the layers of a file known to this process. Raises ArgumentTypeError, so that the command line names the option."""
    try:
        found = _run(file)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    OWN.update({name: one for name, one in found.items() if inspect.isfunction(one) or _is_layer(one)})
    return file


def _is_layer(thing: Any) -> bool:
    return isinstance(thing, type) and (issubclass(thing, Layer) or hasattr(thing, "forward"))


def _run(file: str) -> dict[str, Any]:
    """What a Python file defines, after running it. It may import what lies beside it."""
    path = Path(file)
    if not path.is_file() or path.suffix != ".py":
        what = "is no Python file, whose name ends in .py" if path.is_file() else "there is no such file"
        raise ConfigError(f"{file}: {what}; expected one that makes a network, or layers")
    print(
        printable(f"Running the code of {file}, which may do whatever a program may do."), file=sys.stderr, flush=True
    )
    name = f"own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.resolve().parent))
    try:
        # Not what Python keeps compiled: it takes a file of the same size, changed within a second, for the one before.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError(f"{file} could not be run: {type(error).__name__}: {said}") from error
    return vars(module)


def require_effect(maker: Maker | None, given: Container[str], settings: dict[str, Any]) -> None:
    """Raises ConfigError for an option that would change nothing, as the network of a user's own does not take it."""
    if maker is None and not settings.get("layers"):
        return
    foreign = [name for name in OF_MODELS if not (maker and name in maker.takes)]
    refuse_without_effect(name for name in foreign if name in given)
    if maker:
        settings.update({name: getattr(Config, name) for name in foreign})
