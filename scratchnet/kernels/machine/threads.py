"""Which thread runs kernels, and on how many threads. The results depend on neither, to the last bit.

Any thread of a program may call a kernel. Kernels run one after the other, each on all threads that were asked for:
two at once would share the same processors anyway, and Numba's `workqueue` layer aborts a process that tries. A
process that was forked after a kernel has run gets an error: the threads that kernels run on stayed behind in its
parent, and a kernel would wait for them forever.

A thread that is done sleeps until the others are. OpenMP's own threads would turn in circles for some milliseconds first, which
saves a little where each has a processor to itself, and takes the processor from those waited for where anything else
runs: then kernels took four to twenty times as long (docs/measurements.md).
"""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

import numba

from scratchnet.errors import ConfigError, OrderError

_lock = threading.RLock()
_chosen = 0  # threads for each kernel, whichever thread calls it; 0: Numba's default
# Variables by which a user says how waiting threads wait: of OpenMP, of GCC's library, of LLVM's and Intel's.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_of_this_thread = threading.local()  # Numba keeps a number of threads for each Python thread
_started = False
_have_run = False
_forked = False


def alone():
    """A lock for `with`: until its end no other thread of this process runs a kernel. A thread may take it again inside."""
    return _lock


def one_at_a_time(compiled):
    """The compiled function, to be called from any thread; calls wait for each other. `dispatcher` is what Numba made."""

    @functools.wraps(compiled)
    def launch(*arguments):
        global _have_run
        if _forked:
            raise OrderError(
                "this process was forked after kernels had run, and their threads stayed in its parent: start it with "
                "multiprocessing.get_context('spawn'), or fork before the first kernel"
            )
        _have_run = True
        with _lock:
            make_ready()
            return compiled(*arguments)

    launch.dispatcher = compiled
    return launch


def most_threads() -> int:
    """Threads that Numba has started with: all that kernels may use."""
    return int(numba.config.NUMBA_NUM_THREADS)


def set_threads(count: int) -> int:
    """Lets kernels use `count` threads (0: all), whichever thread calls them; returns that number.

    Raises ConfigError for more threads than Numba was started with.
    """
    global _chosen
    most = most_threads()
    if not 0 <= count <= most:
        raise ConfigError(
            f"threads must be 0 (all) to {most} on this machine, got {count}; the variable NUMBA_NUM_THREADS raises the limit"
        )
    _chosen = count or most
    return thread_count()


def thread_count() -> int:
    """The number of threads that a kernel uses when this thread calls it.

    Raises ConfigError if Numba cannot start threads as the environment asks for them.
    """
    make_ready()
    return _chosen or int(numba.get_num_threads())


def make_ready() -> None:
    """Sees to it that Numba's threads have started, and that a kernel which this Python thread calls uses as many as were asked for.

    Every launch of a kernel begins with it. Raises ConfigError as `thread_count` does.
    """
    try:
        if not _started:
            _start()
        if _chosen and getattr(_of_this_thread, "count", 0) != _chosen:
            numba.set_num_threads(_chosen)
            _of_this_thread.count = _chosen
    except ValueError as error:  # the first call loads the library that starts threads
        raise ConfigError(_why_none_start(error)) from error


def _start() -> None:
    """Starts Numba's threads, which sleep while they wait unless the user has said otherwise.

    OpenMP's library reads the environment once, when it is loaded, which is now, if no other package has loaded it. The
    variable is gone again afterwards, so that it reaches no other program and no other library. TBB and `workqueue` don't need it.
    """
    global _started
    with _lock:
        if _started:
            return
        asked = any(name in os.environ for name in WAITING)
        with contextlib.nullcontext() if asked else _variable("OMP_WAIT_POLICY", "PASSIVE"):
            numba.get_num_threads()
        _started = True


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Meanwhile the environment has it."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _why_none_start(error: ValueError) -> str:
    """The message if Numba has found no threading layer; its own has several lines."""
    asked = str(numba.config.THREADING_LAYER)
    if asked == "default":
        return f"Numba cannot start threads: {' '.join(str(error).split())}"
    remedy = "remove the variable, and Numba takes what is there, or set it to workqueue, which is always there"
    if asked.lower() == "tbb":
        remedy += "; if tbb is installed, its library is not where the loader looks for it"
    return f"NUMBA_THREADING_LAYER is {asked!r}, which Numba cannot load here: {remedy}"


def _in_a_forked_child() -> None:
    """Another thread of the parent may have held the lock, which nothing in the child would release."""
    global _forked, _lock
    _forked = _forked or _have_run
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_a_forked_child)
