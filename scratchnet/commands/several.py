"""What the commands that take train.py's options for one run or several share: search, folds and find-rate."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scratchnet.commands.own import OF_MODELS, own_model, require_effect
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
    add_recipe(parser)
    add_options(parser, settings)
    add_hyper_parameters(parser)


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """How many threads, and which preset: of every command that trains by hyper-parameters."""
    add = parser.add_argument
    add("--threads", type=int, default=0, metavar="N", help="threads; the result is the same for any number (0: all)")
    add(
        "--preset",
        choices=tuple(PRESETS),
        help="recommended: our residual network; steady: the report's network with our recipe; report-…: a row of the report's table, as "
        "far as it tells; options that are given go before it",
    )


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
    without_model(common)
    return source, common


def without_model(settings: Mapping[str, Any]) -> Config:
    """The configuration of all that images depend on, before there is a network. Raises ConfigError for what cannot work."""
    return Config(**{**settings, "model": Config.model})


class Networks:
    """The networks of a user's own among the models that a command names, FILE.py:NAME: each file's code is run once, here.

    given: names of the options that a person gave. shards: prepares the images, and says where they are; it is asked only
    where a network of one's own has to know how many classes there are.
    """

    def __init__(self, models: Iterable[str | None], given: Iterable[str], shards: Callable[[], Path]) -> None:
        self._makers, self._given, self._shards = {}, set(given), shards
        for text in dict.fromkeys(model for model in models if model is not None):
            if maker := own_model(text):
                self._makers[text] = maker
            else:
                Config(model=text)

    def have(self, name: str) -> bool:
        """Whether all of these models have this setting: a network of one's own need not have dropout and weight_init."""
        return name not in OF_MODELS or all(name in maker.takes for maker in self._makers.values())

    def config(self, settings: Mapping[str, Any]) -> Config:
        """The configuration, with the layers of its model. Raises ConfigError for an option without effect on them."""
        maker, settings = self._makers.get(settings.get("model", "")), dict(settings)
        require_effect(maker, self._given, settings)
        if maker is None:
            return Config(**settings)
        without_model(settings)
        return maker.config(settings, len(read_manifest(self._shards()).class_names))


def settings_of(options: argparse.Namespace, common: dict[str, Any], names: Iterable[str], **fixed: Any) -> Settings:
    """How the images are prepared."""
    config = without_model(common)
    return Settings(**{"image_size": config.image_size, "seed": config.seed, **given_settings(options, names), **fixed})
