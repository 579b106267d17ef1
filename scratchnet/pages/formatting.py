"""Numbers and settings, written for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scratchnet.terminal.wording import counted, percent


def duration(seconds: float) -> str:
    """How long something took.

    >>> duration(8), duration(200), duration(7500)
    ('8 s', '3 min 20 s', '2 h 5 min')
    >>> duration(59.7), duration(119.8), duration(7199)
    ('1 min 0 s', '2 min 0 s', '2 h 0 min')
    """
    whole, minutes = round(seconds), round(seconds / 60)  # rounded first: never "60 s", nor "1 min 60 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"


def roughly(seconds: float) -> str:
    """How long something will take, with the precision of a forecast.

    >>> roughly(38), roughly(2039), roughly(7519)
    ('40 s', '34 min', '2 h 5 min')
    """
    if seconds < 55:
        return f"{max(10, 10 * round(seconds / 10))} s"
    return duration(seconds) if round(seconds / 60) >= 60 else f"{round(seconds / 60)} min"


def number(value: float, share: bool) -> str:
    """A share in per cent, anything else with three digits."""
    return percent(value) if share else f"{value:.3f}"


def setting(value: object) -> str:
    """A setting: yes and no, and a table in one line.

    >>> setting(True), setting({"all": 3, "hem": 4}), setting({"all": {"images": 141, "added": 7}})
    ('yes', 'all 3, hem 4', 'all: images 141, added 7')
    """
    if isinstance(value, dict):
        deep = any(isinstance(one, dict) for one in value.values())
        parts = (f"{name}{':' if isinstance(one, dict) else ''} {setting(one)}" for name, one in value.items())
        return ("; " if deep else ", ").join(parts)
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def in_words(name: str) -> str:
    """The name of a setting in plain words.

    >>> in_words("learning_rate"), in_words("dtype")
    ('learning rate', 'dtype')
    """
    return name.replace("_", " ")


def augmented(counts: Mapping[str, Any]) -> str | None:
    """What was added to each class offline; None if nothing was added or left out.

    counts: by class, {"images": before, "left out": of these, "added": turned or mirrored ones}.

    >>> augmented({"all": {"images": 141, "left out": 0, "added": 0}, "hem": {"images": 56, "left out": 1, "added": 85}})
    'hem: 56 images − 1 left out + 85 added'
    >>> augmented({"all": {"images": 141, "left out": 0, "added": 0}}) is None
    True
    """
    parts = []
    for name, of_class in counts.items():
        left_out, added = of_class.get("left out", 0), of_class.get("added", 0)
        if left_out or added:
            less = f" − {left_out:,} left out" if left_out else ""
            parts.append(f"{name}: {counted(of_class['images'], 'image')}{less} + {added:,} added")
    return "; ".join(parts) or None


def changes(history: Sequence[Mapping[str, Any]]) -> str:
    """What was changed each time a run was resumed, from the "history" that its files carry.

    >>> changes([{"at_epoch": 3, "epochs": [5, 8], "patience": "0 → 2"}])
    'after epoch 3: epochs 5 → 8, patience 0 → 2'
    """
    parts = []
    for entry in history:
        changed = ", ".join(
            f"{name} {' → '.join(map(setting, value)) if isinstance(value, list | tuple) else setting(value)}"
            for name, value in entry.items()
            if name != "at_epoch"
        )
        parts.append(f"after epoch {entry.get('at_epoch', '?')}: {changed}")
    return "; ".join(parts)
