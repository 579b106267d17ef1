"""The part of HDF5 that scratchnet writes, read in plain Python: the file, its objects, and where an array's bytes are.

Files are written by h5py and any HDF5 program can read them. They are read here, without the HDF5 library, because a file may come
from a stranger: the library does far more than hold arrays (links into other files, bytes from any file of the disk, tables
inflated without a limit), and a file made for it can crash it. What follows knows the few structures below, compares
their checksums, and checks every address before it goes there. Everything else in HDF5 is refused by name.

    superblock ──▶ header of the root group ──▶ headers of its objects         a group's names: `scratchnet.storage.hdf5.names`
                   an array's header ──▶ its bytes in one piece, or one chunk
                                     └─▶ fixed array ──▶ its data block ──▶ each chunk

Each line draws a structure, field by field: its bytes and its name; [in brackets] what is there only if a flag says so.

    superblock (II)             8 signature · 1 version = 3 · 1 size of addresses = 8 · 1 size of lengths = 8 · 1 flags = 0: closed
                                8 base = 0 · 8 extension = none · 8 end of the file · 8 root group's header · 4 checksum
    object header (IV.A.1.b)    4 "OHDR" · 1 version = 2 · 1 flags · [16 times] · [4 how attributes are stored]
                                1, 2, 4 or 8 length of the messages · messages … · 4 checksum
      where it goes on          4 "OCHK" · messages … · 4 checksum
      a message                 1 kind · 2 length of the body · 1 flags · [2 order of creation] · body
      body of a continuation    8 address · 8 length
      body of a layout (IV.A.2.i)
        in one piece            1 version = 3 to 5 · 1 class = 1 · 8 address · 8 length
        in chunks               1 version = 4 or 5 · 1 class = 2 · 1 flags · 1 axes + 1 · 1 width · width × (axes + 1) shape of a
                                chunk, length of an element · 1 kind of index, and then
            1, one chunk        8 length · 4 mask of filters · 8 address
            3, fixed array      1 bits of a page · 8 address of the array
    fixed array (appendix C)    4 "FAHD" · 1 version = 0 · 1 client = 1: filtered chunks · 1 length of an entry · 1 bits of a page = 10
                                8 number of entries · 8 data block · 4 checksum
      its data block            4 "FADB" · 1 version = 0 · 1 client = 1 · 8 address of the header
                                up to 1024 entries:    entries … · 4 checksum
                                more, in pages:        1 bit for each page · 4 checksum · pages of (1024 entries · 4 checksum)
      an entry                  8 address · 1 to 8 length of the chunk · 4 mask of filters

Source: The HDF Group, "HDF5 File Format Specification Version 3.0", whose sections stand in brackets. All numbers are
little-endian. A checksum covers its structure from the first byte.
"""

import struct
import threading
from collections import namedtuple
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from scratchnet.storage.hdf5.checksum import lookup3

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1  # an undefined address

MAX_HEADER_BYTES = 2**20  # of one object, attributes included
MAX_HEADERS_BYTES = 2**24  # of all objects
MAX_MESSAGES = 2**10  # in one header
MAX_LINKS = 2**12  # in one group
MAX_OBJECTS = 2**14  # in a file
MAX_CHUNKS = 2**20  # of one array
MAX_NAME = 200  # bytes; a writer keeps to this and the next, so that a heap with one table of blocks is enough
MAX_NAMES = 2**18  # bytes of all names in one group, with 32 for each

# Kinds of messages (IV.A.2).
DATASPACE, LINK_INFO, DATATYPE, FILL_VALUE, LINK, LAYOUT = 0x01, 0x02, 0x03, 0x05, 0x06, 0x08
GROUP_INFO, FILTERS, ATTRIBUTE, CONTINUATION, ATTRIBUTE_INFO, NOTHING = 0x0A, 0x0B, 0x0C, 0x10, 0x15, 0x00
IN_ANY, IN_GROUPS = {NOTHING, CONTINUATION, ATTRIBUTE, ATTRIBUTE_INFO}, {LINK_INFO, GROUP_INFO, LINK}
IN_DATASETS = {DATASPACE, DATATYPE, FILL_VALUE, LAYOUT, FILTERS}
KNOWN = IN_ANY | IN_GROUPS | IN_DATASETS

# Flags.
TIMES, ATTRIBUTE_STORAGE, CREATION_ORDER, WIDTH = 0x20, 0x10, 0x04, 0x03  # of an object's header
SHARED = 0x02  # of a message: its content stands elsewhere
CREATION_INDEX = 0x01  # of a message on where links or attributes are: their order of creation is kept
ONE_CHUNK_FILTERED = 0x02  # of a layout in chunks

CONTIGUOUS, CHUNKED = 1, 2  # classes of layouts
ONE_CHUNK, FIXED_ARRAY = 1, 3  # kinds of indexes of chunks
PAGE_BITS = 10  # of the entries of a fixed array, as all writers cut them


class FormatError(ValueError):
    """The file is damaged, or uses a part of HDF5 that scratchnet never writes; the message says which."""


class Fields:
    """Numbers in a row, little-endian, each with its name and the code of `struct`: B 1 byte, H 2, I 4, Q 8, 4s bytes.

    >>> Fields(kind="B", length="H").read(b"\\x06\\x02\\x01")
    Fields(kind=6, length=258)
    """

    def __init__(self, **codes: str):
        self._struct = struct.Struct("<" + "".join(codes.values()))
        self._row = namedtuple("Fields", codes)  # type: ignore[misc]
        self.bytes = self._struct.size

    def read(self, data: bytes, at: int = 0) -> Any:
        """The fields that stand at `at`, as attributes. Raises struct.error where `data` ends before them."""
        return self._row(*self._struct.unpack_from(data, at))


CHECKSUM = 4  # bytes
SUPERBLOCK = Fields(
    signature="8s", version="B", address_bytes="B", length_bytes="B", still_open="B",
    base="Q", extension="Q", end="Q", root="Q", checksum="I",
)  # fmt: skip
HEADER = Fields(signature="4s", version="B", flags="B")
MESSAGE = Fields(kind="B", length="H", flags="B")
LOCATION = Fields(address="Q", bytes="Q")  # of a continuation, or of an array in one piece
LAYOUT_HEAD = Fields(version="B", layout="B")
CHUNKED_HEAD = Fields(version="B", layout="B", flags="B", dimensions="B", width="B")
FILTERED_CHUNK = Fields(bytes="Q", mask="I", address="Q")
ARRAY_INDEX = Fields(page_bits="B", address="Q")
ARRAY_HEADER = Fields(
    signature="4s", version="B", client="B", entry_bytes="B", page_bits="B", entries="Q", block="Q", checksum="I"
)
ARRAY_BLOCK = Fields(signature="4s", version="B", client="B", header="Q")


class Message(NamedTuple):
    """One fact about an object: what kind it is of, and its bytes."""

    kind: int
    body: bytes


class Chunk(NamedTuple):
    """Where a chunk's bytes are. mask: filters that were skipped for it, 0 for none."""

    address: int
    bytes: int
    mask: int


class Extent:
    """The bytes of a file, given out by address, each of them checked to lie inside. Several threads may read at once."""

    def __init__(self, stream: BinaryIO, size: int):
        self._stream, self.size = stream, size
        self._lock = threading.Lock()

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes at `address`. Raises FormatError if the file does not hold them."""
        self.require(address, length)
        with self._lock:
            self._stream.seek(address)
            found = self._stream.read(length)
        if len(found) != length:
            raise FormatError("the file became shorter while it was read")
        return found

    def fill(self, address: int, buffer: memoryview) -> None:
        """Reads into `buffer`, a view of bytes, what stands at `address`. Raises FormatError if the file does not hold it."""
        self.require(address, len(buffer))
        with self._lock:
            self._stream.seek(address)
            if self._stream.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
                raise FormatError("the file became shorter while it was read")

    def require(self, address: int, length: int) -> None:
        """Raises FormatError unless the file holds `length` bytes at `address`."""
        if not 0 <= address <= self.size - length:
            raise FormatError("an address leads out of the file")

    def checked(self, signature: bytes, address: int, length: int) -> bytes:
        """A structure of `length` bytes that begins with `signature` and ends with its checksum."""
        found = self.read(address, length)
        if not found.startswith(signature):
            raise FormatError(f"there is no {signature[:4].decode()} where one should be")
        if int.from_bytes(found[-CHECKSUM:], "little") != lookup3(found[:-CHECKSUM]):
            raise FormatError(f"a {signature[:4].decode()} does not agree with its checksum")
        return found


def read_root(extent: Extent) -> int:
    """The address of the root group, from the superblock, after checking that the file begins and ends as it says."""
    if extent.size < SUPERBLOCK.bytes or extent.read(0, len(SIGNATURE)) != SIGNATURE:
        raise FormatError("not an HDF5 file: its first bytes are others")
    content = extent.read(0, SUPERBLOCK.bytes)
    block = SUPERBLOCK.read(content)
    options = (block.version, block.address_bytes, block.length_bytes, block.base, block.extension)
    if options != (3, 8, 8, 0, UNDEFINED):
        raise FormatError(f"its superblock has version {block.version}, or options that scratchnet never uses")
    if block.checksum != lookup3(content[:-CHECKSUM]):
        raise FormatError("its superblock does not agree with its checksum")
    if block.still_open:
        raise FormatError("it was never closed: the program that wrote it was stopped")
    if block.end != extent.size:
        raise FormatError(
            f"it has {extent.size} bytes and should have {block.end}: truncated, or something was appended"
        )
    return int(block.root)


def read_messages(extent: Extent, address: int) -> list[Message]:
    """All messages in the header of the object at `address`, also those in its continuation blocks."""
    flags = HEADER.read(extent.read(address, HEADER.bytes)).flags
    skip = HEADER.bytes + (16 if flags & TIMES else 0) + (4 if flags & ATTRIBUTE_STORAGE else 0)
    width = 1 << (flags & WIDTH)
    first = int.from_bytes(extent.read(address + skip, width), "little")
    blocks = [(b"OHDR\x02", address, skip + width, skip + width + first + CHECKSUM)]
    found: list[Message] = []
    total = 0
    while blocks:
        signature, start, head, length = blocks.pop()
        total += length
        if total > MAX_HEADER_BYTES or length < head + CHECKSUM:
            raise FormatError(f"an object's header has a block of {length} bytes, which scratchnet never writes")
        block = extent.checked(signature, start, length)
        for message in _split(block[head:-CHECKSUM], MESSAGE.bytes + (2 if flags & CREATION_ORDER else 0)):
            if message.kind == CONTINUATION:
                location = LOCATION.read(message.body)
                blocks.append((b"OCHK", location.address, 4, location.bytes))
            found.append(message)
        if len(found) > MAX_MESSAGES:
            raise FormatError(f"an object's header holds more than {MAX_MESSAGES} messages")
    return found


def _split(block: bytes, head: int) -> Iterator[Message]:
    """The messages in a block of a header. head: bytes before each body."""
    position = 0
    while position + head <= len(block):  # a shorter rest is padding
        message = MESSAGE.read(block, position)
        body = block[position + head : position + head + message.length]
        if message.kind not in KNOWN or message.flags & SHARED or len(body) < message.length:
            raise FormatError(
                f"an object's header holds something that scratchnet never writes (message {message.kind:#04x})"
            )
        yield Message(message.kind, body)
        position += head + message.length


def one(messages: list[Message], kind: int) -> bytes:
    """The body of the only message of its kind."""
    bodies = [message.body for message in messages if message.kind == kind]
    if len(bodies) != 1:
        raise FormatError(f"an object's header has {len(bodies)} messages of kind {kind:#04x} where one is needed")
    return bodies[0]


def is_group(messages: list[Message]) -> bool:
    """Whether the object is a group; otherwise it is a dataset. Raises FormatError if it is something else, or both."""
    kinds = {message.kind for message in messages} - IN_ANY
    for message in messages:
        if message.kind == ATTRIBUTE_INFO and address_behind_flags(message.body, 2) != UNDEFINED:
            raise FormatError("an object has more or larger attributes than scratchnet writes")
    if LINK_INFO in kinds and kinds <= IN_GROUPS:
        return True
    if LAYOUT in kinds and kinds <= IN_DATASETS:
        return False
    raise FormatError("an object is neither a group nor an array")


def address_behind_flags(body: bytes, index_bytes: int) -> int:
    """The address that follows version (1 byte), flags (1), and, if CREATION_INDEX is set, an index."""
    return int(struct.unpack_from("<Q", body, 2 + (index_bytes if body[1] & CREATION_INDEX else 0))[0])


def read_contiguous(layout: bytes) -> tuple[int, int]:
    """Address and bytes of an array that is stored in one piece."""
    head = LAYOUT_HEAD.read(layout)
    if head.version not in (3, 4, 5) or head.layout != CONTIGUOUS:
        raise FormatError("an array is not stored in one piece of this file")
    location = LOCATION.read(layout, LAYOUT_HEAD.bytes)
    return location.address, location.bytes


def read_chunks(extent: Extent, layout: bytes) -> tuple[tuple[int, ...], list[Chunk]]:
    """The shape of a chunk followed by the bytes of an element, and where each chunk is, in their order."""
    head = LAYOUT_HEAD.read(layout)
    if head.version not in (4, 5) or head.layout != CHUNKED:
        raise FormatError("an array is not stored in chunks of this file")
    head = CHUNKED_HEAD.read(layout)
    end = CHUNKED_HEAD.bytes + head.dimensions * head.width
    sides = range(CHUNKED_HEAD.bytes, end, max(1, head.width))
    shape = tuple(int.from_bytes(layout[at : at + head.width], "little") for at in sides)
    index = layout[end]
    if index == ONE_CHUNK and head.flags & ONE_CHUNK_FILTERED:
        chunk = FILTERED_CHUNK.read(layout, end + 1)
        return shape, [Chunk(chunk.address, chunk.bytes, chunk.mask)]
    if index == FIXED_ARRAY:
        return shape, _read_fixed_array(extent, ARRAY_INDEX.read(layout, end + 1).address)
    raise FormatError("an array's chunks have an index that scratchnet never writes")


def _read_fixed_array(extent: Extent, address: int) -> list[Chunk]:
    """Its entries: address, bytes and mask of each chunk."""
    head = ARRAY_HEADER.read(extent.checked(b"FAHD\0\x01", address, ARRAY_HEADER.bytes))
    entry, entries = head.entry_bytes, head.entries
    plausible = 13 <= entry <= 20 and 0 < entries <= MAX_CHUNKS and entries * entry <= extent.size
    if not plausible or head.page_bits != PAGE_BITS:
        raise FormatError("an array's index of chunks declares more than the file holds")
    page = 1 << PAGE_BITS
    if entries <= page:
        length = ARRAY_BLOCK.bytes + entries * entry + CHECKSUM
        content = extent.checked(b"FADB\0\x01", head.block, length)[ARRAY_BLOCK.bytes : -CHECKSUM]
    else:
        pages = -(-entries // page)
        start = ARRAY_BLOCK.bytes + (pages + 7) // 8 + CHECKSUM
        extent.checked(b"FADB\0\x01", head.block, start)
        counts = [min(page, entries - first) for first in range(0, entries, page)]
        starts = [head.block + start + number * (page * entry + CHECKSUM) for number in range(pages)]
        content = b"".join(
            extent.checked(b"", where, count * entry + CHECKSUM)[:-CHECKSUM]
            for where, count in zip(starts, counts, strict=True)
        )
    return [_parse_entry(content[at : at + entry]) for at in range(0, len(content), entry)]


def _parse_entry(entry: bytes) -> Chunk:
    address, length, mask = (int.from_bytes(part, "little") for part in (entry[:8], entry[8:-4], entry[-4:]))
    return Chunk(address, length, mask)
