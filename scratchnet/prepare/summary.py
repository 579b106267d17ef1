"""What a person wants to know about a prepared dataset, as text."""

from collections import defaultdict
from collections.abc import Iterable

from scratchnet.data import Manifest, Remark
from scratchnet.data.window import Window
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.text_table import text_table, wrapped

SHOWN = 30  # paths below one reason


def describe(*manifests: Manifest) -> str:
    """The summary at the end of `python -m data_prep`: sides, classes, subjects, and by path what was left out or altered.

    manifests: of one dataset, or of all folds of a cross-validation.
    """
    first = manifests[0]
    height, width, _ = first.image_shape
    asked = first.preparation
    lines = [f"Images of {width}×{height} pixels, {_split(first)}, seed {asked['seed']}"]
    if window := Window.of(first.preprocessing):
        lines += [f"More than 8 bits a channel: in all images {window.low} … {window.high} became 0 … 255"]
    lines += _layout(first)
    for manifest in manifests:
        fold = [f"fold {manifest.preparation['fold']}"] if len(manifests) > 1 else []
        lines += ["", *fold, *_table(manifest), *_augmented(manifest)]
    lines += _cautions(first)
    if first.merged_subjects:
        lines += ["", "Subjects that share a picture and count as one:"]
        lines += [f"  {' = '.join(printable(subject) for subject in group)}" for group in first.merged_subjects]
    for title, field in (("Left out", "left_out"), ("Converted before use", "altered")):
        lines += _remarks(title, {remark: None for manifest in manifests for remark in getattr(manifest, field)})
    return "\n".join(lines)


def _split(manifest: Manifest) -> str:
    """How the images were split, in words."""
    asked = manifest.preparation
    match asked["split"]:
        case "report":
            return f"split at random as in the report, {asked['test_fraction']:.0%} for the test"
        case "fold":
            return f"tested on C-NMC's fold_{asked['test_fold']}"
        case "given":
            return "divided as the folders say"
        case "prelim":
            return "tested on C-NMC's preliminary test set"
        case "kfold":
            return f"split by subject into {asked['folds']} folds, each of which tests once"
        case _:
            return f"split by subject, {asked['test_fraction']:.0%} for the test"


def _layout(manifest: Manifest) -> list[str]:
    """How the folders were understood, if not in the usual way, and what became of their sides."""
    asked = manifest.preparation
    layout, sides = asked.get("understood_as", "C-NMC"), asked.get("given_sides", {})
    plain = layout in ("C-NMC", "{class}")
    lines = [] if plain else [f"Folders understood as {printable(layout)} (--layout says otherwise)"]
    if sides:
        named = ", ".join(f"{printable(folder)}: {side}" for folder, side in sorted(sides.items()))
        if asked["split"] == "given":
            lines.append(f"Sides as the folders say ({named}), less what would train of subjects that test")
        else:
            lines.append(
                f"The folders name sides ({named}); their images were put together and divided anew. --split given takes the sides as "
                "they are, less the training images of subjects that test, as far as subjects are known"
            )
    return [piece for line in lines for piece in wrapped(line)]


def _table(manifest: Manifest) -> list[str]:
    """Images by class and side, and subjects by side."""
    names = [printable(name) for name in manifest.class_names]
    rows = [["", *names, "images", "subjects", "shards"]]
    for name, split in manifest.splits.items():
        subjects = str(len(split.subjects)) if manifest.subjects_known else "unknown"
        rows.append([name, *map(str, split.images_per_class), str(split.images), subjects, str(len(split.shards))])
    return text_table(rows, left=())


def _augmented(manifest: Manifest) -> list[str]:
    """For each class, how many images became how many; empty if that was not asked for."""
    if manifest.preparation["augment_offline"] == "none":
        return []
    where = "all images, before the split" if manifest.preparation["split"] == "report" else "the training side"
    lines = ["", f"Augmented offline ({manifest.preparation['augment_offline']}), {where}:"]
    for name, counts in manifest.preparation["augmented"].items():
        before, less, more = (counts[key] for key in ("images", "left out", "added"))
        lines.append(f"  {printable(name)}: {before} − {less} left out + {more} turned = {before - less + more}")
    return lines


def _cautions(manifest: Manifest) -> list[str]:
    """Reasons why the test may flatter; empty if there are none."""
    return [*_alike(manifest), *_leaks(manifest)]


def _alike(manifest: Manifest) -> list[str]:
    """A caution if subjects have nearly the same name; empty if none have."""
    groups = manifest.preparation.get("alike_subjects", [])
    if not groups:
        return []
    lines = [
        "",
        f"CAUTION: the names of {sum(map(len, groups))} subjects differ only in upper and lower case, zeros, spaces or dashes, and they",
        "count as different people. If they are the same, the test flatters: write each name in one way, in the files' names or in",
        "the table of --subjects.",
    ]
    for group in groups[:SHOWN]:
        each = (
            f"{printable(one['subject'])!r} ({', '.join(f'{count} {side}' for side, count in one['images'].items())})"
            for one in group
        )
        lines.append(f"  {', '.join(each)}")
    return lines + ([f"  and {len(groups) - SHOWN} more, which manifest.json names"] if len(groups) > SHOWN else [])


def _leaks(manifest: Manifest) -> list[str]:
    """Why subjects may stand on both sides; empty if they don't."""
    if not manifest.subjects_known:
        return [
            "",
            "CAUTION: nothing tells the subject of an image, so each image counted as a subject of its own. If a subject has several",
            "images, they may stand on both sides, and the test flatters. Name the subjects: --subject-pattern or --subjects.",
        ]
    if manifest.preparation["split"] != "report":
        return []
    leak, tested = manifest.preparation, manifest.splits["test"].images
    return [
        "",
        f"CAUTION: split at random, images of one subject stand on both sides. Of {tested} test images,",
        f"  {leak['test_images_of_training_subjects']} have their subject in training,",
        f"  {leak['test_images_with_a_copy_in_training']} have their own picture in training, turned or mirrored.",
        "The test flatters; --split subject does not.",
    ]


def _remarks(title: str, remarks: Iterable[Remark]) -> list[str]:
    """Each path below its reason; empty if there are none."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        by_reason[remark.reason].append(remark.path)
    if not by_reason:
        return []
    lines = ["", f"{title} ({sum(map(len, by_reason.values()))}):"]
    for reason, paths in sorted(by_reason.items()):
        lines += [f"  {printable(reason)}", *(f"    {printable(path)}" for path in paths[:SHOWN])]
        if len(paths) > SHOWN:
            lines.append(f"    and {len(paths) - SHOWN} more, which manifest.json names")
    return lines
