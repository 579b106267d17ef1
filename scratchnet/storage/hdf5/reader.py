"""HDF5 files from anyone: damage or malice in them leads to a one-line error and no further.

| what                | what is accepted                                                                               |
|---------------------|------------------------------------------------------------------------------------------------|
| the file            | a regular file that begins and ends as its superblock says; nothing before or after            |
| groups              | only in the root; hard links, one for each object, up to MAX_LINKS a group                     |
| arrays              | integers, floats of 4 or 8 bytes, or texts of fixed width; stored in this file, whole          |
| attributes          | integers and texts of fixed width, up to MAX_TEXT_BYTES                                        |
| never               | soft and external links, external or virtual storage, references, compounds, variable lengths  |

A file of S bytes can make a reader allocate S bytes for its arrays, since each of their bytes must be stored and they
are counted; and at most about 200 MB for headers, names and the locations of chunks, which are counted too.
Compressed images are not inflated here: see `scratchnet.data.shards`. `scratchnet.storage.hdf5.format` says why h5py,
which writes these files, doesn't read them.
"""

import itertools
import math
import os
import stat
import struct
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DamagedError, DataError, ScratchnetError
from scratchnet.storage.foreign_files import foreign_file
from scratchnet.storage.hdf5 import format as form
from scratchnet.storage.hdf5.format import Chunk, Extent, FormatError, Message
from scratchnet.storage.hdf5.names import read_links
from scratchnet.terminal.system_error import system_reason

MAX_TEXT_BYTES = 2**15  # one attribute, or one text in a table
DEFLATE = 1  # zlib's number among HDF5's filters


def _number(kind: int, bits: tuple[int, int, int], size: int, properties: bytes) -> bytes:
    return struct.pack("<4BI", kind, *bits, size) + properties


def _float(size: int, exponent: int, mantissa: int, bias: int) -> bytes:
    return _number(
        1, (0x20, 8 * size - 1, 0), size, struct.pack("<HH4BI", 0, 8 * size, mantissa, exponent, 0, mantissa, bias)
    )


# How HDF5 describes each numeric type (IV.A.2.d), low byte first, without the version in the first byte.
NUMBERS = {
    **{_number(0, (8 * (kind == "i"), 0, 0), size, struct.pack("<HH", 0, 8 * size)): np.dtype(f"<{kind}{size}")
       for kind in "iu" for size in (1, 4, 8)},
    _float(4, 8, 23, 127): np.dtype("<f4"),
    _float(8, 11, 52, 1023): np.dtype("<f8"),
}  # fmt: skip


class Member:
    """An object in a file: a group or an array, and its attributes."""

    def __init__(self, path: str, messages: list[Message]):
        self.path, self.messages = path, messages
        self.is_group = form.is_group(messages)
        self.attributes = dict(_parse_attribute(m.body) for m in messages if m.kind == form.ATTRIBUTE)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an array's elements."""
        return _parse_dtype(form.one(self.messages, form.DATATYPE))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an array, as it declares it."""
        return _parse_shape(form.one(self.messages, form.DATASPACE))

    @property
    def layout(self) -> bytes:
        """Where an array is stored, as `format` reads it."""
        return form.one(self.messages, form.LAYOUT)

    @property
    def filters(self) -> list[int]:
        """The numbers of the filters that an array's chunks went through; only the first if there are several."""
        bodies = [m.body for m in self.messages if m.kind == form.FILTERS]
        return [struct.unpack_from("<H", body, 2)[0] if body[:2] == b"\2\1" else -1 for body in bodies]


class HDF5File:
    """An HDF5 file opened for reading, in a `with` block or until `close`.

    path: the file. what: what it should be, for messages: "shard". remedy: the sentence that ends each message.

    Attributes: path; size, in bytes; groups, by name; datasets, by path, such as "weights/conv1.bias". Raises
    DataError, and nothing else, whatever the file holds; DamagedError if its bytes are at fault. Later reads belong
    in a block of `refusing`, which turns their errors into the same.

    >>> HDF5File("no.h5", "checkpoint", "Give another file.")
    Traceback (most recent call last):
    scratchnet.errors.DataError: no.h5: there is no such checkpoint. Give another file.
    """

    def __init__(self, path: str | os.PathLike[str], what: str, remedy: str):
        self.path, self.what, self._remedy = Path(path), what, remedy
        self._stream: BinaryIO | None = None
        try:
            with self.refusing():
                self._open()
        except DamagedError as error:
            self.close()
            if other := foreign_file(self.path):
                raise DataError(f"{self.path} is {other}.") from error
            raise
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Opens the file and reads the headers of all its objects."""
        self._require_regular_file()
        self._stream = open(self.path, "rb", buffering=2**14)  # noqa: SIM115 - it stays open
        weakref.finalize(self, self._stream.close)  # a dataset that is never closed closes its files silently
        self.size = self._left = os.fstat(self._stream.fileno()).st_size
        if not self.size:
            raise FormatError("it is empty, of zero bytes")
        self._extent = Extent(self._stream, self.size)
        self._headers: set[int] = set()
        self._header_bytes = 0
        root = self._member("", form.read_root(self._extent))
        self._members = {"": root, **self._members_of(root)}
        self.groups = [path for path, member in self._members.items() if path and member.is_group]
        for group in self.groups:
            inside = self._members_of(self._members[group])
            if any(member.is_group for member in inside.values()):
                raise FormatError(f"{group!r} holds a group")
            self._members |= inside
        self.datasets = [path for path, member in self._members.items() if not member.is_group]

    def _require_regular_file(self) -> None:
        """A named pipe would block the reader, a device has no end."""
        try:
            mode = os.stat(self.path).st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{self.path}: there is no such {self.what}. {self._remedy}") from error
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise DataError(f"{self.path} is {kind}, not a {self.what}. {self._remedy}")

    def _member(self, path: str, address: int) -> Member:
        if address in self._headers or len(self._headers) >= form.MAX_OBJECTS:
            raise FormatError("one object has two names, or there are more objects than scratchnet writes")
        self._headers.add(address)
        messages = form.read_messages(self._extent, address)
        self._header_bytes += sum(4 + len(message.body) for message in messages)
        if self._header_bytes > min(self.size, form.MAX_HEADERS_BYTES):
            raise FormatError("its objects share their headers, or these are larger than any that scratchnet writes")
        return Member(path, messages)

    def _members_of(self, group: Member) -> dict[str, Member]:
        if not group.is_group:
            raise FormatError("its root is not a group")
        links = read_links(self._extent, group.messages)
        paths = {f"{group.path}/{name}".lstrip("/"): address for name, address in links.items()}
        return {path: self._member(path, address) for path, address in paths.items()}

    def integer(self, name: str, of: str = "") -> int:
        """The attribute `name` of the object at the path `of`, or of the file: one integer."""
        value = self._attribute(name, of)
        if value.dtype.kind not in "iu" or value.shape != ():
            raise self.refusal(f"its attribute {name!r} is not one integer")
        return int(value)

    def text(self, name: str, of: str = "") -> str:
        """The attribute `name` of the object at the path `of`, or of the file: one bounded text of fixed width."""
        value = self._attribute(name, of)
        if value.dtype.kind != "S" or value.shape != ():
            raise self.refusal(f"its attribute {name!r} is not one text")
        return bytes(value[()]).decode()

    def _attribute(self, name: str, of: str) -> NDArray[Any]:
        if name not in self._members[of].attributes:
            raise self.refusal(f"an HDF5 file, but not a {self.what}: {of or 'it'} has no attribute {name!r}")
        return self._members[of].attributes[name]

    def member(self, path: str) -> Member:
        """What is known of the array at `path`."""
        if path not in self.datasets:
            raise self.refusal(f"has no array {path!r}")
        return self._members[path]

    def array(self, path: str) -> NDArray[Any]:
        """The array at `path`, read whole, after checking that all of it is stored in the file."""
        member = self.member(path)
        dtype, shape = member.dtype, member.shape
        address, stored = form.read_contiguous(member.layout)
        declared = math.prod(shape) * dtype.itemsize
        if declared != stored or declared > self._left or member.filters:
            raise self.refusal(f"{path!r} declares {declared} bytes, and {min(stored, self._left)} are stored for it")
        self._left -= declared
        if not declared:
            return np.empty(shape, dtype)
        self._extent.require(address, declared)
        buffer = np.empty(declared, np.uint8)
        self._extent.fill(address, buffer.data)
        return buffer.view(dtype).reshape(shape)

    def chunks(self, path: str) -> tuple[tuple[int, ...], list[Chunk]]:
        """The shape of a chunk of the array at `path`, and where its chunks are, in their order."""
        member = self.member(path)
        shape, chunks = form.read_chunks(self._extent, member.layout)
        if shape[-1:] != (member.dtype.itemsize,):
            raise FormatError(f"{path!r} has chunks of another type")
        return shape[:-1], chunks

    def chunk(self, chunk: Chunk) -> bytes:
        """The stored bytes of a chunk, as its filters left them."""
        return self._extent.read(chunk.address, chunk.bytes)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Turns whatever is raised in the block into a DataError that names the file."""
        try:
            yield
        except ScratchnetError:
            raise
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {system_reason(error)}. {self._remedy}") from error
        except FormatError as error:
            raise self.refusal(f"damaged, or not a {self.what} of scratchnet: {error}") from error
        except MemoryError as error:
            raise DataError(f"{self.path} needs more memory than there is. {self._remedy}") from error
        except Exception as error:  # a structure that ends too early, bytes that are not text, …
            raise self.refusal(f"damaged, or not a {self.what} of scratchnet ({first_line(error)})") from error

    def refusal(self, problem: str) -> DamagedError:
        """The error to raise about this file."""
        return DamagedError(f"{self.path}: {problem}. {self._remedy}")

    def close(self) -> None:
        """Closes the file. What was read stays."""
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> "HDF5File":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _parse_attribute(body: bytes) -> tuple[str, NDArray[Any]]:
    """Name and value. Version 3: sizes of the name, the type and the shape, which follow in this order, and the data."""
    version, flags, *sizes, _ = struct.unpack_from("<BBHHHB", body)
    if version != 3 or flags:
        raise FormatError("an attribute is stored in a way that scratchnet never uses")
    ends = [9]
    for size in sizes:
        ends.append(ends[-1] + size)
    name, dtype, shape = (body[start:end] for start, end in itertools.pairwise(ends))
    kind, sides = _parse_dtype(dtype), _parse_shape(shape)
    value = body[ends[-1] :]
    if len(value) != math.prod(sides) * kind.itemsize:
        raise FormatError("an attribute declares more than it holds")
    return name.rstrip(b"\0").decode(), np.frombuffer(value, kind).reshape(sides)


def _parse_dtype(body: bytes) -> np.dtype[Any]:
    """NumPy's name for a type of HDF5, one of a short list."""
    kind, size = body[0] & 15, struct.unpack_from("<I", body, 4)[0]
    if kind == 3 and 0 < size <= MAX_TEXT_BYTES:
        return np.dtype(("S", size))
    found = NUMBERS.get(bytes([kind]) + body[1:])
    if found is None:
        names = ", ".join(dtype.name for dtype in NUMBERS.values())
        raise FormatError(f"something has a type that scratchnet never writes; expected {names}, or bounded text")
    return found


def _parse_shape(body: bytes) -> tuple[int, ...]:
    """Version 2: the sides, and perhaps how far they may grow, which doesn't matter here."""
    version, sides, _, kind = body[:4]
    if version != 2 or kind > 1 or sides > 32:
        raise FormatError("an array has a shape that scratchnet never writes")
    return struct.unpack_from(f"<{sides}Q", body, 4)


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or else the exception's name."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
