"""The subject of each file, told by a table, a pattern, its folder, or C-NMC's names; and subjects whose names are nearly the
same."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from scratchnet.errors import ConfigError
from scratchnet.prepare.cnmc import CNMC_NAME, Assigned
from scratchnet.prepare.tables import Listed, stem

NO_MATCH = "subject unknown: --subject-pattern finds none in the name"
NO_MATCH_IN_PATH = "subject unknown: --subject-pattern finds none in the path"
NOT_LISTED = "subject unknown: the table does not list it"
OTHER_CASE = "subject unknown: the table lists it in other upper and lower case"


class LeftOut(Exception):  # noqa: N818 - no error, the program goes on
    """The reason why a file of a class folder is not used."""


@dataclass(frozen=True)
class SubjectPattern:
    """--subject-pattern: a regular expression, whose group "subject", or else its first, is the subject.

    It is searched in the file's name; or, where it holds a slash, in the path relative to the source.
    """

    expression: re.Pattern[str]

    @classmethod
    def compile(cls, pattern: str) -> "SubjectPattern":
        """Checks it. Raises ConfigError if it is not a regular expression with a group."""
        try:
            expression = re.compile(unicodedata.normalize("NFC", pattern))
        except re.error as error:
            raise ConfigError(f"--subject-pattern {pattern!r} is not a regular expression: {error}") from error
        if expression.groups == 0:
            raise ConfigError(
                f"--subject-pattern {pattern!r} has no group: put parentheses around the subject, as in '^(C[0-9]+)_'"
            )
        return cls(expression)

    @property
    def searches_path(self) -> bool:
        """Whether it is about the folders too."""
        return "/" in self.expression.pattern

    def subject(self, path: str) -> str | None:
        """The subject of this file; None if the pattern finds no subject.

        >>> SubjectPattern.compile(r"^(P\\d+)_").subject("all/P01_3.png"), SubjectPattern.compile(r"(P\\d+)/").subject("P2/3.png")
        ('P01', 'P2')
        """
        return self._find(path if self.searches_path else path.rpartition("/")[2])

    def hint(self, path: str) -> str:
        """A hint where the pattern would have found something; "" if nowhere."""
        name = path.rpartition("/")[2]
        if self.searches_path and self._find(name) is not None:
            return "; it holds a slash, so that it is searched in the path, and its ^ is the path's beginning"
        if not self.searches_path and self._find(path) is not None:
            return "; in the path it would: a pattern that is about folders is written with a slash, as in '(P[0-9]+)/'"
        return ""

    def _find(self, text: str) -> str | None:
        match = self.expression.search(unicodedata.normalize("NFC", text))
        return (match["subject"] if "subject" in self.expression.groupindex else match[1]) or None if match else None


def subject_of(
    path: str,
    assigned: Assigned,
    class_name: str,
    names_tell: bool,
    pattern: SubjectPattern | None,
    table: Listed | None,
) -> str | None:
    """The subject of one image, or None if nothing tells it. Raises LeftOut if a source that should tell it doesn't,
    or contradicts its class.

    names_tell: the names are C-NMC's.
    """
    name = CNMC_NAME.fullmatch(stem(assigned.name)) if names_tell else None
    if name and name["label"] != class_name.casefold():
        raise LeftOut(f"mislabelled: the {assigned.said_by} says {class_name}, the name says {name['label']}")
    if table:
        row = table.rows.get(path)
        if row is None:
            raise LeftOut(OTHER_CASE if path in table.other_case else NOT_LISTED)
        if row.label and row.label.casefold() != class_name.casefold():
            raise LeftOut(f"mislabelled: the folder says {class_name}, the table says {row.label}")
        return row.subject
    if pattern:
        subject = pattern.subject(path)
        if not subject:
            raise LeftOut(NO_MATCH_IN_PATH if pattern.searches_path else NO_MATCH)
        return subject
    if names_tell:
        if not name:
            raise LeftOut("subject unknown: the name is not UID_<subject>_<image>_<cell>_<all or hem>")
        return name["subject"].upper()
    return assigned.subject


def alike(subjects: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of subjects whose names differ only in case, in zeros before a number or ".0" after it, or in spaces and dashes.

    >>> alike(["P1", "p01", "P 001", "P2", "H1", "P10"])
    [('P 001', 'P1', 'p01')]
    >>> alike(["1", "1.0", "10", "1.1"])  # as a spreadsheet writes a column of numbers, some of which are missing
    [('1', '1.0')]
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for subject in sorted(set(subjects)):
        groups[_plain(subject)].append(subject)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _plain(subject: str) -> str:
    """A name without what people write inconsistently; 1-1 and 11 stay different."""
    plain = unicodedata.normalize("NFKC", subject).casefold().strip()
    plain = re.sub(r"^(\d+)[.,]0+$", r"\1", plain)
    plain = re.sub(r"(?<=[^\W\d_])[\s_.-]+(?=\d)|(?<=\d)[\s_.-]+(?=[^\W\d_])", "", plain)
    plain = re.sub(r"[\s_.-]+", "-", plain)
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)
