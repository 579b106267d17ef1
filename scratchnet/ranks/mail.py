"""Bytes from rank to rank, by MPI: the one module that imports mpi4py.

One thread of its own keeps MPI going while the kernels compute: most libraries move a message only while somebody calls them.
It asks whether a delivery is done, naps, and asks again; the main thread waits on an event, never inside MPI, so that signals are
handled, a deadline can be kept and the core is free meanwhile (MPI's own waits spin).

Messages go from one rank to one other, also where all send to all: MPICH's Ialltoallv moves 16 KB each time it is asked, 28 MB/s
with such naps, and who has not sent can be named.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError, ScratchnetError
from scratchnet.extras import require
from scratchnet.terminal.launcher import Launched

NAP = 2e-4  # seconds


class Stalled(ScratchnetError):  # noqa: N818 - what it says is the state of another
    """Another rank has not answered within the deadline."""


class Lost(ScratchnetError):  # noqa: N818 - likewise
    """Another rank has gone while it was sending or getting something."""


class Delivery:
    """Messages under way: `wait` returns when all of them have been sent and have come."""

    def __init__(self, mail: Mail, requests: list[Any], peers: list[int]) -> None:
        self.mail, self.requests, self.peers = mail, requests, peers
        self.done = threading.Event()
        self.error: str | None = None
        if not requests:
            self.done.set()

    def wait(self, what: str, *, patient: bool = False) -> None:
        """Raises Stalled, naming the ranks that have not answered, after the deadline; patient: never. Lost if one is gone."""
        if not self.done.wait(None if patient else self.mail.deadline):
            raise Stalled(
                f"no answer from {self.mail.names(self.mail.missing(self))} for {self.mail.deadline:.0f} s, "
                f"waiting for {what}: stopped, or cut off"
            )
        if self.error is not None:
            who = self.mail.names(self.mail.missing(self))
            raise Lost(f"the connection to {who} was lost, waiting for {what} ({self.error})")


class Mail:
    """This rank's place among the others. Raises ConfigError where launcher and library don't fit, MissingExtraError without mpi4py."""

    def __init__(self, launched: Launched, deadline: float) -> None:
        self._mpi = require("mpi4py.MPI")
        world = self._mpi.COMM_WORLD
        if world.size != launched.size:
            raise ConfigError(
                f"the launcher has started {launched.size} processes, and MPI sees {world.size}: it is of another MPI than "
                f"mpi4py's ({self._mpi.Get_library_version().splitlines()[0].strip()}); take the mpiexec beside this Python, or "
                "install mpi4py for that MPI"
            )
        self.rank, self.size, self.host = world.rank, world.size, self._mpi.Get_processor_name()
        # The lower ranks speak first, so that one line says who is missing.
        self.deadline = deadline + min(0.2 * self.rank, 3.0)
        self.hosts: Sequence[str] = [self.host] * self.size  # until they are known
        self._comm = world.Dup()
        self._lock, self._work = threading.Lock(), threading.Event()
        self._under_way: list[Delivery] = []
        self._ended = False
        self._thread = threading.Thread(target=self._keep_going, daemon=True, name="scratchnet-mail")
        self._thread.start()

    def start(
        self,
        sends: Iterable[tuple[NDArray[Any], int]],
        receives: Iterable[tuple[NDArray[Any], int]],
        tag: int,
    ) -> Delivery:
        """Sends arrays to ranks, and fills arrays with what ranks send; all C-contiguous, and left alone until it is done.

        Between two ranks, messages of one tag arrive in the order in which they were sent.
        """
        requests, peers = [], []
        with self._lock:
            for array, peer in receives:
                if array.size:
                    requests.append(self._comm.Irecv([_bytes(array), self._mpi.BYTE], peer, tag))
                    peers.append(peer)
            for array, peer in sends:
                if array.size:
                    requests.append(self._comm.Isend([_bytes(array), self._mpi.BYTE], peer, tag))
                    peers.append(peer)
            delivery = Delivery(self, requests, peers)
            if requests:
                self._under_way.append(delivery)
        self._work.set()
        return delivery

    def missing(self, delivery: Delivery) -> list[int]:
        """The ranks that have not answered yet, or cannot any more."""
        with self._lock:
            pairs = zip(delivery.requests, delivery.peers, strict=True)
            return sorted({peer for request, peer in pairs if not self._is_done(request)})

    def _is_done(self, request: Any) -> bool:
        try:
            return bool(request.Get_status())
        except self._mpi.Exception:
            return False

    def names(self, ranks: Iterable[int]) -> str:
        """ "rank 1 on lab2, rank 3 on lab4"."""
        return ", ".join(f"rank {rank} on {self.hosts[rank]}" for rank in ranks) or "another rank"

    def abort(self, code: int) -> None:
        """Ends all ranks, at once."""
        self._comm.Abort(code)

    def close(self) -> None:
        """Ends the thread; messages under way are given up."""
        self._ended = True
        self._work.set()
        self._thread.join(timeout=5)

    def _keep_going(self) -> None:
        while not self._ended:
            self._work.wait()
            with self._lock:
                for delivery in list(self._under_way):
                    try:
                        done = self._mpi.Request.Testall(delivery.requests)
                    except self._mpi.Exception as error:
                        delivery.error, done = str(error).splitlines()[0], True
                    if done:
                        self._under_way.remove(delivery)
                        delivery.done.set()
                if not self._under_way and not self._ended:
                    self._work.clear()
            time.sleep(NAP)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)
