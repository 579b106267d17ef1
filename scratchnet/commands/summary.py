"""python -m scratchnet summary WHAT: the layers of a network."""

import argparse
from pathlib import Path

from scratchnet.config import PRESETS, Config
from scratchnet.errors import ConfigError
from scratchnet.models import MODELS
from scratchnet.training.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("what", metavar="WHAT", help=f"a run's folder, or a preset: {', '.join(PRESETS)}")


def run(options: argparse.Namespace) -> int:
    """Prints the table of layers."""
    if options.what in PRESETS:
        config, classes = Config(**PRESETS[options.what]), 2
    elif Path(options.what).exists():
        about = Run(Path(options.what)).load().about
        config, classes = Config(**about["config"]), len(about["class_names"])
    else:
        raise ConfigError(f"{options.what}: neither a run's folder nor one of the presets {', '.join(PRESETS)}")
    network = MODELS[config.model](config.image_size, classes=classes)
    network.build(dtype=config.dtype)
    network.summary()
    return 0
