"""A lock that belongs to a process and dies with it.

The operating system keeps it (`flock`, or `locking` on Windows) and releases it when the process ends, however it
ends: there is no stale lock to clean up, and the file that remains means nothing by itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from types import TracebackType

from scratchnet.errors import LockedError, NoLocksError

HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # the systems' errors for a lock that is held

if sys.platform == "win32":
    import msvcrt

    BEYOND = 2**30  # Windows locks bytes against reading too: this one is beyond the note below

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, BEYOND, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """Holds the lock in the file `path`, which is created if needed, from `with` to the end of the block.

    The holder is written into the file, for the message to whoever comes second.
    Raises LockedError if another process holds it, NoLocksError if the file system has none, OSError if the file cannot be made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Lock(Path(folder) / "run.lock"):
    ...     with Lock(Path(folder) / "run.lock"):                                       # doctest: +ELLIPSIS
    ...         pass
    Traceback (most recent call last):
        ...
    scratchnet.errors.LockedError: .../run.lock is held by process ...: wait until it has ended, or stop it
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Lock:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor)
        except OSError as error:
            if error.errno not in HELD:
                os.close(descriptor)
                raise NoLocksError(
                    f"{self.path}: this file system cannot lock files ({error.strerror}): choose a folder on another one"
                ) from error
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise LockedError(f"{self.path} is held by {holder}: wait until it has ended, or stop it") from error
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the note
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._descriptor = None
