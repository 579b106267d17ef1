"""A rank among several: what it decides, does and says together with the others."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet import errors
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.ranks.alone import Alone, Item
from scratchnet.ranks.mail import Delivery, Mail

TABLE, SIZES, CONTENT, SHARED = range(4)  # tags of messages; those of the gradients come after them
END: Any = object()


class Together(Alone):
    """`Alone`'s methods for one of several ranks. Each is a meeting: all ranks call the same ones in the same order.

    agreed: the errors that all ranks have raised together, and of which nobody needs to be told. idle: cores on which the launcher may
    run here, and no rank.
    """

    def __init__(self, mail: Mail, started_by: str) -> None:
        self.mail, self.rank, self.size, self.first = mail, mail.rank, mail.size, mail.rank == 0
        self.started_by = started_by
        self.agreed: list[BaseException] = []
        self._clock = 0.0
        # Ranks that may run on the same cores share them; a launcher that binds each to its own has divided them already.
        places = [json.loads(text) for text in self.texts(json.dumps([mail.host, _cores()]))]
        self.hosts = mail.hosts = [host for host, _ in places]
        here = {core for host, cores in places if host == mail.host for core in cores}
        self.idle = len(_cores_of(os.getppid()) - here)
        self._cores, self._sharing = len(places[self.rank][1]), places.count(places[self.rank])
        self.compiles = self.hosts.index(mail.host) == self.rank

    def threads(self, asked: int, most: int) -> int:
        """As many as were asked for, else the cores that this rank may run on, divided among the ranks that may run there too."""
        return asked or min(most, max(1, self._cores // self._sharing))

    def clock(self, *, fresh: bool = False) -> float:
        """Rank 0's; where it needn't be fresh, as it was at the last `in_step`, which costs no message."""
        if fresh:
            self._clock = float(self.rows(np.array([time.monotonic()]))[0, 0])
        return self._clock

    def in_step(self, items: Iterable[Item], asked: Callable[[], bool]) -> Iterator[tuple[Item, bool]]:
        """The items, of which every rank has as many. One small message tells of errors, stops and the clock."""
        iterator = iter(items)
        while True:
            trouble, item = None, END
            try:
                item = next(iterator, END)
            except (ScratchnetError, OSError) as error:
                trouble = error
            flags = self.rows(np.array([trouble is not None, asked(), time.monotonic()]))
            self._clock = float(flags[0, 2])
            if flags[:, 0].any():
                self.settle(trouble)
            if item is END:
                return
            yield item, bool(flags[:, 1].any())

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any rank."""
        return bool(self.rows(np.array([float(flag)])).any())

    def on_first(self, work: Callable[[], Any], *, patient: bool = False) -> Any:
        """Rank 0 does it and tells the others what came of it, as JSON."""
        answer: dict[str, Any] = {}
        trouble: BaseException | None = None
        if self.first:
            try:
                answer = {"is": work()}
            except (ScratchnetError, OSError) as error:
                answer, trouble = {"error": _told(error)}, error
        text = self._broadcast(json.dumps(answer, default=str).encode() if self.first else b"", patient)
        if not self.first:
            answer = json.loads(text)
        if "error" in answer:
            raise self._noted(trouble or _as_told(answer["error"]))
        return answer["is"]

    @contextlib.contextmanager
    def each(self) -> Iterator[None]:
        """What one rank raises in the block all raise at its end."""
        trouble = None
        try:
            yield
        except (ScratchnetError, OSError) as error:
            trouble = error
        self.settle(trouble)

    def settle(self, trouble: Exception | None) -> None:
        """Raises the lowest rank's trouble on all, with its name, which is left out where all have the same."""
        if not self.any(trouble is not None):
            return
        told = [json.loads(text) for text in self.texts(json.dumps(_told(trouble) if trouble else None))]
        rank = next(k for k, one in enumerate(told) if one)
        if all(one == told[0] for one in told):
            raise self._noted(trouble or _as_told(told[0]))
        told[rank]["text"] = f"rank {rank} on {self.mail.hosts[rank]}: {told[rank]['text']}"
        raise self._noted(_as_told(told[rank])) from trouble

    def collect(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """Every rank's array: first the sizes, then the content."""
        array = np.ascontiguousarray(array)
        sizes = self.rows(np.array([float(array.size)]))[:, 0].astype(int)
        found = [array if rank == self.rank else np.empty(size, array.dtype) for rank, size in enumerate(sizes)]
        self._meet([(array, peer) for peer in self.others], [(found[p], p) for p in self.others], CONTENT)
        return found

    def share(self, arrays: dict[str, NDArray[Any]] | None) -> dict[str, NDArray[Any]] | None:
        """Rank 0's arrays by name; None where it has none."""
        kinds = self.on_first(
            lambda: None if arrays is None else [[n, a.dtype.str, a.shape] for n, a in arrays.items()]
        )
        if kinds is None:
            return None
        given = (
            {name: np.empty(shape, dtype) for name, dtype, shape in kinds}
            if arrays is None or not self.first
            else arrays
        )
        for array in given.values():
            array = np.ascontiguousarray(array)
            if self.first:
                self._meet([(array, peer) for peer in self.others], [], SHARED)
            else:
                self._meet([], [(array, 0)], SHARED)
        return given

    def wait(self) -> None:
        """A meeting without a deadline."""
        self.rows(np.zeros(1), patient=True)

    def texts(self, text: str) -> list[str]:
        """Every rank's text."""
        return [bytes(one).decode() for one in self.collect(np.frombuffer(text.encode(), np.uint8))]

    def sums(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over all ranks, in their order."""
        return np.asarray(self.rows(row).sum(axis=0))

    def rows(self, row: NDArray[np.float64], *, patient: bool = False) -> NDArray[np.float64]:
        """Every rank's row (n,): (size, n)."""
        found = np.empty((self.size, row.size))
        found[self.rank] = row
        mine = found[self.rank]
        receives = [(found[peer], peer) for peer in self.others]
        self._meet([(mine, peer) for peer in self.others], receives, TABLE, patient=patient)
        return found

    @property
    def others(self) -> list[int]:
        """The other ranks, the next one first, so that not all talk to the same one at once."""
        return [(self.rank + k) % self.size for k in range(1, self.size)]

    def start(self, sends: Any, receives: Any, tag: int) -> Delivery:
        """`Mail.start` for messages that are awaited later; tag: from 0 up."""
        return self.mail.start(sends, receives, SHARED + 1 + tag)

    def _meet(self, sends: Any, receives: Any, tag: int, *, patient: bool = False) -> None:
        self.mail.start(sends, receives, tag).wait("the others", patient=patient)

    def _broadcast(self, text: bytes, patient: bool) -> bytes:
        """Rank 0's bytes, on all ranks."""
        size = np.array([float(len(text))])
        if self.first:
            content = np.frombuffer(text, np.uint8)
            self._meet([(size, peer) for peer in self.others], [], SIZES)
            self._meet([(content, peer) for peer in self.others], [], CONTENT)
            return text
        self._meet([], [(size, 0)], SIZES, patient=patient)
        content = np.empty(int(size[0]), np.uint8)
        self._meet([], [(content, 0)], CONTENT)
        return content.tobytes()

    def _noted(self, error: BaseException) -> BaseException:
        self.agreed.append(error)
        return error

    def has_agreed_on(self, error: BaseException | None) -> bool:
        """Whether this error, or one that it was made of, was raised on all ranks."""
        while error is not None:
            if any(error is one for one in self.agreed):
                return True
            error = error.__cause__ or error.__context__
        return False


def _cores() -> list[int]:
    """The cores that this process may run on, by number."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _cores_of(process: int) -> set[int]:
    """The cores that a process may run on; none where that is not told."""
    with contextlib.suppress(AttributeError, OSError):
        return set(os.sched_getaffinity(process))
    return set()


def _told(error: BaseException) -> dict[str, Any]:
    """An error as another rank can be told of it."""
    number = getattr(error, "errno", None)
    notes = list(getattr(error, "__notes__", ()))
    return {"kind": type(error).__name__, "text": str(error), "errno": number, "notes": notes}


def _as_told(told: dict[str, Any]) -> Exception:
    """The error that another rank has told of, of the same kind where this program knows it."""
    kind = getattr(errors, told["kind"], None)
    error: Exception
    if isinstance(kind, type) and issubclass(kind, ScratchnetError):
        error = kind(told["text"])
    elif told["errno"] is not None:
        error = OSError(told["errno"], told["text"])
    else:
        error = DataError(told["text"])
    for note in told["notes"]:
        error.add_note(note)
    return error
