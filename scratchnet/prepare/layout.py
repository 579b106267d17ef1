"""What the folders on the path of an image mean: its class, its subject, its side. A pattern says it, such as
"{split}/{class}".

{class}             the folders directly below the source are the classes, whatever lies below them
{split}/{class}     train/all/x.png, test/all/y.png: first the side, then the class
{subject}/{class}   P01/all/x.png
{class}/*/{subject} all/scanner 2/P01/x.png: * is any one folder, ** any number of them
*/{class}_{subject}_*    all images in one folder, whose names say it: cells/all_P01_3.png
"""

import re
import unicodedata
from dataclasses import dataclass

from scratchnet.errors import ConfigError

MEANINGS = ("class", "subject", "split")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
EXAMPLE = 'write it as in --layout "{split}/{class}" or "{class}/*/{subject}"'
SIDES = {
    "train": {"train", "training", "trainset", "traindata", "trn"},
    "validation": {"val", "valid", "validation", "valset", "dev"},
    "test": {"test", "testing", "testset", "testdata", "tst", "eval", "evaluation", "holdout"},
}


@dataclass(frozen=True)
class Layout:
    """A pattern of paths. text: as it was written. expression: finds the meanings in a path."""

    text: str
    expression: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """Checks a pattern. Raises ConfigError, with an example, for one that cannot work.

        >>> Layout.parse("{split}/{class}").meanings("TRAIN/all/P1/x.png")
        {'split': 'TRAIN', 'class': 'all'}
        """
        written = f"--layout {text!r}"
        levels = unicodedata.normalize("NFC", text).replace("\\", "/").strip("/").split("/")
        names = PLACEHOLDER.findall(text)
        for name in names:
            if name not in MEANINGS:
                known = ", ".join(f"{{{meaning}}}" for meaning in MEANINGS)
                raise ConfigError(f"{written} has {{{name}}}; known are {known}, * and **: {EXAMPLE}")
        for meaning in MEANINGS:
            if names.count(meaning) > 1:
                raise ConfigError(f"{written} has {{{meaning}}} twice: {EXAMPLE}")
        if "class" not in names:
            raise ConfigError(f"{written} has no {{class}}: {EXAMPLE}")
        if "" in levels or "." in levels or ".." in levels or re.search(r"[{}]", PLACEHOLDER.sub("", text)):
            raise ConfigError(f"{written} has an empty folder, . or .., or a brace alone: {EXAMPLE}")
        if levels.count("**") > 1 or levels[-1] == "**":
            raise ConfigError(f"{written} may have one **, and not at the end, where any folders may follow anyway")
        if "}{" in text:
            raise ConfigError(f"{written} has nothing between two names, which could be cut anywhere: {EXAMPLE}")
        return cls(
            text, re.compile("".join(map(_expression, levels[:-1])) + _last(levels[-1]), re.IGNORECASE | re.DOTALL)
        )

    def meanings(self, path: str) -> dict[str, str] | None:
        """The class, and the subject and the side where the pattern has them, of a path with "/"; None if it does not fit."""
        match = self.expression.fullmatch(unicodedata.normalize("NFC", path))
        return match and {name: value for name, value in match.groupdict().items() if value is not None}

    @property
    def has_sides(self) -> bool:
        """Whether folders say who trains and who tests."""
        return "split" in self.expression.groupindex


def side_of(folder: str) -> str | None:
    """The side that the name of a folder tells: "train", "validation" or "test"; None if it names no side, or two.

    >>> side_of("TEST_SIMPLE"), side_of("seg_train"), side_of("valid"), side_of("train_test"), side_of("latest")
    ('test', 'train', 'validation', None, None)
    """
    words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folder).casefold()))
    found = [side for side, names in SIDES.items() if words & names]
    return found[0] if len(found) == 1 else None


def _expression(level: str) -> str:
    """One folder of the pattern, as a regular expression."""
    return "(?:[^/]+/)*" if level == "**" else _one(level) + "/"


def _last(level: str) -> str:
    """The last part of the pattern: a folder with all that lies below it, or the file itself if the part holds more than a
    name."""
    bare = level == "*" or PLACEHOLDER.fullmatch(level)
    return _one(level) + ("/.+" if bare else r"(?:/.+|(?:\.[^/.]*)?)")


def _one(level: str) -> str:
    if level == "*":
        return "[^/]+"
    parts = re.split(r"(\{[a-z]+\}|\*|\?)", level)
    known = {"*": "[^/]*", "?": "[^/]"}
    return "".join(
        f"(?P<{part[1:-1]}>[^/]+?)" if part[:1] == "{" else known.get(part, re.escape(part)) for part in parts
    )
