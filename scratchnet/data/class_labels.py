"""What a class is called where people read it: the folder is "all", the reader wants "leukaemic (ALL)".

A label is shown, and nothing else. Folders, columns of tables, keys of JSON and options keep the class's own name, so that
no other program has to learn a new one. The labels of a run stand in the description of its weights, under "class_labels".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scratchnet.errors import ConfigError

KEY = "class_labels"  # in what a checkpoint says of itself
LONGEST = 60  # letters of a label
OPTION = "--class-label"


def parse_class_labels(given: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """The labels by class, of texts such as "all=leukaemic (ALL)"; upper and lower case of a class are the same.

    names: of the classes. Raises ConfigError for a text that is not CLASS=LABEL, an unknown class, a class that is
    labelled twice, and a label that cannot be shown, or that is another class's name or label.

    >>> parse_class_labels(["ALL=leukaemic (ALL)"], ["all", "hem"])
    {'all': 'leukaemic (ALL)'}
    """
    found: dict[str, str] = {}
    for text in given:
        require_form([text])
        # A class's name may hold an equals sign, too: the longest name that fits is meant.
        fits = [name for name in names if text.casefold().startswith(f"{name.casefold()}=")]
        if not fits:
            raise ConfigError(
                f"{OPTION} {text!r}: {text.partition('=')[0]!r} is not one of the classes {', '.join(names)}"
            )
        name = max(fits, key=len)
        label = text[len(name) + 1 :].strip()
        if name in found:
            raise ConfigError(f"{OPTION} {text!r}: {name} has the label {found[name]!r} already: give it one")
        if not _is_shown(label):
            raise ConfigError(f"{OPTION} {text!r}: a label has 1 to {LONGEST} letters in one line, got {label!r}")
        found[name] = label
    shown = [label.casefold() for label in labelled(names, found)]
    for name, label in found.items():
        if shown.count(label.casefold()) > 1 or label.casefold() in {one.casefold() for one in names if one != name}:
            raise ConfigError(f"{OPTION} {name}={label}: another class has that name: give each a label of its own")
    return found


def require_form(given: Iterable[str]) -> None:
    """Raises ConfigError for a text that is not CLASS=LABEL: to be asked before the classes are known."""
    for text in given:
        if not all(part.strip() for part in text.partition("=")):
            raise ConfigError(f"{OPTION} {text!r}: expected CLASS=LABEL, such as {OPTION} all='leukaemic (ALL)'")


def class_labels_of(about: Mapping[str, Any]) -> dict[str, str]:
    """The labels that a checkpoint's description holds, by class, without those that cannot be shown; may be empty.

    >>> class_labels_of({"class_names": ["all", "hem"], "class_labels": {"all": "leukaemic (ALL)", "none": "of these"}})
    {'all': 'leukaemic (ALL)'}
    """
    stored, names = about.get(KEY), about.get("class_names", ())
    if not isinstance(stored, dict):
        return {}
    return {name: label for name, label in stored.items() if name in names and _is_shown(label)}


def labelled(names: Iterable[str], labels: Mapping[str, str]) -> tuple[str, ...]:
    """The classes as they are shown: each by its label, or by its name where it has none.

    >>> labelled(["all", "hem"], {"all": "leukaemic (ALL)"})
    ('leukaemic (ALL)', 'hem')
    """
    return tuple(labels.get(name, name) for name in names)


def _is_shown(label: Any) -> bool:
    return isinstance(label, str) and label.isprintable() and 0 < len(label) <= LONGEST and label.strip() == label
