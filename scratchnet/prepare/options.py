"""The settings as options of a command line, for `python -m data_prep` and for `python train.py`."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scratchnet.data.scaling import FITS
from scratchnet.prepare.settings import AUGMENTATIONS, BITS, DEFAULTS, SPLITS, Settings
from scratchnet.terminal.command_line import as_option

_DEFAULTS = Settings()

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "image_size": {
        "type": int,
        "metavar": "N",
        "help": f"width and height of the prepared images, 1 to 1024 ({_DEFAULTS.image_size}; the report: 32, 64, 256)",
    },
    "fit": {
        "choices": FITS,
        "help": f"images that are not square: pad keeps their proportions on black, stretch fills the square ({_DEFAULTS.fit})",
    },
    "crop": {
        "action": "store_true",
        "help": "cut each image down to what is not black, with a margin of a tenth, before it is scaled",
    },
    "bits": {
        "type": int,
        "choices": BITS,
        "help": "16: for images of 10 to 16 bits a channel, as microscopes write them. One window for the whole set, outside of which at "
        "most one of 10,000 pixels lies on either side, is scaled to 8 bits, and kept with the weights; files of 8 bits are left out "
        f"({_DEFAULTS.bits})",
    },
    "split": {
        "choices": SPLITS,
        "help": "subject: all images of a subject stand on one side, and each class is divided close to --test-fraction, as far as "
        "that allows; report: images are divided at random, as in the report, and subjects leak; given: as "
        "folders such as train/ and test/ say, less the training images of subjects that test; fold: train on C-NMC's folds, test "
        "on --test-fold; prelim: train on the folds, test on C-NMC's preliminary test set; kfold: by subject into --folds equal parts, "
        f"each of which tests once ({_DEFAULTS.split})",
    },
    "test_fraction": {
        "type": float,
        "metavar": "F",
        "help": f"with subject and report: share of each class for the test side ({DEFAULTS['test_fraction']}; the report: 0.2)",
    },
    "test_fold": {"type": int, "metavar": "N", "help": f"with fold: the one to test on ({DEFAULTS['test_fold']})"},
    "folds": {"type": int, "metavar": "K", "help": f"with kfold: how many ({DEFAULTS['folds']})"},
    "validation_fraction": {
        "type": float,
        "metavar": "F",
        "help": "share of the training side to set aside for validation, by subject (with report: at random) (0: none)",
    },
    "augment_offline": {
        "choices": AUGMENTATIONS,
        "help": "report: smaller classes get copies turned by 90°, and of larger ones some images are left out, until they are equally "
        "large; symmetries: every image in all eight positions. Training images only; with --split report all images, before they "
        f"are divided, as in the report ({_DEFAULTS.augment_offline})",
    },
    "layout": {
        "metavar": "PATTERN",
        "help": 'what the folders mean, such as "{class}", "{split}/{class}", "{subject}/{class}" or "{class}/*/{subject}": * is any '
        "folder, and below the last any may follow (recognised where it is certain, else refused)",
    },
    "subject_pattern": {
        "metavar": "REGEX",
        "help": "searched in the file's name, or, if it holds a slash, in the path relative to the source; its group named 'subject', "
        "or its first group, is the subject",
    },
    "subjects": {
        "metavar": "TABLE",
        "help": "a file (CSV) with the columns file (a path, or a name that is there once) and subject (or patient); a column label, if "
        "there is one, is compared with the folder; goes before --subject-pattern",
    },
    "keep_duplicates": {
        "action": "store_true",
        "help": "keep all copies of an image that appears several times in one class (left out; copies stand on one side either way)",
    },
    "seed": {
        "type": int,
        "metavar": "N",
        "help": f"of the split, the augmentation and the order; the same seed gives the same shards ({_DEFAULTS.seed})",
    },
    "shard_size": {"type": int, "metavar": "N", "help": f"images in one shard ({_DEFAULTS.shard_size})"},
    "threads": {
        "type": int,
        "metavar": "N",
        "help": "threads that decode images; the result does not depend on it (one a core, at most 8)",
    },
}
"""By the names of the fields of Settings. In brackets at the end of each help: the default."""


def add_options(
    group: argparse.ArgumentParser | argparse._ArgumentGroup, names: Iterable[str] = tuple(OPTIONS)
) -> None:
    """Adds the options of these settings. One that is not given has the value None."""
    for name in names:
        group.add_argument(as_option(name), **{"default": None, **OPTIONS[name]})


def chosen_settings(settings: Settings) -> dict[str, Any]:
    """Those of these settings that differ from the defaults, as texts and numbers; without the size and the seed.

    >>> chosen_settings(Settings(split="kfold", crop=True, seed=3))
    {'crop': True, 'split': 'kfold', 'folds': 5}
    """
    chosen = {name: getattr(settings, name) for name in OPTIONS if name not in ("image_size", "seed", "threads")}
    if settings.subjects is not None:
        chosen["subjects"] = str(Path(settings.subjects).resolve())
    return {name: value for name, value in chosen.items() if value not in (None, getattr(_DEFAULTS, name))}


def given_settings(options: argparse.Namespace, names: Iterable[str] = tuple(OPTIONS)) -> dict[str, Any]:
    """The settings among these that were given."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}
