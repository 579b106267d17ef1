"""What the commands that use a trained network share."""

import argparse
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from scratchnet.command_line import printable
from scratchnet.config import Config
from scratchnet.data.images import EXTENSIONS
from scratchnet.errors import DataError
from scratchnet.kernels.threads import set_threads
from scratchnet.predictor import WEIGHTS, Predictor
from scratchnet.training.compilation import compile_kernels, kernels_are_compiled


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, and what is to be done with it."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or a file of weights")
    parser.add_argument(
        "--weights", choices=WEIGHTS, default="last", help="of a run: those of its last epoch, or of its best (last)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the kernels (0: all)")


def add_symmetries_argument(parser: argparse.ArgumentParser) -> None:
    """--symmetries."""
    parser.add_argument(
        "--symmetries",
        action=argparse.BooleanOptionalAction,
        help="show the network each image in its eight symmetries and average the probabilities, which takes eight times "
        "as long; or don't (as the run's test images were judged: test_symmetries)",
    )


def load_network(options: argparse.Namespace) -> Predictor:
    """The network that the command line asks for, with its kernels compiled. Says on standard error which file it is."""
    set_threads(options.threads)
    predictor = Predictor.load(options.run, options.weights)
    say(f"weights of {predictor.source}, classes {', '.join(predictor.class_names)}")
    config = Config.from_dict(predictor.about["config"])
    if not kernels_are_compiled(config):
        say("Compiling the kernels, once for this machine …")
        compile_kernels(config)
    return predictor


def say(line: str) -> None:
    """A line for the person, on standard error, so that standard output is the result alone."""
    print(printable(line), file=sys.stderr, flush=True)


def find_files(places: list[str]) -> tuple[list[Path], int]:
    """The files to look at, and how many others there are in the folders.

    A file that is named is looked at whatever it is. A folder is searched to its depths, in the order of the names: of it
    come the files with an image's extension or with none. Hidden ones, and links to folders, are passed over in silence.

    Raises DataError where that leaves nothing.
    """
    files: list[Path] = []
    passed_over = 0
    for place in map(Path, places):
        if not place.is_dir():
            files.append(place)
            continue
        for file in _files_below(place):
            if file.suffix.lower() in EXTENSIONS or not file.suffix:
                files.append(file)
            else:
                passed_over += 1
    if not files:
        raise DataError(f"{', '.join(places)}: holds no image; expected files such as {', '.join(EXTENSIONS)}")
    return files, passed_over


def _files_below(folder: Path) -> Iterator[Path]:
    """The regular files; to open a pipe would wait for ever."""

    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(here, name)
            if not name.startswith(".") and _is_regular(file):
                yield file


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:  # a link that leads nowhere; it will be reported when it is opened
        return True
