"""Table 1 of the report beside the same rows trained here, with its figures 1 to 4, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scratchnet.drawing import plots
from scratchnet.measures.scores import Score
from scratchnet.pages.formatting import duration
from scratchnet.pages.html import document, figure, picture, safe, section, table, wide
from scratchnet.pages.results import Results, Row
from scratchnet.terminal.text_table import text_table, wrapped
from scratchnet.terminal.wording import counted, percent


@dataclass(frozen=True)
class Printed:
    """A row of table 1 as the report prints it."""

    epochs: int
    train_accuracy: float
    test_accuracy: float
    train_loss: float
    test_loss: float


REPORT = {
    32: Printed(22, 0.56, 0.53, 0.69, 0.61),
    64: Printed(40, 1.0, 0.82, 0.006, 0.99),
    256: Printed(14, 0.871, 0.843, 0.24, 0.34),
}
"""Source: Richa, "Neural Networks Final Project: Classifying HEM vs ALL cells", 2019, table 1."""

SPLITS = {"report": "the report's split", "subject": "new subjects"}
COLOURS = {"report": plots.COLOURS[1], "subject": plots.TEST}
FIGURES = (  # the report's figures 1 to 4, in its order
    ("Train accuracy", "train_accuracy", True),
    ("Train loss", "train_loss", False),
    ("Test accuracy", "test_accuracy", True),
    ("Test loss", "test_loss", False),
)
HEAD = ("", "epochs", "train acc", "test acc", "balanced test acc", "train loss", "test loss", "time")


@dataclass(frozen=True)
class Entry:
    """A row of the table under one of the splits, as far as it has been trained.

    size: of the images. split: "report" or "subject". epochs: planned. rows: the metrics of those done. accuracy: of
    the test images, with its interval over subjects; None while it is not finished. seconds: of training and
    evaluating. remarks: reasons to doubt its figures, in sentences.
    """

    size: int
    split: str
    epochs: int
    rows: tuple[Row, ...] = ()
    accuracy: Score | None = None
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, results: Results, size: int, split: str, epochs: int, remarks: Sequence[str] = ()) -> Entry:
        """What a run's folder says."""
        return cls(
            size,
            split,
            epochs,
            tuple(results.rows),
            results.scores.images.overall["accuracy"] if results.scores else None,
            results.seconds,
            (*remarks, *_remarks(results, size, epochs)),
        )

    @property
    def name(self) -> str:
        """What the row is called."""
        return row_name(self.size, SPLITS[self.split])


def _remarks(results: Results, size: int, epochs: int) -> list[str]:
    """Reasons to doubt a run's figures, and what leaks."""
    lines = []
    if len(results.rows) < epochs:
        lines.append(f"It has {len(results.rows)} of its {epochs} epochs.")
    if epochs != REPORT[size].epochs:
        lines.append(f"It is set to {counted(epochs, 'epoch')}; the report trained for {REPORT[size].epochs}.")
    stuck = _epochs_at_chance(results)
    if stuck == len(results.rows):
        lines.append("It never left chance: after every epoch it gave one answer to all training images.")
    elif stuck:
        lines.append(f"It gave one answer to all training images after {stuck} of {len(results.rows)} epochs.")
    if results.train_set is None:
        return [*lines, "Its prepared images are gone, so the leak is not known."]
    manifest = results.train_set.manifest
    tested, leak = manifest.splits["test"].images, manifest.preparation
    if not manifest.subjects_known:
        lines.append("The subjects are not known: images of one may stand on both sides.")
    subjects, copies = leak["test_images_of_training_subjects"], leak["test_images_with_a_copy_in_training"]
    if subjects or copies:
        share = f"{subjects:,} of {tested:,} test images have their subject in training"
        lines.append(f"It leaks: {share}, {copies:,} their own picture, turned or mirrored.")
    elif manifest.subjects_known:
        lines.append(f"Nothing leaks: none of its {tested:,} test images is of a subject that trains.")
    return lines


def _epochs_at_chance(results: Results) -> int:
    """After how many epochs the network gave every training image the same answer."""
    chance = 1 / len(results.about["class_names"])
    return int(np.count_nonzero([row["train_balanced_accuracy"] <= chance + 1e-9 for row in results.rows]))


class Table1:
    """The rows, beside the report's.

    title: what the rows are of, such as the name of the data. notes: sentences that go above the table. plotted:
    whether to draw curves, which need Matplotlib. variant: the ending of the pictures' names, such as "-wide", so
    that those of two tables can lie in one folder.
    """

    def __init__(
        self,
        title: str,
        entries: Sequence[Entry],
        notes: Sequence[str] = (),
        *,
        variant: str = "",
        plotted: bool = True,
    ) -> None:
        self.title, self.entries, self.notes = title, list(entries), list(notes)
        self.variant, self.plotted = variant, plotted
        self.sizes = list(dict.fromkeys(entry.size for entry in entries))

    def rows(self) -> list[list[str]]:
        """The cells, texts: for each image size first the report's row, then ours."""
        cells = []
        for size in self.sizes:
            cells.append(_printed(size))
            cells += [_measured(entry) for entry in self.entries if entry.size == size]
        return cells

    def remarks(self) -> list[tuple[str, str]]:
        """For each row its name and what must be known about it."""
        return [(entry.name, " ".join(entry.remarks)) for entry in self.entries if entry.remarks]

    def text(self) -> str:
        """The table for a terminal, and what must be known about each row."""
        remarks = (wrapped(f"{name}: {text}", indent="  ") for name, text in self.remarks())
        return "\n".join(
            [*text_table([list(HEAD), *self.rows()]), "", *(line for remark in remarks for line in remark)]
        )

    def markdown(self) -> str:
        """The table for a README; it shows the files of `pictures`, which belong beside it."""
        lines = [f"# {_plain(self.title)}", "", *(f"{_plain(note)}\n" for note in self.notes)]
        lines += [_line(HEAD), _line(["---", *["---:"] * (len(HEAD) - 1)]), *map(_line, self.rows()), ""]
        lines += ["In brackets: the 95 % interval over subjects.", ""]
        lines += [f"- **{name}**: {_plain(text)}" for name, text in self.remarks()]
        for size in self._drawn():
            lines += [
                "",
                f"## {size}×{size}: figures 1 to 4",
                "",
                f"![Accuracy and loss by epoch]({self.picture_name(size)})",
            ]
        return "\n".join([*lines, ""])

    def html(self) -> str:
        """The page, which opens from disk and needs nothing beside it."""
        notes = "".join(f"<p>{safe(note)}</p>" for note in self.notes)
        remarks = "".join(f"<li><b>{safe(name)}</b>: {safe(text)}</li>" for name, text in self.remarks())
        rows = [[safe(cell) for cell in row] for row in self.rows()]
        shown = table([safe(cell) for cell in HEAD], rows, "numbers")
        note = f'<p class="note">In brackets: the 95 % interval over subjects.</p>{f"<ul>{remarks}</ul>" if remarks else ""}'
        parts = [section("Table 1", wide(shown, "Table 1", columns=len(HEAD)), note)]
        for size in self._drawn():
            drawn = [
                figure(picture(plots.learning_curves([panel]), f"{panel.title} by epoch at {size}×{size}"))
                for panel in self.panels(size)
            ]
            parts.append(section(f"{size}×{size}: figures 1 to 4", f'<div class="pair">{"".join(drawn)}</div>'))
        return document(self.title, f"<header><h1>{safe(self.title)}</h1>{notes}</header>{''.join(parts)}")

    def pictures(self) -> dict[str, bytes]:
        """The curves of each image size as SVG files, by name."""
        return {self.picture_name(size): plots.learning_curves(self.panels(size)) for size in self._drawn()}

    def picture_name(self, size: int) -> str:
        """The name of the file with the curves of one image size."""
        return f"figures-{size}{self.variant}.svg"

    def panels(self, size: int) -> list[plots.Panel]:
        """Figures 1 to 4 for one image size: a curve for each split, and a point for the final value in the report's table."""
        printed, panels = REPORT[size], []
        for title, column, share in FIGURES:
            curves: list[plots.Curve] = [
                (
                    SPLITS[entry.split],
                    [row["epoch"] for row in entry.rows],
                    [row[column] for row in entry.rows],
                    COLOURS[entry.split],
                )
                for entry in self.entries
                if entry.size == size and entry.rows
            ]
            curves.append(("the report", [printed.epochs], [getattr(printed, column)], plots.GUIDE))
            panels.append(plots.Panel(title, curves, share))
        return panels

    def _drawn(self) -> list[int]:
        """The image sizes for which there is a curve to show."""
        return (
            []
            if not self.plotted
            else [size for size in self.sizes if any(entry.rows for entry in self.entries if entry.size == size)]
        )


def row_name(size: int, whose: str) -> str:
    """What a row is called: its image size, and the report or a split."""
    return f"{size}×{size}, {whose}"


def _printed(size: int) -> list[str]:
    row = REPORT[size]
    shares = [percent(value) for value in (row.train_accuracy, row.test_accuracy)]
    losses = [f"{value:.4g}" for value in (row.train_loss, row.test_loss)]
    return [row_name(size, "the report"), str(row.epochs), *shares, "", *losses, ""]


def _measured(entry: Entry) -> list[str]:
    if not entry.rows:
        return [entry.name, "0", *[""] * (len(HEAD) - 2)]
    last = entry.rows[-1]
    return [
        entry.name,
        f"{len(entry.rows)}" if len(entry.rows) == entry.epochs else f"{len(entry.rows)} of {entry.epochs}",
        percent(last["train_accuracy"]),
        entry.accuracy.text() if entry.accuracy else percent(last["test_accuracy"]),
        percent(last["test_balanced_accuracy"]),
        f"{last['train_loss']:.3f}",
        f"{last['test_loss']:.3f}",
        duration(entry.seconds) if entry.seconds else "",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """The text on one line, with the special characters of Markdown and its tables escaped."""
    escaped = "".join(f"\\{c}" if c in "\\|*_`[]<>#" else c for c in text)
    return " ".join(escaped.split())
