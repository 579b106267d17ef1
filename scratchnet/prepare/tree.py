"""The folders below a source, with how many images each holds: they show which folders are the classes."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from scratchnet.terminal.command_line import printable
from scratchnet.terminal.wording import counted

MOST_LINES = 24  # of a drawing
MOST_CHILDREN = 6  # of one folder in it


@dataclass
class Folder:
    """One folder. images: the files in it, by name, with their paths. folders: those in it that hold images somewhere, by name.

    Names are the same if their composed forms in lower case are (`key`); `name` is the first spelling met.
    spellings: all the ways in which it is written.
    """

    name: str = ""
    images: dict[str, str] = field(default_factory=dict)
    folders: dict[str, "Folder"] = field(default_factory=dict)
    spellings: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """Images in it and below it."""
        return len(self.images) + sum(folder.count for folder in self.folders.values())

    def files(self, above: str = "") -> dict[str, str]:
        """All images in it and below it: their path below this folder, and their whole path."""
        found = {above + name: path for name, path in self.images.items()}
        for key, folder in self.folders.items():
            found |= folder.files(f"{above}{key}/")
        return found

    def draw(self) -> str:
        """A few lines: the folders, indented, with their images."""
        shapes = ((3, MOST_CHILDREN), (2, MOST_CHILDREN), (2, 4), (2, 2))  # as deep and as wide as there is room for
        drawings = [_lines(self, 0, *shape) for shape in shapes]
        lines = next((lines for lines in drawings if len(lines) <= MOST_LINES), drawings[-1])
        width = max(len(text) for text, _ in lines)
        return "\n".join(f"{text:<{width}}  {count}".rstrip() for text, count in lines)


def grow(paths: Iterable[str], name: str = "") -> Folder:
    """The tree of these images.

    >>> print(grow(["all/1.png", "all/2.png", "hem/P1/1.png"], "cells").draw())
    cells/   3 images
      all/   2
      hem/   1
        P1/  1
    """
    root = Folder(name)
    for path in paths:
        *folders, file = path.split("/")
        here = root
        for folder in folders:
            written = unicodedata.normalize("NFC", folder)
            here = here.folders.setdefault(key(folder), Folder(written))
            here.spellings.add(written)
        here.images[file] = path
    return root


def key(name: str) -> str:
    """The form in which names are compared: Unicode's composed form, in lower case, without spaces around."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def _lines(folder: Folder, depth: int, deepest: int, widest: int) -> list[tuple[str, str]]:
    images = counted(folder.count, "image") if depth == 0 else str(folder.count)
    lines = [("  " * depth + printable(folder.name) + "/", images)]
    if depth == deepest:
        return lines
    inside = sorted(folder.folders.values(), key=lambda one: one.name)
    for one in inside[:widest]:
        lines += _lines(one, depth + 1, deepest, widest)
    if len(inside) > widest:
        lines.append(("  " * (depth + 1) + f"... {len(inside) - widest} more folders", ""))
    if folder.images and inside:
        lines.append(("  " * (depth + 1) + f"(directly in it: {len(folder.images)})", ""))
    return lines
