"""report.html: a run on one page, which opens from disk and needs nothing beside it."""

from __future__ import annotations

from scratchnet import pictures, plots
from scratchnet.report import measures, origin
from scratchnet.report.header import header
from scratchnet.report.html import breakable, document, figure, picture, prose, safe, section
from scratchnet.report.results import Results
from scratchnet.report.words import number
from scratchnet.scores import percent

MISTAKES = 12  # on the page
THUMBNAIL = 192  # pixels of the longer side of a cell: sharp on a screen of two pixels a point


def report_page(results: Results) -> str:
    """The HTML of a run's page. Raises MissingExtraError where Matplotlib is not installed."""
    parts = [
        header(results),
        _learning(results),
        *([measures.measures(results.scores), measures.errors(results.scores)] if results.scores else []),
        _mistakes(results),
        _filters(results),
        origin.data(results),
        origin.settings(results),
        origin.again(results),
    ]
    return document(f"{results.name}: report of a run", "".join(parts))


def _learning(results: Results) -> str:
    """The report's figures 1 to 4, in two plots."""
    sides = [side for side in ("train", "validation", "test") if f"{side}_loss" in results.rows[0]]
    colours = {"train": plots.TRAIN, "validation": plots.COLOURS[1], "test": plots.TEST}
    epochs = [row["epoch"] for row in results.rows]
    best = results.best
    side = results.watched
    drawn = []
    for measure, title, share in (("loss", "Loss", False), ("accuracy", "Accuracy", True)):
        curves = [(one, epochs, [row[f"{one}_{measure}"] for row in results.rows], colours[one]) for one in sides]
        ends = ", ".join(f"{one} {number(results.last[f'{one}_{measure}'], share)}" for one in sides)
        panel = plots.Panel(title, curves, share, mark=(best["epoch"], best[f"{side}_{measure}"]))
        drawn.append(figure(picture(plots.learning_curves([panel]), f"{title} by epoch; after the last epoch: {ends}")))
    metric = str(results.config.get("best_metric", "balanced_accuracy")).replace("_", " ")
    flatters = " It was chosen on the test images themselves, which flatters it." if side == "test" else ""
    text = (
        f"The ring marks epoch {best['epoch']:g}, the best {metric} on the {side} images "
        f"({percent(best[f'{side}_accuracy'])} of them right).{flatters} "
        f"All other figures on this page are of epoch {results.shown['epoch']:g}."
    )
    return section("Learning", f'<div class="pair">{"".join(drawn)}</div>', f'<p class="note">{prose(text)}</p>')


def _mistakes(results: Results) -> str:
    predictions, test = results.predictions, results.test_set
    if predictions is None:
        return ""
    mistakes = predictions.mistakes()
    if len(mistakes) == 0:
        return section("The most confident mistakes", "<p>There are none: every test image was recognised.</p>")
    shown, names = mistakes[:MISTAKES], predictions.class_names
    images = test.read(shown) if test is not None and test.paths == predictions.paths else None
    cells = []
    for place, n in enumerate(shown):
        said, label = names[predictions.answers[n]], names[predictions.labels[n]]
        surely = prose(percent(predictions.probabilities[n].max()))
        caption = f"<b>{safe(label)}</b>, said {safe(said)}: {surely}<br><span class='path'>{breakable(predictions.paths[n])}</span>"
        if images is None:
            cells.append(f"<figure><figcaption>{caption}</figcaption></figure>")
            continue
        content = pictures.png(pictures.fitted(images[place], THUMBNAIL))
        alt = f"cell of class {label} that the network took for {said}"
        cells.append(figure(picture(content, alt, form="png", kind="cell"), caption))
    total = f"{len(mistakes):,} of {len(predictions.paths):,} test images are wrong"
    which = f"; the {len(shown)} of which the network was surest" if len(shown) < len(mistakes) else ""
    return section(
        "The most confident mistakes",
        f'<p class="soft">{total}{which}.</p>',
        f'<div class="cells">{"".join(cells)}</div>',
    )


def _filters(results: Results) -> str:
    """The first layer's filters, which see colours: the only ones that can be looked at as they are."""
    first = next((array for array in results.weights.values() if array.ndim == 4 and array.shape[2] == 3), None)
    if first is None:
        return ""
    content = pictures.png(pictures.filters(first))
    count, size = first.shape[3], f"{first.shape[0]}×{first.shape[1]}"
    image = picture(content, f"the {count} filters of the first layer, as colours", form="png", kind="pixels")
    text = f"{count} filters of {size} pixels. Grey is a weight of 0; each is scaled by its own largest weight."
    return section("What the first layer looks for", figure(image, text))
