"""Right solutions, written in other ways than the reference: the judges must accept them all.

They are written as students write: loops where the textbook has none, matrices where it has loops. It may import scratchnet,
course.exercises.
"""

from collections.abc import Callable
from typing import Any

from course.right import first_steps, network, training

SOLUTIONS: dict[str, list[Callable[..., Any]]] = {
    name: [*ways] for part in (first_steps, network, training) for name, ways in part.SOLUTIONS.items()
}
"""For every exercise, its solutions."""
