"""Which files of a folder are of which class, if the classes are known: those of a network that is judged on them.

Training takes every folder as a class. Judging knows the classes: a folder that bears a class's name is that class,
at any depth and in upper or lower case; one class alone is enough; a folder without images says nothing; and images
of a class that the network does not know cannot be judged, so they are refused until they are left out by name.
"""

import unicodedata
from collections.abc import Sequence, Set
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare.layout import side_of
from scratchnet.terminal.wording import counted

SHOWN = 3  # folders of one kind that a message names


def choose_known(
    source: Path, files: Sequence[str], names: Sequence[str], without: Sequence[str], pictures: Set[str]
) -> tuple[dict[str, int], list[Remark]]:
    """The label of each file, a position in `names`, by path; and what is left out, with the reason.

    source: the folder. files: below it, relative, with "/". names: of the network's classes. without: folders to leave out,
    by name or by path. pictures: those of the files that may be images.

    Raises DataError if no folder bears a class's name, if images stand in folders of other names, or if several sides
    of a split (train, test) stand beside each other; ConfigError if `without` names a folder that doesn't exist.
    """
    number = {_folded(name): k for k, name in enumerate(names)}
    unwanted = {_folded(name.strip("/").replace("\\", "/")): name for name in without}
    chosen: dict[str, int] = {}
    left_out: list[Remark] = []
    strangers: dict[str, list[str]] = {}
    bare: dict[str, int] = {}  # the uppermost folders without a picture, and their files
    holding = {above for path in pictures for above in _above(path)}
    asked: dict[str, int] = {}
    for path in files:
        folders = path.split("/")[:-1]
        ways = {_folded(one) for one in (*folders, *_above(path))}
        if hit := next((name for name in unwanted if name in ways), None):
            asked[hit] = asked.get(hit, 0) + 1
            continue
        if empty := next((folder for folder in _above(path) if folder not in holding), None):
            bare[empty] = bare.get(empty, 0) + 1
            continue
        label = next((number[_folded(folder)] for folder in folders if _folded(folder) in number), None)
        if label is not None:
            chosen[path] = label
        elif not folders:
            left_out.append(Remark(path, "stands in no class folder"))
        else:
            strangers.setdefault(folders[0], []).append(path)
    if idle := [name for folded, name in unwanted.items() if folded not in asked]:
        raise ConfigError(f"--without {idle[0]}: {source} has no folder of that name with files in it")
    left_out += [
        Remark(f"{unwanted[name]}/", f"{counted(count, 'file')}, left out as asked") for name, count in asked.items()
    ]
    left_out += [
        Remark(f"{folder}/", f"{counted(count, 'file')}, none of them an image: ignored")
        for folder, count in bare.items()
    ]
    refused = {_common(paths): sum(path in pictures for path in paths) for paths in strangers.values()}
    _require_classes(source, names, chosen, refused, list(bare))
    return chosen, left_out


def _require_classes(
    source: Path, names: Sequence[str], chosen: dict[str, int], refused: dict[str, int], bare: Sequence[str]
) -> None:
    known = ", ".join(names)
    classes = {_folded(name) for name in names}
    named = next((folder for folder in bare if classes & set(map(_folded, folder.split("/")))), None)
    if not chosen and not refused and named:
        raise DataError(
            f"{source}: no image in it; its folder {named!r} holds other files. Put the images of the class there"
        )
    if not chosen:
        raise DataError(
            f"{source}: no folder in it is named like one of the network's classes, which are {known}{_instead(source, names, refused)}"
        )
    if refused:
        folder, images = next(iter(refused.items()))
        more = f" (and {len(refused) - 1} more such folders)" if len(refused) > 1 else ""
        count = counted(images, "image")
        raise DataError(
            f"{source}: the folder {folder!r}{more} with {count} is not one of the network's classes, which are {known}: "
            f"leave it out with --without {_quoted(folder)}, or give it the name of the class that it holds"
        )
    sides = sorted({first for path in chosen if side_of(first := path.split("/")[0]) and _folded(first) not in classes})
    if len(sides) > 1:
        raise DataError(
            f"{source} holds the sides {', '.join(sides)}: judge one of them, such as {source / sides[0]}, or leave the "
            f"others out with --without {sides[-1]}"
        )


def _instead(source: Path, names: Sequence[str], refused: dict[str, int]) -> str:
    """What the source holds instead of class folders, and what to do."""
    if source.resolve().name.casefold() in {name.casefold() for name in names}:
        return f". The folder itself has such a name: give the one above it, {source.resolve().parent}"
    if refused:
        shown = ", ".join(map(repr, list(refused)[:SHOWN])) + (", …" if len(refused) > SHOWN else "")
        return f"; it holds {shown}. Give each folder the name of the class that it holds"
    return ". Put the images of a class into a folder of its name"


def _above(path: str) -> list[str]:
    """The folders above a file, the uppermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: k + 1]) for k in range(len(parts))]


def _common(paths: Sequence[str]) -> str:
    """The folder that holds all of them, relative to the source."""
    common = paths[0].split("/")[:-1]
    for path in paths[1:]:
        parts = path.split("/")[:-1]
        same = [k for k, (one, other) in enumerate(zip(common, parts, strict=False)) if one == other]
        common = common[: len(same)] if same == list(range(len(same))) else common[:1]
    return "/".join(common)


def _folded(name: str) -> str:
    """Upper and lower case are the same, and so are the two ways of writing an umlaut."""
    return unicodedata.normalize("NFC", name).casefold()


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
