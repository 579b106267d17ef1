"""report.html: a run on one page, which opens from disk and needs nothing beside it."""

from __future__ import annotations

import math

from scratchnet.drawing import plots
from scratchnet.pages import measures, origin, trust
from scratchnet.pages.classes import classes
from scratchnet.pages.first_layer import first_layer
from scratchnet.pages.formatting import number
from scratchnet.pages.header import header
from scratchnet.pages.html import document, figure, picture, prose, section
from scratchnet.pages.layers import layers
from scratchnet.pages.mistakes import mistakes
from scratchnet.pages.results import Results
from scratchnet.terminal.wording import percent
from scratchnet.training.selection import TRAIN_SAMPLE, side_title, sides_of

COLOURS = {"train": plots.TRAIN, TRAIN_SAMPLE: plots.TRAIN, "validation": "#0072b2", "test": plots.TEST}
STROKES = {"train": "--", TRAIN_SAMPLE: "--", "validation": "-.", "test": "-"}
CURVES = (("balanced_accuracy", "Balanced accuracy", True), ("accuracy", "Accuracy", True), ("loss", "Loss", False))


def report_page(results: Results) -> str:
    """The HTML of a run's page. Raises MissingExtraError if Matplotlib is not installed."""
    parts = [
        header(results),
        classes(results),
        *([measures.errors(results.scores, _threshold(results))] if results.scores else []),
        trust.calibration(results),
        trust.patient_table(results),
        mistakes(results),
        _learning(results),
        *([measures.measures(results.scores)] if results.scores else []),
        layers(results),
        first_layer(results),
        origin.data(results),
        origin.settings(results),
        origin.again(results),
    ]
    return document(f"{results.name}: report of a run", "".join(parts))


def _threshold(results: Results) -> float | None:
    chosen = results.predictions.threshold if results.predictions else None
    return chosen[1] if chosen else None


def _learning(results: Results) -> str:
    """By epoch: the measure of the headline, and the report's figures 1 to 4."""
    rows, best, side = results.rows, results.best, results.watched
    sides = sides_of(rows[0])
    chance = 1 / len(results.about["class_names"])
    guides = {
        "balanced_accuracy": (chance, f"chance: {percent(chance, digits=0)}"),
        "loss": (-math.log(chance), "chance"),
    }
    epochs = [row["epoch"] for row in rows]
    drawn = []
    for measure, title, share in CURVES:
        known = [one for one in sides if f"{one}_{measure}" in rows[0]]
        if not known:
            continue
        curves = [(side_title(one), epochs, [row[f"{one}_{measure}"] for row in rows], COLOURS[one]) for one in known]
        ends = ", ".join(f"{side_title(one)} {number(results.last[f'{one}_{measure}'], share)}" for one in known)
        mark = (best["epoch"], best[f"{side}_{measure}"]) if side in known else None
        strokes = [STROKES[one] for one in known]
        panel = plots.Panel(title, curves, share, mark=mark, strokes=strokes, guide=guides.get(measure))
        drawn.append(
            figure(
                picture(plots.learning_curves([panel], width=3.8), f"{title} by epoch; after the last epoch: {ends}")
            )
        )
    metric = str(results.config.get("best_metric", "balanced_accuracy")).replace("_", " ")
    flatters = " It was chosen on the test images themselves, which flatters it." if side == "test" else ""
    text = (
        f"The ring marks epoch {best['epoch']:g}, the best {metric} on the {side} images "
        f"({percent(best[f'{side}_accuracy'])} of them right).{flatters} "
        f"All other figures on this page are of epoch {results.shown['epoch']:g}. The axes begin where the curves do."
    )
    if TRAIN_SAMPLE in sides:
        count = results.about.get("evaluated", {}).get(TRAIN_SAMPLE)
        text += f" Of the training images {'some' if count is None else f'{count:,}'}, drawn at random, were evaluated."
    return section("Learning", f'<div class="three">{"".join(drawn)}</div>', f'<p class="note">{prose(text)}</p>')
