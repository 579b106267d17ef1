"""python -m scratchnet import FILE OUT: a network that was exported, or trained in PyTorch, as weights of this library."""  # noqa: N999 - it is called like its command

import argparse
from pathlib import Path

from scratchnet.commands.shared import require_ending, require_writable, say
from scratchnet.errors import ConfigError
from scratchnet.use.exchange.safetensors import read_safetensors
from scratchnet.use.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "file", metavar="FILE.safetensors", help="written by export, or by PyTorch's safetensors.torch.save_file"
    )
    parser.add_argument("out", metavar="OUT.h5", help="the file of weights to write, which every command takes as RUN")
    parser.add_argument(
        "--like",
        metavar="RUN",
        help="of PyTorch's files: a run of the same network, for classes, scaling and preprocessing",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the weights."""
    if Path(options.out).exists():
        raise ConfigError(f"{options.out} exists and is not overwritten: choose another name")
    require_writable(options.out)
    require_ending(options.out, "OUT", (".h5",), "weights in HDF5")
    like = Predictor.load(options.like) if options.like is not None else None
    read_safetensors(options.file, like).save(options.out)
    say(f"{options.out} written")
    return 0
