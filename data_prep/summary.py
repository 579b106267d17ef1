"""What a person wants to know about a prepared dataset, as text."""

from collections import defaultdict
from collections.abc import Iterable

from scratchnet.command_line import printable
from scratchnet.data import Manifest, Remark


def describe(manifest: Manifest) -> str:
    """The summary at the end of `python -m data_prep`: sides, classes, subjects, and by path what was left out or altered."""
    height, width, _ = manifest.image_shape
    lines = [
        f"Images of {width}×{height} pixels, split {manifest.preparation['split']}, seed {manifest.preparation['seed']}",
        "",
    ]
    lines += _table(manifest)
    if not manifest.subjects_known:
        lines += [
            "",
            "WARNING: nothing tells the subject of an image, so each image counted as a subject of its own. If a subject has several",
            "images, they may stand on both sides, and the test flatters. Name the subjects: --subject-pattern or --subjects.",
        ]
    elif manifest.preparation["split"] == "random":
        seen = manifest.preparation["test_images_of_training_subjects"]
        lines += [
            "",
            f"WARNING: split at random, images of one subject stand on both sides: {seen} of {manifest.splits['test'].images} test images "
            "have their subject",
            "in training. The test flatters; --split subject does not.",
        ]
    if manifest.merged_subjects:
        lines += ["", "Subjects that share an image and count as one:"]
        lines += [f"  {' = '.join(printable(subject) for subject in group)}" for group in manifest.merged_subjects]
    lines += _remarks("Left out", manifest.left_out) + _remarks("Converted before use", manifest.altered)
    return "\n".join(lines)


def _table(manifest: Manifest) -> list[str]:
    """Images by class and side, and subjects by side."""
    names = [printable(name) for name in manifest.class_names]
    rows = [["", *names, "images", "subjects", "shards"]]
    for name, split in manifest.splits.items():
        subjects = str(len(split.subjects)) if manifest.subjects_known else "unknown"
        rows.append([name, *map(str, split.images_per_class), str(split.images), subjects, str(len(split.shards))])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _remarks(title: str, remarks: Iterable[Remark]) -> list[str]:
    """Each path below its reason; nothing if there are none."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        by_reason[remark.reason].append(remark.path)
    if not by_reason:
        return []
    lines = ["", f"{title} ({sum(map(len, by_reason.values()))}):"]
    for reason, paths in sorted(by_reason.items()):
        lines += [f"  {printable(reason)}", *(f"    {printable(path)}" for path in paths)]
    return lines
