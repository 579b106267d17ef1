"""The head of a run's page: what a reader wants to know first, and must not overlook."""

from __future__ import annotations

import numpy as np

from scratchnet.measures.scores import Scores
from scratchnet.pages.formatting import duration
from scratchnet.pages.html import command as command_line
from scratchnet.pages.html import prose, safe
from scratchnet.pages.results import Results
from scratchnet.terminal.invocation import command
from scratchnet.terminal.wording import counted, percent

FEW_SUBJECTS = 20


def header(results: Results) -> str:
    """Name, verdict, the four figures to remember, and the cautions."""
    config = results.config
    of_all = f" of {config['epochs']}" if results.ended_early else ""
    facts = [
        f"network {config['model']}",
        f"{config['image_size']}×{config['image_size']} pixels",
        f"{len(results.rows)}{of_all} epochs" if of_all else counted(len(results.rows), "epoch"),
        *([f"{duration(results.seconds)} of training"] if results.timings else []),
    ]
    lines = "".join(f"<p>{prose(line)}</p>" for line in cautions(results))
    return (
        f"<header><h1>{safe(results.name)}</h1><p class='soft'>{prose(' · '.join(facts))}</p>"
        f"<p class='lead'>{prose(_verdict(results))}</p>{_which_epoch(results)}"
        + (_cards(results.scores) if results.scores else "")
        + (f"<div class='caution' role='note'>{lines}</div>" if lines else "")
        + "</header>"
    )


def _verdict(results: Results) -> str:
    scores, shown = results.scores, results.shown
    if scores is None:
        right = percent(shown["test_accuracy"])
        return f"The network is right on {right} of the test images after epoch {shown['epoch']:g}."
    images, constant = scores.images.overall["accuracy"].value, scores.images.baseline["accuracy"].value
    new = " of subjects never seen in training" if results.facts.new_subjects else " that it was not trained on"
    return (
        f"The network is right on {percent(images)} of {counted(scores.images.count, 'image')}{new}; "
        f"always answering '{scores.shown(scores.majority)}' would be right on {percent(constant)}."
    )


def _which_epoch(results: Results) -> str:
    """Which epoch the page is about, if that is not the planned end; HTML."""
    rows, config, best = results.rows, results.config, results.best
    if results.chosen == "best":
        where = (
            "the test images themselves, which flatters it" if results.watched == "test" else "the validation images"
        )
        measure = str(config.get("best_metric", "balanced_accuracy")).replace("_", " ")
        epoch = f"epoch {results.shown['epoch']:g} of {len(rows)}"
        return f"<p>{prose(f'This page is about {epoch}, which has the best {measure}, chosen on {where}.')}</p>"
    if not results.ended_early:
        return ""
    text = (
        f"The run ended early, after epoch {len(rows)} of {config['epochs']}: nothing better for "
        f"{counted(int(config.get('patience', 0)), 'epoch')}. This page is about the last epoch, {len(rows)}"
    )
    if best["epoch"] == len(rows):
        return f"<p>{prose(text)}.</p>"
    line = command("report", results.folder, "--weights", "best")
    return f"<p>{prose(text)}, not about the best one, {best['epoch']:g}. For that one:</p>{command_line(line)}"


def _cards(scores: Scores) -> str:
    """The four figures to remember a run by."""
    shown = [
        ("balanced accuracy", scores.images, "balanced_accuracy", True),
        ("accuracy", scores.images, "accuracy", True),
        ("ROC AUC", scores.images, "roc_auc", False),
        *([("accuracy per subject", scores.subjects, "accuracy", True)] if scores.subjects else []),
    ]
    cards = []
    for label, level, name, share in shown:
        score = level.overall[name]
        value, ends = score.value_text(share=share), score.interval_text(share=share)
        below = []
        if ends:
            below.append(
                prose(ends) if score.rests_on else f"95&nbsp;% interval <span class='whole'>{prose(ends)}</span>"
            )
        below.append(f"constant answer <span class='whole'>{prose(level.baseline[name].text(share=share))}</span>")
        lines = "<br>".join(below)
        cards.append(f"<div><dt>{label}</dt><dd>{prose(value)}<span class='interval'>{lines}</span></dd></div>")
    return f"<dl class='cards'>{''.join(cards)}</dl>"


def cautions(results: Results) -> list[str]:
    """Reasons to doubt the figures, the gravest first."""
    lines = []
    if not results.finished:
        lines.append("The run is not finished: these are the epochs so far.")
    scores = results.scores
    if scores is not None and np.count_nonzero(scores.images.confusion.sum(axis=0)) == 1:
        lines.append("The network gives the same answer to every image: it is useless as it is.")
    lines += _of_data(results)
    subjects = set(results.predictions.subjects or ()) if results.predictions else set()
    if 0 < len(subjects) < FEW_SUBJECTS:
        few = "1 test subject is" if len(subjects) == 1 else f"{len(subjects)} test subjects are"
        lines.append(f"{few} few: everything here about new subjects rests on them.")
    if not results.test_set:
        lines.append(f"The prepared images are not available, so there are no pictures of cells. {results.no_data}")
    return lines


def _of_data(results: Results) -> list[str]:
    facts, lines = results.facts, []
    if facts.subjects_known is False:
        lines.append("The subjects are not known: images of one subject may stand on both sides of the split.")
    elif not facts.new_subjects:
        known = facts.subjects_known and facts.shared_subjects
        lines.append(f"{facts.both_sides}{': the figures say little about new subjects' if known else ''}.")
    if facts.copies_in_training:
        have = "1 test image has" if facts.copies_in_training == 1 else f"{facts.copies_in_training:,} test images have"
        lines.append(f"{have} a copy in training, turned, mirrored or as it is: no test.")
    if facts.sample:
        lines.append("The sample's cells are a demonstration: everything works, and they are too few for a result.")
    return lines
