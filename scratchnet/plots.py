"""Plots: learning curves, ROC, confusion matrix. They need the extra [viz]; Matplotlib is imported when one is drawn."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scratchnet.extras import require
from scratchnet.metrics import RocCurve

TEST, TRAIN, GUIDE = "#c1440e", "#5b6b7b", "#2b2f36"  # rust for what counts, slate beside it, near black for text
COLOURS = (
    TEST,
    "#1f6f8b",
    "#6a8d3f",
    "#8e5ea2",
    "#c08a1e",
    "#5b6b7b",
    "#b0517b",
    "#3f7f6f",
)  # of several runs or classes
STYLE = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same on every machine
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": GUIDE,
    "axes.titlecolor": GUIDE,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "xtick.color": GUIDE,
    "ytick.color": GUIDE,
    "axes.grid": True,
    "grid.color": "#e6e9ec",
    "legend.frameon": False,
    "svg.hashsalt": "scratchnet",  # the same plot has the same bytes
}
Curve = tuple[str, Sequence[float], Sequence[float], str]  # name, x, y, colour


def learning_curves(
    curves: Sequence[Curve],
    title: str,
    *,
    share: bool = False,
    mark: tuple[float, float] | None = None,
    form: str = "svg",
) -> bytes:
    """A measure by epoch: one line a curve, its name at its end; returns the bytes of an SVG or PNG file.

    share: the values are parts of one, shown in per cent. mark: epoch and value to put a ring around.
    """
    with _drawing(4.6, 3.1) as axes:
        for name, x, y, colour in curves:
            axes.plot(
                x, y, color=colour, linewidth=2, label=_literal(name), marker="o" if len(x) == 1 else "", markersize=4
            )
        if mark:
            axes.plot(*mark, "o", markersize=9, markerfacecolor="none", markeredgecolor=GUIDE, markeredgewidth=1.4)
            text = f"best: {mark[1]:.1%}, epoch {mark[0]:g}" if share else f"best: {mark[1]:.3g}, epoch {mark[0]:g}"
            axes.plot([], [], "o", markersize=7, markerfacecolor="none", markeredgecolor=GUIDE, label=text)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(require("matplotlib.ticker").MaxNLocator(integer=True, min_n_ticks=1))
        if share:
            axes.yaxis.set_major_formatter(require("matplotlib.ticker").PercentFormatter(1, decimals=None))
        elif all(value >= 0 for _, _, y, _ in curves for value in y if np.isfinite(value)):
            axes.set_ylim(bottom=0)
        axes.legend(fontsize=9)
        return _bytes(axes, form)


def roc(curves: Sequence[tuple[str, RocCurve]], form: str = "svg") -> bytes:
    """ROC curves over the diagonal of a coin; returns the bytes of an SVG or PNG file."""
    with _drawing(4.6, 4.3) as axes:
        axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, linestyle="--", label="a coin (AUC 0.5)")
        for (name, curve), colour in zip(curves, _cycled(len(curves)), strict=True):
            axes.plot(
                curve.false_positive_rate, curve.true_positive_rate, color=colour, linewidth=2, label=_literal(name)
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_title("ROC")
        axes.set_xlabel("false positives (1 − specificity)")
        axes.set_ylabel("true positives (sensitivity)")
        axes.legend(loc="lower right", fontsize=9)
        return _bytes(axes, form)


def confusion(counts: ArrayLike, class_names: Sequence[str], form: str = "png") -> bytes:
    """The confusion matrix, shaded by the share of each row; returns the bytes of an SVG or PNG file."""
    matrix = np.asarray(counts, np.float64)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with _drawing(1.6 + 1.1 * len(matrix), 1.3 + 1.0 * len(matrix)) as axes:
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1.25)
        for i, j in np.ndindex(matrix.shape):
            axes.text(j, i, f"{matrix[i, j]:.0f}\n{shares[i, j]:.0%}", ha="center", va="center", color=GUIDE)
        names = [_literal(name if len(name) <= 14 else name[:13] + "…") for name in class_names]
        axes.set_xticks(range(len(matrix)), names)
        axes.set_yticks(range(len(matrix)), names, rotation=90, va="center")
        axes.set_xlabel("predicted")
        axes.set_ylabel("is")
        axes.tick_params(length=0)
        return _bytes(axes, form)


@contextlib.contextmanager
def _drawing(width: float, height: float) -> Iterator[Any]:
    """Axes of a new figure of that many inches, in the style of the house while the block lasts."""
    with require("matplotlib").rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks: boxes
        yield require("matplotlib.figure").Figure(figsize=(width, height), layout="constrained").subplots()


def _bytes(axes: Any, form: str) -> bytes:
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format=form, dpi=160, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def _literal(text: str) -> str:
    """The text as it is: Matplotlib would read $…$ as mathematics, and a name that begins with _ as none."""
    return text.replace("$", r"\$") if not text.startswith("_") else "\u200b" + text.replace("$", r"\$")


def _cycled(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
