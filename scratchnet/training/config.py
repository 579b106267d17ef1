"""Every hyper-parameter of an experiment: its default, what the report says, and what it means."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scratchnet.errors import ConfigError, DataError
from scratchnet.nn.initializers import INITIALIZERS
from scratchnet.nn.models import MODELS
from scratchnet.nn.schedules import Schedule
from scratchnet.storage.texts import read_text
from scratchnet.terminal.command_line import printable

MAX_FILE_BYTES = 2**15  # of a TOML file: tomllib takes a time that grows with the square of a key's length


def option(
    default: Any,
    help: str,
    *,
    report: Any = None,
    choices: tuple[str, ...] = (),
    asked: bool = True,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of Config: its default here, its meaning, the report's value (None if the report is silent), and the
    possible choices.

    choices: for a string. asked: whether a person gives it; else the program does.
    least ≤ value ≤ most, above < value < below: for a number; NaN is in no range.
    """
    bounds = {"at least": least, "at most": most, "greater than": above, "less than": below}
    about = {"help": help, "report": report, "choices": choices, "asked": asked, "bounds": bounds}
    return field(default=default, metadata=about)


COUNT = 10**9  # more epochs, steps or images than anyone means


RESUMABLE = ("epochs", "patience", "checkpoint_minutes", "keep_every", "keep_last")
"""What may change from one part of a run to the next: when to stop and what to keep, but nothing that moves the weights.

`epochs` does move them under a schedule that depends on the end: "cosine" is stretched."""


@dataclass(frozen=True)
class Config:
    """An experiment. Two runs with the same Config on the same data end with the same weights, to the bit.

    Raises ConfigError, in one line that names the option, for a value that cannot work.

    >>> Config(epochs=3).learning_rate
    0.0003
    >>> Config(dropout=1.5)
    Traceback (most recent call last):
        ...
    scratchnet.errors.ConfigError: dropout must be less than 1, got 1.5
    """

    model: str = option(
        "report",
        f"which network: {', '.join(MODELS)}; or one of your own, FILE.py:NAME, a Sequential or a function that makes it: "
        "this runs that file's code",
        report="report",
    )
    image_size: int = option(64, "height and width of the images, at least 32", report=256, least=32, most=4096)
    epochs: int = option(30, "passes over the training images", report=14, least=1, most=COUNT)
    batch_size: int = option(32, "images in one step of the optimiser", report=256, least=1, most=COUNT)
    micro_batch: int = option(
        0,
        "images in memory at a time while it trains; the gradient is still the whole batch's (0: chosen by memory)",
        least=0,
        most=COUNT,
    )
    learning_rate: float = option(0.0003, "of the optimiser, after the warm-up", report=0.001, above=0, below=math.inf)
    schedule: str = option(
        "constant",
        "what the learning rate does after the warm-up; step: falls every step_epochs; cosine: down to 0 at the last "
        "epoch, so that a resumed run with more epochs rises to a longer cosine",
        report="constant",
        choices=Schedule.SHAPES,
    )
    step_epochs: int = option(
        10,
        "of schedule step: epochs, counted from the first, after which the rate falls each time",
        least=1,
        most=COUNT,
    )
    step_factor: float = option(0.1, "of schedule step: what the rate is multiplied by each time", above=0, below=1)
    warmup: int = option(50, "steps over which the learning rate climbs to its value", report=0, least=0, most=COUNT)
    optimizer: str = option(
        "adam", "adamw decouples the weight decay from the gradient", report="adam", choices=("adam", "adamw", "sgd")
    )
    beta1: float = option(0.9, "Adam's decay of the gradient's running mean; the momentum of sgd", least=0, below=1)
    beta2: float = option(0.999, "Adam's decay of the squared gradient's running mean; sgd has none", least=0, below=1)
    weight_decay: float = option(
        0.0005, "L2 penalty on the weights: weight_decay/2 · Σ w²", report=0.0005, least=0, below=math.inf
    )
    class_weights: str = option(
        "none",
        "balanced: the training loss weighs each class by n / (classes · n of it), counted on the training "
        "images; losses of the metrics stay unweighted",
        choices=("none", "balanced"),
    )
    label_smoothing: float = option(
        0.0,
        "s: the training loss asks for 1 − s at an image's class and s spread evenly over all; the metrics' losses stay plain",
        least=0,
        below=1,
    )
    focus: float = option(
        0.0,
        "f: the training loss of an image times (1 − probability of its class)^f, the focal loss, 2 for its authors; the "
        "metrics' losses stay plain",
        least=0,
        below=math.inf,
    )
    clip_norm: float = option(0.0, "gradients longer than this are shortened to it (0: never)", least=0, below=math.inf)
    dropout: float = option(0.5, "share of the dense features that is left out while training", least=0, below=1)
    weight_init: str = option("xavier_uniform", "initial weights", report="xavier_uniform", choices=tuple(INITIALIZERS))
    pixels: str = option(
        "standardised",
        "unit: 0 to 1; standardised: mean 0 and variance 1 over the training images",
        choices=("unit", "standardised"),
    )
    augment: str = option(
        "symmetries",
        "symmetries: each image turned and mirrored at random, anew in each epoch; rotations: by quarter turns only",
        choices=("symmetries", "rotations", "none"),
    )
    brightness: float = option(
        0.0, "b: each image's pixels times a factor from 1 − b to 1 + b, drawn anew in each epoch", least=0, below=1
    )
    angle: float = option(
        0.0, "a: each image turned by −a to a degrees more, anew in each epoch, and between pixels", least=0, most=180
    )
    zoom: float = option(0.0, "z: each image enlarged by a factor from 1 − z to 1 + z, likewise", least=0, below=1)
    stain: float = option(
        0.0,
        "s: each image's haematoxylin, eosin and rest times factors from 1 − s to 1 + s, plus −s to s: another laboratory's stain",
        least=0,
        below=1,
    )
    contrast: float = option(
        0.0, "c: each image's differences from its mean colour times a factor from 1 − c to 1 + c", least=0, below=1
    )
    test_symmetries: str = option(
        "none",
        "average: validation and test images are judged by the mean probability over their 8 symmetries, which takes 8 "
        "times as long; the training images' accuracy is measured without",
        choices=("none", "average"),
    )
    train_evaluation: str = option(
        "sample",
        "of which training images the accuracy is measured after each epoch, beside the test side's; full: all, which takes a "
        "quarter of an epoch's time; sample: as many as the side has on which epochs are compared, at least 1,000, drawn by the "
        "seed and always the same; none",
        choices=("sample", "full", "none"),
    )
    dtype: str = option("float32", "numbers of the network", choices=("float32", "float64"))
    best_metric: str = option(
        "balanced_accuracy",
        "what makes an epoch the best, measured on the validation side, or on the test side where there is no other",
        choices=("balanced_accuracy", "accuracy", "loss"),
    )
    patience: int = option(0, "epochs without improvement before training ends early (0: never)", least=0, most=COUNT)
    checkpoint_minutes: float = option(
        10.0, "minutes between checkpoints within an epoch (0: only after each epoch)", least=0, below=math.inf
    )
    keep_every: int = option(0, "keep every Nth epoch's checkpoint (0: only the newest two)", least=0, most=COUNT)
    keep_last: int = option(
        1,
        "checkpoints that stay once the run has finished: from one, --resume goes on with more epochs (0: none; the run cannot go on)",
        least=0,
        most=2,
    )
    start_from: str = option(
        "",
        "a run or a file of weights: layers take over the weights of those of the same name and shape there; where the "
        "classes differ the last one begins anew",
    )
    freeze: str = option(
        "",
        "layers that are not learnt, by name or pattern, with commas, such as conv*,norm1; --verbose names all layers",
    )
    layers: str = option("", "the layers of a network of one's own, see scratchnet.nn.description", asked=False)
    seed: int = option(0, "of the split, the weights, the order, dropout and augmentation", least=0, below=2**63)

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, _checked_type(one.name, getattr(self, one.name), type(one.default)))
            choices = one.metadata["choices"]
            if choices and getattr(self, one.name) not in choices:
                raise ConfigError(f"{one.name} must be one of {', '.join(choices)}, got {getattr(self, one.name)!r}")
            _check_bounds(one.name, getattr(self, one.name), one.metadata["bounds"])
        if not self.layers and self.model not in MODELS:
            raise ConfigError(
                f"model must be one of {', '.join(MODELS)}, or FILE.py:NAME for --model, got {self.model!r}"
            )
        if self.layers and self.model in MODELS:
            raise ConfigError(
                f"layers must be left out for the model {self.model!r}, as they describe another network, got {self.layers[:60]!r}"
            )
        self._refuse_what_excludes_another()

    def _refuse_what_excludes_another(self) -> None:
        """Raises ConfigError for a chosen value that another option makes ineffective or senseless."""
        for name, other, needed in (
            ("step_epochs", "schedule", ("step",)),
            ("step_factor", "schedule", ("step",)),
            ("beta2", "optimizer", ("adam", "adamw")),
        ):
            default = getattr(Config, name)
            if getattr(self, name) != default and getattr(self, other) not in needed:
                raise ConfigError(
                    f"{name} must be left at {default} unless {other} is {' or '.join(needed)}, got {getattr(self, name)}: "
                    "it would have no effect"
                )
        if self.label_smoothing and self.focus:
            raise ConfigError(
                f"label_smoothing and focus are not offered together: set one of them to 0, got {self.label_smoothing} and {self.focus}"
            )

    @classmethod
    def from_dict(cls, stored: Any) -> Config:
        """The inverse of `dataclasses.asdict`, for a configuration that was stored in a file.

        Options that this version has and the file lacks get their defaults; but before there was `train_evaluation`, all
        training images were evaluated. Raises ConfigError for anything else.
        """
        if not isinstance(stored, dict):
            raise ConfigError(f"a configuration is a table of options, got {type(stored).__name__}")
        _require_known(stored)
        return cls(**{"train_evaluation": "full", **stored})

    def to_toml(self) -> str:
        """The text of a TOML file that `from_toml` reads back."""
        return "".join(f"{name} = {toml(value)}\n" for name, value in asdict(self).items())


TABLES = ("data", "preparing", "class_labels")  # of a run's config.toml, which `scratchnet.training.origin` reads


def from_toml(path: Path, defaults: dict[str, Any] | None = None) -> dict[str, Any]:
    """The hyper-parameters in a TOML file, over `defaults`; what a run's config.toml says of its data is passed over.

    Raises ConfigError for a file that cannot be read, or for an option that doesn't exist.
    """
    options = {name: value for name, value in read_toml(path).items() if name not in TABLES}
    try:
        _require_known(options)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return {**(defaults or {}), **options}


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says, in whatever encoding an editor has saved it. Raises ConfigError if it cannot be read."""
    try:
        return tomllib.loads(read_text(path, max_bytes=MAX_FILE_BYTES))
    except DataError as error:
        raise ConfigError(str(error)) from error
    except (ValueError, RecursionError) as error:
        # Not TOML, a number of 5,000 digits (both ValueError), brackets nested too deep.
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error


def toml(value: Any) -> str:
    """A text, number or boolean, or a list of them, as TOML writes it. What a text file cannot hold is escaped, as on
    a terminal.

    >>> toml(["a \\"b\\"", True, 3])
    '["a \\\\"b\\\\"", true, 3]'
    """
    if isinstance(value, str):
        whole = value.encode(errors="replace").decode() == value  # a file's name may hold bytes that are not text
        return json.dumps(value if whole else printable(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _require_known(options: dict[str, Any]) -> None:
    known = [one.name for one in fields(Config)]
    for name in options:
        if name not in known:
            raise ConfigError(f"there is no option {name!r}; the options are {', '.join(known)}")


def _checked_type(name: str, value: Any, kind: type) -> Any:
    """The value in its option's type: an integer will do for a float, nothing else is converted."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(
            f"{name} must be {'an integer' if kind is int else 'a number' if kind is float else 'a string'}, got {value!r}"
        )
    return value


def _check_bounds(name: str, value: Any, bounds: dict[str, float | None]) -> None:
    """Raises ConfigError for a number outside its range."""
    holds = {
        "at least": lambda bound: value >= bound,
        "at most": lambda bound: value <= bound,
        "greater than": lambda bound: value > bound,
        "less than": lambda bound: value < bound,
    }
    for words, bound in bounds.items():
        if bound is not None and not holds[words](bound):
            raise ConfigError(f"{name} must be {words} {bound}, got {value}")


def _report(image_size: int, epochs: int, model: str) -> dict[str, Any]:
    """One row of the report's table 1, with our reading where the report is silent. All that moves the weights is spelt out: a
    new default here must not change the report's presets."""
    return {
        "model": model,
        "dtype": "float32",
        "image_size": image_size,
        "epochs": epochs,
        "batch_size": 256,
        "learning_rate": 0.001,
        "schedule": "constant",
        "warmup": 0,
        "optimizer": "adam",
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.0005,
        "class_weights": "none",
        "label_smoothing": 0.0,
        "focus": 0.0,
        "clip_norm": 0.0,
        "dropout": 0.5,
        "weight_init": "xavier_uniform",
        "pixels": "unit",
        "augment": "none",
        "brightness": 0.0,
        "angle": 0.0,
        "zoom": 0.0,
        "stain": 0.0,
        "contrast": 0.0,
        "test_symmetries": "none",
        "train_evaluation": "full",
        "patience": 0,
    }


STEADY: dict[str, Any] = {
    "model": "report",
    "dtype": "float32",
    "epochs": 30,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.0005,
    "schedule": "cosine",
    "warmup": 50,
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0005,
    "clip_norm": 1.0,
    "dropout": 0.5,
    "weight_init": "xavier_uniform",
    "class_weights": "none",
    "label_smoothing": 0.0,
    "focus": 0.0,
    "pixels": "standardised",
    "augment": "symmetries",
    "brightness": 0.1,
    "angle": 0.0,
    "zoom": 0.0,
    "stain": 0.0,
    "contrast": 0.0,
    "test_symmetries": "average",
    "train_evaluation": "sample",
}
"""The report's network with a recipe that starts reliably. docs/report.md says what each value is for, here and below. Both are
made for 64×64 pixels, the default, and take shards of any size."""

RECOMMENDED: dict[str, Any] = {
    **STEADY,
    "model": "residual",
    "optimizer": "adamw",
    "learning_rate": 0.001,
    "warmup": 100,
    "weight_decay": 0.05,
    "dropout": 0.2,
    "weight_init": "he_normal",
    "label_smoothing": 0.1,
    "angle": 15.0,
    "zoom": 0.1,
}
"""Ours: a residual network, as good in less time and with a twelfth of the weights."""

PRESETS: dict[str, dict[str, Any]] = {
    "recommended": RECOMMENDED,
    "steady": STEADY,
    **{
        f"report-{size}{suffix}": _report(size, epochs, f"report{suffix}")
        for suffix in ("", "-wide")
        for size, epochs in ((256, 14), (64, 40), (32, 22))
    },
}
"""By name: ours, the report's network with our recipe, and the rows of the report's table 1 with both readings of its filters."""
