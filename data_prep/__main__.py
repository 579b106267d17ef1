"""python -m data_prep SOURCE OUT"""

import argparse
import signal
import sys

from data_prep.prepare import FITS, SPLITS, Settings, prepare
from data_prep.summary import describe
from scratchnet.command_line import Parser, printable
from scratchnet.errors import ScratchnetError

DESCRIPTION = """\
Prepares a folder of cell images for training: finds them, checks every one, splits them into a training and a test side,
scales them, and writes them as HDF5 shards into a new folder. SOURCE is read only.

SOURCE is either a C-NMC 2019 tree (fold_0/all/UID_11_10_1_all.bmp, fold_0/hem/UID_H10_2_1_hem.bmp, ...; subjects are in
the names; only the folds are read) or a folder with one folder per class (tell the subjects with --subject-pattern or
--subjects). BMP, PNG, TIFF, JPEG and WebP are read. Whatever is left out or converted is listed at the end, by path, with
the reason, and in OUT/manifest.json.
"""


def parser() -> Parser:
    """The command line."""
    defaults = Settings()
    p = Parser(
        prog="python -m data_prep", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("source", metavar="SOURCE", help="the folder of images")
    p.add_argument("out", metavar="OUT", help="the folder to make; it must not exist")
    p.add_argument(
        "--image-size",
        type=int,
        default=defaults.image_size,
        metavar="N",
        help="width and height of the prepared images, 1 to 1024 (default: %(default)s; the report: 32, 64, 256)",
    )
    p.add_argument(
        "--split",
        choices=SPLITS,
        default=defaults.split,
        help="subject: all images of a subject stand on one side, and each class is divided close to F, as far as that allows; "
        "random: images are divided, as in the report (default: %(default)s)",
    )
    p.add_argument(
        "--test-fraction",
        type=float,
        default=defaults.test_fraction,
        metavar="F",
        help="share of the images of each class for the test side (default: %(default)s)",
    )
    p.add_argument(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="of the split and the order; the same seed gives the same shards (default: %(default)s)",
    )
    p.add_argument(
        "--subject-pattern",
        metavar="REGEX",
        help="searched in the path relative to SOURCE; its group named 'subject', or its first group, is the subject",
    )
    p.add_argument(
        "--subjects",
        metavar="CSV",
        help="a file with the columns file (relative to SOURCE) and subject (or patient); "
        "a column label, if there is one, is compared with the folder; goes before --subject-pattern",
    )
    p.add_argument(
        "--fit",
        choices=FITS,
        default=defaults.fit,
        help="images that are not square: pad keeps their proportions on black, stretch fills the square (default: %(default)s)",
    )
    p.add_argument(
        "--shard-size",
        type=int,
        default=defaults.shard_size,
        metavar="N",
        help="images in one shard (default: %(default)s)",
    )
    p.add_argument(
        "--keep-duplicates",
        action="store_true",
        help="keep all copies of an image that appears several times in one class "
        "(default: only the first; the copies stand on one side either way)",
    )
    p.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads that decode images (default: one a core, at most 8); the result does not depend on it",
    )
    p.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    return p


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0, 2 if it cannot be done as asked, 130 if interrupted."""
    given = vars(parser().parse_args(arguments))
    source, out, quiet = given.pop("source"), given.pop("out"), given.pop("quiet")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name must not end the program
    try:
        manifest = prepare(source, out, Settings(**given), quiet=quiet)
    except ScratchnetError as error:
        print(f"python -m data_prep: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Nothing was written.", file=sys.stderr)
        return 130
    if not quiet:
        print(
            f"{describe(manifest)}\n\nWritten to {printable(str(out))}. Train on it with: python train.py --data {printable(str(out))}"
        )
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends like Ctrl-C, with nothing left behind
    sys.exit(main())
