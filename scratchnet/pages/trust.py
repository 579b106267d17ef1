"""On a run's page: how far its probabilities are what they say, and a line for each patient."""

from __future__ import annotations

from scratchnet.drawing import plots
from scratchnet.measures.patients import patients, table_of, verdicts_in_words
from scratchnet.measures.reliability import Reliabilities, in_words
from scratchnet.pages.html import command, details, figure, picture, prose, safe, section, stacked
from scratchnet.pages.results import Results
from scratchnet.terminal import invocation
from scratchnet.terminal.wording import counted, percent

OPEN = 12  # patients whose table is not folded


def calibration(results: Results) -> str:
    """The reliability diagram, with what was learnt from validation images; "" if the answers are not known."""
    said, scores = results.predictions, results.scores
    if said is None or scores is None:
        return ""
    every = Reliabilities.all_of(said, scores.positive)
    found = every[0]
    curves = [("raw", found.raw)] if found.scaled is None else [("raw", found.raw), ("calibrated", found.scaled)]
    titled = [(f"{name} (error {percent(one.error)})", one) for name, one in curves]
    who = "the answer" if scores.positive is None else repr(scores.shown(scores.positive))
    alt = f"Reliability of the probability of {who}: {', '.join(name for name, _ in titled)}"
    drawn = figure(picture(plots.reliability(titled, title=f"Probability of {who}"), alt))
    how = (
        f"Of the images that are given a probability of {who} of about 80 %, 80 of 100 should be so: then the curve lies on the "
        "diagonal. Where it is above, the class is more common than the network says. The larger a point, the more images; bins of fewer "
        f"than {plots.FEW} are left out. "
        f"{in_words(every, scores.shown(scores.positive) if scores.positive else None)} The error "
        "is the mean distance from the diagonal, each image counting the same."
    )
    learnt, line = _learnt(results), ""
    if said.calibration is None and "validation" in results.facts.class_counts:
        line = command(invocation.command("calibrate", results.folder))
    text = f"<div><p>{prose(how)}</p><p>{prose(learnt)}</p>{line}</div>"
    return section("How far its probabilities can be trusted", f'<div class="pair">{text}{drawn}</div>')


def _learnt(results: Results) -> str:
    """What stands in the weights' file, in words."""
    assert results.predictions is not None
    found = results.predictions.calibration
    if found is None and "validation" in results.facts.class_counts:
        return "Its validation images could say how sure it may be:"
    if found is None:
        return (
            "Nothing was set aside to learn from how sure it may be: with --validation-fraction 0.15, training scales the probabilities by "
            "a temperature that it finds on those subjects."
        )
    lines = [
        f"The probabilities on this page are at temperature {found.temperature:.3f} (1: as they were), fitted to {found.whose()}, none "
        "of them a test image."
    ]
    if found.threshold is not None and found.sensitivity is not None:
        shown = results.class_labels.get(found.positive or "", found.positive)
        lines.append(
            f"The answer is {shown!r} from {percent(found.threshold)} on: chosen there for a sensitivity of {percent(found.sensitivity)}. "
            "What that gives on the test images stands in the table of measures, with intervals."
        )
    return " ".join(lines)


def patient_table(results: Results) -> str:
    """A line for each patient; "" if the subjects are not known."""
    said = results.predictions
    if said is None or said.subjects is None:
        return ""
    found = patients(said)
    head, *rows = table_of(said, found)
    shown = stacked([safe(cell) for cell in head], [[prose(cell) for cell in row] for row in rows], "numbers")
    how = (
        f"A patient's verdict follows from the mean probability of its cells: {verdicts_in_words(found)} "
        "evaluate --patients FILE writes this table."
    )
    note = f'<p class="note">{prose(how)}</p>'
    body = shown if len(found) <= OPEN else details(f"All {counted(len(found), 'patient')}", shown)
    return section("Patient by patient", note, body)
