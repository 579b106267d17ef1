"""What a network sees in one image, as pictures for people. They need the extra [viz]."""

from __future__ import annotations

import contextlib
import os
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.class_labels import labelled
from scratchnet.drawing import heat
from scratchnet.drawing.heat import Pixels
from scratchnet.drawing.plots import GUIDE, STYLE
from scratchnet.extras import require, using
from scratchnet.reference import Array
from scratchnet.storage.files import write_atomically
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.wording import percent
from scratchnet.use.explain import (
    default_patch,
    feature_maps,
    grad_cam,
    layers_with_maps,
    occlusion,
    receptive_field,
)
from scratchnet.use.predictor import Predictor

MAPS_A_ROW = 10
MOST_NUMBERS = 8  # positions along a side; with more, the numbers would not be legible
HEAT = "inferno"
SHEET = (11.4, 7.45)  # inches
WIDTH = 156  # letters of a line of its text
LEAST = f"{100 * heat.LEAST:.0f}"
SOFT = "#5b6570"


@dataclass(frozen=True)
class Decision:
    """What the network says about one image, and which parts of it decided.

    names: of the classes, as people read them. probabilities (classes,): its answer, as `predict` gives it. said: the class that
    it is called, by its position in names; rule: why, if that need not be the most probable one. asked: the class in question.
    truth: the true class, None if it isn't known. missed (S, S), evidence (h, w): by how much each
    position speaks for the class in question, in the scale of `scratchnet.drawing.heat`, by occlusion with a square
    of `patch` pixels, and by Grad-CAM in `layer`, each of whose positions sees `field` pixels along each axis. as_it_lies: the
    probability of the class in question from which occlusion starts: in one position and not scaled, as Grad-CAM has it.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    said: int
    rule: str
    asked: int
    truth: int | None
    layer: str
    field: int
    patch: int
    missed: Array
    evidence: Array
    as_it_lies: float

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        pixels: Pixels,
        *,
        layer: str | None = None,
        asked: int | None = None,
        patch: int = 0,
        truth: int | None = None,
    ) -> Decision:
        """Asks the network. Raises ConfigError for an invalid layer or patch."""
        network = predictor.network
        probabilities = partial(predictor.probabilities, symmetries=False)  # like Grad-CAM, in one position
        p = predictor.probabilities(pixels[None])
        said = int(predictor.decide(p)[0])
        asked = said if asked is None else asked
        layer = layer or layers_with_maps(network)[-1]
        x = predictor.scaling.apply(pixels[None], network.dtype)
        cam = grad_cam(network, x, np.array([asked]), layer)[0]
        missed = occlusion(lambda images: probabilities(images)[:, asked], pixels, patch=patch)
        names = tuple(map(printable, labelled(predictor.class_names, predictor.class_labels)))
        patch = patch or default_patch(len(pixels))
        found, rule = predictor.calibration_for(), ""
        if found and found.threshold is not None and found.sensitivity is not None:
            name = names[predictor.class_names.index(str(found.positive))]
            rule = f"It says {name!r} from {percent(found.threshold)} on, chosen for a sensitivity of {percent(found.sensitivity)}."
        return cls(
            names, p[0], said, rule, asked, truth, layer, receptive_field(network, layer), patch, missed,
            heat.from_evidence(cam), float(probabilities(pixels[None])[0, asked]),
        )  # fmt: skip

    def sentences(self) -> list[str]:
        """What it says, and whether that is right."""
        shown = np.argsort(-self.probabilities, kind="stable")[:4]
        about = ", ".join(f"{self.names[k]} {percent(self.probabilities[k])}" for k in shown)
        lines = [" ".join([f"The network says {self.names[self.said]!r}: {about}.", self.rule]).rstrip()]
        if self.truth is not None:
            verdict = "right" if self.truth == self.said else "WRONG"
            lines.append(f"By its folder it is {self.names[self.truth]!r}: the network is {verdict}.")
        else:
            lines.append("What it really is, nothing here tells.")
        return lines


def decision_sheet(path: str | os.PathLike[str], decision: Decision, pixels: Pixels, title: str) -> None:
    """Writes a PNG: the image as the network gets it, occlusion, Grad-CAM, and how to read them.

    All sheets have one scale, that of `scratchnet.drawing.heat`. pixels (S, S, 3) uint8, prepared. title: what to write above.
    """
    question, size = repr(decision.names[decision.asked]), len(pixels)
    height, width = decision.evidence.shape
    with _figure(SHEET[0], SHEET[1]) as figure:
        _write(figure, [printable(title)], top=0.12, size=13, bold=True)
        _write(figure, decision.sentences(), top=0.45, size=11)
        first, second, third = (_place(figure, 0.15 + 3.8 * k, 1.32, 3.5, 3.5) for k in range(3))
        first.imshow(pixels, interpolation="nearest")
        _name_panel(first, "The image, as the network gets it", f"{size} × {size} pixels")
        _heat_panel(
            second, pixels, decision.missed, "Covered, place by place",
            none=f"No single place matters: covering any of\nthem moves the answer by less than {LEAST} points.",
            some=f"what is missed of {question}\nwhen this place is covered",
        )  # fmt: skip
        _heat_panel(
            third, pixels, decision.evidence, "Grad-CAM, place by place",
            none=f"No single place matters: none in {decision.layer}\nspeaks for it by {LEAST} points.",
            some=f"what speaks for {question}\nin {decision.layer}, {height} × {width} places",
        )  # fmt: skip
        _draw_key(_place(figure, 0.15, 5.62, 11.1, 0.3))
        _write(figure, _how_to_read(decision, question), top=6.02, size=9, colour=SOFT)
        _save(figure, path)


def _how_to_read(decision: Decision, question: str) -> list[str]:
    """The legend for people who have never heard of such maps."""
    height, width = decision.evidence.shape
    other = percent(decision.as_it_lies)
    start = ""
    if other != percent(decision.probabilities[decision.asked]):
        start = f" They start from {other}, what the network gives {question} for the image as it lies, neither averaged nor scaled."
    text = [
        f"Orange (+) speaks for {question}, blue (−) against it. The numbers are percentage points of its probability; the scale "
        f"is the same on every sheet. What moves the answer by less than {LEAST} points has no colour: to turn the same cell over, "
        f"which changes nothing of what it is, can do as much.{start}",
        f"Covered: a black square of {decision.patch} × {decision.patch} pixels is laid on one place after another, and the "
        f"network is asked again. +20 means: with this place covered, {question} is less probable by 20 points.",
        f"Grad-CAM: how far a probability of 50 % would rise if the whole image looked like this place. {decision.layer} has "
        f"{height} × {width} places, a block each, and each looks at {decision.field} × {decision.field} pixels around it, as far "
        "as there are any: its reason may lie outside of its block.",
        "That a place matters does not prove that the reason is a good one: it may be dust, or the way that the cell was stained.",
    ]
    return [line for one in text for line in textwrap.wrap(one, WIDTH)]


def _heat_panel(axes: Any, pixels: Pixels, effect: Array, title: str, *, none: str, some: str) -> None:
    """The cell with the map over it, and the numbers on it: of each block, or of the strongest position."""
    axes.imshow(heat.painted(pixels, effect), interpolation="nearest")
    if not heat.matters(effect):
        _name_panel(axes, title, none, strong=True)
        return
    if heat.alike(effect):
        _name_panel(
            axes, title, f"No place stands out: all of them speak\nalike, less than {LEAST} points apart.", strong=True
        )
    else:
        _name_panel(axes, title, some)
    size = len(pixels)
    if max(effect.shape) <= MOST_NUMBERS:
        places = list(np.argwhere(np.abs(effect) >= heat.LEAST))
    else:
        ends = (np.argwhere(effect == end) for end in (effect.max(), effect.min()) if abs(end) >= heat.LEAST)
        places = [found[len(found) // 2] for found in ends]
    for i, j in places:
        y, x = ((k + 0.5) * size / count - 0.5 for k, count in zip((i, j), effect.shape, strict=True))
        axes.text(
            x, y, heat.points(effect[i, j]), ha="center", va="center", fontsize=9, fontweight="bold", color=GUIDE,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip


def _draw_key(axes: Any) -> None:
    """The scale: a row of colours with what they mean."""
    key = heat.key()
    axes.imshow(np.array([[colour for _, colour in key]], np.uint8), aspect="auto", interpolation="nearest")
    for k, (text, colour) in enumerate(key):
        read = "white" if any(heat.ink(colour)) else "black"
        axes.text(k, 0, text, ha="center", va="center", fontsize=9, color=read)
    axes.set_title("percentage points, from each number on; the same on every sheet", fontsize=9, fontweight="normal",
                   color=SOFT, pad=3)  # fmt: skip
    axes.set_axis_off()


def _name_panel(axes: Any, title: str, below: str, *, strong: bool = False) -> None:
    """A picture's title, and what is said below it."""
    axes.set_title(_short(title, 46), parse_math=False, fontsize=10)
    said = "\n".join(_short(line, 54) for line in below.split("\n"))
    axes.text(
        0, -0.025, said, transform=axes.transAxes, va="top", fontsize=9, parse_math=False, linespacing=1.35,
        color=GUIDE if strong else SOFT, fontweight="bold" if strong else "normal",
    )  # fmt: skip
    axes.set_axis_off()


def _place(figure: Any, left: float, top: float, width: float, height: float) -> Any:
    """Axes on a sheet, in inches from its left upper corner."""
    return figure.add_axes((left / SHEET[0], 1 - (top + height) / SHEET[1], width / SHEET[0], height / SHEET[1]))


def _write(
    figure: Any, lines: Sequence[str], *, top: float, size: float, bold: bool = False, colour: str = GUIDE
) -> None:
    """Lines of text from the left edge of a sheet, `top` inches down."""
    shown = "\n".join(_short(line, WIDTH) for line in lines)
    figure.text(
        0.15 / SHEET[0], 1 - top / SHEET[1], shown, va="top", fontsize=size, color=colour, parse_math=False, linespacing=1.4,
        fontweight="bold" if bold else "normal",
    )  # fmt: skip


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def layers_sheet(path: str | os.PathLike[str], predictor: Predictor, pixels: Pixels, title: str) -> None:
    """Writes a PNG: the image and its three channels, then a row for each convolution with its most active maps.

    All maps of a row have one scale, from black, 0, to the brightest value in that layer. pixels (S, S, 3) uint8, prepared.
    """
    network = predictor.network
    maps = feature_maps(network, predictor.scaling.apply(pixels[None], network.dtype))
    names = layers_with_maps(network)
    # Placed by hand: Matplotlib's layout asks each of some hundred maps for its size, which takes seconds.
    width, height = 0.95 * (MAPS_A_ROW + 2), 1.12 * (len(names) + 1) + 0.9
    with _figure(width, height) as figure:
        figure.suptitle(
            f"{printable(title)}\nWhere each filter finds its pattern. A row has one scale, at its right: black is nothing. "
            "Rows cannot be compared, each counts in its own unit.",
            parse_math=False, fontsize=10.5, color=GUIDE, y=1 - 0.05 / height,
        )  # fmt: skip
        image, *rows = figure.subplots(len(names) + 1, MAPS_A_ROW + 1, squeeze=False, gridspec_kw={
            "left": 0.05 / width, "right": 1 - 0.65 / width, "bottom": 0.05 / height, "top": 1 - 0.65 / height, "wspace": 0.08,
            "hspace": 0.22, "width_ratios": [1.25] + [1] * MAPS_A_ROW,
        })  # fmt: skip
        _name_row(image, f"input\n{pixels.shape[0]} × {pixels.shape[1]}")
        image[1].imshow(pixels, interpolation="nearest")
        for axes, channel, name in zip(image[2:], np.moveaxis(pixels, 2, 0), ("red", "green", "blue"), strict=False):
            axes.imshow(channel, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            _name_map(axes, name)
        for axes, name in zip(rows, names, strict=True):
            _one_layer(axes, name, maps[name][0])
        _save(figure, path)


def _one_layer(axes: Any, name: str, maps: Array) -> None:
    """A row: the layer's name and size, then its maps (h, w, C), and their scale."""
    height, width, count = maps.shape
    order = np.argsort(-maps.max(axis=(0, 1)), kind="stable")[:MAPS_A_ROW]
    silent = "" if maps.any() else "\nfinds nothing here"
    _name_row(axes, f"{textwrap.fill(name, 17)}\n{height} × {width}\n{_which(len(order), count)}{silent}")
    for one, number in zip(axes[1:], order, strict=False):
        shown = one.imshow(maps[:, :, number], cmap=HEAT, vmin=0, vmax=_most(maps), interpolation="nearest")
        _name_map(one, f"{number}")  # as `feature_maps` counts
    figure, last = axes[0].figure, axes[-1].get_position()
    beside = figure.add_axes((last.x1 + 0.01, last.y0, 0.008, last.height))
    figure.colorbar(shown, cax=beside).ax.tick_params(labelsize=7)


def _name_row(axes: Any, text: str) -> None:
    """Writes into the first of a row's axes, and removes ticks and frames from all of them."""
    axes[0].text(0, 0.5, text, va="center", fontsize=9, color=GUIDE, transform=axes[0].transAxes)
    for one in axes:
        one.set_axis_off()


def _name_map(axes: Any, text: str) -> None:
    # y: left to itself, Matplotlib asks where the ticks are, and makes them, though none is shown.
    axes.set_title(text, fontsize=7, pad=2, y=1, loc="center", fontweight="normal")


def _which(shown: int, count: int) -> str:
    return f"the {shown} strongest\nof {count} maps" if shown < count else f"all {count} maps"


def _most(values: Array) -> float:
    """The largest absolute value; 1 if all are 0, so that they are shown as black."""
    return float(np.abs(values).max()) or 1.0


@contextlib.contextmanager
def _figure(width: float, height: float) -> Iterator[Any]:
    """A new figure of that many inches, in the style of all plots while the block lasts."""
    with using("matplotlib"), require("matplotlib").rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks: boxes
        yield require("matplotlib.figure").Figure(figsize=(width, height))


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)  # only once there is something to put into it
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=140)
