"""Networks whose backward lets go of what it has used, where memory is short and nobody calls it twice."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class Releases:
    """For a network that asks `self.releases` in its backward."""

    releases = False  # a class attribute, because a subclass need not call an __init__ of ours

    @contextmanager
    def releasing(self) -> Iterator[None]:
        """Within it, backward lets go of what each layer remembers once its gradients are there: it can be called once only."""
        self.releases = True
        try:
            yield
        finally:
            self.releases = False


def forget(steps: Iterable[Any]) -> None:
    """Releases all that these layers and steps remember for backward, as far as they know how."""
    for step in steps:
        if hasattr(step, "forget"):
            step.forget()
