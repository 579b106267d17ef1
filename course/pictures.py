"""The pictures of the lessons: numbers of a crop, gradients, winners, landscapes, tables of marks, curves.

Every function but `figure` and `show` draws into the axes that it is given. In a notebook `show` shows the figure. A plain
run, `python course/lessons/02_convolution.py`, draws it for nobody; with `--pictures FOLDER` it writes it there as PNG.
"""

from __future__ import annotations

import io
import itertools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.extras import require
from scratchnet.storage.files import write_atomically

Array = NDArray[Any]

ORANGE, BLUE, GREEN, PINK, YELLOW, SKY, GREY = (
    "#d55e00",
    "#0072b2",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#5b6b7b",
)
"""Colours that colour-blind people tell apart (Okabe & Ito 2008, "Color Universal Design")."""

STROKES = ("-", "--", "-.", ":")
STYLE = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same on every machine
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "text.usetex": False,
}

_shown = itertools.count(1)


def figure(columns: int = 1, rows: int = 1, width: float = 9.0, height: float = 3.4) -> tuple[Any, list[Any]]:
    """A figure of rows × columns axes, width × height inches, and its axes in reading order."""
    matplotlib = require("matplotlib")
    with matplotlib.rc_context(STYLE):
        made = require("matplotlib.figure").Figure(figsize=(width, height), layout="constrained", facecolor="white")
        axes = made.subplots(rows, columns, squeeze=False)
    return made, list(axes.reshape(-1))


def show(made: Any, caption: str) -> None:
    """Shows the figure in a notebook; in a plain run with `--pictures FOLDER`, writes it there.

    caption: what is to be seen, in a sentence: it is the text of the picture for those who don't see it.
    """
    folder = _folder()
    notebook = "ipykernel" in sys.modules
    if not notebook and folder is None:
        return
    drawn = io.BytesIO()
    # With a formula, Matplotlib looks for the fonts of its spare set, STIX, and warns where it knows of none; no lesson uses them.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with require("matplotlib").rc_context(STYLE):
        made.savefig(drawn, format="png")
    if notebook:
        display = require("IPython.display")
        display.display({"image/png": drawn.getvalue(), "text/plain": caption}, raw=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with write_atomically(folder / f"{Path(sys.argv[0]).stem}-{next(_shown)}.png") as whole:
            whole.write_bytes(drawn.getvalue())


def _folder() -> Path | None:
    """The FOLDER of `--pictures FOLDER` or `--pictures=FOLDER`. Ends the program, in one line, where it is mistyped."""
    for at, word in enumerate(sys.argv[1:], 2):
        option, equals, folder = word.partition("=")
        if not option.startswith("--pic"):
            continue
        folder = folder if equals else "".join(sys.argv[at : at + 1])
        if option != "--pictures" or not folder or folder.startswith("-"):
            print(f"{word}: name a folder: --pictures FOLDER", file=sys.stderr)
            raise SystemExit(2)
        return Path(folder)
    return None


_folder()  # what is mistyped is said at once, and not after a lesson's training


def image(axes: Any, x: Array, title: str = "") -> None:
    """A picture (H, W, 3): bytes from 0 to 255, or numbers from 0 to 1; or one channel of it (H, W), in grey."""
    most = 255 if x.dtype == np.uint8 else 1
    if x.ndim == 2:
        axes.imshow(x, cmap="gray", vmin=0, vmax=most)
    else:
        axes.imshow(x if x.dtype == np.uint8 else np.clip(x, 0, 1))
    _bare(axes, title)


def numbers(axes: Any, x: Array, title: str = "", form: str = "{:.0f}", signed: bool = False) -> None:
    """A small array (H, W) as squares with their numbers in them: shades of grey, or purple and orange about 0 if `signed`.

    form: how a number is written, such as "{:.2f}".
    """
    most = float(np.abs(x).max()) or 1.0
    if signed:
        axes.imshow(x, cmap="PuOr_r", vmin=-1.4 * most, vmax=1.4 * most)
    else:
        axes.imshow(x, cmap="gray", vmin=float(x.min()) - 1e-9, vmax=float(x.max()) + 1e-9)
    middle = (float(x.min()) + float(x.max())) / 2
    size = 10 if max(x.shape) <= 6 else 8
    for (i, j), value in np.ndenumerate(x):
        dark = not signed and value < middle
        text = form.format(value + 0.0).replace("-", "\N{MINUS SIGN}")
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    _bare(axes, title)


def window(axes: Any, row: int, column: int, height: int, width: int, colour: str = ORANGE) -> None:
    """A frame around the window of an image that begins at (row, column)."""
    rectangle = require("matplotlib.patches").Rectangle
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=2.5))


def gradient(axes: Any, dx: Array, title: str = "", label: str = "gradient") -> None:
    """A heat map of a gradient (H, W): orange above 0, purple below, pale at 0, with its scale beside it."""
    most = float(np.abs(dx).max()) or 1.0
    drawn = axes.imshow(dx, cmap="PuOr_r", vmin=-most, vmax=most)
    axes.figure.colorbar(drawn, ax=axes, shrink=0.8, label=label)
    _bare(axes, title)


def winners(axes: Any, x: Array, counts: Array, title: str = "") -> None:
    """An image (H, W) in grey; a dot on each number that won a pooling window, the larger the more windows it won.

    counts (H, W): how many windows each number won.
    """
    image(axes, x, title)
    for times, colour in ((1, SKY), (2, YELLOW), (3, ORANGE)):
        rows, columns = np.nonzero(counts == times if times < 3 else counts >= times)
        if len(rows):
            label = f"won {times}" + (" window" if times == 1 else " windows") + (" or more" if times == 3 else "")
            axes.scatter(columns, rows, s=10 * times**1.5, c=colour, edgecolors="black", linewidths=0.4, label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.02), fontsize=9, ncols=3, handletextpad=0.1, columnspacing=0.8)


def landscape(
    axes: Any, f: Callable[[Array], float], x: tuple[float, float], y: tuple[float, float], places: int = 60
) -> None:
    """The height of f over a plane as contours. f takes a point (2,); x, y: from where to where."""
    across, up = np.linspace(*x, places), np.linspace(*y, places)
    heights = np.array([[f(np.array([a, b])) for a in across] for b in up])
    levels = np.quantile(heights, np.linspace(0.01, 0.95, 14))
    drawn = axes.contour(across, up, heights, levels=np.unique(levels), cmap="Greys_r", linewidths=1)
    axes.clabel(drawn, drawn.levels[::3], fontsize=8, fmt="%.2f")


def matrix(axes: Any, marks: Array, rows: Sequence[str], columns: Sequence[str], title: str = "") -> None:
    """A table of yes and no (R, C), each as a colour and a mark: ✓ on blue, ✗ on orange."""
    colours = require("matplotlib.colors").ListedColormap([ORANGE, SKY])
    axes.imshow(marks.astype(int), cmap=colours, vmin=0, vmax=1, aspect="auto")
    for (i, j), yes in np.ndenumerate(marks):
        axes.text(j, i, "✓" if yes else "✗", ha="center", va="center", fontsize=11)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(-0.5, len(columns)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(rows)), minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    if title:
        axes.set_xlabel(title, loc="left")


def bars(axes: Any, values: dict[str, float], title: str = "", form: str = "{:.2f}", colour: str = BLUE) -> None:
    """One horizontal bar for each name, with its number at its end."""
    drawn = axes.barh(list(values), list(values.values()), color=colour)
    axes.bar_label(drawn, [form.format(value) for value in values.values()], padding=3, fontsize=10)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    name(axes, title)


def curves(
    axes: Any, lines: dict[str, tuple[Array, Array]], xlabel: str, ylabel: str, title: str = "", legend: bool = True
) -> None:
    """Named lines {name: (x, y)}, told apart by colour and by stroke."""
    colours = (BLUE, ORANGE, GREEN, PINK, GREY)
    for number, (label, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, STROKES[number % len(STROKES)], color=colours[number % len(colours)], label=label)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    name(axes, title)
    if legend:
        axes.legend()


def name(axes: Any, title: str) -> None:
    """A title, at the left."""
    axes.set_title(title, loc="left", fontsize=11)


def _bare(axes: Any, title: str) -> None:
    name(axes, title)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
