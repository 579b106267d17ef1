"""From images on disk to shards: finds them, checks them, splits them by subject, scales them, and says what it did.

The command is `python -m data_prep SOURCE OUT`.
"""

from data_prep.prepare import SAMPLE, prepare, prepare_folds, prepare_sample
from data_prep.settings import AUGMENTATIONS, SPLITS, Settings
from data_prep.summary import describe
from scratchnet.command_line import printable

__all__ = [
    "AUGMENTATIONS",
    "SAMPLE",
    "SPLITS",
    "Settings",
    "describe",
    "prepare",
    "prepare_folds",
    "prepare_sample",
    "printable",
]
