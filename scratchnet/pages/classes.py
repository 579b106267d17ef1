"""The classes in words: how many images of each there were, and how often each is recognised."""

from __future__ import annotations

import numpy as np

from scratchnet.data.class_labels import OPTION, labelled
from scratchnet.pages.html import command, details, prose, safe, section, stacked
from scratchnet.pages.results import Results
from scratchnet.terminal import invocation
from scratchnet.terminal.wording import percent


def classes(results: Results) -> str:
    """The section with one line a class."""
    names, scores = tuple(results.about["class_names"]), results.scores
    shown, counts = labelled(names, results.class_labels), results.facts.class_counts
    head = ["", "images to learn from", "test images", *(["recognised", "in words"] if scores else [])]
    rows = []
    for k, (name, label) in enumerate(zip(names, shown, strict=True)):
        called = safe(label) if name == label else f"{safe(label)}<br><small>folder {safe(name)}</small>"
        row = [called, *(_count(counts.get(side, ()), k) for side in ("train", "test"))]
        if scores:
            row += [_recognised(scores.images.confusion, k), prose(_in_words(scores.images.confusion, shown, k))]
        rows.append(row)
    table = stacked([safe(cell) for cell in head], rows, "numbers classes")
    return section("What it tells apart", table, _how_to_name(results, names) if not results.class_labels else "")


def _count(counts: tuple[int, ...], k: int) -> str:
    return f"{counts[k]:,}" if k < len(counts) else "–"


def _recognised(confusion: np.ndarray, k: int) -> str:
    count = confusion[k].sum()
    return prose(percent(confusion[k, k] / count)) if count else "–"


def _in_words(confusion: np.ndarray, shown: tuple[str, ...], k: int) -> str:
    """Plain numbers: how many of how many were recognised, and what the others were taken for."""
    row = confusion[k].astype(int)
    if not row.sum():
        return "the test has no image of this class"
    text = f"{row[k]:,} of {row.sum():,} recognised"
    others = [(int(count), shown[j]) for j, count in enumerate(row) if j != k and count]
    if not others:
        return text
    count, name = max(others, key=lambda pair: pair[0])
    rest = sum(number for number, _ in others) - count
    return f"{text}, {count:,} taken for {name!r}" + (f", {rest:,} for others" if rest else "")


def _how_to_name(results: Results, names: tuple[str, ...]) -> str:
    """Classes are named like their folders; how to give them names that others understand."""
    text = invocation.command("report", results.folder, OPTION, f"{names[0]}=…")
    note = "<p class='note'>The classes are called as their folders. For names that others understand:</p>"
    return details("Other names for the classes", note + command(text))
