"""What the commands that make several runs of train.py's options share: search and folds."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scratchnet.commands.shared import require_writable_folder
from scratchnet.data import read_manifest
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.prepare import Settings, cache
from scratchnet.prepare.folder import require_outside
from scratchnet.prepare.options import add_options, given_settings
from scratchnet.training.config import PRESETS, Config
from scratchnet.training.options import add_hyper_parameters, given_hyper_parameters


def add_common(parser: argparse.ArgumentParser, out: str | None, settings: Iterable[str]) -> None:
    """DATA, where the runs go (None: there are none), and the options of preparation and training."""
    add = parser.add_argument
    add("data", metavar="DATA", help="a folder of images, which is prepared first, or of prepared shards")
    if out is not None:
        add("--out", default=out, metavar="FOLDER", help=f"where the runs and the table go ({out})")
    add("--prepared", metavar="FOLDER", help="where prepared images are kept (prepared)")
    add("--threads", type=int, default=0, metavar="N", help="threads; the result is the same for any number (0: all)")
    add("--preset", choices=tuple(PRESETS), help="recommended, or a row of the report's table; options go before it")
    add_options(parser, settings)
    add_hyper_parameters(parser)


def opened(options: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """The images and the hyper-parameters that all runs have in common. Raises ConfigError or DataError before the work starts."""
    source, out = Path(options.data), getattr(options, "out", None)
    if out is not None:
        require_writable_folder(out)
    cache.require_folder(source)
    if out is not None:
        require_outside(Path(out), source)
    set_threads(options.threads)
    common = dict(PRESETS[options.preset]) if options.preset else {}
    common |= given_hyper_parameters(options)
    if cache.is_dataset(source):
        common.setdefault("image_size", read_manifest(source).image_shape[0])
    Config(**common)
    return source, common


def settings_of(options: argparse.Namespace, common: dict[str, Any], names: Iterable[str], **fixed: Any) -> Settings:
    """How the images are prepared."""
    config = Config(**common)
    return Settings(**{"image_size": config.image_size, "seed": config.seed, **given_settings(options, names), **fixed})
