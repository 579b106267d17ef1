"""The course: fourteen lessons on real cells, whose exercises a machine judges.

    from course import cells, judge
    images, labels, subjects = cells(32)
    judge("conv2d", conv2d)

In a shell: `python -m course check FILE`, and `python -m course --help` for the rest. It may import scratchnet; nothing
imports it. It runs from a checkout (`pip install -e ".[course]"`) and needs NumPy alone to judge: no kernel is compiled.
"""

from typing import TYPE_CHECKING

from scratchnet import imported_on_use

__all__ = ["cells", "judge"]

if TYPE_CHECKING:
    from course.judges import judge
    from course.sample import cells
else:  # a type checker that saw this function would accept any name
    # Either comes without the other.
    __getattr__ = imported_on_use(__name__, {"course.sample": ("cells",), "course.judges": ("judge",)})
