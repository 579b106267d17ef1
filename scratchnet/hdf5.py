"""HDF5 files from anyone: opened so that neither damage nor malice gets further than a one-line error.

The rules, the same for shards and checkpoints:

| what                | what is accepted                                                                               |
|---------------------|------------------------------------------------------------------------------------------------|
| the file            | a regular file that begins and ends as its superblock says; nothing before, nothing behind     |
| groups              | only in the root; links are hard links, each object has one, no more than MAX_LINKS a group    |
| arrays              | integers, floats of 4 or 8 bytes, or texts of fixed width; stored in this file, whole          |
| attributes          | integers and texts of fixed width, up to MAX_TEXT_BYTES                                        |
| never               | soft and external links, external or virtual storage, references, compounds, variable lengths  |

What a file of S bytes can make a reader allocate: its arrays, which together are no larger than S, for each byte read must be
stored; the names and headers, which are bounded by MAX_LINKS and by `hdf5_headers`; and the HDF5 library's own cache of 32 MB.
Compressed images are not inflated here: see `scratchnet.data.shards`.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DataError, ScratchnetError
from scratchnet.hdf5_headers import MAX_LINKS, HeaderError, Headers, read_superblock

VERSIONS = ("v110", "v110")
"""What to write with (`libver`): every structure has a checksum, and HDF5 1.10, 1.14 and 2.0 read it and write the same bytes."""

MAX_TEXT_BYTES = 2**15  # one attribute, or one text in a table
NUMBERS = tuple(np.dtype(name) for name in ("<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1"))


class GuardedFile:
    """An HDF5 file opened for reading, in a `with` block or until `close`.

    path: the file. what: what it should be, for messages: "shard". remedy: the sentence that ends each message.

    Attributes: path; size, in bytes; groups, by name; datasets, by path, such as "weights/conv1.bias".
    Raises DataError, and nothing else, whatever the file holds. What is read later belongs into a block of `refusing`, which
    does the same for whatever h5py raises on damage.

    >>> GuardedFile("no.h5", "checkpoint", "Give another file.")
    Traceback (most recent call last):
    scratchnet.errors.DataError: no.h5: there is no such checkpoint. Give another file.
    """

    def __init__(self, path: str | os.PathLike[str], what: str, remedy: str):
        self.path, self.what, self._remedy = Path(path), what, remedy
        self._file: Any = None
        self._left = 0  # bytes that arrays may still take
        self.groups: list[str] = []
        self.datasets: list[str] = []
        try:
            with self.refusing():
                self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._require_regular_file()
        with open(self.path, "rb") as stream:
            self.size = self._left = os.fstat(stream.fileno()).st_size
            superblock = read_superblock(stream, self.size)
            headers = Headers(stream, self.size)
            if headers.check(superblock.root) != "group":
                raise HeaderError("its root is not a group")
            self._file = h5py.File(self.path, "r", locking="best-effort")
            for name, address in self._links(""):
                kind = headers.check(address)
                (self.groups if kind == "group" else self.datasets).append(name)
            for group in self.groups:
                for name, address in self._links(group):
                    if headers.check(address) != "dataset":
                        raise HeaderError(f"{group}/{name} is a group in a group")
                    self.datasets.append(f"{group}/{name}")

    def _require_regular_file(self) -> None:
        """A named pipe would block the reader for ever, a device has no end."""
        try:
            mode = os.stat(self.path).st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self.refusal(f"there is no such {self.what}") from error
        if not stat.S_ISREG(mode):
            raise self.refusal(f"is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}, not a {self.what}")

    def _links(self, group: str) -> list[tuple[str, int]]:
        """Name and address of each object in a group, in the order of the file; none but hard links."""
        holder = self._object(group)  # named, since it closes when it is forgotten, and its links with it
        links = holder.links
        names: list[bytes] = []

        def collect(name: bytes) -> bool | None:
            names.append(name)
            return True if len(names) > MAX_LINKS else None

        # The order of the file is the one that the library walks through without a table of a size that the file declares.
        links.iterate(collect, idx_type=h5py.h5.INDEX_NAME, order=h5py.h5.ITER_NATIVE)
        if len(names) > MAX_LINKS:
            raise HeaderError(f"more than {MAX_LINKS} objects in a group")
        found = []
        for name in names:
            text = name.decode()
            if not text or text == "." or "/" in text:
                raise HeaderError(f"an object is called {text!r}")
            info = links.get_info(name)
            if info.type != h5py.h5l.TYPE_HARD:
                raise HeaderError(f"{text!r} is a link to somewhere else, which is never followed")
            found.append((text, info.u))
        return found

    def integer(self, name: str, of: str = "") -> int:
        """The attribute `name` of the object at the path `of`, or of the file: one integer."""
        return int(self._attribute(name, of, h5py.h5t.INTEGER))

    def text(self, name: str, of: str = "") -> str:
        """The attribute `name` of the object at the path `of`, or of the file: one bounded text of fixed width."""
        return bytes(self._attribute(name, of, h5py.h5t.STRING)).decode()

    def _attribute(self, name: str, of: str, kind: int) -> Any:
        holder = self._object(of)
        if not h5py.h5a.exists(holder, name.encode()):
            raise self.refusal(f"an HDF5 file, but not a {self.what}: {of or 'it'} has no attribute {name!r}")
        attribute = h5py.h5a.open(holder, name.encode())
        stored = attribute.get_type()
        single = attribute.get_space().get_simple_extent_type() == h5py.h5s.SCALAR
        if not single or stored.get_class() != kind:
            raise self.refusal(f"its attribute {name!r} is not one {_KINDS[kind]}")
        value = np.empty((), self._dtype(stored, f"its attribute {name!r}"))
        attribute.read(value, mtype=stored)
        return value[()]

    def dataset(self, path: str) -> Any:
        """The dataset at `path`, as h5py's low-level object: in this file, of a plain type. Nothing of its size is promised."""
        if path not in self.datasets:
            raise self.refusal(f"has no array {path!r}")
        dataset = self._object(path)
        if dataset.get_create_plist().get_external_count() > 0:
            raise self.refusal(f"{path!r} takes its data from other files, which are never opened")
        self._dtype(dataset.get_type(), repr(path))
        return dataset

    def array(self, path: str) -> NDArray[Any]:
        """The array at `path`, read whole, once it is known that all of it is stored in the file."""
        dataset = self.dataset(path)
        dtype = self._dtype(dataset.get_type(), repr(path))
        shape = tuple(dataset.get_space().get_simple_extent_dims()) if self._has_extent(dataset) else None
        if shape is None or dataset.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
            raise self.refusal(f"{path!r} is not stored in one piece")
        declared = dtype.itemsize
        for side in shape:
            declared *= int(side)
        if declared > self._left or dataset.get_storage_size() != declared:
            raise self.refusal(
                f"{path!r} declares {declared} bytes, and {min(dataset.get_storage_size(), self._left)} are stored for it"
            )
        self._left -= declared
        values: NDArray[Any] = np.empty(shape, dtype)
        if declared:
            dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=dataset.get_type())
        return values

    @staticmethod
    def _has_extent(dataset: Any) -> bool:
        return dataset.get_space().get_simple_extent_type() in (h5py.h5s.SIMPLE, h5py.h5s.SCALAR)

    def _object(self, path: str) -> Any:
        return h5py.h5o.open(self._file.id, path.encode() or b"/")

    def _dtype(self, stored: Any, where: str) -> np.dtype[Any]:
        """NumPy's name for a type of HDF5, one of a short list."""
        kind, size = stored.get_class(), stored.get_size()
        if kind == h5py.h5t.STRING and not stored.is_variable_str() and 0 < size <= MAX_TEXT_BYTES:
            return np.dtype(("S", size))
        if kind in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
            for dtype in NUMBERS:
                if stored.equal(h5py.h5t.py_create(dtype)):
                    return dtype
        raise self.refusal(
            f"{where} has a type that no {self.what} has; expected {', '.join(t.name for t in NUMBERS)} or bounded text"
        )

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turns whatever is raised in the block into a DataError that names the file: h5py raises nearly anything on damage."""
        try:
            yield
        except ScratchnetError:
            raise
        except HeaderError as error:
            raise self.refusal(f"not an HDF5 file as scratchnet writes it: {error}") from error
        except MemoryError as error:
            raise self.refusal(f"needs more memory than there is ({self.size} bytes in the file)") from error
        except OSError as error:
            if error.errno:
                raise self.refusal(f"cannot be read: {os.strerror(error.errno)}") from error
            raise self.refusal(f"truncated or damaged ({first_line(error)})") from error
        except Exception as error:
            raise self.refusal(f"damaged ({first_line(error)})") from error

    def refusal(self, problem: str) -> DataError:
        """The error to raise about this file."""
        return DataError(f"{self.path}: {problem}. {self._remedy}")

    def close(self) -> None:
        """Closes the file. What was read stays."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "GuardedFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


_KINDS = {h5py.h5t.INTEGER: "integer", h5py.h5t.STRING: "text"}


def first_line(error: BaseException) -> str:
    """An exception's message as far as one line holds it, or else its name."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
