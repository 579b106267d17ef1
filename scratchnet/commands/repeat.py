"""Training again on what an earlier run was trained on: its data, as its config.toml names them, or a clear refusal."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scratchnet.errors import DataError
from scratchnet.prepare import cache
from scratchnet.prepare.options import add_options
from scratchnet.prepare.settings import ONLY_WITH
from scratchnet.terminal.command_line import Parser, as_option
from scratchnet.training.origin import SAMPLE, Origin

OF_THE_SPLIT = ("split", *ONLY_WITH, "fold")


def origin_of(source: Path) -> str:
    """How a folder of images is recorded."""
    return SAMPLE if source.resolve() == cache.SAMPLE.resolve() else str(source.resolve())


def fill_in(options: argparse.Namespace, names: Iterable[str]) -> Origin | None:
    """Fills in what the command line leaves open: what the run of --config was trained on, and how that was prepared.

    options: of train.py. names: those of them that change what is prepared; another --split leaves out what belonged to the
    recorded one. Says so if the file names no data.

    Returns what the data must be, None if an option changes them. Raises DataError if they are gone, ConfigError if
    the file is invalid; ends the program for an option in it that doesn't exist or cannot have that value.
    """
    origin = Origin.read(Path(options.config))
    if origin is None:
        if options.data is None:
            print(f"{options.config} names no data: this trains on the sample; --data names others.\n", flush=True)
        return None
    names = tuple(names)
    recorded = _parsed(origin, names, options.config)
    seeds = ("image_size", "seed") if origin.images else ()  # of shards they change nothing
    changed = any(getattr(options, name) is not None for name in ("data", *names, *seeds))
    if options.data is None:
        _require_there(origin, options.config)
        options.data = None if origin.images == SAMPLE else origin.images or origin.shards
        if options.prepared is None and origin.images and origin.shards:
            options.prepared = str(Path(origin.shards).parents[1 if "fold" in recorded else 0])
        options.class_label = options.class_label or [f"{name}={label}" for name, label in origin.class_labels.items()]
    if options.data is None or not cache.is_dataset(Path(options.data)):
        left_out = OF_THE_SPLIT if options.split is not None else ()
        for name, value in recorded.items():
            if getattr(options, name) is None and name not in left_out:
                setattr(options, name, value)
    return None if changed else origin


def require_same(origin: Origin, dataset_id: str, file: str) -> None:
    """Raises DataError if what was prepared now is not what the run was trained on."""
    if dataset_id != origin.dataset_id:
        where = "the sample" if origin.images == SAMPLE else origin.images or origin.shards
        raise DataError(
            f"{file}: its run was trained on other images than {where} holds now, or they were prepared otherwise: "
            f"restore them, or say with --data what to train on{_prepared(origin)}"
        )


def _require_there(origin: Origin, file: str) -> None:
    """Raises DataError if neither images nor shards are where they were."""
    if origin.images == SAMPLE or (origin.images and Path(origin.images).is_dir()):
        return
    if not origin.images and cache.is_dataset(Path(origin.shards)):
        return
    what = "images are" if origin.images else "prepared images are"
    raise DataError(
        f"{file}: its {what} not in {origin.images or origin.shards} any more: say with --data where they are now"
        f"{_prepared(origin)}"
    )


def _prepared(origin: Origin) -> str:
    """The alternative: the images prepared then, if they are still there."""
    if origin.images and origin.shards and cache.is_dataset(Path(origin.shards)):
        return f"; what was prepared of them then is --data {origin.shards}"
    return ""


def _parsed(origin: Origin, names: tuple[str, ...], file: str) -> dict[str, Any]:
    """The recorded options as the command line would have read them: it knows what each may be."""
    parser = Parser(prog=f"train.py --config {file}", add_help=False)
    add_options(parser, [name for name in names if name != "fold"])
    parser.add_argument("--fold", type=int)
    words: list[str] = []
    for name, value in origin.preparing.items():
        if value is True:
            words.append(as_option(name))
        elif value is not False:
            words += [f"{as_option(name)}={one}" for one in (value if isinstance(value, list) else [value])]
    return {name: value for name, value in vars(parser.parse_args(words)).items() if value is not None}
