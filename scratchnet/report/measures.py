"""The measures on a run's page: the table with intervals, the confusion tables, the ROC curves."""

from __future__ import annotations

import numpy as np

from scratchnet import plots
from scratchnet.metrics import RocCurve
from scratchnet.report.html import figure, picture, prose, safe, section, table, wide
from scratchnet.scores import Level, Score, Scores, percent

MANY_CLASSES = 4  # more have the tables and curves below each other, in the full width


def measures(scores: Scores) -> str:
    """Every measure per image and per subject, each beside the constant answer."""
    head = [safe(title) for title in scores.titles()]
    rows = []
    for row in scores.rows():
        cells = [
            cell
            for score, constant in row.pairs
            for cell in (
                _with_interval(score, row.share),
                prose(constant.text(share=row.share)) if constant else "",
            )
        ]
        rows.append([safe(row.label), *cells])
    notes = prose(" ".join(scores.notes))
    how = "A subject's answer is the mean of its images' probabilities. " if scores.subjects else ""
    return section("How good it is", wide(table(head, rows, "numbers")), f'<p class="note">{how}{notes}</p>')


def _with_interval(score: Score, share: bool) -> str:
    value, ends = prose(score.value_text(share=share)), prose(score.interval_text(share=share))
    return value + (f'<span class="interval">{ends}</span>' if ends else "")


def errors(scores: Scores) -> str:
    """Which class is taken for which, and the ROC curves."""
    levels = [("Images", scores.images), *([("Subjects", scores.subjects)] if scores.subjects else [])]
    tables = "".join(_confusion_table(level, scores.class_names, title) for title, level in levels)
    note = '<p class="note">A row for what a cell is, a column for what the network said.</p>'
    parts = [f"<div>{tables}{note}</div>", *_roc_plots(scores)]
    kind = "stack" if len(scores.class_names) > MANY_CLASSES else "pair"
    return section("Where it errs", f'<div class="{kind}">{"".join(parts)}</div>')


def _roc_plots(scores: Scores) -> list[str]:
    """Of two classes one plot, a curve per image and one per subject; of more a plot each, with a curve a class."""
    of_images = _curves(scores.images, scores.positive, "images")
    of_subjects = _curves(scores.subjects, scores.positive, "subjects") if scores.subjects else []
    if scores.positive is not None:
        both = [("per image and per subject" if of_subjects else "per image", of_images + of_subjects)]
    else:
        both = [("per image", of_images), ("per subject", of_subjects)]
    drawn = []
    for what, curves in both:
        if curves:
            title = f"ROC of {scores.positive!r}" if scores.positive is not None else f"ROC {what}"
            alt = f"ROC curve {what}: {', '.join(name for name, _ in curves)}"
            drawn.append(figure(picture(plots.roc(curves, title=title), alt)))
    return drawn


def _curves(level: Level, positive: str | None, what: str) -> list[tuple[str, RocCurve]]:
    """The curves that exist, each with its name."""
    found = []
    for name, curve in level.curves.items():
        if not np.isnan(curve.false_positive_rate[-1] + curve.true_positive_rate[-1]):
            area = (level.overall if positive is not None else level.per_class[name])["roc_auc"]
            found.append((f"{what if positive is not None else name} (AUC {area.value:.3f})", curve))
    return found


def _confusion_table(level: Level, names: tuple[str, ...], title: str) -> str:
    counts = level.confusion.astype(int)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        f'<tr><th scope="row" title="{safe(name)}">is {safe(name)}</th>'
        + "".join(
            f'<td style="--share:{share:.3f}">{count:,}<small>{prose(percent(share, digits=0))}</small></td>'
            for count, share in zip(counts[k], shares[k], strict=True)
        )
        + "</tr>"
        for k, name in enumerate(names)
    ]
    head = "".join(f'<th scope="col" title="{safe(name)}">said {safe(name)}</th>' for name in names)
    kind = "confusion many" if len(names) > MANY_CLASSES else "confusion"
    body = f'<table class="{kind}"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f"<h3>{title}</h3>{wide(body)}"
