"""Where a run comes from, on its page: its data, its settings, and how to repeat it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from scratchnet.data import Dataset
from scratchnet.data.class_labels import labelled
from scratchnet.pages.facts import Facts
from scratchnet.pages.formatting import augmented, changes, duration, in_words, setting
from scratchnet.pages.html import breakable, command, details, prose, safe, section, stacked, table
from scratchnet.pages.results import Results
from scratchnet.terminal import invocation
from scratchnet.terminal.wording import counted
from scratchnet.training.config import Config
from scratchnet.training.options import shown as shown_settings

FOR_PEOPLE = ("source", "folder", "split", "test_fraction", "validation_fraction", "fold", "folds", "image_size")
OFFLINE = ("augment_offline", "augmented")
HOUSEKEEPING = ("checkpoint_minutes", "keep_every", "keep_last", "micro_batch")


def data(results: Results) -> str:
    """How many images and subjects stood on which side, and how they were prepared."""
    train, names = results.train_set, labelled(results.about["class_names"], results.class_labels)
    counts = results.facts.class_counts
    sizes = {side: f"{len(split.subjects):,}" for side, split in train.manifest.splits.items()} if train else {}
    unknown = "unknown" if results.facts.subjects_known is False else "–"
    rows = []
    for side, of_class in counts.items():
        subjects = sizes.get(side, unknown) if results.facts.subjects_known else unknown
        rows.append([safe(side), f"{sum(of_class):,}", *(f"{count:,}" for count in of_class), subjects])
    head = ["", "images", *(safe(name) for name in names), "subjects"]
    parts = [stacked(head, rows, "numbers")] if rows else []
    parts.append(f'<p class="note">{prose(" ".join(_remarks(results.facts, train)))}</p>')
    if train is None:
        where = f"<p>{safe(results.about.get('data', 'unknown'))}</p><p class='soft'>{safe(results.no_data)}</p>"
        return section("Data", *parts, where)
    return section("Data", *parts, "<h3>How it was prepared</h3>", _preparing(results, train))


def _remarks(facts: Facts, train: Dataset | None) -> list[str]:
    """Sentences on subjects and files."""
    if facts.subjects_known is False:
        lines = ["Whether a subject stands on both sides of the split is not known."]
    else:
        lines = [f"{facts.both_sides}."]
    if train is not None and (merged := len(train.manifest.merged_subjects)):
        lines.append(f"{counted(merged, 'group')} of subjects that share an image: each counts as one subject.")
    if train is not None and (left_out := len(train.manifest.left_out)):
        lines.append(f"{counted(left_out, 'file')} left out; manifest.json says why.")
    return lines


def _preparing(results: Results, train: Dataset) -> str:
    """How the images were prepared: what readers want to know, and, folded, the rest."""
    manifest = train.manifest
    known: dict[str, Any] = {**manifest.preparation, **manifest.preprocessing, "folder": results.about["data"]}
    shown = {name: known[name] for name in FOR_PEOPLE if known.get(name) is not None}
    if added := augmented(manifest.preparation.get("augmented") or {}):
        shown |= {"augment_offline": known.get("augment_offline", "yes"), "added offline": added}
    rest = {name: value for name, value in known.items() if name not in (*FOR_PEOPLE, *OFFLINE) and value is not None}
    return table([], _lines(shown), "facts") + details(
        "All settings of the preparation", table([], _lines(rest | {"dataset_id": train.dataset_id}), "facts")
    )


def settings(results: Results) -> str:
    """The hyper-parameters that differ from the defaults; all of them, beside the report's, folded."""
    known = {one.name: one for one in fields(Config)}
    changed = [
        [safe(in_words(name)), breakable(setting(value)), breakable(setting(known[name].default))]
        for name, value in shown_settings(results.config).items()
        if name in known and name not in HOUSEKEEPING and value != known[name].default
    ]

    def rows(names: list[str]) -> list[list[str]]:
        return [
            [
                f"{safe(in_words(name))}<br><code>{breakable(name)}</code>",
                breakable(setting(results.config[name])),
                ""
                if name not in known or known[name].metadata["report"] is None
                else breakable(known[name].metadata["report"]),
            ]
            for name in names
        ]

    head = ["", "this run", "the report, 256 × 256"]
    house = [name for name in results.config if name in HOUSEKEEPING]
    learning = [name for name in shown_settings(results.config) if name not in HOUSEKEEPING]
    shown = (
        table(["", "this run", "by default"], changed, "facts")
        if changed
        else "<p>All of them are this program's own defaults.</p>"
    )
    folded = details("All settings, beside those of the report", table(head, rows(learning), "facts"))
    housekeeping = details("Housekeeping, which changes nothing", table(head, rows(house), "facts")) if house else ""
    return section("Settings that differ from the defaults", shown, folded, housekeeping)


def again(results: Results) -> str:
    """How long it took, on what, and how to repeat it."""
    about = results.about
    again = invocation.command("train", "--config", results.folder / "config.toml", "--data", about["data"])
    began = f"<p class='note'>The run was started with</p>{command(about['command'])}" if about.get("command") else ""
    took = []
    if results.timings:
        rates = [row[name] for row in results.timings for name in row if name.endswith("images_per_second")]
        took.append(["training and evaluating", duration(results.seconds)])
        took.append(["images/s while training", f"{np.median(rates):,.0f} (median of {counted(len(rates), 'epoch')})"])
    versions = _lines(about.get("versions", {}))
    return section(
        "To repeat it",
        command(again),
        f"<p class='note'>{prose(_how_exactly(results))}</p>",
        began,
        table([], took, "facts") if took else "",
        details("Versions", table([], versions, "facts")) if versions else "",
    )


def _how_exactly(results: Results) -> str:
    """Whether the command gives the same weights."""
    same = "the same configuration on the same data gives the same weights, to the bit."
    where = "With these versions on such a processor"
    if not results.history:
        return f"{where}, {same}"
    resumed = f"The run was resumed with other settings {changes(results.history)}."
    if results.repeats:
        return f"{resumed} That moved no weight: {where[0].lower()}{where[1:]}, {same}"
    return f"{resumed} That moved its end, so this command alone need not give the same weights."


def _lines(values: dict[str, Any]) -> list[list[str]]:
    return [[safe(in_words(name)), breakable(setting(value))] for name, value in values.items()]
