"""The measures on a run's page: the table with intervals, the confusion tables, the ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scratchnet.drawing import plots
from scratchnet.measures.metrics import PrecisionRecall, RocCurve
from scratchnet.measures.scores import Level, Score, Scores
from scratchnet.pages.html import details, figure, picture, prose, safe, section, stacked, wide
from scratchnet.terminal.wording import percent

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
    terms = "".join(f"<dt>{prose(term)}</dt><dd>{prose(text)}</dd>" for term, text in _glossary(scores))
    return section(
        "How good it is",
        stacked(head, rows, "numbers"),
        f'<p class="note">{how}{notes}</p>',
        details("What these measures mean", f'<dl class="glossary">{terms}</dl>'),
    )


def _glossary(scores: Scores) -> list[tuple[str, str]]:
    """The measures in words."""
    terms = [
        ("accuracy", "How many of 100 answers are right. If one class is rare, always answering the other is often right."),
        ("balanced accuracy", "The mean of the classes' own shares of right answers: a rare class counts as much as a common one."),
        ("ROC AUC", "Of two images, one of each class, how often the right one is given the higher probability. 0.5 is a coin."),
        ("average precision", "The mean precision while ever more images of the class are found. Chance is the class's share."),
        ("log loss", "How far the probabilities are from the truth; being sure and wrong costs most. 0 is best."),
        ("precision, F1", "Precision: of all answers of a class, how many are right. F1: one number for precision and recall."),
        ("95 % interval", "Where the figure might lie with other subjects of the same kind. Wide: the test is small."),
        ("constant answer", "What a program would reach that ignores the image and always says the most common class."),
    ]  # fmt: skip
    if scores.positive is not None:
        one, other = (scores.shown(name) for name in sorted(scores.class_names, key=lambda n: n != scores.positive))
        meaning = f"Sensitivity: of 100 images of {one!r}, how many are recognised. Specificity: the same of {other!r}."
        terms.insert(2, ("sensitivity, specificity", meaning))
    return terms


def _with_interval(score: Score, share: bool) -> str:
    value, ends = prose(score.value_text(share=share)), prose(score.interval_text(share=share))
    return value + (f'<span class="interval">{ends}</span>' if ends else "")


def errors(scores: Scores, threshold: float | None = None) -> str:
    """Which class is taken for which, and the curves. threshold: from which probability on the positive class is the answer."""
    levels = [("Images", scores.images), *([("Subjects", scores.subjects)] if scores.subjects else [])]
    shown = tuple(map(scores.shown, scores.class_names))
    tables = "".join(_confusion_table(level, shown, title) for title, level in levels)
    note = (
        '<p class="note">A row for what an image is, a column for what the network said. '
        "Blue with ✓ is right; rust, dashed, with ✗ is wrong. The shares are of the row.</p>"
    )
    table, plots = f"<div>{tables}{note}</div>", "".join(_plots(scores, threshold))
    if len(scores.class_names) == 2:
        return section("Where it errs", f'<div class="three">{table}{plots}</div>')
    kind = (
        "stack" if len(scores.class_names) > MANY_CLASSES else "pair"
    )  # a third of the page is too narrow for the table
    return section("Where it errs", table, f'<div class="{kind}">{plots}</div>')


def _plots(scores: Scores, threshold: float | None) -> list[str]:
    """ROC, then precision and recall. For two classes a plot of each kind, with a curve per image and one per subject; for more two of
    each kind, with a curve a class against the rest."""
    note = _ONE_BY_ONE if scores.positive is None else _AT.format("50 %" if threshold is None else percent(threshold))
    return [
        *_of_kind(scores, "ROC", _roc_curves, plots.roc, note),
        *_of_kind(scores, "Precision and recall", _precision_recall_curves, plots.precision_recall, _PRECISION),
    ]


def _of_kind(scores: Scores, kind: str, curves_of: Curves, draw: Callable[..., bytes], note: str) -> list[str]:
    of_images = curves_of(scores, scores.images, "images")
    of_subjects = curves_of(scores, scores.subjects, "subjects") if scores.subjects else []
    if scores.positive is not None:
        both = [("per image and per subject" if of_subjects else "per image", of_images + of_subjects)]
    else:
        both = [("per image", of_images), ("per subject", of_subjects)]
    drawn = []
    for what, curves in both:
        if curves:
            title = f"{kind} of {scores.shown(scores.positive)!r}" if scores.positive is not None else f"{kind} {what}"
            alt = f"{kind} {what}: {', '.join(described for *_, described in curves)}"
            content = draw([curve[:2] for curve in curves], title=title, points=[curve[2] for curve in curves])
            drawn.append(figure(picture(content, alt), prose(note)))
    return drawn


_AT = (
    "Each point of a curve is another threshold of the probability. The dots are where this network decides: it says the "
    "class from {} on."
)
_PRECISION = "Precision depends on how common the class is: where it is rarer than among these patients, more of the alarms are false."
_ONE_BY_ONE = "Each class against all others. The dots are its answers, the most probable class: not a threshold of a single curve."


Drawn = tuple[str, RocCurve | PrecisionRecall, tuple[float, float], str]  # name, curve, operating point, in words
Curves = Callable[[Scores, Level, str], list[Drawn]]


def _roc_curves(scores: Scores, level: Level, what: str) -> list[Drawn]:
    """The curves that exist, each with its name, where its answers lie, and that in words."""
    found: list[Drawn] = []
    for name, curve in level.curves.items():
        if not np.isnan(curve.false_positive_rate[-1] + curve.true_positive_rate[-1]):
            called = _called(scores, level, what, name, "roc_auc", "AUC")
            false, true, _ = _operating_point(level.confusion, scores.class_names.index(name))
            at = f"{called}; it decides at {percent(true)} true and {percent(false)} false positives"
            found.append((called, curve, (false, true), at))
    return found


def _precision_recall_curves(scores: Scores, level: Level, what: str) -> list[Drawn]:
    """As `_roc_curves`; a class that has all images has no such curve to look at."""
    found: list[Drawn] = []
    for name, curve in level.precision_recall.items():
        if not np.isnan(curve.recall[-1]) and curve.precision.min() < 1:
            called = _called(scores, level, what, name, "average_precision", "AP")
            _, recall, precision = _operating_point(level.confusion, scores.class_names.index(name))
            at = f"{called}; it decides at recall {percent(recall)} and precision {percent(precision)}"
            found.append((called, curve, (recall, precision), at))
    return found


def _called(scores: Scores, level: Level, what: str, name: str, measure: str, short: str) -> str:
    of_two = scores.positive is not None
    area = (level.overall if of_two else level.per_class[name])[measure]
    return f"{what if of_two else scores.shown(name)} ({short} {area.value:.3f})"


def _operating_point(confusion: np.ndarray, k: int) -> tuple[float, float, float]:
    """Of class k against the others: the shares of false and of true positives among the answers, and the precision."""
    of_class, of_others = confusion[k], np.delete(confusion, k, axis=0)
    called = confusion[:, k].sum()
    precision = of_class[k] / called if called else np.nan
    return float(of_others[:, k].sum() / of_others.sum()), float(of_class[k] / of_class.sum()), float(precision)


def _confusion_table(level: Level, names: tuple[str, ...], title: str) -> str:
    counts = level.confusion.astype(int)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        f'<tr><th scope="row" title="{safe(name)}">is {safe(name)}</th>'
        + "".join(
            f'<td class="{"right" if j == k else "wrong" if count else "none"}" style="--share:{share:.3f}">{count:,}'
            f"<small>{'✓' if j == k else '✗' if count else ''} {prose(percent(share, digits=0))}</small></td>"
            for j, (count, share) in enumerate(zip(counts[k], shares[k], strict=True))
        )
        + "</tr>"
        for k, name in enumerate(names)
    ]
    head = "".join(f'<th scope="col" title="{safe(name)}">said {safe(name)}</th>' for name in names)
    kind = "confusion many" if len(names) > MANY_CLASSES else "confusion"
    body = f'<table class="{kind}"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f"<h3>{title}</h3>{wide(body, f'{title}: what is taken for what', columns=len(names))}"
