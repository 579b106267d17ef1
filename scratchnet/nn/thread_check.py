"""Which thread may call backward: what forward has remembered belongs to the thread that called it."""

from __future__ import annotations

import threading

from scratchnet.errors import OrderError

BOOKKEEPING = threading.RLock()  # guards the caller and what is remembered for it; held only for a moment


class ThreadCheck:
    """For objects whose forward remembers something that backward uses: a thread cannot use another's by mistake.

    A backward raises OrderError if another thread has called forward since its own forward; the gradient would be
    that of the other batch. A backward in a thread that has not called forward uses what the last forward has
    remembered, since a thread pool may run each call in a different thread.
    """

    # Immutable class attributes, because a subclass need not call an __init__ of ours.
    _last_caller: int | None = None
    _waiting: frozenset[int] = frozenset()  # threads that have called forward, but not yet backward

    def note_forward(self) -> None:
        """Notes that this thread has called forward."""
        with BOOKKEEPING:
            self._last_caller = threading.get_ident()
            self._waiting |= {self._last_caller}

    def require_own_forward(self) -> None:
        """Raises OrderError if another thread has called forward since this one did."""
        with BOOKKEEPING:
            me = threading.get_ident()
            if me in self._waiting and me != self._last_caller:
                self._waiting -= {me}
                who = f"{type(self).__name__} '{self.name}'" if hasattr(self, "name") else type(self).__name__
                raise OrderError(
                    f"{who}: another thread has called forward(training=True) since this one did, and backward would "
                    "follow its batch: train in one thread at a time, or give each its own network, loss and optimiser"
                )
            self._waiting -= {self._last_caller}
