"""Which files of a folder are images of which class and which subject.

    C-NMC       …/fold_0/all/UID_11_10_1_all.bmp     class from the folder, subject (11) from the name; upper and lower
                …/fold_2/hem/UID_H10_2_1_hem.bmp     case mean the same, and HEM subject H11 is not ALL subject 11
                …_prelim_…/17.bmp                    the preliminary test set, if it is asked for: class and original
                …_prelim_…_labels.csv                name from its table;
                prelim_test/all/UID_57_8_11_all.bmp  or sorted into classes, under the original names
    by class    SOURCE/Parasitized/…/any.png         class from the folder directly in SOURCE, or from another level where
                SOURCE/Uninfected/…/any.png          `recognition` is certain of it or --layout says so; subject from a table,
                                                     a pattern, a folder, or C-NMC's names, or unknown

The folds may lie at any depth. Links that lead out of SOURCE, links to folders and hidden folders are not followed; they are
listed, and so is every file that stands outside the folders above.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scratchnet.data import Remark
from scratchnet.errors import DataError
from scratchnet.prepare.cnmc import PRELIM as PRELIM
from scratchnet.prepare.cnmc import Assigned, Choice, choose_cnmc, fold_of, named_as_in_cnmc
from scratchnet.prepare.known_classes import choose_known
from scratchnet.prepare.layout import Layout, side_of
from scratchnet.prepare.listing import list_files, may_be_image
from scratchnet.prepare.masks import find_masks
from scratchnet.prepare.recognition import Recognised, Unclear, recognise
from scratchnet.prepare.subjects import (
    NO_MATCH,
    NO_MATCH_IN_PATH,
    NOT_LISTED,
    OTHER_CASE,
    LeftOut,
    SubjectPattern,
    subject_of,
)
from scratchnet.prepare.tables import SubjectTable, find_rows
from scratchnet.prepare.tree import grow, key
from scratchnet.storage.file_kinds import kind_of
from scratchnet.terminal.invocation import command
from scratchnet.terminal.wording import counted

SHOWN = 3  # archives that a message names
DEEPEST = 6  # folders that an archive may wrap its content in


@dataclass(frozen=True)
class SourceImage:
    """A file that should be an image. path: relative to SOURCE, with "/". subject: None if unknown.

    part: which set it belongs to: of C-NMC "fold_0", … or "prelim"; where folders name sides "train", "validation" or "test";
    "" elsewhere.
    """

    file: Path
    path: str
    label: int
    subject: str | None
    part: str


@dataclass(frozen=True)
class Found:
    """What a folder holds. images: in the order of their paths. left_out: the rest, with reasons.

    layout: "C-NMC", or the pattern of the paths, such as "{class}". sides: the folders that name sides, and the side of each.
    """

    layout: str
    class_names: tuple[str, ...]
    images: tuple[SourceImage, ...]
    left_out: tuple[Remark, ...]
    sides: dict[str, str] = field(default_factory=dict)


def find_images(
    source: Path,
    *,
    subject_pattern: str | None = None,
    subjects: SubjectTable | None = None,
    prelim: bool = False,
    layout: str | None = None,
    known: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Found:
    """Lists the images below `source` with class and subject, decoding none of them.

    subject_pattern: of `SubjectPattern`. subjects: from `read_subjects`; goes before the pattern, and both go before what
    folders and C-NMC's names say. prelim: list C-NMC's preliminary test set too. layout: of `Layout`; None to recognise it.
    known: the classes of a network that is to be judged, used as the class names; without: folders to leave
    out. `known_classes` says which files are of which class then, unless the tree is C-NMC's.

    Raises DataError if `source` is not a folder, its layout cannot be told, it lacks the preliminary test set that is asked
    for, or no image can be used; if a drawing of the tree helps, it is a note of the exception. ConfigError for a pattern
    or layout that is not valid.
    """
    require_images(source)
    pattern = SubjectPattern.compile(subject_pattern) if subject_pattern else None
    files, left_out = list_files(source)
    is_cnmc = layout is None and any(fold_of(path) for path in files)
    sides: dict[str, str] = {}
    if is_cnmc:
        layout = "C-NMC"
        class_names, chosen, outside = choose_cnmc(source, files, prelim)
    elif known and not prelim:
        layout = "known classes"
        class_names, chosen, outside = _choose_known(source, files, known, without)
    elif prelim:
        raise DataError(f"{source} has no fold_0/all, fold_0/hem, … as C-NMC has, which --split prelim trains on.")
    else:
        layout, sides, (class_names, chosen, outside) = _choose_by_class(source, files, layout)
    left_out += outside
    names_tell = is_cnmc or named_as_in_cnmc(class_names, chosen)
    listed = find_rows(subjects, chosen, [path for path in files if path not in chosen]) if subjects else None
    left_out += listed.remarks if listed else ()

    images, refused = [], []
    for path, assigned in chosen.items():
        try:
            subject = subject_of(path, assigned, class_names[assigned.label], names_tell, pattern, listed)
        except LeftOut as reason:
            refused.append(Remark(path, str(reason)))
        else:
            images.append(SourceImage(source / path, path, assigned.label, subject, assigned.part))
    if not images:
        raise DataError(f"{source}: no image to use: {_why_none(refused, pattern, subjects)}.")
    return Found(layout, class_names, tuple(images), (*left_out, *refused), sides)


def require_images(source: Path) -> None:
    """Raises DataError unless `source` is a folder; for a file, the message says of what kind it is and what to do with it."""
    if source.is_dir():
        return
    if not source.exists():
        raise DataError(
            f"{source}: there is no such folder. Give the folder that holds fold_0, fold_1, … or one folder per class."
        )
    kind = kind_of(source)
    expected = "expected a folder of images"
    steps = {
        "archive": "Unpack it, and give the folder that comes out.",
        "arrays": "Write each of its images as a PNG file into a folder named after its class, and give the folder above.",
        "image": f"Give the folder that holds a folder of images for each class; `{command('predict')}` takes single images.",
        "weights": f"Give the images; `{command('import')}` reads weights.",
        "table": "Give the folder of images, and this table, if it names their subjects, with --subjects.",
        "workbook": "Give the folder of images, and a table of their subjects, saved as CSV, with --subjects.",
        "pointer": "Fetch the file with `git lfs pull`.",
        "page": "A download seems to have failed: fetch the images anew.",
        "empty": "A download seems to have failed: fetch the images anew.",
    }
    name = kind.name if kind.group != "unknown" else "a file"
    raise DataError(f"{source} is {name}; {expected}. {steps.get(kind.group, 'Give the folder.')}")


def _why_none(refused: list[Remark], pattern: SubjectPattern | None, table: SubjectTable | None) -> str:
    """Why no file of the classes can be used."""
    if pattern and all(remark.reason in (NO_MATCH, NO_MATCH_IN_PATH) for remark in refused):
        where = "path" if pattern.searches_path else "file's name"
        shown = refused[0].path if pattern.searches_path else refused[0].path.rpartition("/")[2]
        found = f"--subject-pattern '{pattern.expression.pattern}' finds no subject in any {where}, e.g. in {shown!r}"
        return found + pattern.hint(refused[0].path)
    if table and all(remark.reason in (NOT_LISTED, OTHER_CASE) for remark in refused):
        first = table.rows[0].file if table.rows else "none"
        case = ". Upper and lower case must agree" if refused[0].reason == OTHER_CASE else ""
        return f"{table.name} lists none of the files. It names {first!r}; expected paths in the source, such as {refused[0].path!r}{case}"
    return "; ".join(f"{remark.path!r}: {remark.reason}" for remark in refused[:3])


def _choose_known(source: Path, files: list[str], known: Sequence[str], without: Sequence[str]) -> Choice:
    """The files of classes whose names are known. Folders tell the subjects as they do while preparing."""
    pictures = [path for path in files if may_be_image(source, path)]
    numbers = {key(name) for name in known}
    masks = find_masks(
        pictures, class_of=lambda path: next((part for part in path.split("/")[:-1] if key(part) in numbers), None)
    )
    files = [path for path in files if path not in masks]
    images = [path for path in pictures if path not in masks]
    try:
        found = recognise(source, images, known) if any("/" in path for path in images) else Recognised()
    except Unclear:  # only the subjects are lost
        found = Recognised()
    labels, outside = choose_known(
        source, [path for path in files if path not in found.dropped], known, without, set(images)
    )
    pattern = Layout.parse(found.layout or "{class}")
    subjects = {path: (pattern.meanings(path) or {}).get("subject") for path in labels}
    chosen = {path: Assigned(label, "folder", "", path, subjects[path]) for path, label in labels.items()}
    return tuple(known), chosen, [*masks.values(), *found.copies, *outside]


def _choose_by_class(source: Path, files: list[str], layout: str | None) -> tuple[str, dict[str, str], Choice]:
    """The layout, the sides that its folders name, and the files of the classes, which are in the order of their names."""
    pictures = {path for path in files if may_be_image(source, path)}
    left_out, ignored = _without_pictures(files, pictures)
    images = [path for path in files if path in pictures]
    try:
        said = None if layout is None else _fitting(layout, images)
        masks = find_masks(images, source, _class_of(said) if said else None)
        left_out += masks.values()
        rest = [path for path in files if path not in masks and path not in ignored]
        images = [path for path in rest if path in pictures]
        if said is not None:
            pattern = said
        elif any("/" in path for path in images):
            found = recognise(source, images)
            pattern = Layout.parse(found.layout)
            left_out += found.copies
            rest, images = ([path for path in paths if path not in found.dropped] for paths in (rest, images))
        else:
            pattern = Layout.parse("{class}")
    except Unclear as reason:
        raise _with_tree(source, images, f"{reason}.") from None

    meanings = {path: meaning for path in rest if (meaning := pattern.meanings(path))}
    sides = {meaning["split"]: side_of(meaning["split"]) for meaning in meanings.values() if "split" in meaning}
    meanings = {
        path: meaning for path, meaning in meanings.items() if sides.get(meaning.get("split", ""), "") is not None
    }
    names = {key(meanings[path]["class"]): meanings[path]["class"] for path in reversed(images) if path in meanings}
    class_names = tuple(sorted(names.values()))
    if len(class_names) < 2:
        there = f"one folder with images ({', '.join(class_names)})" if class_names else "no folder with images"
        raise _with_tree(
            source,
            images,
            f"holds {there}. Expected fold_0/all, fold_0/hem, … as in C-NMC, or at least two folders, one per class."
            f"{_archives(source, [path for path in files if path not in pictures])}",
        )
    labels = {name: class_names.index(written) for name, written in names.items()}
    alone = "test" not in sides.values()  # then the validation side is the one to test on
    named = {folder: "test" if side == "validation" and alone else side for folder, side in sides.items() if side}
    chosen: dict[str, Assigned] = {}
    outside: Counter[tuple[str, str]] = Counter()
    for path in rest:
        meaning = meanings.get(path)
        if meaning and key(meaning["class"]) in labels:
            part = named.get(meaning.get("split", ""), "")
            chosen[path] = Assigned(labels[key(meaning["class"])], "folder", part, path, meaning.get("subject"))
        elif "/" not in path:
            left_out.append(Remark(path, "stands in no class folder"))
        else:
            why = f"not in a folder of a class ({pattern.text})"
            if pattern.has_sides and (match := pattern.meanings(path)) and match["split"] not in named:
                why = f"{match['split']} names no side, as train, test and validation do"
            outside[path.rpartition("/")[0], why] += 1
    left_out += [Remark(f"{folder}/", f"{counted(count, 'file')}, {why}") for (folder, why), count in outside.items()]
    return pattern.text, named, (class_names, chosen, left_out)


def _fitting(text: str, images: list[str]) -> Layout:
    """The pattern that was asked for, from the source on, or from below the folder in which an archive wraps its content."""
    first = Layout.parse(text)
    for depth in range(DEEPEST):
        pattern = Layout.parse("*/" * depth + text)
        if len({key(meaning["class"]) for path in images if (meaning := pattern.meanings(path))}) >= 2:
            return pattern
        if len({path.split("/")[depth] for path in images if path.count("/") > depth}) != 1:
            break
    if images and not any(map(first.meanings, images)):
        raise Unclear(f"--layout {text!r} fits no image, e.g. not {images[0]!r}")
    return first


def _class_of(pattern: Layout) -> Callable[[str], str | None]:
    return lambda path: (pattern.meanings(path) or {}).get("class")


def _without_pictures(files: list[str], pictures: Collection[str]) -> tuple[list[Remark], set[str]]:
    """The uppermost folders without a picture, as remarks; and the files in them."""
    holding = {folder for path in pictures for folder in _folders(path)}
    ignored = {
        path: folder for path in files if (folder := next((f for f in _folders(path) if f not in holding), None))
    }
    counts = Counter(ignored.values())
    return [
        Remark(f"{folder}/", f"{counted(count, 'file')}, none of them an image: ignored")
        for folder, count in counts.items()
    ], set(ignored)


def _archives(source: Path, files: list[str]) -> str:
    """What to do with the archives among these files, after a space; empty if there are none."""
    packed = [path for path in files if kind_of(source / path).group == "archive"]
    if not packed:
        return ""
    more = f" and {len(packed) - SHOWN} more" if len(packed) > SHOWN else ""
    return f" It holds {counted(len(packed), 'archive')} ({', '.join(packed[:SHOWN])}{more}): unpack each into a folder of its name."


def _folders(path: str) -> list[str]:
    """The folders above a file, the uppermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: k + 1]) for k in range(len(parts))]


def _with_tree(source: Path, images: list[str], reason: str) -> DataError:
    """An error of one line, with the tree as it was understood as a note."""
    error = DataError(f"{source}: {reason}")
    if any("/" in path for path in images):
        error.add_note(grow(images, source.resolve().name).draw())
    return error
