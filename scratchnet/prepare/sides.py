"""Which prepared image trains, which validates and which tests.

| split     | test                                       | what stands on one side    | augmented offline     |
|-----------|--------------------------------------------|----------------------------|-----------------------|
| `subject` | about `test_fraction` of each class        | all images of a subject    | the training side     |
| `report`  | `test_fraction` of each class, at random   | identical images           | all, before the split |
| `given`   | as folders such as train/ and test/ say    | all images of a subject    | the training side     |
| `fold`    | one of C-NMC's training folds              | all images of a subject    | the training side     |
| `prelim`  | C-NMC's preliminary test set               | all images of a subject    | the training side     |
| `kfold`   | each of k equal parts, in k divisions      | all images of a subject    | the training side     |

A validation side is cut from the training side, by subject or, under `report`, at random.

Subjects that share a picture, turned or not, count as one. One of several identical images in a class stays; identical images
in different classes are all left out. If the test side is given, training images of its subjects are left out.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.data import Remark
from scratchnet.errors import DataError
from scratchnet.prepare.augment import Item, augment
from scratchnet.prepare.cnmc import PRELIM
from scratchnet.prepare.duplicates import find_duplicates, merge_subjects
from scratchnet.prepare.leak import leak
from scratchnet.prepare.settings import Settings
from scratchnet.prepare.splits import fold_groups, split_groups
from scratchnet.prepare.spool import Prepared
from scratchnet.prepare.subjects import alike
from scratchnet.random import generator


@dataclass(frozen=True)
class Usable:
    """The images that may be used, with the subjects to which they belong.

    left_out: duplicates and contradictions. merged_subjects: groups that share a picture and count as one.
    subjects_known: False if each image counts as a subject of its own.
    """

    items: tuple[Item, ...]
    class_names: tuple[str, ...]
    left_out: tuple[Remark, ...]
    merged_subjects: tuple[tuple[str, ...], ...]
    subjects_known: bool


@dataclass(frozen=True)
class Division:
    """The sides of one dataset, each in the order of its shards. left_out: by path, with the reason. facts: for the manifest."""

    sides: dict[str, tuple[Item, ...]]
    left_out: tuple[Remark, ...]
    facts: dict[str, Any]


def find_usable(prepared: Sequence[Prepared], class_names: tuple[str, ...], settings: Settings) -> Usable:
    """Leaves out duplicates and merges subjects."""
    # A given test side goes first: of identical images, its own stays.
    images = sorted(prepared, key=lambda image: (_given_place(image, settings), image.source.path))
    paths = [image.source.path for image in images]
    pictures = [image.picture for image in images]
    labels = [image.source.label for image in images]
    duplicates = find_duplicates(paths, pictures, labels, class_names, keep=settings.keep_duplicates)
    # An image of unknown subject counts as a subject of its own.
    subjects = [
        path if image.source.subject is None else image.source.subject
        for path, image in zip(paths, images, strict=True)
    ]
    group_of = merge_subjects(subjects, [picture.cell for picture in pictures])
    known = all(image.source.subject is not None for image in images)
    return Usable(
        tuple(Item(images[k], "+".join(group_of[subjects[k]])) for k in range(len(images)) if k not in duplicates),
        class_names,
        tuple(duplicates.values()),
        tuple(sorted({group for group in group_of.values() if len(group) > 1})) if known else (),
        known,
    )


def divide(usable: Usable, settings: Settings) -> Iterator[Division]:
    """The sides that the settings ask for: one division, or k of them for `kfold`.

    The order of each side is shuffled once for good, so that every shard holds a mixture of classes and subjects.
    Raises DataError if a side would lack a class, or there is no such fold.
    """
    classes, seed = len(usable.class_names), settings.seed
    honest = settings.split != "report"
    everything = augment(usable.items, "none" if honest else settings.augment_offline, classes, seed)
    for in_test in _test_sides(everything.items, usable.class_names, settings):
        train, test = _cut(everything.items, in_test)
        train, left_out = _without_subjects_of(test, train) if honest else (train, [])
        _require_all_classes(usable, {"test": test, "training": train}, settings)
        validation: list[Item] = []
        if settings.split == "given" and any(item.image.source.part == "validation" for item in train):
            if settings.validation_fraction:
                raise DataError("The folders give a validation side: leave out --validation-fraction.")
            given = np.array([item.image.source.part == "validation" for item in train])
            train, validation = _cut(train, given)
            train, too = _without_subjects_of(validation, train, "validates")
            left_out += too
            _require_all_classes(usable, {"training": train}, settings)
        elif settings.validation_fraction:
            fraction, labels = settings.validation_fraction, _labels(train)
            groups = _groups(train, settings)
            train, validation = _cut(
                train, split_groups(labels, groups, fraction, seed, usable.class_names, "validation")
            )
        augmented = augment(train, settings.augment_offline, classes, seed) if honest else everything
        if honest:
            train = list(augmented.items)

        sides = {"train": train, "validation": validation, "test": test}
        members = [(side, item) for side, items in sides.items() for item in items]
        members.sort(key=lambda member: member[1].path)
        order = [members[k] for k in generator(seed, "shards").permutation(len(members))]
        yield Division(
            {name: tuple(item for side, item in order if side == name) for name, items in sides.items() if items},
            (*left_out, *augmented.left_out),
            {
                "augmented": dict(zip(usable.class_names, augmented.counts, strict=True)),
                **leak(train, test),
                "alike_subjects": _alike(sides) if usable.subjects_known else [],
            },
        )


def _test_sides(items: Sequence[Item], class_names: tuple[str, ...], settings: Settings) -> Iterator[NDArray[np.bool_]]:
    """True for each item that tests, once for each division."""
    labels, groups = _labels(items), _groups(items, settings)
    if settings.test_fraction is not None:
        yield split_groups(labels, groups, settings.test_fraction, settings.seed, class_names)
    elif settings.folds is not None:
        fold_of = fold_groups(labels, groups, settings.folds, settings.seed, class_names)
        yield from (fold_of == fold for fold in range(settings.folds))
    else:
        yield np.array([_is_test(item.image, settings) for item in items])


def _require_all_classes(usable: Usable, sides: dict[str, list[Item]], settings: Settings) -> None:
    """Raises DataError if a side lacks a class, which can happen if the test side is given."""
    for side, items in sides.items():
        for label in sorted(set(range(len(usable.class_names))) - {item.label for item in items}):
            parts = ", ".join(sorted({item.image.source.part for item in usable.items} - {"", PRELIM})) or "no folds"
            choice = (
                "--split subject divides anew" if settings.split == "given" else "choose another --test-fold or --split"
            )
            raise DataError(
                f"The {side} side of --split {settings.split} has no image of class {usable.class_names[label]!r} whose subject "
                f"stands on no other side. The source holds {parts}; {choice}."
            )


def _given_place(image: Prepared, settings: Settings) -> int:
    """If a side is given: 0 for the test side, 1 for the validation side, 2 for the rest; else 2."""
    if _is_test(image, settings):
        return 0
    return 1 if settings.split == "given" and image.source.part == "validation" else 2


def _alike(sides: dict[str, list[Item]]) -> list[list[dict[str, Any]]]:
    """Groups of subjects with nearly the same name, and how many images of each stand on which side."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for side, items in sides.items():
        for item in items:
            counts[item.image.source.subject or ""][side] += 1
    return [[{"subject": subject, "images": dict(counts[subject])} for subject in group] for group in alike(counts)]


def _is_test(image: Prepared, settings: Settings) -> bool:
    """Whether C-NMC's own division, or a folder's name, makes this a test image, if the settings ask for it."""
    if settings.split == "prelim":
        return image.source.part == PRELIM
    if settings.split == "given":
        return image.source.part == "test"
    return settings.split == "fold" and image.source.part == f"fold_{settings.test_fold}"


def _groups(items: Sequence[Item], settings: Settings) -> list[Hashable]:
    """Groups that must not be cut: subjects; under `report`, only identical pictures in the same position."""
    if settings.split == "report":
        return [item.image.picture.turned(item.symmetry) for item in items]
    return [item.subject for item in items]


def _labels(items: Sequence[Item]) -> NDArray[np.int64]:
    return np.array([item.label for item in items], np.int64)


def _cut(items: Sequence[Item], in_second: NDArray[np.bool_]) -> tuple[list[Item], list[Item]]:
    """The items on the first side, and those on the second."""
    first = [item for item, there in zip(items, in_second, strict=True) if not there]
    return first, [item for item, there in zip(items, in_second, strict=True) if there]


def _without_subjects_of(
    test: Sequence[Item], train: Sequence[Item], does: str = "tests"
) -> tuple[list[Item], list[Remark]]:
    """The training items whose subjects do not test, and a remark for each of the others."""
    tested = {item.subject for item in test}
    rest = [item for item in train if item.subject in tested]
    reasons = [Remark(item.path, f"would train, but its subject {item.subject} {does}") for item in rest]
    return [item for item in train if item.subject not in tested], reasons
