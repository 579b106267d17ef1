"""From images on disk to shards: finds them, checks them, splits them by subject, scales them, and says what it did.

The command is `python -m data_prep SOURCE OUT`.
"""

from data_prep.prepare import SAMPLE, Settings, prepare, prepare_sample
from data_prep.summary import describe
from scratchnet.command_line import printable

__all__ = ["SAMPLE", "Settings", "describe", "prepare", "prepare_sample", "printable"]
