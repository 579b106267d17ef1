"""HDF5 files written by h5py, whole or not at all, in a form that `scratchnet.storage.hdf5.reader` and any HDF5 program can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from scratchnet.storage.files import write_atomically

if TYPE_CHECKING:  # who only reads does not wait for it
    import h5py
    import numpy as np

WRITTEN_WITH = ("v110", "v110")
"""h5py's `libver`: HDF5 1.14 and 2.0 then write the same structures, each with a checksum, and read each other's."""


@contextmanager
def create(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """A new HDF5 file to fill, which takes the place of `path` at the end of the block, in one step, or not at all.

    It holds no times, if its groups are made by `create_group`: what is written again gives the same bytes. Raises OSError if
    the disk is full, and whatever the block raises; then `path` stays as it was.
    """
    with write_atomically(path) as temporary, open(temporary, "w+b") as stream:
        sink = _Sink(stream)
        try:
            with _new_file(sink) as file:
                yield file
        except BaseException:
            sink.finish()  # the disk's own error goes before HDF5's
            raise
        sink.finish()


def create_group(file: h5py.File, name: str) -> None:
    """An empty group in a file that `create` has made."""
    import h5py

    h5py.h5g.create(file.id, name.encode(), gcpl=_without_times(h5py.h5p.GROUP_CREATE))


def _new_file(sink: _Sink) -> h5py.File:
    """As h5py.File(sink, "w", libver=WRITTEN_WITH), with which HDF5 1.14 would stamp the root group with the time."""
    import h5py

    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(*(getattr(h5py.h5f, f"LIBVER_{name.upper()}") for name in WRITTEN_WITH))
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, sink)
    return h5py.File(h5py.h5f.create(b"new", h5py.h5f.ACC_TRUNC, _without_times(h5py.h5p.FILE_CREATE), access))


def _without_times(kind: Any) -> Any:
    """HDF5's properties for a new file or group, which is not to remember when it was made."""
    import h5py

    properties = h5py.h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def text_of(width: int) -> np.dtype[Any]:
    """The type of texts of `width` bytes in UTF-8: texts of variable length could declare any length to a reader."""
    import h5py

    made: np.dtype[Any] = h5py.string_dtype("utf-8", width)
    return made


class _Sink:
    """The file object that HDF5 writes to, instead of opening its own. It never fails, and keeps the first error for `finish`.

    HDF5 2.0 ends the process with a segmentation fault if a write fails; and Ctrl-C may come in the middle of one.
    """

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._error: BaseException | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves there, after writing the buffer."""
        return self._attempt(lambda: self._stream.seek(offset, whence), offset)

    def write(self, data: Any) -> int:
        """Writes, or pretends to once the disk has refused."""
        return self._attempt(lambda: self._stream.write(data), len(data))

    def truncate(self, size: int) -> int:
        """Sets the file's length, or pretends to."""
        return self._attempt(lambda: self._stream.truncate(size), size)

    def flush(self) -> None:
        """Nothing: `finish` does it."""

    def readinto(self, buffer: Any) -> int:
        """What was written before; zeros if the disk refused it."""
        found = self._attempt(lambda: self._stream.readinto(buffer), 0)  # type: ignore[attr-defined]
        return found or len(buffer)

    def read(self, size: int = -1) -> bytes:
        """h5py recognises a file object by this method; it reads with `readinto`."""
        return self._stream.read(size)

    def tell(self) -> int:
        """The current position."""
        return self._stream.tell()

    def finish(self) -> None:
        """Raises the first error of the disk, if there was any."""
        self._attempt(self._stream.flush, None)
        if self._error is not None:
            raise self._error

    def _attempt(self, call: Callable[[], Any], otherwise: Any) -> Any:
        if self._error is None:
            try:
                return call()
            except BaseException as error:
                # Without its frames: through them, whoever keeps the error would keep this object alive until Python
                # exits, when h5py's calls to it are a segmentation fault.
                self._error = error.with_traceback(None)
        return otherwise
