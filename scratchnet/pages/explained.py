"""One page that shows what a network does to one image: layer by layer, to click through, and at its end the answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scratchnet.drawing import heat, pictures
from scratchnet.drawing.heat import Pixels
from scratchnet.pages.html import data_script, data_uri, document, figure, heat_key, picture, prose, safe
from scratchnet.pages.steps import steps_of
from scratchnet.reference import Array
from scratchnet.terminal.wording import percent
from scratchnet.use.explain_sheets import Decision
from scratchnet.use.predictor import Predictor

CAUTION = "This image is unlike those of the training, so the answer means little."


def explained_page(predictor: Predictor, pixels: Pixels, title: str, decision: Decision) -> str:
    """The HTML of the page. It loads nothing, and runs nothing but the program that it brings.

    pixels (S, S, 3) uint8, prepared. title: what to call the image. decision: what the network says of it.
    """
    network = predictor.network
    steps = steps_of(network, predictor.scaling.apply(pixels[None], network.dtype), pixels, decision.names)
    steps.append(
        {
            "name": "answer",
            "kind": "answer",
            "said": "The numbers of the classes become probabilities that add up to 1.",
        }
    )
    data = {"steps": steps, "image": data_uri(pictures.png(pixels), "png"), "pixels": len(pixels)}
    body = [
        f"<h1>{safe(title)}</h1>",
        f'<p class="lead">{prose(" ".join(decision.sentences()))}</p>',
        f'<div class="caution"><p>{CAUTION}</p></div>' if predictor.far(pixels[None]).any() else "",
        "<p>What the network does to it, from the first pixel to the answer. Go through the layers; pick a map, and a position on it.</p>",
        '<noscript><p class="caution">Your browser runs no programs, so only the answer is shown.</p></noscript>',
        '<nav id="steps" aria-label="layers"></nav>',
        '<section id="step" aria-live="polite" tabindex="-1"></section>',
        _answer(decision, pixels),
        data_script("data", data),
    ]
    return document(title, "".join(body), style=_read("explained.css"), script=_read("explained.js"))


def _answer(decision: Decision, pixels: Pixels) -> str:
    """The last step: a bar for each class, and which places decided."""
    order = np.argsort(-decision.probabilities, kind="stable")
    bars = "".join(
        f'<li class="{"said" if k == decision.said else ""}"><span>{safe(decision.names[k])}</span>'
        f'<i style="width:{100 * decision.probabilities[k]:.2f}%"></i><b>{prose(percent(decision.probabilities[k]))}</b></li>'
        for k in order
    )
    question = safe(repr(decision.names[decision.asked]))
    covered = f"<b>Covered</b>, a square of {decision.patch} × {decision.patch} pixels at a time: what is missed of {question}."
    evidence = f"<b>Grad-CAM</b> in {safe(decision.layer)}: which positions speak for {question}."
    maps = _heat(decision.missed, pixels, covered) + _heat(decision.evidence, pixels, evidence)
    note = (
        "Percentage points; orange speaks for it, blue against. Less than 5, which turning the same cell over can do too, has no "
        "colour. That a place matters is no proof that the reason is a good one."
    )
    return (
        f'<section id="answer"><h2>Probabilities</h2><ul class="bars">{bars}</ul><h3>Where it was decided</h3>'
        f'<div class="two">{maps}</div><p class="note">{prose(note)}</p>{heat_key()}</section>'
    )


def _heat(effect: Array, pixels: Pixels, caption: str) -> str:
    said = caption if heat.matters(effect) else f"{caption} No single place matters."
    painted = picture(
        pictures.png(heat.painted(pixels, effect)), "the cell with a map of what decided", form="png", kind="heat"
    )
    return figure(painted, said)


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
