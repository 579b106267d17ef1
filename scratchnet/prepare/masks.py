"""Pictures that lie among the images but are not to be learnt from: masks and other drawings of what an annotator saw.

They are known by name, and only where the image that they belong to lies beside them: `x_mask.png` beside `x.png`, or a folder
`masks/` beside a folder `images/` that holds files of the same names. A folder called so beside one of any other name may be a
class (segmented beside band): then the pixels decide, and if they cannot, nothing is guessed.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from scratchnet.data import Remark
from scratchnet.prepare.overlays import are_overlays
from scratchnet.prepare.recognition import Unclear

WORDS = (
    r"masks?|seg|segs|segmented|segmentations?|labels?|labelled|labeled|annotations?|annotated|anno|annots?|gt|ground[ _-]?truth|"
    r"contours?|outlines?|overlays?|bbox(?:es)?"
)
IMAGE_WORDS = r"images?|imgs?|pictures?|photos?|originals?|orig|raw|colou?r|rgb|inputs?"
SUFFIX = re.compile(
    rf"(?P<image>.+?)[ _.-]+(?:(?:cp|cell|cells|nuclei|binary|lesion)[ _-]?)?(?:{WORDS}|lesion|superpixels?)(?:[ _-]?\d+)?"
)
PREFIX = re.compile(rf"(?:{WORDS})[ _.-]+(?P<image>.+)")
HERLEV = re.compile(
    r"(?P<image>.+)-d"
)  # one letter is weak evidence: it counts only if nearly every file of the folder has a mask, or is one
IMAGE_NAME = re.compile(rf"(?:(?:{IMAGE_WORDS})[ _.-]+(?P<after>.+)|(?P<before>.+?)[ _.-]+(?:{IMAGE_WORDS}))")
FOLDER = re.compile(rf"(?:.*[ _.-])?(?:{WORDS})")
IMAGE_FOLDER = re.compile(rf"(?:.*[ _.-])?(?:{IMAGE_WORDS})(?:[ _.-].*)?")


def find_masks(
    paths: Iterable[str], source: Path | None = None, class_of: Callable[[str], str | None] | None = None
) -> dict[str, Remark]:
    """The files to leave out as masks, by path.

    source: the folder of these paths, to look at pixels where names don't decide; without it, files that may be images are.
    class_of: the folder that is the class of a path, if that is known: such a folder does not hold masks.

    Raises Unclear if a folder may be a class or hold masks.

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
    doubtful: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for folder, names in stems.items():
        found |= {
            names[stem]: Remark(names[stem], "named as a mask or annotation of the image beside it")
            for stem in _masks_among(names)
        }
        for other, part, certain in _image_folders(folder, names, stems, beside):
            if class_of and any((of := class_of(path)) and _plain(of) == _plain(part) for path in names.values()):
                break
            if certain:
                found |= _remarks(names.values(), other)
                break
            pairs = [(names[stem], there) for stem in names if (there := _image_of(stem, stems[other]))]
            doubtful[part, other.split("/")[folder.split("/").index(part)]] += pairs
            break
    for (part, other), pairs in doubtful.items():  # one question for all folders of this name
        drawn = are_overlays([(source / mask, source / image) for mask, image in pairs]) if source else False
        if drawn is None and not class_of:
            raise Unclear(
                f"the folder {part!r} holds files of the same names as {other!r} beside it: is it a class, or does it hold masks of the "
                f'images there? If it is a class, say so, as in --layout "{{class}}"; if it holds masks, move it elsewhere'
            )
        for folder in {_folder(mask) for mask, _ in pairs} if drawn else ():
            found |= _remarks(stems[folder].values(), next(_folder(i) for m, i in pairs if _folder(m) == folder))
    return found


def _remarks(paths: Iterable[str], other: str) -> dict[str, Remark]:
    return {path: Remark(path, f"in a folder of masks or annotations, with the names of {other}/") for path in paths}


def _masks_among(names: dict[str, str]) -> set[str]:
    """The files of a folder that are masks of others in it."""
    bases = {_base(name) for name in names} | names.keys()
    found = {
        stem
        for stem in names
        for kind in (SUFFIX, PREFIX)
        if (match := kind.fullmatch(stem)) and match["image"] in bases
    }
    lettered = {stem for stem in names if (match := HERLEV.fullmatch(stem)) and match["image"] in names}
    return found | (lettered if len(lettered) > 2 and 2 * len(lettered) >= 0.9 * len(names) else set())


def _image_folders(
    folder: str,
    names: dict[str, str],
    stems: dict[str, dict[str, str]],
    beside: dict[tuple[str, str], list[str]],
) -> Iterable[tuple[str, str, bool]]:
    """The folders with the images that these may be masks of, the name that differs, and whether the names make it certain."""
    parts = folder.split("/")
    for k, part in enumerate(parts):
        if not FOLDER.fullmatch(_plain(part)):
            continue
        others = [other for other in beside["/".join(parts[:k]), "/".join(parts[k + 1 :])] if other != folder]
        others = [other for other in others if not FOLDER.fullmatch(_plain(other.split("/")[k]))]
        above = "/".join([*parts[:k], *parts[k + 1 :]])
        images = [other for other in others if IMAGE_FOLDER.fullmatch(_plain(other.split("/")[k]))]
        for other in (*images, above, *(other for other in others if other not in images)):
            there = stems.get(other, {})
            if 2 * sum(_image_of(stem, there) is not None for stem in names) > len(names):
                yield other, part, other == above or other in images


def _image_of(stem: str, there: dict[str, str]) -> str | None:
    """The path of the image whose mask a file of this name is, among those of another folder."""
    matches = (SUFFIX.fullmatch(stem), PREFIX.fullmatch(stem))
    for name in (stem, *(match["image"] for match in matches if match)):
        if name in there:
            return there[name]
    return None


def _base(stem: str) -> str:
    """The name of an image without the word that marks it as an image."""
    match = IMAGE_NAME.fullmatch(stem)
    return stem if match is None else match["after"] or match["before"]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(path: str) -> str:
    return _plain(PurePosixPath(path).stem)


def _plain(name: str) -> str:
    """In lower case, with a space where a capital begins a word: imgMask is img mask."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", unicodedata.normalize("NFC", name)).casefold()
