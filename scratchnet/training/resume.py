"""Resuming a run: with its own settings, and with nothing changed that matters."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from scratchnet.errors import ConfigError, DataError
from scratchnet.terminal.command_line import as_option
from scratchnet.training.checkpoint import Checkpoint
from scratchnet.training.config import RESUMABLE, Config, from_toml
from scratchnet.training.origin import Origin
from scratchnet.training.run import Run


def resumed_config(run: Run, checkpoint: Checkpoint, asked: dict[str, Any]) -> Config:
    """The configuration to go on with: the run's own, with the options that may change (`RESUMABLE`) as last asked for.

    asked: options of the command line. The run's config.toml may have been edited: what it says counts as asked for too.
    Raises ConfigError, naming every difference that isn't allowed; DataError for a checkpoint without configuration.
    """
    try:
        recorded = asdict(Config.from_dict(checkpoint.about.get("config")))
    except ConfigError as error:
        raise DataError(
            f"{run.folder}: its checkpoint holds no configuration that this version knows: {error}"
        ) from error
    try:
        edited = from_toml(run.config_path) if run.config_path.is_file() else {}
        Config(**{**recorded, **edited})
    except ConfigError as error:
        said = str(error).removeprefix(str(run.config_path)).removeprefix(":").lstrip().rstrip(".")
        raise ConfigError(
            f"{run.config_path}: {said}. Correct it, or delete it: the checkpoint holds the run's settings"
        ) from error
    different = [
        f"{name} is {recorded[name]!r} there, {value!r} {where}"
        for where, options in (("in its config.toml", edited), ("on the command line", asked))
        for name, value in options.items()
        if name not in RESUMABLE and value != recorded[name]
    ]
    origin = Origin.read(run.config_path) if edited else None
    if origin is not None and origin.dataset_id != (dataset_id := checkpoint.about.get("dataset_id")):
        different.append(f"dataset_id is {dataset_id!r} there, {origin.dataset_id!r} in its config.toml")
    if different:
        raise ConfigError(
            f"--resume {run.folder} goes on with the run's own settings: {'; '.join(different)}. "
            "Leave that out or put it back, or start a new run with --config"
        )
    config = Config(**{**recorded, **{name: edited[name] for name in RESUMABLE if name in edited}, **asked})
    epochs = checkpoint.progress.epoch if checkpoint.progress else 0
    if config.epochs < epochs:
        raise ConfigError(f"{run.folder} has {epochs} epochs behind it; {as_option('epochs')} {config.epochs} is less")
    return config


def resumed_data(run: Run, checkpoint: Checkpoint, asked: str | None) -> Path:
    """The folder of shards to go on with: the run's own, or where it has been moved to.

    Raises DataError if it isn't there any more. `Experiment.restore` checks whether it holds the same data.
    """
    folder = Path(asked if asked is not None else str(checkpoint.about.get("data")))
    if not (folder / "manifest.json").is_file():
        raise DataError(
            f"{folder}: the prepared images of {run.folder} are not there: say where they are now with --data, "
            "which takes a folder of shards here"
        )
    return folder


def history(checkpoint: Checkpoint, config: Config) -> list[dict[str, Any]]:
    """What was changed each time the run was resumed with another setting, and before which epoch.

    `epochs` under a cosine schedule and `patience` change the result: a run that is started anew with the last
    configuration may end differently.
    """
    before, now = checkpoint.about.get("config", {}), asdict(config)
    changed = {name: [before.get(name), now[name]] for name in RESUMABLE if before.get(name) != now[name]}
    earlier = list(checkpoint.about.get("history", []))
    at = checkpoint.progress.epoch if checkpoint.progress else 0
    return [*earlier, {"at_epoch": at, **changed}] if changed else earlier
