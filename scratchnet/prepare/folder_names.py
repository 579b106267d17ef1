"""What the names of folders tell: subjects, attributes, parts of a set, versions of the same pictures. All of them are guesses.

Each question is asked of all folders of one level, by their names as they are written. Class names have numbers too (grade1, C0,
T2), so a number alone tells little: a word before it is needed, or many names.
"""

import re
from collections.abc import Iterable

from scratchnet.prepare.layout import side_of

MANY = 5  # so many folders called P01, P02, … are not taken for classes unless the user says so
FOLD = re.compile(r"(?:cv|k)?[ _-]?fold[ _-]?\d+")
ATTRIBUTES = (
    re.compile(r"\d+(?:\.\d+)?[ _-]?x|x[ _-]?\d+|mag(?:nification)?[ _-]?\d+x?"),
    re.compile(r"left|right|l|r|od|os|left[ _-]?eye|right[ _-]?eye"),
    FOLD,
)
DATE = r"(?:19|20)\d\d(?:[ _-]\d\d?){0,2}"
PART_WORDS = (
    r"fold|part|batch|set|data|data[ _-]?set|day|week|month|year|session|run|exp|experiment|v|ver|version|images?|imgs?|photos?|"
    r"pictures?|files?|chunk"
)
FLAT_WORDS = (
    r"scan|slide|plate|well|series|split|site|hospital|center|centre|scanner|camera|visit|disc|disk|archive|folder|tile|patch|roi|"
    r"region|frame|video|movie|replicate|rep|sample"
)
CLASS_WORDS = r"class|grade|group|level|stage|type|score"
NUMBERED = re.compile(  # has a number, but is not a subject
    rf"{DATE}|(?:.*[^a-z0-9])?\d+k|(?:.*[^a-z])?(?:{PART_WORDS}|{CLASS_WORDS})[ _-]?\d+"
)
PART = re.compile(rf"{DATE}|(?:.*[^a-z])?(?:{PART_WORDS}|{FLAT_WORDS})[ _-]?\d+")
NAMED_SUBJECT = re.compile(
    r"(?:.*[^a-z])?(?:patients?|subjects?|subj|case|donor|person|pat|pt|sub|p|s|id|uid|pid)[ _.-]?\d+(?:[^0-9].*)?"
)
SURE_SUBJECT = re.compile(r"(?:.*[^a-z])?(?:patients?|subjects?|donor|person)[ _.-]?\d+|[1-9]\d{3,}")
MADE = {  # words for pictures that are made from others
    "augmented", "aug", "augment", "augmentation", "augmentations", "gray", "grey", "grayscale", "greyscale", "hsv", "segmented",
    "normalized", "normalised", "enhanced", "resized", "cropped", "preprocessed", "processed", "denoised", "clahe", "filtered",
    "rotated", "flipped",
}  # fmt: skip
FIRST = {"original", "originals", "orig", "raw", "color", "colour", "colored", "coloured", "rgb"}
NEUTRAL = {"image", "images", "img", "data", "dataset", "set", "version", "cell", "cells", "picture", "pictures"}
UNLABELLED = {
    "pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "unannotated", "submission", "inference",
}  # fmt: skip


def are_sides(names: Iterable[str]) -> bool:
    """Whether all name a side, a training side and another among them."""
    sides = {side_of(name) for name in names}
    return None not in sides and "train" in sides and len(sides) > 1


def are_attributes(names: Iterable[str]) -> bool:
    """Whether all are magnifications, or all sides of a body, or all folds."""
    names = _folded(names)
    return any(all(kind.fullmatch(name) for name in names) for kind in ATTRIBUTES)


def may_be_subjects(names: Iterable[str]) -> bool:
    """Whether all have a number, and one of them more than a digit, or a word for a subject before it."""
    names = _folded(names)
    if are_attributes(names) or not all(re.search(r"\d", name) and not NUMBERED.fullmatch(name) for name in names):
        return False
    return any(NAMED_SUBJECT.fullmatch(name) or re.search(r"\d\d", name) for name in names)


def are_subjects(names: Iterable[str]) -> bool:
    """Whether they may be subjects, and all are numbers, or all have a word for a subject, or there are many of them.

    >>> are_subjects(["NCT-CRC-HE-100K", "CRC-VAL-HE-7K"]), are_subjects(["10253", "9"]), are_subjects(["P01", "P02"])
    (False, True, True)
    """
    names = _folded(names)
    alike = all(name.isdigit() for name in names) or all(map(NAMED_SUBJECT.fullmatch, names))
    return may_be_subjects(names) and (alike or len(names) >= MANY)


def are_versions(names: Iterable[str]) -> bool:
    """Whether all say that they hold the same pictures in another form: Original, Augmented, grayscale."""
    return all((MADE | FIRST) & (words := _words(name)) and words <= MADE | FIRST | NEUTRAL for name in names)


def first_version(names: Iterable[str]) -> str | None:
    """Of several versions of the same pictures, the original; None if no name is that of a version.

    >>> first_version(["Augmented", "Original"]), first_version(["cells_aug", "cells"]), first_version(["clinic", "ward"])
    ('Original', 'cells', None)
    """
    names = sorted(names)
    made = [name for name in names if _words(name) & MADE]
    first = [name for name in names if _words(name) & FIRST and name not in made]
    if not made and not first:
        return None
    return next(iter(first or [name for name in names if name not in made] or made))


def is_unlabelled(name: str) -> bool:
    """Whether the folder says that its images have no labels: seg_pred, unlabelled."""
    return bool(_words(name) & UNLABELLED)


def what_they_are(names: Iterable[str]) -> str | None:
    """What folders are that cannot be classes, in words; None if they may be classes.

    >>> what_they_are(["fold1", "fold2"]), what_they_are(["grade1", "grade2"]), what_they_are(["C0", "C1"])
    ('folds', None, None)
    """
    names = list(names)
    folded = _folded(names)
    if len(names) < 2:
        return None
    for kind, what in zip(ATTRIBUTES, ("magnifications", "the sides of a body", "folds"), strict=True):
        if all(map(kind.fullmatch, folded)):
            return what
    if all(map(SURE_SUBJECT.fullmatch, folded)) and not all(map(PART.fullmatch, folded)):
        return "subjects"
    if len(names) >= MANY and all(map(NAMED_SUBJECT.fullmatch, folded)):
        return "subjects"
    if all(map(PART.fullmatch, folded)):
        return "parts of a set"
    return "versions of the same pictures" if are_versions(names) else None


def _folded(names: Iterable[str]) -> list[str]:
    return [name.strip().casefold() for name in names]


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())) - {""}
