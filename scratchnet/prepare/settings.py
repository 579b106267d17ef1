"""What can be chosen while preparing."""

import os
from dataclasses import dataclass

from scratchnet.data.images import MAX_IMAGE_SIZE
from scratchnet.data.scaling import FITS
from scratchnet.errors import ConfigError
from scratchnet.prepare.layout import Layout
from scratchnet.prepare.subjects import SubjectPattern
from scratchnet.terminal.command_line import as_option

SPLITS = ("subject", "report", "given", "fold", "prelim", "kfold")
BITS = (8, 16)
AUGMENTATIONS = ("none", "report", "symmetries")
ONLY_WITH = {"test_fraction": ("subject", "report"), "test_fold": ("fold",), "folds": ("kfold",)}
DEFAULTS = {"test_fraction": 0.2, "test_fold": 2, "folds": 5}  # if the split needs them
RANGES = {
    "image_size": (1, MAX_IMAGE_SIZE),
    "test_fold": (0, 10**6),
    "folds": (2, 100),
    "seed": (0, 2**63 - 1),
    "shard_size": (1, 2**16),
    "threads": (1, 256),
}


@dataclass(frozen=True)
class Settings:
    """How to prepare. The command line `python -m data_prep --help` says what each means; the defaults are the same.

    test_fraction, test_fold, folds: None stays None if the split has no such setting, and otherwise becomes the default.
    Raises ConfigError, with the remedy, for a value that cannot work or has no effect.

    >>> Settings(split="fold").test_fold, Settings(split="fold").folds
    (2, None)
    """

    image_size: int = 64
    fit: str = "pad"
    crop: bool = False
    bits: int = 8
    split: str = "subject"
    test_fraction: float | None = None
    test_fold: int | None = None
    folds: int | None = None
    validation_fraction: float = 0.0
    augment_offline: str = "none"
    seed: int = 0
    layout: str | None = None
    subject_pattern: str | None = None
    subjects: str | os.PathLike[str] | None = None
    shard_size: int = 1024
    keep_duplicates: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, choices in (("split", SPLITS), ("fit", FITS), ("bits", BITS), ("augment_offline", AUGMENTATIONS)):
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{as_option(name)} is {getattr(self, name)!r}; choose {' or '.join(map(str, choices))}"
                )
        for name, splits in ONLY_WITH.items():
            if self.split in splits:
                if getattr(self, name) is None:
                    object.__setattr__(self, name, DEFAULTS[name])
            elif getattr(self, name) is not None:
                raise ConfigError(
                    f"{as_option(name)} means nothing with --split {self.split}: leave it out, or choose --split {splits[0]}"
                )
        for name, (lowest, highest) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise ConfigError(f"{as_option(name)} is {value}; choose a whole number from {lowest} to {highest}")
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise ConfigError(f"--test-fraction is {self.test_fraction}; choose a number between 0 and 1, such as 0.2")
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(
                f"--validation-fraction is {self.validation_fraction}; choose 0 for none, or a number below 1, such as 0.1"
            )
        if self.subject_pattern is not None:
            SubjectPattern.compile(self.subject_pattern)
        if self.layout is not None:
            Layout.parse(self.layout)
            if self.split in ("fold", "prelim"):
                raise ConfigError(
                    f"--layout means nothing with --split {self.split}, which is of C-NMC's own tree: leave one out"
                )
