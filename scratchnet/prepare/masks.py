"""Pictures that are no images to learn from, though they lie among them: masks and other drawings of what an annotator saw.

They are known by name, and only where the image that they belong to lies beside them: `x_mask.png` beside `x.png`, or a folder
`masks/` beside a folder that holds files of the same names.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from scratchnet.data import Remark

WORDS = (
    r"masks?|seg|segs|segmented|segmentations?|labels?|labelled|labeled|annotations?|annotated|anno|annots?|gt|ground[ _-]?truth|"
    r"contours?|outlines?|overlays?|bbox(?:es)?"
)
NAME = re.compile(rf"(?P<image>.+?)[ _.-]+(?:{WORDS})(?:[ _-]?\d+)?", re.IGNORECASE)
FOLDER = re.compile(rf"(?:.*[ _.-])?(?:{WORDS})", re.IGNORECASE)


def find_masks(paths: Iterable[str]) -> dict[str, Remark]:
    """The files to leave out as masks, by path.

    >>> sorted(find_masks(["a/x.png", "a/x_mask.png", "a/y_mask.png", "b/images/1.png", "b/masks/1.png"]))
    ['a/x_mask.png', 'b/masks/1.png']
    """
    stems: defaultdict[str, dict[str, str]] = defaultdict(dict)  # of each folder: the names without extension
    for path in paths:
        stems[_folder(path)][_stem(path)] = path
    beside: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # folders that differ in one name, or lack it
    for folder in stems:
        parts = folder.split("/")
        for k in range(len(parts)):
            beside["/".join(parts[:k]), "/".join(parts[k + 1 :])].append(folder)
    found: dict[str, Remark] = {}
    for folder, names in stems.items():
        found |= {
            path: Remark(path, "named as a mask or annotation of the image beside it")
            for stem, path in names.items()
            if (match := NAME.fullmatch(stem)) and match["image"] in names
        }
        drawn = _image_folder(folder, names, stems, beside)
        if drawn is not None:
            reason = f"in a folder of masks or annotations, with the names of {drawn}/"
            found |= {path: Remark(path, reason) for path in names.values()}
    return found


def _image_folder(
    folder: str,
    names: dict[str, str],
    stems: dict[str, dict[str, str]],
    beside: dict[tuple[str, str], list[str]],
) -> str | None:
    """The folder whose images these are the masks of; None if this is no folder of masks."""
    parts = folder.split("/")
    for k, part in enumerate(parts):
        if not FOLDER.fullmatch(part):
            continue
        others = [other for other in beside["/".join(parts[:k]), "/".join(parts[k + 1 :])] if other != folder]
        others = [other for other in others if not FOLDER.fullmatch(other.split("/")[k])]
        for other in (*others, "/".join([*parts[:k], *parts[k + 1 :]])):
            there = stems.get(other, {})
            if 2 * sum(stem in there or _unmasked(stem) in there for stem in names) > len(names):
                return other
    return None


def _unmasked(stem: str) -> str:
    match = NAME.fullmatch(stem)
    return match["image"] if match else stem


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(path: str) -> str:
    return unicodedata.normalize("NFC", PurePosixPath(path).stem).casefold()
