"""Every hyper-parameter of an experiment: its default, what the report says, and what it means."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scratchnet.errors import ConfigError
from scratchnet.initializers import INITIALIZERS
from scratchnet.models import MODELS
from scratchnet.schedules import Schedule

MAX_FILE_BYTES = 2**15  # of a TOML file: tomllib takes a time that grows with the square of a key's length


def option(default: Any, help: str, *, report: Any = None, choices: tuple[str, ...] = ()) -> Any:
    """A field of Config: its default here, its meaning, the report's value (None where the report is silent), and what may be chosen."""
    return field(default=default, metadata={"help": help, "report": report, "choices": choices})


@dataclass(frozen=True)
class Config:
    """An experiment. Two runs with the same Config on the same data end with the same weights, to the bit.

    Raises ConfigError, in one line that names the option, for a value that can't work.

    >>> Config(epochs=3).learning_rate
    0.0003
    >>> Config(dropout=1.5)
    Traceback (most recent call last):
        ...
    scratchnet.errors.ConfigError: dropout must be at least 0 and less than 1, got 1.5
    """

    model: str = option("report", "which network", report="report", choices=tuple(MODELS))
    image_size: int = option(64, "height and width of the images, at least 32", report=256)
    epochs: int = option(30, "passes over the training images", report=14)
    batch_size: int = option(32, "images in one step of the optimiser", report=256)
    micro_batch: int = option(
        0, "images in memory at a time; the gradient is still the whole batch's (0: chosen by memory)"
    )
    learning_rate: float = option(0.0003, "of the optimiser, after the warm-up", report=0.001)
    schedule: str = option(
        "constant", "how the learning rate goes on after the warm-up", report="constant", choices=Schedule.SHAPES
    )
    warmup: int = option(50, "steps over which the learning rate climbs to its value", report=0)
    optimizer: str = option(
        "adam", "adamw decouples the weight decay from the gradient", report="adam", choices=("adam", "adamw", "sgd")
    )
    beta1: float = option(0.9, "Adam's decay of the gradient's running mean; the momentum of sgd")
    beta2: float = option(0.999, "Adam's decay of the squared gradient's running mean")
    weight_decay: float = option(0.0005, "L2 penalty on the weights: weight_decay/2 · Σ w²", report=0.0005)
    dropout: float = option(0.5, "part of the dense features that is left out while training")
    weight_init: str = option("xavier_uniform", "initial weights", report="xavier_uniform", choices=tuple(INITIALIZERS))
    pixels: str = option(
        "standardised",
        "unit: 0 to 1; standardised: mean 0 and variance 1 over the training images",
        choices=("unit", "standardised"),
    )
    augment: str = option(
        "symmetries",
        "symmetries: each image turned and mirrored at random, anew in each epoch",
        choices=("symmetries", "none"),
    )
    dtype: str = option("float32", "numbers of the network", choices=("float32", "float64"))
    seed: int = option(0, "of the split, the weights, the order, dropout and augmentation")

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, _checked_type(one.name, getattr(self, one.name), type(one.default)))
            choices = one.metadata["choices"]
            if choices and getattr(self, one.name) not in choices:
                raise ConfigError(f"{one.name} must be one of {', '.join(choices)}, got {getattr(self, one.name)!r}")
        for name, least in {
            "image_size": 32,
            "epochs": 1,
            "batch_size": 1,
            "micro_batch": 0,
            "warmup": 0,
            "seed": 0,
            "weight_decay": 0,
        }.items():
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("dropout", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and less than 1, got {getattr(self, name)}")
        if not self.weight_decay < math.inf:
            raise ConfigError(f"weight_decay must be a finite number, got {self.weight_decay}: the report uses 0.0005")
        if not self.seed < 2**63:
            raise ConfigError(f"seed must be less than 2**63, got {self.seed}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate must be greater than 0, got {self.learning_rate}: the report uses 0.001")

    def to_toml(self) -> str:
        """The text of a TOML file that `from_toml` reads back."""
        return "".join(f"{name} = {_toml(value)}\n" for name, value in asdict(self).items())


def from_toml(path: Path, defaults: dict[str, Any] | None = None) -> dict[str, Any]:
    """The options in a TOML file, over `defaults`.

    Raises ConfigError for a file that can't be read, or for an option that doesn't exist.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes, which no configuration is")
        options = tomllib.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        # Not UTF-8, not TOML, a number of 5,000 digits (all ValueError), brackets in brackets without end.
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error
    known = [one.name for one in fields(Config)]
    for name in options:
        if name not in known:
            raise ConfigError(f"{path}: there is no option {name!r}; the options are {', '.join(known)}")
    return {**(defaults or {}), **options}


def _checked_type(name: str, value: Any, kind: type) -> Any:
    """The value in its option's type: an integer will do for a float, nothing else is converted."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(
            f"{name} must be {'an integer' if kind is int else 'a number' if kind is float else 'a word'}, got {value!r}"
        )
    return value


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _report(image_size: int, epochs: int, model: str) -> dict[str, Any]:
    """One row of the report's table 1, with our reading where the report is silent."""
    return {
        "model": model,
        "image_size": image_size,
        "epochs": epochs,
        "batch_size": 256,
        "learning_rate": 0.001,
        "warmup": 0,
        "pixels": "unit",
        "augment": "none",
    }


PRESETS: dict[str, dict[str, Any]] = {
    f"report-{size}{suffix}": _report(size, epochs, f"report{suffix}")
    for suffix in ("", "-wide")
    for size, epochs in ((256, 14), (64, 40), (32, 22))
}
