"""Runs side by side: the settings that differ, the results, and their curves in one plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scratchnet.drawing import plots
from scratchnet.measures.differences import MEASURES as DIFFERENCES
from scratchnet.measures.differences import Shared, differences, shared_images
from scratchnet.measures.scores import NAMES, NOT_A_SHARE
from scratchnet.pages.formatting import changes, duration, number
from scratchnet.pages.html import document, figure, picture, prose, safe, section, table, wide
from scratchnet.pages.results import Results
from scratchnet.storage.csv_text import csv_text
from scratchnet.terminal.text_table import text_table, wrapped
from scratchnet.terminal.wording import counted
from scratchnet.training.selection import EVALUATED, side_title

MEASURES = ("accuracy", "balanced_accuracy", "weighted_f1", "roc_auc", "log_loss")


class Comparison:
    """Several runs.

    Attributes:
        names: of the runs; runs with the same name are called by their paths.
        cautions: why their figures may not be compared, or only with care, the gravest first.
        settings: each setting that differs, with its value in each run.
        results: each measure, with its value in each run. notes: how to read them.
    """

    def __init__(self, runs: Sequence[Results]) -> None:
        self.runs = runs
        names = [run.name for run in runs]
        self.names = [str(run.folder) if names.count(run.name) > 1 else run.name for run in runs]
        self.shared = [self._shared_with_first(run) for run in runs[1:]]
        self.cautions = self._cautions()
        known = dict.fromkeys(name for run in runs for name in run.config)
        values = {name: [str(run.config.get(name, "–")) for run in runs] for name in known}
        self.settings = {name: found for name, found in values.items() if len(set(found)) > 1}
        self.notes: list[str] = []
        self.results = {
            "epochs done": [f"{len(run.rows)}{_how_it_ended(run)}" for run in runs],
            **self._of_scores("images"),
            **self._of_scores("subjects"),
            **self._differences(),
            **{f"last epoch: {label}": self._of_rows("last", column) for label, column in self._columns()},
            "best epoch": [f"{run.best['epoch']:g}" for run in runs],
            "best epoch: chosen on": [f"{run.watched} images" for run in runs],
            **{
                f"best epoch: {self._side()} {measure}": self._of_rows("best", f"{self._side()}_{measure}")
                for measure in ("loss", "accuracy")
            },
            "time": [duration(run.seconds) if run.timings else "–" for run in runs],
        }

    def text(self) -> str:
        """A table for the terminal: settings, then results; one column a run."""
        lines = [["", *self.names]]
        for part in (self.settings, self.results):
            lines += [[name, *values] for name, values in part.items()] + [[""] * len(lines[0])]
        texts = text_table(lines[:-1], left=range(len(lines[0])), beside=True)
        notes = [
            *self.notes,
            *([] if self.settings else ["The settings are the same."]),
            *(f"CAUTION: {line}" for line in self.cautions),
        ]
        return "\n".join([*texts, *(line for note in notes for line in wrapped(note))])

    def html(self) -> str:
        """The same as a page that opens from disk, with the curves."""
        lines = "".join(f"<p>{prose(line)}</p>" for line in self.cautions)
        caution = f'<div class="caution" role="note">{lines}</div>' if lines else ""
        head = ["", *(safe(name) for name in self.names)]
        plotted = [
            figure(picture(plots.learning_curves([panel]), f"{panel.title} by epoch, a curve a run"))
            for panel in self._panels()
        ]
        parts = [section("Curves", f'<div class="pair">{"".join(plotted)}</div>')]
        for title, part in (("What came of it", self.results), ("Settings that differ", self.settings)):
            rows = [[prose(cell) for cell in (name, *values)] for name, values in part.items()]
            notes = "".join(f'<p class="note">{prose(note)}</p>' for note in self.notes if part is self.results)
            shown = wide(table(head, rows, "runs"), title, columns=len(head) + 1)  # the columns of runs are wide
            parts.append(section(title, (shown if rows else "<p>None.</p>") + notes))
        title = f"{counted(len(self.runs), 'run')} compared"
        return document(title, f"<header><h1>{title}</h1>{caution}</header>{''.join(parts)}")

    def csv(self) -> str:
        """One line a run, with every setting, the metrics of its last epoch, and its measures with their intervals, as numbers."""
        lines: list[dict[str, Any]] = []
        for name, run in zip(self.names, self.runs, strict=True):
            metrics = {column: value for column, value in run.last.items() if column not in ("epoch", "learning_rate")}
            line: dict[str, Any] = {"run": name, **run.config, "epochs_done": len(run.rows), **metrics}
            line["seconds"] = round(run.seconds, 2) if run.timings else ""
            for what in ("images", "subjects"):
                level = getattr(run.scores, what) if run.scores else None
                for measure, score in level.overall.items() if level else ():
                    key = f"{what}_{measure}"
                    found = {key: score.value, f"{key}_low": score.low, f"{key}_high": score.high}
                    line |= {column: "" if math.isnan(value) else value for column, value in found.items()}
            lines.append(line)
        columns = list(dict.fromkeys(name for line in lines for name in line))
        return csv_text([columns, *([line.get(name, "") for name in columns] for line in lines)], quote_texts=True)

    def plot(self, form: str) -> bytes:
        """Balanced accuracy, accuracy and loss by epoch, one curve a run, as the bytes of an SVG or PNG file."""
        return plots.learning_curves(self._panels(), form)

    def _panels(self) -> list[plots.Panel]:
        side = self._side()
        panels = []
        for measure, share in (("balanced_accuracy", True), ("accuracy", True), ("loss", False)):
            if not all(f"{side}_{measure}" in run.rows[0] for run in self.runs):
                continue
            curves = [
                (name, [row["epoch"] for row in run.rows], [row[f"{side}_{measure}"] for row in run.rows], colour)
                for name, run, colour in zip(self.names, self.runs, plots.colours(len(self.runs)), strict=True)
            ]
            strokes = [plots.STROKES[k % len(plots.STROKES)] for k in range(len(curves))]
            panels.append(
                plots.Panel(f"{side.capitalize()} {measure.replace('_', ' ')}", curves, share, strokes=strokes)
            )
        return panels

    def _side(self) -> str:
        """The side that every run has: the validation side if all have one, else the test side."""
        return "validation" if all(run.watched == "validation" for run in self.runs) else "test"

    def _cautions(self) -> list[str]:
        lines = []
        lines += self._same_images()
        if not all(run.finished for run in self.runs):
            lines.append("Not every run is finished: the figures are of the epochs so far.")
        on_test = [name for name, run in zip(self.names, self.runs, strict=True) if run.watched == "test"]
        if 0 < len(on_test) < len(self.runs):
            lines.append(
                f"The best epoch of {', '.join(on_test)} was chosen on the test images themselves, that of the others on "
                "validation images: the figures of the best epoch flatter the former."
            )
        for name, run in zip(self.names, self.runs, strict=True):
            if not run.repeats:
                lines.append(
                    f"{name} was resumed with other settings ({changes(run.history)}), which moved its end: a run with its "
                    "configuration from the beginning need not give the same."
                )
        return lines

    def _shared_with_first(self, run: Results) -> Shared | None:
        """The test images that this run and the first have both answered, whatever size they were prepared in."""
        first = self.runs[0].predictions
        return None if first is None or run.predictions is None else shared_images(first, run.predictions)

    def _same_images(self) -> list[str]:
        """Whether the runs were tested on the same images, which decides whether their figures can be compared."""
        lines, first = [], self.runs[0]
        for name, run, shared in zip(self.names[1:], self.runs[1:], self.shared, strict=True):
            if run.about.get("dataset_id") == first.about.get("dataset_id"):
                continue
            if first.predictions is None or run.predictions is None:
                silent = [
                    f"{one} {'has lost its predictions and test images' if its.finished else 'is not finished'}"
                    for one, its in ((self.names[0], first), (name, run))
                    if its.predictions is None
                ]
                lines.append(
                    f"{' and '.join(silent)}, and {name} is of other data "
                    f"than {self.names[0]}, or of the same images prepared or split differently: whether their figures are "
                    "comparable is not known."
                )
            elif shared is None:
                lines.append(
                    f"{name} was tested on other images than {self.names[0]}: their figures are not comparable. Runs on the same "
                    "images under the same split are."
                )
            else:
                here, there = len(first.predictions.labels), len(run.predictions.labels)
                if len(shared.first) < max(here, there):
                    lines.append(
                        f"{name} was tested on {counted(there, 'image')}, {self.names[0]} on {here:,}, and {len(shared.first):,} of them "
                        "are the same: the differences are of these alone, and the other figures are of different images."
                    )
        return lines

    def _differences(self) -> dict[str, list[str]]:
        """How far each run differs from the first on the images that both were tested on, by the paired bootstrap."""
        first, columns = self.runs[0].predictions, []
        for run, shared in zip(self.runs[1:], self.shared, strict=True):
            same = first is not None and run.predictions is not None and shared is not None
            columns.append(differences(first, run.predictions, shared) if same else None)  # type: ignore[arg-type]
        if not any(columns):
            return {}
        self.notes.append(
            f"Differences are from {self.names[0]}, per image, on the test images that both have answered; in brackets the 95 % "
            "interval by the paired bootstrap over subjects: one that holds 0 may be chance."
        )
        found = {}
        for measure in DIFFERENCES:
            texts = ["–", *(column[measure].text() if column else "–" for column in columns)]
            found[f"difference: {NAMES.get(measure, measure)}"] = texts
        return found

    def _columns(self) -> list[tuple[str, str]]:
        sides = [side for side in EVALUATED if all(f"{side}_loss" in run.rows[0] for run in self.runs)]
        return [
            (f"{side_title(side)} {measure}", f"{side}_{measure}") for side in sides for measure in ("loss", "accuracy")
        ]

    def _of_rows(self, epoch: str, column: str) -> list[str]:
        values = [getattr(run, epoch)[column] for run in self.runs]
        return [f"{value:.4f}" if column.endswith("loss") else number(value, share=True) for value in values]

    def _of_scores(self, what: str) -> dict[str, list[str]]:
        """The measures per image or per subject with their intervals, where at least one run has them."""
        levels = [getattr(run.scores, what) if run.scores else None for run in self.runs]
        if not any(levels):
            return {}
        return {
            f"{NAMES.get(measure, measure)}, {what}": [
                level.overall[measure].text(share=measure not in NOT_A_SHARE) if level else "–" for level in levels
            ]
            for measure in MEASURES
        }


def _how_it_ended(run: Results) -> str:
    if not run.finished:
        return " so far"
    return " (ended early)" if run.ended_early else ""
