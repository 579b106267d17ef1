"""The most confident mistakes: each cell beside the map of what decided, with its class, its answer and its patient."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scratchnet.data.pixels import PixelScaling
from scratchnet.drawing import heat, pictures
from scratchnet.errors import ScratchnetError
from scratchnet.measures.predictions import Predictions
from scratchnet.pages.html import breakable, figure, heat_key, picture, prose, safe, section
from scratchnet.pages.results import Results
from scratchnet.reference import Array
from scratchnet.terminal.wording import counted, percent
from scratchnet.use.explain import default_patch, occlusion
from scratchnet.use.predictor import Predictor, network_of

MISTAKES = 12  # on the page
THUMBNAIL = 192  # pixels of the longer side of a cell: sharp on a screen of two pixels a point
WHOSE = 3  # subjects with the most mistakes
TITLE = "The most confident mistakes"


def mistakes(results: Results) -> str:
    """The section; "" if the answers to single images are not known."""
    predictions, test = results.predictions, results.test_set
    if predictions is None:
        return ""
    wrong = predictions.mistakes()
    if len(wrong) == 0:
        return section(TITLE, "<p>There are none: every test image was recognised.</p>")
    shown, names = wrong[:MISTAKES], predictions.shown_names
    images = test.read(shown) if test is not None and test.paths == predictions.paths else None
    maps = _maps(results, images, predictions.answers[shown]) if images is not None else None
    cells = []
    for position, n in enumerate(shown):
        said, label = names[predictions.answers[n]], names[predictions.labels[n]]
        lines = [f"<b>is {safe(label)}</b>, said {safe(said)}: {prose(percent(predictions.probabilities[n].max()))}"]
        if predictions.subjects:
            lines.append(f"subject {safe(predictions.subjects[n])}")
        if maps is not None:
            lines.append(prose(_in_words(maps[position], said)))
        lines.append(f"<span class='path'>{breakable(predictions.paths[n])}</span>")
        caption = "<br>".join(lines)
        if images is None:
            cells.append(f"<figure><figcaption>{caption}</figcaption></figure>")
            continue
        pixels = pictures.fitted(images[position], THUMBNAIL)
        alt = f"cell of class {label} that the network took for {said}"
        shown_cell = picture(pictures.png(pixels), alt, form="png", kind="cell")
        if maps is not None:
            painted = pictures.fitted(heat.painted(images[position], maps[position]), THUMBNAIL)
            what = f"which places spoke for {said}: {_in_words(maps[position], said)}"
            shown_cell = (
                f'<div class="two">{shown_cell}{picture(pictures.png(painted), what, form="png", kind="heat")}</div>'
            )
        cells.append(figure(shown_cell, caption))
    total = f"{len(wrong):,} of {len(predictions.paths):,} test images are wrong"
    which = f"; here are the {len(shown)} of which the network was surest" if len(shown) < len(wrong) else ""
    return section(
        TITLE,
        f"<p>{prose(f'{total}{which}.')} {prose(_whose(predictions, wrong))}</p>",
        _key() if maps is not None else "",
        f'<div class="cells">{"".join(cells)}</div>',
    )


def _maps(results: Results, images: NDArray[np.uint8], answers: NDArray[np.int64]) -> list[Array] | None:
    """For each image by how much its answer falls when a part is covered; None if the network cannot be asked."""
    try:
        network = network_of(results.about)
        network.load_state_dict(results.weights)
        scaling = PixelScaling.from_dict(results.about["pixel_scaling"])
        predictor = Predictor(network, results.about["class_names"], scaling, about=results.about)
    except (ScratchnetError, KeyError, TypeError, ValueError):
        return None  # weights of another version; their answers stand in predictions.csv
    patch = default_patch(predictor.image_size)

    def of_class(answer: int, covered: NDArray[np.uint8]) -> Array:
        return np.asarray(predictor.probabilities(covered, symmetries=False)[:, answer])

    return [
        occlusion(partial(of_class, int(answer)), image, patch=patch, step=patch)
        for image, answer in zip(images, answers, strict=True)
    ]


def _in_words(effect: Array, said: str) -> str:
    """What the map shows, for those who cannot see it or its colours."""
    if not heat.matters(effect):
        return "no single place matters"
    strongest = float(effect.flat[np.abs(effect).argmax()])
    return f"strongest place: {heat.points(strongest)} points {'for' if strongest > 0 else 'against'} {said!r}"


def _whose(predictions: Predictions, wrong: NDArray[np.int64]) -> str:
    """Whose images they are: mistakes in a few subjects mean something else than mistakes in all."""
    if not predictions.subjects:
        return ""
    of = Counter(predictions.subjects)
    most = Counter(predictions.subjects[n] for n in wrong)
    named = ", ".join(f"{name} ({count:,} of {of[name]:,})" for name, count in most.most_common(WHOSE))
    more = f", then {counted(len(most) - WHOSE, 'other')}" if len(most) > WHOSE else ""
    return f"They are of {len(most):,} of {counted(len(of), 'subject')}: {named}{more}."


def _key() -> str:
    """The scale of the maps, and how to read them."""
    text = (
        "Beside each cell: a black square is laid on one place after another, and the network is asked again. Orange (+): with "
        "this place covered, the wrong answer gets less probable; the place spoke for it. Blue (−): it spoke against it. In "
        f"percentage points, one scale for all cells; less than {100 * heat.LEAST:.0f}, which to turn the same cell over can do "
        "too, has no colour."
    )
    return f'<p class="note">{prose(text)}</p>{heat_key()}'
