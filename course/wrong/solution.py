"""A wrong solution."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Wrong(NamedTuple):
    """A function that is no solution.

    exercise: whose. what: the mistake, in a few words. line: a part of the complaint that it must get. function: it.
    """

    exercise: str
    what: str
    line: str
    function: Callable[..., Any]
