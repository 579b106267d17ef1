"""What training changed in the first layer, whose filters see colours: the only ones that can be shown as they are.

After a few dozen epochs the filters still look like the random numbers that they began with, so a picture of them shows the
start. What training did is the difference, and the start is known: the seed reproduces it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.drawing import pictures
from scratchnet.errors import ScratchnetError
from scratchnet.pages.html import figure, picture, prose, section
from scratchnet.pages.results import Results
from scratchnet.terminal.wording import percent
from scratchnet.training import network
from scratchnet.training.config import Config

SHOWN = 16  # filters, those that changed most
LEAST_CHANGE = 0.01  # of the filters' norm: less is at most one of the 256 steps of a screen's colours
LEAST_STRUCTURE = 0.2
"""The correlation of neighbouring weights below which a change is taken for noise. Random starts of 32 filters of 5 × 5 had
−0.01 and 0.02; what training changed had 0.92 on the leukaemia sample and 0.93 on malaria cells."""


def first_layer(results: Results) -> str:
    """The section: what training changed, or why there is nothing to show; "" for a network whose input is not RGB."""
    name, now = next(
        ((name, array) for name, array in results.weights.items() if array.ndim == 4 and array.shape[2] == 3),
        ("", None),
    )
    if now is None:
        return ""
    title = "What training changed in the first layer"
    start = initial_weight(results, name)
    if start is None or start.shape != now.shape:
        return section(
            title, "<p>The weights that it began with cannot be drawn again, so there is nothing to compare.</p>"
        )
    change = now.astype(np.float64) - start
    share = float(np.linalg.norm(change) / np.linalg.norm(start))
    alike, structure = float(np.corrcoef(start.ravel(), now.ravel())[0, 1]), neighbours_alike(change)
    if share < LEAST_CHANGE:
        text = (
            f"Nothing to see: training moved its weights by {percent(share)} of their size. The filters are still the "
            "random numbers of the start."
        )
        return section(title, f"<p>{prose(text)}</p>")
    if structure < LEAST_STRUCTURE:
        text = (
            f"Nothing to see: training moved its weights by {percent(share)} of their size, without a pattern. "
            f"Neighbouring weights changed with a correlation of {structure:.2f}; random numbers have 0."
        )
        return section(title, f"<p>{prose(text)}</p>")
    order = np.argsort(-(change**2).sum(axis=(0, 1, 2)), kind="stable")[:SHOWN]
    largest, strongest = (float(np.quantile(np.abs(one), 0.995)) for one in (start, change[..., order]))
    text = (
        f"Training moved its weights by {percent(share)} of their size; the filters still correlate by {alike:.3f} with "
        f"the random numbers that they began with, so they look like them. What it added is smooth: neighbouring weights changed "
        f"with a correlation of {structure:.2f}, where random ones have 0."
    )
    size, count = f"{now.shape[0]} × {now.shape[1]}", now.shape[3]
    rows = (
        ("What training changed", change, strongest, f"{largest / strongest:.0f} times amplified beside the other two"),
        ("Now", now, largest, f"after epoch {results.shown['epoch']:g}"),
        ("At the start", start, largest, "random"),
    )
    shown = [
        figure(
            picture(
                pictures.png(pictures.filters(weight[..., order], scale_to)),
                f"{what}: {len(order)} filters of the first layer as colours", form="png", kind="pixels",
            ),
            f"<b>{what}</b>, {prose(more)}",
        )
        for what, weight, scale_to, more in rows
    ]  # fmt: skip
    note = (
        f"The {len(order)} of {count} filters that changed most, {size} pixels each. Grey is 0; each row has one scale."
    )
    return section(
        title,
        f"<p>{prose(text)}</p>",
        f'<div class="filters">{"".join(shown)}</div>',
        f'<p class="note">{prose(note)}</p>',
    )


def initial_weight(results: Results, name: str) -> NDArray[Any] | None:
    """The array of that name at the start of the run, drawn again from its seed; None if it cannot be."""
    try:
        config = Config.from_dict(results.config)
        if config.start_from:  # it began with another run's weights
            return None
        return network.initial_weight(config, len(results.about["class_names"]), name)
    except (ScratchnetError, KeyError, TypeError):
        return None


def neighbours_alike(filters: NDArray[Any]) -> float:
    """The correlation of neighbouring weights in a filter, over all filters (KH, KW, C, F); 0 if it is not defined.

    >>> neighbours_alike(np.ones((5, 5, 3, 8))), abs(neighbours_alike(np.random.default_rng(0).normal(size=(5, 5, 3, 32)))) < 0.05
    (1.0, True)
    """
    pairs = [(filters[1:], filters[:-1]), (filters[:, 1:], filters[:, :-1])]
    one, other = (np.concatenate([pair[k].ravel() for pair in pairs]).astype(np.float64) for k in (0, 1))
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float(one @ other) / size if size > 0 else 0.0
