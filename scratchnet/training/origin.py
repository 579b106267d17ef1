"""What a run was trained on, and how that was prepared: together with its hyper-parameters, this repeats the run.

It stands in a run's config.toml below the hyper-parameters, and in the description in each of its files of weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scratchnet.data.class_labels import KEY
from scratchnet.errors import ConfigError
from scratchnet.training.config import TABLES, read_toml, toml

SAMPLE = "sample"  # in place of a folder: the images that come with the program, wherever that is
PREPARED_FROM = "prepared_from"  # in what a checkpoint says of itself: {"images": …, "preparing": …}
BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key without quotes in TOML
LONGEST_COMMAND = 4000  # letters; a configuration of more than 32 KB is not read


@dataclass(frozen=True)
class Origin:
    """Where the images of a run came from.

    images: the folder that was prepared, an absolute path or SAMPLE; "" if shards were given. shards: the folder of
    prepared images, an absolute path. dataset_id: theirs, which changes with every image, label, subject and side.
    preparing: the options of the preparation that are not the defaults, by name. class_labels: by class. command: as typed.
    """

    images: str = ""
    shards: str = ""
    dataset_id: str = ""
    preparing: dict[str, Any] = field(default_factory=dict)
    class_labels: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Origin:
        """From a checkpoint's description; an old one does not name its images, but only the shards."""
        made = _table(about.get(PREPARED_FROM))
        texts = {"shards": about.get("data"), "dataset_id": about.get("dataset_id"), "command": about.get("command")}
        return cls(
            images=str(made.get("images") or ""),
            preparing=_table(made.get("preparing")),
            class_labels=_table(about.get(KEY)),
            **{name: str(text or "") for name, text in texts.items()},
        )

    @classmethod
    def read(cls, path: Path) -> Origin | None:
        """From a run's config.toml; None if it holds only hyper-parameters. Raises ConfigError if it is invalid."""
        tables = {name: table for name, table in read_toml(path).items() if name in TABLES}
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise ConfigError(f"{path}: {name} must be a table, [{name}], got {table!r}")
        data = tables.get("data", {})
        known = ("images", "shards", "dataset_id", "command")
        for name, value in data.items():
            if name not in known or not isinstance(value, str):
                raise ConfigError(f"{path}: [data] holds the texts {', '.join(known)}, got {name} = {value!r}")
        if not data:
            return None
        return cls(**data, preparing=tables.get("preparing", {}), class_labels=tables.get(KEY, {}))

    def to_toml(self) -> str:
        """The tables of config.toml; "" if everything is empty."""
        command = self.command if len(self.command) <= LONGEST_COMMAND else f"{self.command[:LONGEST_COMMAND]} …"
        data = {"images": self.images, "shards": self.shards, "dataset_id": self.dataset_id, "command": command}
        tables = {
            "data": {name: text for name, text in data.items() if text},
            "preparing": self.preparing,
            KEY: self.class_labels,
        }
        return "".join(
            f"\n[{name}]\n"
            + "".join(f"{key if BARE.fullmatch(key) else toml(key)} = {toml(one)}\n" for key, one in table.items())
            for name, table in tables.items()
            if table
        )


def _table(value: Any) -> dict[str, Any]:
    """The value as a table; empty if it isn't one, as in a stranger's file of weights."""
    return dict(value) if isinstance(value, dict) else {}
