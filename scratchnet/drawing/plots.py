"""Plots: learning curves, ROC, precision and recall, reliability, confusion matrix.

They need the extra [viz]; Matplotlib is imported when one is drawn.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scratchnet.extras import require, using
from scratchnet.measures.metrics import PrecisionRecall, RocCurve
from scratchnet.measures.reliability import Reliability
from scratchnet.terminal.wording import percent

TEST, TRAIN, GUIDE = "#c1440e", "#5b6b7b", "#2b2f36"  # rust for emphasis, slate for the rest, near black for text
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b6b7b", "#a3a000")  # of runs or classes
RIGHT, WRONG = "#1d6fb8", TEST  # answers; always with a sign beside the colour
PAPER = "#ffffff"
DARK = {  # what each colour becomes on a dark page
    PAPER: "#1f2226",
    GUIDE: "#e7e4de",
    TEST: "#f2916a",
    TRAIN: "#a9b6c3",
    RIGHT: "#74b4ee",
    "#9aa5b1": "#7d8894",
    "#e6e9ec": "#343a41",
    "#d55e00": "#ff8f45",
    "#0072b2": "#5fb0ee",
    "#009e73": "#2fc79b",
    "#cc79a7": "#e09cc3",
    "#56b4e9": "#8ccbf2",
    "#a3a000": "#c7c430",
}
STROKES = ("-", "--", "-.", ":")
LEAST_SPAN = 0.05  # of an axis of shares: five points, so that noise does not look like a rise
FEW = 5  # images: the share of fewer is chance
LEGEND_INSIDE = 4  # curves; more have their legend beside the plot
STYLE = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same on every machine
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": GUIDE,
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
    "text.usetex": False,  # whatever the user's settings say: LaTeX may be missing
    "svg.hashsalt": "scratchnet",  # the same plot has the same bytes
}
Curve = tuple[str, Sequence[float], Sequence[float], str]  # name, x, y, colour


@dataclass(frozen=True)
class Panel:
    """Curves of one measure by epoch, each (name, epochs, values, colour). share: the values are shares, shown in per cent.
    mark: epoch and value to put a ring around. strokes: Matplotlib's line styles of the curves (all solid). guide: a value to
    compare with, and its name; its line is left out if it is far from the curves."""

    title: str
    curves: Sequence[Curve]
    share: bool = False
    mark: tuple[float, float] | None = None
    strokes: Sequence[str] = ()
    guide: tuple[float, str] | None = None


def require_plots() -> None:
    """Draws a small picture as a test, before hours of work: raises MissingExtraError if Matplotlib is missing or broken in any
    way."""
    confusion([[1]], ["a"])


def learning_curves(panels: Sequence[Panel], form: str = "svg", width: float = 4.6) -> bytes:
    """The panels side by side, each so many inches wide; returns the bytes of an SVG or PNG file."""
    with _drawing(width * len(panels), 3.1, columns=len(panels)) as all_axes:
        for axes, panel in zip(all_axes, panels, strict=True):
            _draw_panel(axes, panel)
        return _bytes(all_axes[0], form)


def _draw_panel(axes: Any, panel: Panel) -> None:
    ticker = require("matplotlib.ticker")
    for (name, x, y, colour), stroke in zip(panel.curves, panel.strokes or ["-"] * len(panel.curves), strict=True):
        alone = {"marker": "o", "markersize": 4, "clip_on": False} if len(x) == 1 else {}
        axes.plot(x, y, color=colour, linestyle=stroke, linewidth=2, label=_literal(name), **alone)
    if panel.guide and _is_near(panel.guide[0], *axes.get_ylim()):
        value, text = panel.guide
        axes.axhline(value, color="#9aa5b1", linewidth=1.2, linestyle=":", label=_literal(text))
    if panel.mark:
        epoch, value = panel.mark
        ring = {"markerfacecolor": "none", "markeredgecolor": GUIDE}
        axes.plot(epoch, value, "o", markersize=9, markeredgewidth=1.4, clip_on=False, **ring)
        text = f"epoch {epoch:g}: {percent(value)}" if panel.share else f"epoch {epoch:g}: {value:.3f}"
        axes.plot([], [], "o", markersize=7, label=text, **ring)
    axes.set_title(_literal(panel.title))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
    if panel.share:
        axes.set_ylim(*_widened(*axes.get_ylim()))
        locator = ticker.MaxNLocator(6, steps=[1, 2, 5, 10])
        step = np.diff(locator.tick_values(*axes.get_ylim()))[0]
        axes.yaxis.set_major_locator(locator)
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0 if step > 0.0099 else 1, symbol=" %"))
    axes.legend(fontsize=9)


def _is_near(value: float, low: float, high: float) -> bool:
    """Whether a line at the value leaves at least half of the axis to the range from low to high.

    >>> _is_near(0.5, 0.6, 0.9), _is_near(0.5, 0.94, 0.95)
    (True, False)
    """
    return max(high, value) - min(low, value) <= 2 * (high - low)


def _widened(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis of shares, at least `LEAST_SPAN` apart, and within 0 to 1 if possible.

    >>> [round(end, 3) for end in _widened(0.714, 0.716)], [round(end, 3) for end in _widened(0.999, 1.0)]
    ([0.69, 0.74], [0.95, 1.0])
    """
    if high - low >= LEAST_SPAN:
        return low, high
    middle = (low + high) / 2
    top = max(high, min(1.0, middle + LEAST_SPAN / 2))
    bottom = min(low, max(0.0, top - LEAST_SPAN))
    return bottom, max(top, bottom + LEAST_SPAN)


def roc(
    curves: Sequence[tuple[str, RocCurve]],
    form: str = "svg",
    title: str = "ROC",
    points: Sequence[tuple[float, float] | None] = (),
) -> bytes:
    """ROC curves over the diagonal of a coin; returns the bytes of an SVG or PNG file.

    points: for each curve its operating point, (share of false positives, share of true positives): one of the
    thresholds that the curve shows.
    """
    shown = [(name, curve.false_positive_rate, curve.true_positive_rate) for name, curve in curves]
    with _in_the_square(shown, title, points, "lower right", guide="a coin (AUC 0.5)") as axes:
        axes.set_xlabel("false positives (1 − specificity)")
        axes.set_ylabel("true positives (sensitivity)")
        return _bytes(axes, form)


def precision_recall(
    curves: Sequence[tuple[str, PrecisionRecall]],
    form: str = "svg",
    title: str = "Precision and recall",
    points: Sequence[tuple[float, float] | None] = (),
) -> bytes:
    """Precision-recall curves; returns the bytes of an SVG or PNG file. points: for each its operating point, (recall, precision)."""
    shown = [(name, curve.recall, curve.precision) for name, curve in curves]
    with _in_the_square(shown, title, points, "lower left", steps=True) as axes:
        axes.set_xlabel("recall: how many of them are found")
        axes.set_ylabel("precision: how many alarms are right")
        return _bytes(axes, form)


def reliability(curves: Sequence[tuple[str, Reliability]], form: str = "svg", title: str = "Reliability") -> bytes:
    """What was said against what was so, a point a bin, the larger the more images it holds; returns the bytes of an SVG or PNG
    file. Bins of fewer than `FEW` images are left out. The last curve is drawn full, the one before it dashed."""
    shown = [(name, one.probability[one.images >= FEW], one.share[one.images >= FEW]) for name, one in curves[::-1]]
    with _in_the_square(shown, title, (), "lower right", guide="what is said is so") as axes:
        for (_, one), line in zip(curves[::-1], axes.lines[1:], strict=True):
            there = one.images >= FEW
            sizes = 20 + 380 * one.images[there] / one.images.sum()
            axes.scatter(
                one.probability[there], one.share[there], s=sizes, color=line.get_color(), alpha=0.45, linewidths=0
            )
        axes.set_xlabel("what is said: mean probability of a bin")
        axes.set_ylabel("what is so: share of its images")
        return _bytes(axes, form)


def rate_curve(rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], proposed: float) -> bytes:
    """The loss of each step against its learning rate, smoothed over it, and the rate that is proposed; returns the bytes of a PNG."""
    with _drawing(6.4, 3.6) as (axes,):
        axes.plot(rates, losses, color=TRAIN, linewidth=1, alpha=0.5, label="loss of a step")
        axes.plot(rates, smooth, color=TEST, linewidth=2, label="smoothed")
        axes.axvline(proposed, color=GUIDE, linewidth=1.2, linestyle=":", label=f"proposed: {proposed:.2g}")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(require("matplotlib.ticker").FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(0, 1.1 * max(smooth))
        axes.set_title("Loss while the learning rate climbs")
        axes.set_xlabel("learning rate")
        axes.legend(fontsize=9)
        return _bytes(axes, "png")


@contextlib.contextmanager
def _in_the_square(
    curves: Sequence[tuple[str, ArrayLike, ArrayLike]],
    title: str,
    points: Sequence[tuple[float, float] | None],
    where: str,
    *,
    guide: str = "",
    steps: bool = False,
) -> Iterator[Any]:
    """Axes of shares with these curves, (name, x, y), each with its operating point. where: the legend, if it fits inside. guide: what
    the diagonal means; "" for none. steps: between two points a curve has the value of the right one."""
    beside = len(curves) > LEGEND_INSIDE
    with _drawing(8.8 if beside else 4.6, 4.6) as (axes,):
        if guide:
            axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, linestyle=":", label=guide)
        several = colours(len(curves)) if len(curves) > 2 else [TEST, "#0072b2"][: len(curves)]
        marks = points or [None] * len(curves)
        for k, ((name, x, y), point, colour) in enumerate(zip(curves, marks, several, strict=True)):
            stroke = "--" if k >= len(COLOURS) or (len(curves) == 2 and k) else "-"
            line = {"color": colour, "linewidth": 2, "linestyle": stroke}
            if steps:
                line["drawstyle"] = "steps-pre"
            axes.plot(x, y, label=_literal(name, longest=44), **line)
            if point is not None and np.isfinite(point).all():
                dot = {"markerfacecolor": colour, "markeredgecolor": PAPER, "markersize": 11, "markeredgewidth": 1.6}
                axes.plot(*point, marker="D" if k % 2 else "o", linestyle="none", zorder=5, clip_on=False, **dot)
        if any(point is not None for point in marks):
            colour = several[0] if len(curves) == 1 else GUIDE
            axes.plot([], [], "o", color=colour, markersize=8, label="decision threshold")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_title(_literal(title, longest=44))
        if beside:
            axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9)
        else:
            axes.legend(loc=where, fontsize=9)
        yield axes


def confusion(counts: ArrayLike, class_names: Sequence[str], form: str = "png") -> bytes:
    """The confusion matrix, shaded by the share of each row, what is right in blue with a ✓, what is wrong in rust with a ✗;
    returns the bytes of an SVG or PNG file."""
    matrix = np.asarray(counts, np.float64)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with _drawing(1.6 + 1.1 * len(matrix), 1.3 + 1.0 * len(matrix)) as (axes,):
        axes.grid(visible=False)
        full = np.where(np.eye(len(matrix), dtype=bool)[..., None], _rgb(RIGHT), _rgb(WRONG))
        axes.imshow(1 - 0.55 * shares[..., None] * (1 - full), interpolation="nearest")
        for i, j in np.ndindex(matrix.shape):
            text = f"{matrix[i, j]:.0f}\n{'✓' if i == j else '✗'} {percent(shares[i, j], digits=0)}"
            axes.text(j, i, text, ha="center", va="center", color=GUIDE)
        names = [_literal(name, longest=14) for name in class_names]
        axes.set_xticks(range(len(matrix)), names)
        axes.set_yticks(range(len(matrix)), names, rotation=90, va="center")
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.tick_params(length=0)
        return _bytes(axes, form)


@contextlib.contextmanager
def _drawing(width: float, height: float, columns: int = 1) -> Iterator[Any]:
    """Axes side by side in a new figure of that many inches, in the style of all plots while the block lasts."""
    with using("matplotlib", writes=False), require("matplotlib").rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks: boxes
        figure = require("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
        yield figure.subplots(1, columns, squeeze=False)[0]


def _bytes(axes: Any, form: str) -> bytes:
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format=form, dpi=160, metadata={"Date": None} if form == "svg" else None)
    return _for_dark_pages(buffer.getvalue()) if form == "svg" else buffer.getvalue()


def _for_dark_pages(svg: bytes) -> bytes:
    """The plot with a style that turns its colours where the reader's screen is dark; on paper it stays as it is."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"
    return svg.replace(b"</style>", style.encode(), 1)


def _rgb(colour: str) -> Any:
    """#rrggbb as three shares."""
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255


def _literal(text: str, longest: int = 32) -> str:
    """The text as it is: Matplotlib would read $…$ as mathematics, and would ignore a name that begins with _."""
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    return ("\u200b" if short.startswith("_") else "") + short.replace("$", r"\$")


def colours(count: int) -> list[str]:
    """`count` colours, which the colour-blind tell apart too; after eight they repeat.

    Source: Okabe & Ito 2008, "Color Universal Design", with grey for its black and a darker yellow for its yellow.
    """
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
