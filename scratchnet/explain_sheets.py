"""What a network sees in one image, as pictures for people. They need the extra [viz]."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.command_line import printable
from scratchnet.explain import Array, enlarged, feature_maps, grad_cam, layers_with_maps, occlusion
from scratchnet.extras import require
from scratchnet.files import write_atomically
from scratchnet.plots import GUIDE, STYLE
from scratchnet.predictor import Predictor

Pixels = NDArray[np.uint8]
MAPS_A_ROW = 10
GROUND = 10  # grey up to this is the black around a cell
HEAT, FOR_AND_AGAINST = "inferno", "RdBu_r"  # one direction; two, with white in the middle


def decision_sheet(
    path: str | os.PathLike[str],
    predictor: Predictor,
    pixels: Pixels,
    title: str,
    *,
    layer: str | None = None,
    asked: int | None = None,
    patch: int = 0,
) -> None:
    """Writes a PNG: the image as the network gets it, Grad-CAM over it, and what is missed when a place is covered.

    pixels (S, S, 3) uint8, prepared. title: what to write above. layer: of Grad-CAM. asked: the class in question, by its
    place among the class names (None: the most probable one). patch: of the occlusion, see `occlusion`.
    """
    network, names = predictor.network, predictor.class_names
    probabilities = partial(predictor.probabilities, symmetries=False)  # Grad-CAM too is of one position
    p = probabilities(pixels[None])[0]
    asked = int(p.argmax()) if asked is None else asked
    said, question = (repr(printable(names[k])) for k in (int(p.argmax()), asked))
    layer = layer or layers_with_maps(network)[-1]
    x = predictor.scaling.apply(pixels[None], network.dtype)
    cam = grad_cam(network, x, np.array([asked]), layer)[0]
    missed = occlusion(lambda images: probabilities(images)[:, asked], pixels, patch=patch)
    about = ", ".join(f"{name} {value:.1%}" for name, value in zip(names, p, strict=True))

    with _figure(10.4, 3.8) as figure:
        figure.suptitle(
            f"{printable(title)}\nthe network says {said}: {printable(about)}",
            parse_math=False, fontsize=12, color=GUIDE,
        )  # fmt: skip
        axes = figure.subplots(1, 3)
        axes[0].imshow(pixels)
        axes[0].set_title(f"what the network gets\n{pixels.shape[0]} × {pixels.shape[1]} pixels")
        where = f"{layer}, {cam.shape[0]} × {cam.shape[1]} places"
        _overlay(
            axes[1], pixels, enlarged(cam, len(pixels)), HEAT, "weight of the evidence",
            nothing=f"no place of {layer}\nspeaks for {question}",
        )  # fmt: skip
        axes[1].set_title(f"Grad-CAM: evidence for {question}\nin {where}", parse_math=False)
        _overlay(
            axes[2], pixels, missed, FOR_AND_AGAINST, "fall of the probability",
            nothing=f"no place changes\nthe probability of {question}",
        )  # fmt: skip
        axes[2].set_title(f"occlusion: how far {question} falls\nif this place is covered", parse_math=False)
        for one in axes:
            _bare(one)
        _save(figure, path)


def layers_sheet(path: str | os.PathLike[str], predictor: Predictor, pixels: Pixels, title: str) -> None:
    """Writes a PNG: the image and its three channels, then a row for each convolution with its most excited maps.

    All maps of a row have one scale, from black, 0, to the brightest place in that layer. pixels (S, S, 3) uint8, prepared.
    """
    network = predictor.network
    maps = feature_maps(network, predictor.scaling.apply(pixels[None], network.dtype))
    names = layers_with_maps(network)
    with _figure(0.95 * (MAPS_A_ROW + 2), 1.12 * (len(names) + 1) + 0.4) as figure:
        figure.suptitle(printable(title), parse_math=False, fontsize=12, color=GUIDE)
        image, *rows = figure.subplots(len(names) + 1, MAPS_A_ROW + 1, squeeze=False)
        _name_row(image, f"input\n{pixels.shape[0]} × {pixels.shape[1]}")
        image[1].imshow(pixels)
        for axes, channel, name in zip(image[2:], np.moveaxis(pixels, 2, 0), ("red", "green", "blue"), strict=False):
            axes.imshow(channel, cmap="gray", vmin=0, vmax=255)
            _name_map(axes, name)
        for axes, name in zip(rows, names, strict=True):
            _one_layer(axes, name, maps[name][0])
        _save(figure, path)


def _one_layer(axes: Any, name: str, maps: Array) -> None:
    """A row: the layer's name and size, then its maps (h, w, C), and their scale."""
    height, width, count = maps.shape
    order = np.argsort(-maps.max(axis=(0, 1)), kind="stable")[:MAPS_A_ROW]
    _name_row(axes, f"{name}\n{height} × {width}\n{_which(len(order), count)}")
    for one, number in zip(axes[1:], order, strict=False):
        shown = one.imshow(maps[:, :, number], cmap=HEAT, vmin=0, vmax=_most(maps), interpolation="nearest")
        _name_map(one, f"{number}")  # as `feature_maps` counts
    axes[0].figure.colorbar(shown, ax=list(axes), fraction=0.01, pad=0.01).ax.tick_params(labelsize=7)


def _name_row(axes: Any, text: str) -> None:
    """Writes into the first of a row's axes, and takes ticks and frames off all of them."""
    axes[0].text(0, 0.5, text, va="center", fontsize=9, color=GUIDE, transform=axes[0].transAxes)
    for one in axes:
        _bare(one)


def _name_map(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=7, pad=2, loc="center", fontweight="normal")


def _which(shown: int, count: int) -> str:
    return f"the {shown} strongest\nof {count} maps" if shown < count else f"all {count} maps"


def _overlay(axes: Any, pixels: Pixels, values: Array, colours: str, label: str, *, nothing: str) -> None:
    """Values (S, S) as colours, as their bar shows them, with the cell's outline drawn on top.

    The colours cover the image, so that each stands for one value wherever it lies. nothing: what to write where all are 0.
    """
    high = float(np.abs(values).max())
    if not high > 0:
        axes.imshow(pixels.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        axes.text(
            0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center", parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        )  # fmt: skip
        return
    low = -high if colours == FOR_AND_AGAINST else 0
    shown = axes.imshow(values, cmap=colours, vmin=low, vmax=high)
    _outline(axes, pixels)
    axes.figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03, label=label)


def _outline(axes: Any, pixels: Pixels) -> None:
    """Where the cell ends: at half of its usual brightness, in white on dark, which can be seen on every colour."""
    grey = _smooth(pixels.mean(axis=2))
    cell = grey[grey > GROUND]
    edge = float(np.median(cell)) / 2 if cell.size else 0.0
    if grey.min() < edge < grey.max():
        for colour, width in ((GUIDE, 2.4), ("white", 1.0)):
            axes.contour(grey, levels=[edge], colors=colour, linewidths=width)


def _smooth(grey: Array) -> Array:
    """The image without its grain: each pixel the mean of 3 × 3."""
    padded = np.pad(grey, 1, mode="edge")
    height, width = grey.shape
    return np.asarray(sum(padded[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9)


def _most(values: Array) -> float:
    """The largest size of a value, and more than 0 where all are 0."""
    return max(float(np.abs(values).max()), 1e-12)


def _bare(axes: Any) -> None:
    """No ticks and no frame: the axes hold a picture."""
    axes.set_axis_off()


@contextlib.contextmanager
def _figure(width: float, height: float) -> Iterator[Any]:
    """A new figure of that many inches, in the style of the house while the block lasts."""
    with require("matplotlib").rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks: boxes
        yield require("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)  # not before there is something to put into it
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=140)
