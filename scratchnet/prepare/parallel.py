"""Work for several threads, with the results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

WAITING = 4  # results a thread that may wait in memory


def in_order(function: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Generator[Made, None, None]:
    """function(g) for each g, in order, computed by several threads; only a few results wait in memory.

    What a call raises is raised here in its turn. Close the iterator (`contextlib.closing`) if it is left early: that ends
    the threads.

    >>> list(in_order(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Made]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(function, one))
            if len(waiting) >= WAITING * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
