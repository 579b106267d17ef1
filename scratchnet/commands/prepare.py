"""python -m scratchnet prepare SOURCE OUT, or python -m data_prep SOURCE OUT: images into files for training."""

import argparse

from scratchnet.prepare.options import add_options, given_settings
from scratchnet.prepare.prepare import prepare, prepare_folds
from scratchnet.prepare.settings import Settings
from scratchnet.prepare.summary import describe
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.invocation import command

DESCRIPTION = """\
Prepares a folder of cell images for training: finds them, checks every one, splits them into a training and a test side,
scales them, and writes them as HDF5 shards into a new folder. SOURCE is read only.

SOURCE is either a C-NMC 2019 tree (…/fold_0/all/UID_11_10_1_all.bmp, …/fold_0/hem/UID_H10_2_1_hem.bmp, …; subjects are in
the names; the preliminary test set is read with --split prelim) or a folder with one folder per class (tell the subjects
with --subject-pattern or --subjects). Other trees, such as train/ and test/ with the classes below, are recognised where that is
certain, or told with --layout. BMP, PNG, TIFF, JPEG and WebP are read. Whatever is left out or converted is listed at
the end, by path, with the reason, and in OUT/manifest.json.

With --split kfold, OUT holds one dataset for each fold: OUT/fold-0, OUT/fold-1, …
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.description, parser.epilog = DESCRIPTION, "In brackets: the default."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", metavar="SOURCE", help="the folder of images")
    parser.add_argument("out", metavar="OUT", help="the folder to make; it must not exist")
    add_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")


def run(options: argparse.Namespace) -> int:
    """Prepares the images, and prints the summary."""
    out = printable(options.out)
    settings = Settings(**given_settings(options))
    try:
        if settings.split == "kfold":
            manifests = prepare_folds(options.source, options.out, settings, quiet=options.quiet)
        else:
            manifests = (prepare(options.source, options.out, settings, quiet=options.quiet),)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped. Nothing was written.") from None
    if not options.quiet:
        example = f"{out}/fold-0" if settings.split == "kfold" else out
        print(f"{describe(*manifests)}\n\nWritten to {out}. Train on it with: {command('train', '--data', example)}")
    return 0
