"""The course: fourteen lessons on real cells, whose exercises a machine judges.

    from course import cells, judge
    images, labels, subjects = cells(32)
    judge("conv2d", conv2d)

In a shell: `python -m course check FILE`, and `python -m course --help` for the rest. It may import scratchnet; nothing
imports it. It runs from a checkout (`pip install -e ".[course]"`) and needs NumPy alone to judge: no kernel is compiled.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["cells", "judge"]

_DEFINED_IN = {"cells": "course.sample", "judge": "course.judges"}

if TYPE_CHECKING:
    from course.judges import judge
    from course.sample import cells
else:  # a type checker that saw this function would accept any name

    def __getattr__(name: str) -> Any:
        """Imports `cells` or `judge` when it is first asked for, so that either comes without the other."""
        if name not in _DEFINED_IN:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_DEFINED_IN[name]), name)
        globals()[name] = found
        return found
