"""What the commands that use a trained network share."""

import argparse
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scratchnet.data.class_labels import labelled, parse_class_labels
from scratchnet.data.images import EXTENSIONS, require_repeatable
from scratchnet.errors import ConfigError, DataError
from scratchnet.kernels.machine.threads import set_threads
from scratchnet.measures.calibration import Calibration
from scratchnet.terminal.command_line import add_class_labels, printable
from scratchnet.terminal.wording import percent
from scratchnet.training.checkpoint import read_about
from scratchnet.training.compilation import compile_kernels, kernels_are_compiled
from scratchnet.training.config import Config
from scratchnet.use.ensemble import Ensemble, load
from scratchnet.use.predictor import WEIGHTS, Predictor, weights_file


def add_network_arguments(parser: argparse.ArgumentParser, **more: Any) -> None:
    """RUN, and the options for using it. more: of RUN, for a command that takes several, its nargs and help."""
    parser.add_argument("run", **{"metavar": "RUN", "help": "a run's folder, or a file of weights", **more})
    parser.add_argument("--weights", choices=WEIGHTS, help="of a run: those of its last epoch, or of its best (last)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the kernels (0: all)")
    add_class_labels(parser)


TOGETHER = "a run's folder, or a file of weights; several answer together, by the mean of their probabilities"


def add_raw_argument(parser: argparse.ArgumentParser) -> None:
    """--raw."""
    parser.add_argument(
        "--raw",
        action="store_true",
        help="the probabilities as the network gives them, without the temperature and threshold that it has from validation images",
    )


def add_symmetries_argument(parser: argparse.ArgumentParser) -> None:
    """--symmetries."""
    parser.add_argument(
        "--symmetries",
        action=argparse.BooleanOptionalAction,
        help="show the network each image in its eight symmetries and average the probabilities, which takes eight times "
        "as long; or don't (as the run's test images were judged: test_symmetries)",
    )


def load_network(options: argparse.Namespace, *, for_files: bool = False) -> Predictor:
    """The network that the command line asks for, with its kernels compiled. Says on standard error which file it is.

    for_files: it will be shown image files. Raises DataError if they cannot be prepared like the training images.
    """
    set_threads(options.threads)
    predictor = load(options.run, options.weights, raw=getattr(options, "raw", False))
    if for_files:
        require_repeatable(predictor.preprocessing)
    predictor.class_labels |= parse_class_labels(options.class_label, predictor.class_names)
    shown = zip(predictor.class_names, labelled(predictor.class_names, predictor.class_labels), strict=True)
    classes = (name if name == label else f"{name} = {label}" for name, label in shown)
    members = members_of(predictor)
    say(f"weights of {', '.join(str(one.source) for one in members)}, classes {', '.join(classes)}")
    for name in [options.run] if isinstance(options.run, str) else options.run:
        _say_if_unfinished(Path(name))
    for one in members:
        for line in _how_it_decides(one, getattr(options, "symmetries", None), alone=len(members) == 1):
            say(line if len(members) == 1 else f"{one.source}: {line}")
        config = Config.from_dict(one.about["config"])
        if not kernels_are_compiled(config):
            say("Compiling the kernels, once for this machine …")
            compile_kernels(config)
    return predictor


def members_of(predictor: Predictor) -> tuple[Predictor, ...]:
    """The networks that answer: one, or those of an ensemble."""
    return predictor.members if isinstance(predictor, Ensemble) else (predictor,)


def _how_it_decides(predictor: Predictor, symmetries: bool | None, *, alone: bool) -> list[str]:
    """What was learnt from validation images, where it is used. alone: whether it decides by itself, not with others."""
    found, holds = predictor.calibration, predictor.calibration_for(symmetries)
    if found is None:
        return []
    if holds is None:
        how = "means over eight positions" if found.symmetries else "single positions"
        return [f"its temperature is of {how}, and not used: the probabilities are raw"]
    lines = [f"probabilities at temperature {found.temperature:.3f}, from {found.whose()}"]
    if found.threshold is not None and not alone:
        return [*lines, "its threshold is its own, and not used: together they say the more probable class"]
    return lines + threshold_in_words(found)


def threshold_in_words(found: Calibration) -> list[str]:
    """From which probability on a class is the answer, and why; nothing without a threshold."""
    if found.threshold is None or found.sensitivity is None:
        return []
    return [
        f"it says {found.positive!r} from {percent(found.threshold)} on: chosen for a sensitivity of {percent(found.sensitivity)} on "
        f"{found.whose()}"
    ]


def _say_if_unfinished(run: Path) -> None:
    """Says how far a run has come whose training has not ended: its last weights are then those of a checkpoint."""
    if not run.is_dir():
        return
    try:
        about, progress = read_about(weights_file(run))
    except DataError:  # best.h5 alone
        return
    if progress is not None:
        say(f"CAUTION: training has not ended: {progress.epoch} of {about['config']['epochs']} epochs are done")


def class_called(name: str, predictor: Predictor, option: str) -> str:
    """The network's class of that name or label, ignoring case. Raises ConfigError if there is none."""
    names = predictor.class_names
    for known in (name, *names):
        if known in names and known.casefold() == name.casefold():
            return known
    for known in names:
        if predictor.class_labels.get(known, known).casefold() == name.casefold():
            return known
    raise ConfigError(f"{option} {name!r} is not one of the network's classes, which are {', '.join(names)}")


def require_writable(*files: str | None) -> None:
    """Raises ConfigError unless files of these names can be made; None is skipped. Called before the work starts."""
    for name in files:
        if name is None:
            continue
        if Path(name).is_dir():
            raise ConfigError(f"{name} is a folder: name the file to write in it")
        if not Path(name).parent.is_dir():
            raise ConfigError(f"{name} cannot be written, as {Path(name).parent} is not a folder: make it first")


def require_ending(name: str | None, option: str, endings: Sequence[str], written: str) -> None:
    """Raises ConfigError if a file's ending doesn't fit what is written, such as .xlsx for a table; None is skipped.

    option: that named it. endings: those that fit, the first as a remedy. written: the content, in words.
    """
    if name is not None and Path(name).suffix.lower() not in endings:
        shown = ", ".join(ending for ending in endings if ending)
        raise ConfigError(
            f"{option} {name}: {written} can be written there, and the name must end in {shown}: "
            f"say {Path(name).with_suffix(endings[0])}"
        )


def require_writable_folder(name: str) -> None:
    """Raises ConfigError unless there is a folder of that name, or one can be made with the folders above it."""
    there = next(path for path in (Path(name), *Path(name).absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"{name} cannot be a folder, as {there} is a file: choose another name")


def say(line: str) -> None:
    """A line for the user, on standard error, so that standard output holds only the result."""
    print(printable(line), file=sys.stderr, flush=True)


def find_files(paths: list[str]) -> tuple[list[Path], int]:
    """The image files, and how many others there are in the folders.

    A file that is named is always included. A folder is searched to its depths, in the order of the names, for files
    with an image's extension or with none. Hidden ones, and links to folders, are skipped silently.

    Raises DataError if that leaves nothing.
    """
    files: list[Path] = []
    passed_over = 0
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        for file in _files_below(path):
            if file.suffix.lower() in EXTENSIONS or not file.suffix:
                files.append(file)
            else:
                passed_over += 1
    if not files:
        raise DataError(f"{', '.join(paths)}: holds no image; expected files such as {', '.join(EXTENSIONS)}")
    return files, passed_over


def _files_below(folder: Path) -> Iterator[Path]:
    """The regular files; opening a pipe would block."""

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
