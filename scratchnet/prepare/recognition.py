"""Which folders of a tree are the classes, if the user doesn't say.

Mostly those directly in the source. But archives wrap a folder in a folder, sets come divided (train/, test/), sorted by patient
or by magnification (40X/, 100X/), or hold everything twice. If folders beside each other hold folders of the same
names, only the upper ones or only the lower ones are classes. What the names make certain is recognised:

    sides        train, TEST, TEST_SIMPLE, val, seg_test, …         a train side and another
    attributes   40X, 100X; left, right; fold1, fold2               images of all of them are used
    subjects     P01, patient_7, 10253, SOB_B_A_14-22549AB          numbers, which classes seldom are

`folder_names` knows them. Images without labels (seg_pred) may lie beside sides, and are left out. Folders that look like attributes,
subjects, parts (HAM_part_1) or versions of the same pictures (Original, Augmented) are not taken for classes.
Everything else is refused, with the tree and the option that says it: `--layout`.
"""

import filecmp
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.prepare.folder_names import (
    FOLD,
    are_attributes,
    are_sides,
    are_subjects,
    first_version,
    is_unlabelled,
    may_be_subjects,
    what_they_are,
)
from scratchnet.prepare.layout import side_of
from scratchnet.prepare.tree import Folder, grow, key
from scratchnet.terminal.wording import counted

Level = dict[
    str, list[Folder]
]  # the folders of one level, by key; those of one name below different folders count as one


class Unclear(Exception):  # noqa: N818 - caught by `sources`, which adds the tree
    """It cannot be told which folders are the classes; the message says why, and what to do."""


@dataclass
class Recognised:
    """layout: the pattern, such as "{split}/{class}". copies: what is left out because the same lies beside it; by path, dropped."""

    layout: str = ""
    copies: list[Remark] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)


def recognise(source: Path, images: Collection[str], known: Collection[str] = ()) -> Recognised:
    """The layout of the images below `source`. known: the names of the classes, if they are known: they tell the level.

    Raises Unclear if that cannot be told.
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
        return ["{class}", *_below_class(below, [*above, "{class}"])]
    if sides := _sides(names, above):
        folders, wrapped = _labelled(sides, above)
        here = ["{split}", *["*"] * wrapped]
        return [*here, *_levels(folders, known, [*above, *here])]
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
        return _classes(names, above)
    told = bool(known & deeper.keys())
    here = [_which(names, deeper, above) if not told else "{subject}" if are_subjects(_written(names)) else "*"]
    return _classes(names, above) if here == ["{class}"] else [*here, *_levels(below, known, [*above, *here])]


def _classes(names: Level, above: list[str]) -> list[str]:
    """The pattern from the classes on, if these are the folders of a level. Raises Unclear if their names tell something else."""
    option = _option([*above, "{class}"])
    if what := what_they_are(_written(names)):
        raise Unclear(
            f"the folders {_list(names, names)} look like {what}, and no folders tell the classes. If they are the classes, say so: "
            f"{option}"
        )
    for folder in _all(names):
        if len(folder.spellings) > 1:
            raise Unclear(
                f"the folders {' and '.join(sorted(folder.spellings))} lie beside each other, and differ only in upper and lower case, "
                f"or in spaces. Give one another name, or say that they are one class: {option}"
            )
    return ["{class}", *_below_class(_all(names), [*above, "{class}"])]


def _which(names: Level, deeper: Level, above: list[str]) -> str:
    """What the folders of a level are, all of which hold only folders: {class}, {subject}, or * for one that does not matter."""
    again = [name for name, folders in deeper.items() if len(folders) > 1]
    mostly_new = 2 * len(again) < len(deeper)
    upper, inside = are_subjects(_written(names)), _written(deeper)
    lower = are_subjects(inside) or (may_be_subjects(inside) and mostly_new)
    if len(names) == 1:
        return "*"
    if are_attributes(_written(names)) and not lower:
        if are_sides(inside) and all(map(FOLD.fullmatch, names)):
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
        no_classes = lower or len(deeper) == 1 or what_they_are(inside) or are_sides(inside)
        if no_classes or (mostly_new and len(deeper) <= len(names)):
            return "{class}"
    same = (
        f"hold folders of the same names ({_list(deeper, again)})"
        if again
        else f"hold others ({_list(deeper, deeper)})"
    )
    if first := first_version(_written(names)):
        raise Unclear(
            f"the folders {_list(names, names)} {same}, and look like versions of the same pictures: with all of them, a picture and "
            f"its copy could stand on both sides of the split. Choose one: {_option([*above, first, '{class}'])}"
        )
    options = f"{_option([*above, '{class}'])} for the former, {_option([*above, '*', '{class}'])} for the latter"
    if may_be_subjects(_written(names)):
        options += f", {_option([*above, '{subject}', '{class}'])} if the former are subjects"
    raise Unclear(
        f"the folders {_list(names, names)} {same}: which of them are the classes cannot be told. Say it: {options}"
    )


def _below_class(nodes: list[Folder], above: list[str]) -> list[str]:
    """What the folders below the classes are, if every image lies in one."""
    levels: list[str] = []
    while nodes and not any(folder.images for folder in nodes):
        names = _inside(nodes)
        written = _written(names)
        if what_they_are(written) == "versions of the same pictures" and (first := first_version(written)):
            raise Unclear(
                f"the folders {_list(names, names)} look like versions of the same pictures: with all of them, a picture and its copy "
                f"could stand on both sides of the split. Choose one: {_option([*above, *levels, first])}"
            )
        if are_sides(written) and "{split}" not in levels:
            levels.append("{split}")
        elif may_be_subjects(written) and len(names) > 1 and "{subject}" not in levels:
            levels.append("{subject}")
        else:
            levels.append("*")
        nodes = _all(names)
    return levels


def _sides(names: Level, above: list[str]) -> Level | None:
    """The folders that name sides, if any; only images without labels may lie beside them."""
    named = {name: folders for name, folders in names.items() if side_of(folders[0].name)}
    if not are_sides(_written(named)):
        return None
    trained = _inside([_unwrapped(folder)[0] for folder in _all(named) if side_of(folder.name) == "train"])
    for name in names.keys() - named.keys():
        folders = [_unwrapped(folder)[0] for folder in names[name]]
        if not is_unlabelled(names[name][0].name) or trained.keys() & _inside(folders).keys():
            raise Unclear(
                f"{_list(named, named)} name sides, and {names[name][0].name!r} beside them does not. To leave it out, say "
                f"{_option([*above, '{split}', '{class}'])}; to use it, move its images"
            )
    return named


def _labelled(names: Level, above: list[str]) -> tuple[list[Folder], int]:
    """The sides whose folders hold folders, and how many folders of the side's name each is wrapped in.

    A side without labels holds only images, and drops out.
    """
    if "{split}" in above:
        raise Unclear(f"folders that name sides ({_list(names, names)}) lie below folders that do so too")
    opened = [(name, *_unwrapped(folder)) for name in names for folder in names[name]]
    trained = _inside([folder for name, folder, _ in opened if side_of(names[name][0].name) == "train"])
    if not trained:
        raise Unclear(f"{_list(names, names)} name sides, and hold images without folders of classes")
    held = [(folder, depth) for _, folder, depth in opened if folder.folders]
    if len({depth for _, depth in held}) > 1:
        raise Unclear(
            f"of {_list(names, names)}, some hold a folder of their own name around the classes, others do not: remove that folder"
        )
    if not are_subjects(_written(trained)):
        for folder, _ in held:
            if not folder.folders.keys() & trained.keys():
                raise Unclear(
                    f"{folder.name!r} holds none of the folders that the training side holds ({_list(trained, trained)}). "
                    f"To use the training side alone, move the other away"
                )
    return [folder for folder, _ in held], held[0][1]


def _unwrapped(folder: Folder) -> tuple[Folder, int]:
    """The innermost of nested folders of one name or side, such as seg_train/seg_train, and how many lie around it."""
    depth = 0
    while not folder.images and len(folder.folders) == 1:
        (inner,) = folder.folders.values()
        side = side_of(folder.name)
        if key(inner.name) != key(folder.name) and (side is None or side_of(inner.name) != side):
            break
        folder, depth = inner, depth + 1
    return folder, depth


def _inside(nodes: Iterable[Folder]) -> Level:
    """The folders in these folders, by name."""
    found: Level = {}
    for node in nodes:
        for name, folder in node.folders.items():
            found.setdefault(name, []).append(folder)
    return found


def _all(names: Level) -> list[Folder]:
    return [folder for folders in names.values() for folder in folders]


def _written(names: Level) -> list[str]:
    return [folders[0].name for folders in names.values()]


def _list(level: Level, names: Iterable[str]) -> str:
    """A few names, as they are written."""
    written = sorted(level[name][0].name for name in names)
    return ", ".join(written[:4]) + (f" and {len(written) - 4} more" if len(written) > 4 else "")


def _option(levels: list[str]) -> str:
    return f'--layout "{"/".join(levels)}"'


def _leave_out_copies(source: Path, node: Folder, found: Recognised) -> None:
    """Drops folders whose images all lie beside them too: an archive that contains itself (cells/cells/), or one
    unpacked twice.

    Raises Unclear if a folder looks like a copy of what is beside it but differs.
    """
    inside = {name: folder.files() for name, folder in node.folders.items() if folder.folders and not folder.images}
    alike: dict[frozenset[str], list[str]] = {}
    for name in sorted(inside, key=lambda name: (len(name), name)):
        alike.setdefault(frozenset(inside[name]), []).append(name)
    for name, mine in inside.items():
        folder = node.folders[name]
        if folder.folders.keys() <= node.folders.keys() - {name}:
            theirs = {
                relative: path
                for other in folder.folders
                for relative, path in node.folders[other].files(f"{other}/").items()
            }
            differs = next(
                (path for relative, path in mine.items() if not _same(source, path, theirs.get(relative))), None
            )
            if differs is not None:
                raise Unclear(
                    f"{folder.name!r} holds folders of the same names as lie beside it ({_list(_inside([folder]), folder.folders)}) and "
                    f"is not a copy of them: {differs!r} is not there, or differs. Keep one of the two, or bring them together"
                )
        else:
            first = inside[alike[frozenset(mine)][0]]
            inside_it = [one.name for one in folder.folders.values()]
            may_be_classes = len(inside_it) > 1 and not may_be_subjects(inside_it) and not are_sides(inside_it)
            if (
                first is mine
                or not may_be_classes
                or not all(_same(source, path, first[relative]) for relative, path in mine.items())
            ):
                continue
        parts = next(iter(mine.values())).split("/")
        where = "/".join(parts[: len(parts) - len(next(iter(mine)).split("/"))])
        found.copies.append(
            Remark(where + "/", f"{counted(len(mine), 'image')}, the same as beside it: one copy is used")
        )
        found.dropped.update(mine.values())
        del node.folders[name]


def _same(source: Path, path: str, other: str | None) -> bool:
    """Whether two files are equal, byte by byte."""
    try:
        return other is not None and filecmp.cmp(source / path, source / other, shallow=False)
    except OSError:
        return False
