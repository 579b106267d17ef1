"""Writing an HDF5 file on a disk that may fill up.

The HDF5 library does not survive a write that fails: it raises in one place or another, and may crash the process when it
ends. So it never sees one. What it writes goes through a sink that notes the first error of the operating system and
swallows everything after it; when the library is done, the error is raised.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from scratchnet.files import write_atomically
from scratchnet.hdf5 import WRITTEN_WITH


class Sink(io.RawIOBase):
    """A file for the HDF5 library whose writes never fail. error: the first one that did, or None."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._position = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes where `seek` has pointed to, or pretends to."""
        rest = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._position)
                while rest:  # a disk that is nearly full takes a part first
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.error = error
        self._position += memoryview(data).nbytes
        return memoryview(data).nbytes

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Points to where the next write or read goes."""
        self._position = self._file.seek(offset, whence) if whence == os.SEEK_END else offset
        return self._position

    def tell(self) -> int:
        """Where the next write or read goes."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Reads back what was written; zeros where nothing could be."""
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))
        self._file.seek(self._position)
        self._file.readinto(view)
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Sets the size of the file, or pretends to."""
        size = self._position if size is None else size
        if self.error is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self.error = error
        return size


@contextlib.contextmanager
def write_hdf5(path: str | os.PathLike[str]) -> Iterator[Any]:
    """An h5py.File to write to; at the end of the block it takes the place of `path`, whole, in one step.

    Raises whatever the block raises, and OSError where the disk is full or the folder can't be written to; then `path`
    stays as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_hdf5(Path(folder) / "a.h5") as file:
    ...         file["x"] = [1, 2, 3]
    ...     h5py.File(Path(folder) / "a.h5", "r")["x"][()].tolist()
    [1, 2, 3]
    """
    with write_atomically(path) as temporary, open(Path(temporary), "x+b", buffering=0) as stream:
        sink = Sink(stream)
        try:
            with h5py.File(sink, "w", libver=WRITTEN_WITH) as file:
                yield file
        finally:
            if sink.error is not None:
                raise sink.error
