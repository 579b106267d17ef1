"""From images on disk to shards: finds them, checks them, splits them by subject, scales them, and says what it did.

The command is `python -m data_prep SOURCE OUT`. It may import data, storage, terminal, random, version and errors.
"""

from scratchnet.prepare.prepare import SAMPLE, prepare, prepare_folds, prepare_sample
from scratchnet.prepare.settings import AUGMENTATIONS, SPLITS, Settings
from scratchnet.prepare.summary import describe
from scratchnet.terminal.command_line import printable

__all__ = [
    "AUGMENTATIONS", "SAMPLE", "SPLITS", "Settings", "describe", "prepare", "prepare_folds", "prepare_sample",
    "printable",
]  # fmt: skip
