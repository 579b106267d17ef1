"""Images that show exactly the same pixels, under whatever names."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from scratchnet.data import Remark


def find_duplicates(
    paths: Sequence[str],
    contents: Sequence[Hashable],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    keep: bool = False,
) -> dict[int, Remark]:
    """Positions of the images to leave out, each with the reason.

    Same pixels in one class: the first path in order stays, the others are left out (none, if `keep`).
    Same pixels in different classes: at least one of them is mislabelled and nobody knows which, so all are left out.

    paths, contents (equal for equal pixels), labels: one entry an image, sorted by path.

    >>> find_duplicates(["a/1", "a/2", "b/3"], ["x", "y", "x"], [0, 0, 1], ["a", "b"])[0].reason
    'mislabelled: the same image is in class a (a/1) and in class b (b/3)'
    """
    left_out: dict[int, Remark] = {}
    for same in _positions(contents).values():
        first = same[0]
        other = next((k for k in same if labels[k] != labels[first]), None)
        if other is not None:
            both = f"in class {class_names[labels[first]]} ({paths[first]}) and in class {class_names[labels[other]]} ({paths[other]})"
            left_out |= {k: Remark(paths[k], f"mislabelled: the same image is {both}") for k in same}
        elif not keep:
            left_out |= {k: Remark(paths[k], f"duplicate: the same image as {paths[first]}") for k in same[1:]}
    return left_out


def merge_subjects(subjects: Sequence[str], contents: Sequence[Hashable]) -> dict[str, tuple[str, ...]]:
    """For each subject, all the subjects that it is one with, sorted: those that share an image, directly or through others.

    One cell has one donor: two subjects with the same image are one person under two numbers.

    >>> merge_subjects(["20", "21", "33"], ["x", "x", "y"])
    {'20': ('20', '21'), '21': ('20', '21'), '33': ('33',)}
    """
    parent = {subject: subject for subject in subjects}

    def representative(subject: str) -> str:
        while parent[subject] != subject:
            subject = parent[subject]
        return subject

    for same in _positions(contents).values():
        for k in same[1:]:
            parent[representative(subjects[k])] = representative(subjects[same[0]])
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for subject in sorted(parent):
        groups[representative(subject)].append(subject)
    return {subject: tuple(groups[representative(subject)]) for subject in sorted(parent)}


def _positions(contents: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """For each content, the positions of the images that have it."""
    positions: defaultdict[Hashable, list[int]] = defaultdict(list)
    for k, content in enumerate(contents):
        positions[content].append(k)
    return positions
