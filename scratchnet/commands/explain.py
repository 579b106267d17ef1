"""python -m scratchnet explain RUN IMAGE…: what the network sees, and what decided, as pictures or as a page."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from scratchnet.commands.shared import (
    add_network_arguments,
    class_called,
    find_files,
    load_network,
    require_writable_folder,
    say,
)
from scratchnet.data.familiar import caution
from scratchnet.data.images import EXTENSIONS
from scratchnet.drawing.heat import Pixels
from scratchnet.drawing.plots import require_plots
from scratchnet.errors import ConfigError, DataError
from scratchnet.pages import explained_page
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.bar import Bar
from scratchnet.terminal.command_line import printable
from scratchnet.use.explain_sheets import Decision, decision_sheet, layers_sheet
from scratchnet.use.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_network_arguments(parser)
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="images, or folders of them")
    add("--out", metavar="FOLDER", default="explained", help="where to put the files for each image (explained)")
    add(
        "--page",
        action="store_true",
        help="write one HTML page for each image, in place of two PNG files: every layer, its filters and its maps, to click "
        "through; it needs no extra",
    )
    add("--layer", metavar="NAME", help="whose maps Grad-CAM weighs; `summary` lists them (the last convolution)")
    add("--class", dest="asked", metavar="NAME", help="the class that is asked about (the one that the network says)")
    add(
        "--patch",
        type=int,
        default=0,
        metavar="N",
        help="side of the square that covers a place (an eighth of the image)",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the pictures, and says where. Returns 1 if an image could not be read."""
    out = Path(options.out)
    if Path(options.out).suffix.lower() in EXTENSIONS or Path(options.out).suffix.lower() in (".html", ".pdf", ".svg"):
        raise ConfigError(
            f"--out {options.out}: the files for each image are written into a folder: name one without an ending"
        )
    if not options.page:
        require_plots()  # before the work, not after it
    require_writable_folder(options.out)
    files, _ = find_files(options.images)
    predictor = load_network(options, for_files=True)
    names = predictor.class_names
    asked = names.index(class_called(options.asked, predictor, "--class")) if options.asked is not None else None
    if predictor.symmetries:
        say(
            "The answer is averaged over the image's eight symmetries, as in the run's test; the maps are of the image as it lies."
        )
    bad, far = 0, 0
    named = list(zip(files, _distinct(file.stem for file in files), strict=True))
    for file, name in Bar(named, desc="explaining", unit=" images", disable=None, leave=False):
        try:
            pixels = predictor.pixels(file)
        except DataError as error:
            bad += 1
            Bar.write(printable(str(error)), file=sys.stderr)
            continue
        decision = Decision.of(
            predictor, pixels, layer=options.layer, asked=asked, patch=options.patch, truth=_by_its_folder(file, names)
        )
        written = _page if options.page else _sheets
        Bar.write(printable(written(out, name, predictor, pixels, file.name, decision)), file=sys.stderr)
        far += int(predictor.far(pixels[None]).sum())
    if far:
        say(caution(far, len(files) - bad))
    return 1 if bad else 0


def _sheets(out: Path, name: str, predictor: Predictor, pixels: Pixels, title: str, decision: Decision) -> str:
    """Writes the two PNG files; returns their names."""
    first, second = out / f"{name}-decision.png", out / f"{name}-layers.png"
    decision_sheet(first, decision, pixels, title)
    layers_sheet(second, predictor, pixels, title)
    return f"{first}, {second.name}"


def _page(out: Path, name: str, predictor: Predictor, pixels: Pixels, title: str, decision: Decision) -> str:
    """Writes the page; returns its name."""
    path, text = out / f"{name}.html", explained_page(predictor, pixels, title, decision)
    out.mkdir(parents=True, exist_ok=True)  # not before there is something to put into it
    write_text_atomically(path, text)
    return str(path)


def _by_its_folder(file: Path, names: tuple[str, ...]) -> int | None:
    """The class, by its position in the names, after which the folder of a file is named; None if there is none."""
    folder = file.absolute().parent.name
    exact = [k for k, name in enumerate(names) if name == folder]
    alike = [k for k, name in enumerate(names) if name.casefold() == folder.casefold()]
    return next(iter(exact or alike), None)


def _distinct(names: Iterator[str]) -> Iterator[str]:
    """The names, numbered if repeated: files of two folders may have the same name."""
    seen: set[str] = set()
    for name in names:
        number, distinct = 1, name
        while distinct.casefold() in seen:
            number += 1
            distinct = f"{name}-{number}"
        seen.add(distinct.casefold())
        yield distinct
