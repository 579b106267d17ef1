"""report.html: a run on one page, which opens from disk and needs nothing beside it."""

from __future__ import annotations

import shlex

import numpy as np

from scratchnet import pictures, plots
from scratchnet.options import beside_the_report
from scratchnet.report.html import document, figure, picture, safe, section, table
from scratchnet.report.results import Results
from scratchnet.scores import Level, Score, Scores

MISTAKES = 12  # on the page
THUMBNAIL = 192  # pixels of the longer side of a cell: sharp on a screen of two pixels a point
FEW_SUBJECTS = 20


def report_page(results: Results) -> str:
    """The HTML of a run's page. Raises MissingExtraError where Matplotlib is not installed."""
    parts = [
        _head(results),
        _learning(results),
        *([_measures(results.scores), _confusion_and_roc(results.scores)] if results.scores else []),
        _mistakes(results),
        _filters(results),
        _data(results),
        _settings(results),
        _again(results),
    ]
    return document(f"{results.name}: report of a run", "".join(parts))


def _head(results: Results) -> str:
    """What a person wants to know first, and what they must not overlook."""
    config = results.config
    facts = [
        f"network {config['model']}",
        f"{config['image_size']}×{config['image_size']} pixels",
        f"{len(results.rows)} epochs" if len(results.rows) > 1 else "1 epoch",
        *([f"{duration(results.seconds)} of training"] if results.timings else []),
    ]
    cautions = "".join(f"<p>{safe(line)}</p>" for line in _cautions(results))
    return (
        f"<header><h1>{safe(results.name)}</h1><p class='soft'>{safe(' · '.join(facts))}</p>"
        f"<p class='lead'>{_verdict(results)}</p>"
        + (_cards(results.scores) if results.scores else "")
        + (f"<div class='caution' role='note'>{cautions}</div>" if cautions else "")
        + "</header>"
    )


def _verdict(results: Results) -> str:
    scores, last = results.scores, results.last
    if scores is None:
        return f"The network is right on {last['test_accuracy']:.1%} of the test images after epoch {last['epoch']:g}."
    images, constant = scores.images.overall["accuracy"].value, scores.images.baseline["accuracy"].value
    new = " of subjects never seen in training" if _new_subjects(results) else " that it was not trained on"
    return safe(
        f"The network is right on {images:.1%} of {scores.images.count:,} images{new}; "
        f"always answering '{scores.majority}' would be right on {constant:.1%}."
    )


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
        below = [f"95 %: {ends}"] if ends else []
        below.append(f"constant answer: {level.baseline[name].text(share=share)}")
        cards.append(f"<div><dt>{label}</dt><dd>{value}<span class='interval'>{'<br>'.join(below)}</span></dd></div>")
    return f"<dl class='cards'>{''.join(cards)}</dl>"


def _cautions(results: Results) -> list[str]:
    """What takes from the worth of the figures, the gravest first."""
    lines = []
    scores, train, test = results.scores, results.train_set, results.test_set
    if not results.finished:
        lines.append("The run is not finished: these are the epochs so far.")
    if scores is not None and np.count_nonzero(scores.images.confusion.sum(axis=0)) == 1:
        lines.append("The network gives the same answer to every image: as it is, it is of no use.")
    if train is not None and test is not None:
        if not train.manifest.subjects_known:
            lines.append("The subjects are not known: images of one subject may stand on both sides of the split.")
        elif shared := len(set(train.subjects) & set(test.subjects)):
            lines.append(
                f"{shared} subjects stand on both sides of the split: the figures say little about new subjects."
            )
        if copies := train.manifest.preparation.get("test_images_with_a_copy_in_training"):
            lines.append(
                f"{copies:,} test images have a copy in training, turned, mirrored or as it is: they are no test."
            )
        if train.manifest.preparation.get("sample"):
            lines.append("The sample's cells are a demonstration: everything works, and they are too few for a result.")
    subjects = set(results.predictions.subjects or ()) if results.predictions else set()
    if 0 < len(subjects) < FEW_SUBJECTS:
        lines.append(f"{len(subjects)} test subjects are few: all that is said here of new subjects rests on them.")
    if not results.test_set:
        lines.append(f"The prepared images are not to be had, so there are no pictures of cells. {results.no_data}")
    return lines


def _learning(results: Results) -> str:
    """The report's figures 1 to 4, in two plots."""
    sides = [side for side in ("train", "validation", "test") if f"{side}_loss" in results.rows[0]]
    colours = {"train": plots.TRAIN, "validation": plots.COLOURS[1], "test": plots.TEST}
    epochs = [row["epoch"] for row in results.rows]
    best = results.best
    side = "validation" if "validation" in sides else "test"
    drawn = []
    for measure, title, share in (("loss", "Loss", False), ("accuracy", "Accuracy", True)):
        curves = [(one, epochs, [row[f"{one}_{measure}"] for row in results.rows], colours[one]) for one in sides]
        ends = ", ".join(f"{one} {_number(results.last[f'{one}_{measure}'], share)}" for one in sides)
        panel = plots.Panel(title, curves, share, mark=(best["epoch"], best[f"{side}_{measure}"]))
        drawn.append(figure(picture(plots.learning_curves([panel]), f"{title} by epoch; after the last epoch: {ends}")))
    metric = str(results.config.get("best_metric", "balanced_accuracy")).replace("_", " ")
    flatters = " It was chosen on the test images themselves, which flatters it." if side == "test" else ""
    text = (
        f"The ring marks epoch {best['epoch']:g}, the best {metric} on the {side} images ({_number(best[f'{side}_accuracy'], True)} "
        f"of them right).{flatters} All other figures on this page are of the last epoch, {results.last['epoch']:g}."
    )
    return section("Learning", f'<div class="pair">{"".join(drawn)}</div>', f'<p class="note">{safe(text)}</p>')


def _measures(scores: Scores) -> str:
    head = [safe(title) for title in scores.titles()]
    rows = []
    for row in scores.rows():
        shown = [row.image, *([row.subject] if row.subject else [])]
        cells = [_with_interval(score, row.share) for score in shown]
        rows.append([safe(row.label), *cells, row.baseline.text(share=row.share) if row.baseline else ""])
    notes = " ".join(safe(note) for note in scores.notes)
    how = "A subject's answer is the mean of its images' probabilities. " if scores.subjects else ""
    return section("How good it is", table(head, rows, "numbers"), f'<p class="note">{how}{notes}</p>')


def _with_interval(score: Score, share: bool) -> str:
    value, ends = score.value_text(share=share), score.interval_text(share=share)
    return value + (f'<span class="interval">{ends}</span>' if ends else "")


def _confusion_and_roc(scores: Scores) -> str:
    tables = [_confusion_table(scores.images, scores.class_names, "Images")]
    if scores.subjects:
        tables.append(_confusion_table(scores.subjects, scores.class_names, "Subjects"))
    drawn = f"<div>{''.join(tables)}</div>"
    curves = []
    for name, curve in scores.images.curves.items():
        if not np.isnan(curve.false_positive_rate[-1] + curve.true_positive_rate[-1]):
            score = scores.images.overall if scores.positive else scores.images.per_class[name]
            curves.append((f"{name} (AUC {score['roc_auc'].value:.3f})", curve))
    if curves:
        alt = "ROC curve per image: " + ", ".join(name for name, _ in curves)
        drawn += figure(picture(plots.roc(curves), alt))
    return section("Where it errs", f'<div class="pair">{drawn}</div>')


def _confusion_table(level: Level, names: tuple[str, ...], title: str) -> str:
    counts = level.confusion.astype(int)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        f'<tr><th scope="row">is {safe(name)}</th>'
        + "".join(
            f'<td style="--share:{share:.3f}">{count:,}<small>{share:.0%}</small></td>'
            for count, share in zip(counts[k], shares[k], strict=True)
        )
        + "</tr>"
        for k, name in enumerate(names)
    ]
    head = "".join(f'<th scope="col">said {safe(name)}</th>' for name in names)
    return (
        f'<h3>{title}</h3><table class="confusion"><thead><tr><td style="--share:0"></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


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
        caption = f"<b>{safe(label)}</b>, said {safe(said)}: {predictions.probabilities[n].max():.1%}<br>{safe(predictions.paths[n])}"
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


def _data(results: Results) -> str:
    train, test = results.train_set, results.test_set
    if train is None or test is None:
        return section(
            "Data", f"<p>{safe(results.about.get('data', 'unknown'))}</p><p class='soft'>{safe(results.no_data)}</p>"
        )
    manifest = train.manifest
    head = ["", "images", *(safe(name) for name in train.class_names), "subjects"]
    rows = []
    for name, side in manifest.splits.items():
        subjects = f"{len(side.subjects):,}" if manifest.subjects_known else "unknown"
        rows.append([safe(name), f"{side.images:,}", *(f"{count:,}" for count in side.images_per_class), subjects])
    shared = len(set(train.subjects) & set(test.subjects))
    if not manifest.subjects_known:
        apart = "Whether a subject stands on both sides of the split is not known."
    else:
        apart = (
            f"{shared:,} subjects stand on both sides of the split."
            if shared
            else "No subject stands on both sides of the split."
        )
    facts = [
        *(
            [f"{len(manifest.merged_subjects):,} groups of subjects share an image and count as one."]
            if manifest.merged_subjects
            else []
        ),
        *(
            [f"{len(manifest.left_out):,} files were left out; manifest.json names each and says why."]
            if manifest.left_out
            else []
        ),
    ]
    preparing = {
        **manifest.preparation,
        **manifest.preprocessing,
        "folder": results.about["data"],
        "dataset_id": train.dataset_id,
    }
    details = [[safe(name), safe(_words(value))] for name, value in preparing.items() if value is not None]
    return section(
        "Data",
        table(head, rows, "numbers"),
        f'<p class="note">{safe(" ".join([apart, *facts]))}</p>',
        f"<h3>How it was prepared</h3>{table([], details)}",
    )


def _settings(results: Results) -> str:
    rows = [
        [safe(name), safe(_words(value)), safe(report)] for name, value, report in beside_the_report(results.config)
    ]
    return section("Hyper-parameters", table(["", "this run", "the report, 256 × 256"], rows))


def _again(results: Results) -> str:
    """How long it took, on what, and how to do it again."""
    about = results.about
    command = f"python train.py --config {shlex.quote(str(results.folder / 'config.toml'))} --data {shlex.quote(str(about['data']))}"
    began = f"<p class='note'>It was begun with</p><pre>{safe(about['command'])}</pre>" if about.get("command") else ""
    details = [[safe(name), safe(value)] for name, value in about.get("versions", {}).items()]
    if results.timings:
        rates = [row[name] for row in results.timings for name in row if name.endswith("images_per_second")]
        details.append(["training and evaluating", duration(results.seconds)])
        details.append(["images/s while training", f"{np.median(rates):,.0f} (median of {len(rates)} epochs)"])
    return section(
        "Again",
        f"<pre>{safe(command)}</pre>",
        began,
        "<p class='note'>The same configuration on the same data gives the same weights, to the bit.</p>",
        table([], details),
    )


def _new_subjects(results: Results) -> bool:
    """Whether it is known that no test subject was seen in training."""
    train, test = results.train_set, results.test_set
    if train is None or test is None or not train.manifest.subjects_known:
        return False
    return not set(train.subjects) & set(test.subjects)


def _words(value: object) -> str:
    """A setting for people: yes and no, and a table of counts in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _number(value: float, share: bool) -> str:
    return f"{value:.1%}" if share else f"{value:.3f}"


def duration(seconds: float) -> str:
    """For people: "8 s", "3 min 20 s", "2 h 5 min"."""
    minutes, hours = seconds / 60, seconds / 3600
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{int(minutes)} min {seconds % 60:.0f} s"
    return f"{int(hours)} h {minutes % 60:.0f} min"
