"""python -m scratchnet export RUN FILE: the network for other programs."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scratchnet.commands.shared import add_network_arguments, find_files, load_network, require_writable, say
from scratchnet.errors import ConfigError, DataError
from scratchnet.extras import require
from scratchnet.prepare import SAMPLE
from scratchnet.terminal.wording import counted
from scratchnet.use.exchange.onnx import write_onnx
from scratchnet.use.exchange.safetensors import write_safetensors
from scratchnet.use.predictor import Predictor

TRIED = 64  # images that an ONNX graph is tried on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_network_arguments(parser)
    parser.add_argument("file", metavar="FILE", help="what to write: NAME.onnx or NAME.safetensors")
    parser.add_argument(
        "--images", metavar="FOLDER", help=f"of ONNX: try it on {TRIED} of these (the cells that come with the program)"
    )


def run(options: argparse.Namespace) -> int:
    """Writes the file. An ONNX graph is first checked on real images, and must give the same answers."""
    form = Path(options.file).suffix.lower()
    if form not in (".onnx", ".safetensors"):
        raise ConfigError(f"{options.file}: the file's name says what is written: NAME.onnx or NAME.safetensors")
    if form == ".safetensors" and options.images:
        raise ConfigError("--images are for trying an ONNX graph: leave them out")
    require_writable(options.file)
    if Path(options.file).exists():
        raise ConfigError(f"{options.file} exists and is not overwritten: choose another name")
    for library in ("onnx", "onnxruntime") if form == ".onnx" else ("safetensors",):
        require(library)  # before the work, not after it
    predictor = load_network(options, for_files=form == ".onnx")
    if form == ".safetensors":
        write_safetensors(predictor, options.file)
        say(f"{options.file} written")
        return 0
    images = _some_images(predictor, options.images or str(SAMPLE))
    difference = write_onnx(predictor, options.file, images)
    say(
        f"{options.file} written; on {counted(len(images), 'image')} ONNX Runtime says the same, logits to {difference:.1g}"
    )
    if predictor.calibration is not None:
        say(
            f"The graph's probabilities are raw: divide its logits by {predictor.calibration.temperature:.4g} for those of predict."
        )
    if predictor.symmetries:
        say(
            "The graph answers for an image as it lies: it does not average over eight symmetries, as the run's test did."
        )
    return 0


def _some_images(predictor: Predictor, folder: str) -> NDArray[np.uint8]:
    """Up to TRIED images from all over a folder, (N, S, S, 3). Unreadable ones are reported and left out."""
    files, _ = find_files([folder])
    chosen = np.linspace(0, len(files) - 1, min(TRIED, len(files))).round().astype(int)
    images = []
    for file in (files[k] for k in chosen):
        try:
            images.append(predictor.pixels(file))
        except DataError as error:
            say(f"left out: {error}")
    if not images:
        raise DataError(f"{folder}: no image can be read, of {len(chosen)} that were tried")
    return np.stack(images)
