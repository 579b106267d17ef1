"""The flags of compilation, set only here, and the folder of compiled kernels, which are kept between runs."""

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.runtime import rtsys

from scratchnet.kernels.machine.threads import one_at_a_time
from scratchnet.kernels.machine.vectors import processor

# All flags of fastmath that leave a NaN a NaN. `fastmath=True` would also promise that no NaN occurs, and a check for
# NaN would compile to "no".
FAST_BUT_HONEST = {"reassoc", "contract", "nsz", "arcp", "afn"}

# `error_model="numpy"` makes a division by zero an infinity, as it is in an array expression. `nogil=True` lets the thread that
# reads images work in the meantime. No function is called from C, so that none needs a second entrance for it.
FLAGS: dict[str, Any] = {
    "nogil": True,
    "fastmath": FAST_BUT_HONEST,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a kernel: its loop over `prange` runs on all threads (`loops.py`), and the machine code is kept on disk for the next run.

    Any thread may call it (`threads.py`).
    """
    if numba.config.DISABLE_JIT:
        # Silent as machine code is: integers wrap around, and 1 / 0 is ∞.
        return one_at_a_time(np.errstate(all="ignore")(function))
    directory = cache_directory()
    remembered = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(directory or "")
    try:
        compile_with = numba.njit(cache=directory is not None, **FLAGS)
        return one_at_a_time(_forgiving(compile_with(function)))
    finally:
        numba.config.CACHE_DIR = remembered


def _forgiving(dispatcher: Any) -> Any:
    """The compiled function, which is compiled again if the files of its machine code are damaged (a full disk, a power cut)."""
    cache = getattr(dispatcher, "_cache", None)
    if cache is not None and hasattr(cache, "flush"):

        def quickly(signature: Any, context: Any) -> Any:
            """As Numba's own way, which first imports all that it compiles with: a quarter of a short program's time."""
            rtsys.initialize(context)
            with cache._guard_against_spurious_io_errors():
                return cache._load_overload(signature, context)

        ways = (quickly, cache.load_overload)  # the second for a Numba in which the first is none

        def load_overload(signature: Any, context: Any) -> Any:
            for load in ways:
                with contextlib.suppress(Exception):  # a damaged file may raise nearly anything
                    return load(signature, context)
            cache.flush()
            return None

        cache.load_overload = load_overload
    return dispatcher


# A part of kernels that only they call; it is compiled into each of them.
helper = numba.njit(**FLAGS)

# A helper so small that a call would cost more than it does: LLVM always puts it where it is called.
inlined = numba.njit(forceinline=True, **FLAGS)


@functools.cache
def cache_directory() -> Path | None:
    """The folder for compiled kernels: the first of three that is writable; None if there is none, and then each run
    compiles anew.

    Its name holds a hash of every kernel's source and path, and of the processor. Numba checks only the file of the
    function that it loads, and would keep running the old code after a change in a function of another file; and it
    does not load what was compiled at another path, which must therefore not count as compiled.
    """
    places = [os.environ.get("NUMBA_CACHE_DIR"), _kernels() / "__pycache__", _user_cache()]
    writable = (_writable(Path(place) / _fingerprint()) for place in places if place)
    return next((directory for directory in writable if directory), None)


def _fingerprint() -> str:
    here = _kernels()
    versions = f"{sys.version} {numba.__version__} {llvmlite.__version__}"
    digest = hashlib.sha256(f"{here} {versions} {processor()} {sources_digest()}".encode())
    return f"scratchnet-{digest.hexdigest()[:16]}"


def sources_digest() -> str:
    """SHA-256 of every kernel's source, wherever it lies."""
    here, digest = _kernels(), hashlib.sha256()
    for source in sorted(here.rglob("*.py")):
        digest.update(source.relative_to(here).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()


def _kernels() -> Path:
    """The folder of all kernels."""
    return Path(__file__).resolve().parents[1]


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir())
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _writable(directory: Path) -> Path | None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError:
        return None


def compiled_before(what: str) -> bool:
    """Whether `remember_compiled(what)` was called with these sources on this machine, so that kernels load instead of being compiled."""
    directory = cache_directory()
    return directory is not None and (directory / f"{what}.done").exists()


def remember_compiled(what: str) -> None:
    """Notes that all kernels for `what` have been compiled and kept."""
    directory = cache_directory()
    if directory is not None:
        (directory / f"{what}.done").touch()
