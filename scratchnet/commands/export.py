"""python -m scratchnet export RUN FILE: the network for other programs."""

import argparse
from pathlib import Path

import numpy as np

from data_prep import SAMPLE
from scratchnet.commands.shared import add_network_arguments, find_files, load_network, say
from scratchnet.errors import ConfigError
from scratchnet.exchange.onnx import write_onnx
from scratchnet.exchange.safetensors import write_safetensors

TRIED = 64  # images that an ONNX graph is tried on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_network_arguments(parser)
    parser.add_argument("file", metavar="FILE", help="what to write: NAME.onnx or NAME.safetensors")
    parser.add_argument(
        "--images", metavar="FOLDER", help=f"of ONNX: try it on {TRIED} of these (the cells that come with the program)"
    )


def run(options: argparse.Namespace) -> int:
    """Writes the file. An ONNX graph is tried before on real images, and must give the same answers."""
    form = Path(options.file).suffix.lower()
    if form not in (".onnx", ".safetensors"):
        raise ConfigError(f"{options.file}: the file's name says what is written: NAME.onnx or NAME.safetensors")
    if form == ".safetensors" and options.images:
        raise ConfigError("--images are for trying an ONNX graph: leave them out")
    predictor = load_network(options)
    if form == ".safetensors":
        write_safetensors(predictor, options.file)
        say(f"{options.file} written")
        return 0
    files, _ = find_files([options.images or str(SAMPLE)])
    every = max(1, len(files) // TRIED)
    images = np.stack([predictor.pixels(file) for file in files[::every][:TRIED]])
    difference = write_onnx(predictor, options.file, images)
    say(f"{options.file} written; on {len(images)} images ONNX Runtime says the same, logits to {difference:.1g}")
    return 0
