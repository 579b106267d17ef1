"""Which thread may call backward: what forward has remembered belongs to the thread that called it."""

from __future__ import annotations

import threading

from scratchnet.errors import OrderError

BOOKKEEPING = threading.RLock()  # for what is remembered together with the caller; held for a moment only


class ThreadCheck:
    """For objects whose forward remembers something that backward uses: two threads can't take each other's.

    A backward whose own forward has been followed by another thread's raises OrderError; the gradient would be that of
    the other batch. A backward in a thread that has not called forward takes what the last forward has remembered, as a
    pool of threads may run each call in another one.
    """

    # Immutable, so that they may stand here for objects whose __init__ is not ours.
    _last_caller: int | None = None
    _waiting: frozenset[int] = frozenset()  # threads that have called forward, and whose backward is to come

    def note_forward(self) -> None:
        """Notes that this thread has called forward."""
        with BOOKKEEPING:
            self._last_caller = threading.get_ident()
            self._waiting |= {self._last_caller}

    def require_own_forward(self) -> None:
        """Raises OrderError where another thread has called forward since this one did."""
        with BOOKKEEPING:
            me = threading.get_ident()
            if me in self._waiting and me != self._last_caller:
                self._waiting -= {me}
                raise OrderError(
                    f"{self}: another thread has called forward(training=True) since this one did, and backward would "
                    "follow its batch: train in one thread at a time, or give each its own network, loss and optimiser"
                )
            self._waiting -= {self._last_caller}
