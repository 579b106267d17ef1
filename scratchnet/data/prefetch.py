"""Prefetching: a few threads work ahead, and their results come in order while the caller is busy with earlier ones."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def default_threads() -> int:
    """The default number of threads that decode: one a core, at most 8."""
    return min(os.cpu_count() or 1, 8)


def in_order(
    function: Callable[[Given], Made],
    given: Iterable[Given],
    threads: int,
    *,
    ahead: int | None = None,
    name: str = "scratchnet-reader",
) -> Generator[Made, None, None]:
    """function(g) for each g of `given`, in order, computed by `threads` threads.

    ahead: how many results may wait in memory; four a thread where it is None. name: what those threads' names begin with.

    What a call raises is raised here, at its turn. The threads end with the iteration, also if it is left early:
    close it then (`contextlib.closing`), or let go of it.

    >>> list(in_order(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    waiting: deque[Future[Made]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(function, one))
            if len(waiting) > (4 * threads if ahead is None else ahead):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
