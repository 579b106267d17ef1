"""Which folders of a tree are the classes, where nobody says it.

Mostly those directly in the source. But archives wrap a folder in a folder, sets come divided (train/, test/), sorted by patient
or by magnification (40X/, 100X/), or hold everything twice. Where folders beside each other hold folders of the same names, either
the upper ones are no classes, or the lower ones. What the names make certain is recognised:

    sides        train, TEST, TEST_SIMPLE, val, seg_test, …         a train side and another
    attributes   40X, 100X; left, right; fold1, fold2               images of all of them are used
    subjects     P01, patient_7, 10253, SOB_B_A_14-22549AB          numbers, which classes seldom are

Everything else is refused, with the tree and the option that says it: `--layout`.
"""

import filecmp
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.prepare.layout import side_of
from scratchnet.prepare.tree import Folder, grow, key

FOLD = re.compile(r"(?:cv|k)?[ _-]?fold[ _-]?\d+")
ATTRIBUTES = (
    re.compile(r"\d+(?:\.\d+)?[ _-]?x|x[ _-]?\d+|mag(?:nification)?[ _-]?\d+x?"),
    re.compile(r"left|right|l|r|od|os|left[ _-]?eye|right[ _-]?eye"),
    FOLD,
)
NUMBERED = re.compile(  # has a number, and is no subject
    r"(?:19|20)\d\d([ _-]\d\d?){0,2}|"
    r"(?:.*[^a-z])?(?:fold|part|batch|set|class|grade|group|level|stage|type|score|day|week|year|session|run|exp|v|ver|version)"
    r"[ _-]?\d+"
)
NAMED_SUBJECT = re.compile(
    r"(?:.*[^a-z])?(?:patients?|subjects?|subj|case|donor|person|pat|pt|sub|p|s|id|uid|pid)[ _.-]?\d+(?:[^0-9].*)?"
)
MANY = 5  # folders called P01, P02, … that are no classes without its being said
Level = dict[str, list[Folder]]  # the folders of one level, by key; those of one name, under different folders, are one


class Unclear(Exception):  # noqa: N818 - caught by `sources`, which adds the tree
    """Which folders are the classes cannot be told; the message says why, and what to do."""


@dataclass
class Recognised:
    """layout: the pattern, such as "{split}/{class}". copies: what is left out because the same lies beside it; by path, dropped."""

    layout: str = ""
    copies: list[Remark] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)


def recognise(source: Path, images: Collection[str], known: Collection[str] = ()) -> Recognised:
    """The layout of the images below `source`. known: the names of the classes, if they are known: they tell the level.

    Raises Unclear where it can't be told.
    """
    found, node = Recognised(), grow(images)
    wanted = frozenset(map(key, known))
    wrappers: list[str] = []
    while True:  # into the one folder that an archive packs everything in
        _leave_out_copies(source, node, found)
        below = next(iter(node.folders.values()), None)
        if node.images or len(node.folders) != 1 or below is None or not below.folders or wanted & node.folders.keys():
            break
        node = below
        wrappers.append("*")
    levels = [*wrappers, *_levels([node], wanted, wrappers)]
    while levels[-1] == "*":
        levels.pop()
    found.layout = "/".join(levels)
    return found


def _levels(nodes: list[Folder], known: frozenset[str], above: list[str]) -> list[str]:
    """The pattern from here on. nodes: the folders above this level. above: the pattern so far."""
    names = _inside(nodes)
    below = _all(names)
    deeper = _inside(below)
    if not names:
        raise Unclear("the images lie in no folders that could be the classes")
    if known & names.keys():
        return ["{class}", *_below_class(below)]
    if _are_sides(names):
        return ["{split}", *_levels(_labelled(names, above), known, [*above, "{split}"])]
    flat = [name for name, folders in names.items() if any(folder.images for folder in folders)]
    nested = [name for name in names if name not in flat]
    if flat and nested:
        raise Unclear(
            f"some folders hold images themselves ({_list(names, flat)}), others only folders of images ({_list(names, nested)}). If "
            f"all of them are classes, say so: {_option([*above, '{class}'])}"
        )
    if flat:
        if twice := deeper.keys() & names.keys():
            raise Unclear(
                f"folders of the same name lie beside and inside one another: {_list(names, twice)}. Keep one of them"
            )
        if len(names) >= MANY and all(map(NAMED_SUBJECT.fullmatch, names)):
            raise Unclear(
                f"the folders {_list(names, names)} look like subjects, and no folders tell the classes. If they are the classes, say "
                f"so: {_option([*above, '{class}'])}"
            )
        return ["{class}", *_below_class(below)]
    told = bool(known & deeper.keys())
    here = _which(names, deeper, above) if not told else "{subject}" if _are_subjects(names) else "*"
    if here == "{class}":
        return ["{class}", *_below_class(below)]
    return [here, *_levels(below, known, [*above, here])]


def _which(names: Level, deeper: Level, above: list[str]) -> str:
    """What the folders of a level are, all of which hold only folders: {class}, {subject}, or * for what does not matter."""
    again = [name for name, folders in deeper.items() if len(folders) > 1]
    upper, lower = _are_subjects(names), _are_subjects(deeper)
    if len(names) == 1:
        return "*"
    if _are_attributes(names) and not lower:
        if _are_sides(deeper) and all(map(FOLD.fullmatch, names)):
            chosen = _option([*above, min(folder.name for folder in _all(names)), "{split}", "{class}"])
            raise Unclear(
                f"every fold has sides of its own ({_list(deeper, deeper)}), so that an image trains in one and tests in another. "
                f"Choose one by its name: {chosen}"
            )
        return "*"
    if upper and lower:  # the classes may be numbers too: they are few
        if len(names) >= 2 * len(deeper) and again:
            return "{subject}"
        if len(deeper) >= 2 * len(names):
            return "{class}"
    elif upper and again:
        return "{subject}"
    elif not upper:
        no_classes = lower or len(deeper) == 1 or _are_attributes(deeper) or _are_sides(deeper)
        if no_classes or 2 * len(again) < len(deeper):
            return "{class}"
    first, second = _option([*above, "{class}"]), _option([*above, "*", "{class}"])
    same = (
        f"hold folders of the same names ({_list(deeper, again)})"
        if again
        else f"hold others ({_list(deeper, deeper)})"
    )
    raise Unclear(
        f"the folders {_list(names, names)} {same}: which of them are the classes cannot be told. Say it: {first} for the former, "
        f"{second} for the latter"
    )


def _below_class(nodes: list[Folder]) -> list[str]:
    """What the folders below the classes are, as far as every image lies in one."""
    levels: list[str] = []
    while nodes and not any(folder.images for folder in nodes):
        names = _inside(nodes)
        if _are_sides(names) and "{split}" not in levels:
            levels.append("{split}")
        elif _are_subjects(names) and len(names) > 1 and "{subject}" not in levels:
            levels.append("{subject}")
        else:
            levels.append("*")
        nodes = _all(names)
    return levels


def _labelled(names: Level, above: list[str]) -> list[Folder]:
    """Of the sides, the folders that hold folders; those of a side without labels hold images alone, and drop out."""
    if "{split}" in above:
        raise Unclear(f"folders that name sides ({_list(names, names)}) lie below folders that do so too")
    folders = [folder for name in names for folder in names[name] if folder.folders]
    trained = _inside([folder for name in names if side_of(name) == "train" for folder in names[name]])
    if not trained:
        raise Unclear(f"{_list(names, names)} name sides, and hold images without folders of classes")
    if not _are_subjects(trained):
        for folder in folders:
            if not folder.folders.keys() & trained.keys():
                raise Unclear(
                    f"{folder.name!r} holds none of the folders that the training side holds ({_list(trained, trained)}). "
                    f"To use the training side alone, move the other away"
                )
    return folders


def _are_sides(names: Iterable[str]) -> bool:
    sides = {side_of(name) for name in names}
    return None not in sides and "train" in sides and len(sides) > 1


def _are_attributes(names: Iterable[str]) -> bool:
    return any(all(kind.fullmatch(name) for name in names) for kind in ATTRIBUTES)


def _are_subjects(names: Iterable[str]) -> bool:
    """Whether all have a number, and one of them more than a digit, or a word for a subject before it."""
    names = list(names)
    if _are_attributes(names) or not all(re.search(r"\d", name) and not NUMBERED.fullmatch(name) for name in names):
        return False
    return any(NAMED_SUBJECT.fullmatch(name) or re.search(r"\d\d", name) for name in names)


def _inside(nodes: Iterable[Folder]) -> Level:
    """The folders in these folders, by name."""
    found: Level = {}
    for node in nodes:
        for name, folder in node.folders.items():
            found.setdefault(name, []).append(folder)
    return found


def _all(names: Level) -> list[Folder]:
    return [folder for folders in names.values() for folder in folders]


def _list(level: Level, names: Iterable[str]) -> str:
    """A few names, as they are written."""
    written = sorted(level[name][0].name for name in names)
    return ", ".join(written[:4]) + (f" and {len(written) - 4} more" if len(written) > 4 else "")


def _option(levels: list[str]) -> str:
    return f'--layout "{"/".join(levels)}"'


def _leave_out_copies(source: Path, node: Folder, found: Recognised) -> None:
    """Drops folders whose images all lie beside them too: an archive in itself (cells/cells/), or one unpacked twice.

    Raises Unclear where a folder looks like a copy of what is beside it and is none.
    """
    inside = {name: folder.files() for name, folder in node.folders.items() if folder.folders and not folder.images}
    alike: dict[frozenset[str], list[str]] = {}
    for name in sorted(inside, key=lambda name: (len(name), name)):
        alike.setdefault(frozenset(inside[name]), []).append(name)
    for name, mine in inside.items():
        folder = node.folders[name]
        if folder.folders.keys() <= node.folders.keys() - {name}:
            theirs = {
                place: path
                for other in folder.folders
                for place, path in node.folders[other].files(f"{other}/").items()
            }
            differs = next((path for place, path in mine.items() if not _same(source, path, theirs.get(place))), None)
            if differs is not None:
                raise Unclear(
                    f"{folder.name!r} holds folders of the same names as lie beside it ({_list(_inside([folder]), folder.folders)}) and "
                    f"is no copy of them: {differs!r} is not there, or differs. Keep one of the two, or bring them together"
                )
        else:
            first = inside[alike[frozenset(mine)][0]]
            may_be_classes = (
                len(folder.folders) > 1 and not _are_subjects(folder.folders) and not _are_sides(folder.folders)
            )
            if (
                first is mine
                or not may_be_classes
                or not all(_same(source, path, first[place]) for place, path in mine.items())
            ):
                continue
        place = next(iter(mine.values())).split("/")
        where = "/".join(place[: len(place) - len(next(iter(mine)).split("/"))])
        found.copies.append(Remark(where + "/", f"{len(mine)} images, the same as beside it: one copy is used"))
        found.dropped.update(mine.values())
        del node.folders[name]


def _same(source: Path, path: str, other: str | None) -> bool:
    """Whether two files are equal, byte by byte."""
    try:
        return other is not None and filecmp.cmp(source / path, source / other, shallow=False)
    except OSError:
        return False
