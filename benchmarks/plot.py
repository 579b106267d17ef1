"""Three panels: images/s of the systems, their peak memory, and the time of our layers against its limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.settings import say
from benchmarks.systems import LABELS
from benchmarks.targets import MEMORY, least_seconds, per_second
from scratchnet.errors import MissingExtraError
from scratchnet.extras import require, using
from scratchnet.storage.files import write_atomically

OURS, PEER, GUIDE = "#c1440e", "#9aa5b1", "#2b2f36"  # rust for us, grey for the others, near black for limits


def draw(measurement: dict[str, Any], path: Path) -> None:
    """Writes the plot as PNG; says so if Matplotlib is missing or broken."""
    try:
        with using("matplotlib"):
            _draw(measurement, path)
    except MissingExtraError as error:
        say(f"no plot: {error}")


def _draw(measurement: dict[str, Any], path: Path) -> None:
    sections = measurement["sections"]
    works = [
        work
        for name in ("steps", "batches", "inference", "trained")
        for work in sections.get(name, {}).get("works", [])
    ]
    works = [work for work in works if any("median" in one for one in work["systems"].values())]
    panels = [
        (len(works) > 0, lambda figure: rates(figure, works)),
        ("memory" in sections, lambda figure: memory(figure, sections["memory"])),
        ("limit" in sections, lambda figure: limit(figure, sections["limit"])),
    ]
    wanted = [panel for wants, panel in panels if wants]
    if not wanted:
        return
    figure = require("matplotlib.figure").Figure(
        figsize=(5.2 * len(wanted), max(4.2, 1.6 * len(works))), dpi=140, layout="constrained"
    )
    canvas = require("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    parts = figure.subfigures(1, len(wanted), squeeze=False, wspace=0.04)[0]
    for panel, part in zip(wanted, parts, strict=True):
        panel(part)
    machine = measurement["machine"]
    threads = measurement["settings"]["threads"]
    figure.suptitle(f"{machine['processor']}, {threads} threads, {machine['date'][:10]}", fontsize=10, color=GUIDE)
    with write_atomically(path) as temporary:
        canvas.print_png(str(temporary))
    say(f"plot: {path}")


def rates(figure: Any, works: list[dict[str, Any]]) -> None:
    """One small axis for each work, because their scales are far apart."""
    heights = [sum("median" in one for one in work["systems"].values()) for work in works]
    axes = figure.subplots(len(works), 1, squeeze=False, height_ratios=heights)[:, 0]
    figure.suptitle("images/s (longer is better)", fontsize=12, weight="bold")
    for axis, work in zip(axes, works, strict=True):
        able = {name: one["median"] for name, one in work["systems"].items() if "median" in one}
        texts = []
        for name, rate in able.items():
            ratio = work["ratios"].get(name)
            texts.append(per_second(rate) + (f"  (scratchnet {ratio['median']:.1f}×)" if ratio else ""))
        bars(axis, able, texts)
        axis.set_title(work["title"].replace("`", ""), fontsize=10, loc="left")


def memory(figure: Any, section: dict[str, Any]) -> None:
    """Peak memory, each system's batch in its label."""
    systems = {name: one for name, one in section["systems"].items() if one.get("peak_bytes")}
    axis = figure.subplots()
    size = section["work"]["image_size"]
    figure.suptitle(f"peak memory of training at {size}×{size} (shorter is better)", fontsize=12, weight="bold")
    values = {name: one["peak_bytes"] / 1e9 for name, one in systems.items()}
    bars(
        axis,
        values,
        height=0.5,
        texts=[f"{one['peak_bytes'] / 1e9:.2f} GB, batch {one['batch']}" for one in systems.values()],
    )
    axis.axvline(MEMORY / 1e9, color=GUIDE, linestyle=":", linewidth=1)
    axis.set_title(f"dotted: our target, {MEMORY / 1e9:g} GB", fontsize=10, loc="left")


def bars(axis: Any, values: dict[str, float], texts: list[str], height: float = 0.72) -> None:
    """Horizontal bars with the figure written at the end of each."""
    names = list(values)
    colours = [OURS if name == "scratchnet" else PEER for name in names]
    drawn = axis.barh([LABELS[name] for name in names], list(values.values()), color=colours, height=height)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axis.bar_label(drawn, texts, padding=6, fontsize=9, bbox=behind)
    axis.set_xlim(0, max(values.values()) * 1.6)  # room for the text
    bare(axis)


def limit(figure: Any, section: dict[str, Any]) -> None:
    """Forward and backward of every layer end to end, with a line where both could end at the earliest."""
    per_image = 1000 / section["work"]["batch"]  # ms
    layers = [one for one in section["layers"] if sum(one["seconds"]) * per_image > 0.005]  # what can be seen
    axis = figure.subplots()
    figure.suptitle("time by layer, training step (ms per image)", fontsize=12, weight="bold")
    names = [layer["layer"] for layer in layers]
    forward, backward = ([layer["seconds"][i] * per_image for layer in layers] for i in (0, 1))
    axis.barh(names, forward, color=OURS, height=0.72, label="forward")
    drawn = axis.barh(names, backward, left=forward, color=OURS, alpha=0.55, height=0.72, label="backward")
    least = [sum(least_seconds(layer, section["flop_per_s"])) * per_image for layer in layers]
    axis.vlines(
        least,
        [i - 0.45 for i in range(len(names))],
        [i + 0.45 for i in range(len(names))],
        color=GUIDE,
        linewidth=2.5,
        label=f"limit at {section['flop_per_s'] / 1e9:.0f} GFLOP/s",
    )
    whole = [a + b for a, b in zip(forward, backward, strict=True)]
    axis.bar_label(
        drawn, [f"{a / b:.0%}" if a else "" for a, b in zip(least, whole, strict=True)], padding=4, fontsize=9
    )
    axis.set_xlim(0, max(whole) * 1.15)
    bare(axis)
    axis.get_xaxis().set_visible(True)
    axis.tick_params(axis="x", labelsize=9)
    axis.legend(fontsize=9, frameon=False, loc="best")
    axis.set_title("%: the limit's share of the time", fontsize=10, loc="left")


def bare(axis: Any) -> None:
    """First at the top, and nothing but the bars and their names."""
    axis.invert_yaxis()
    axis.get_xaxis().set_visible(False)
    axis.tick_params(axis="y", length=0, labelsize=9)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
