"""The part of HDF5 that scratchnet writes, read in plain Python.

Files are written by h5py and any HDF5 program can read them. They are read here, without the HDF5 library, because a file may come
from a stranger: the library does far more than hold arrays (links into other files, bytes from any file of the disk, tables
inflated without a limit), and a file made for it can crash it. What follows knows the few structures below, compares
their checksums, and looks at every address before it goes there. Everything else in HDF5 is refused by name.

| structure                                           | in the specification | holds                                            |
|-----------------------------------------------------|----------------------|--------------------------------------------------|
| superblock, version 3                               | II                   | the file's end, the root group's address         |
| object header, version 2, and its continuations     | IV.A                 | messages: what an object is and where its parts are |
| link messages, or a fractal heap under a B-tree     | IV.A.2.g, III.G, III.A | the names in a group                           |
| fixed array                                         | III.H                | where each chunk of an array is                  |

Source: The HDF Group, "HDF5 File Format Specification Version 3.0". All numbers are little-endian, addresses have 8 bytes.
"""

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from scratchnet.hdf5_checksum import lookup3

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1  # the address of what is not there

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


class FormatError(ValueError):
    """The file is damaged, or uses a part of HDF5 that scratchnet never writes; the message says which."""


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

    def take(self, address: int, length: int) -> bytes:
        """`length` bytes at `address`. Raises FormatError where the file does not hold them."""
        self.require(address, length)
        with self._lock:
            self._stream.seek(address)
            found = self._stream.read(length)
        if len(found) != length:
            raise FormatError("the file became shorter while it was read")
        return found

    def fill(self, address: int, buffer: memoryview) -> None:
        """Reads into `buffer`, a view of bytes, what stands at `address`. Raises FormatError where the file does not hold it."""
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
        found = self.take(address, length)
        if not found.startswith(signature):
            raise FormatError(f"there is no {signature[:4].decode()} where one should be")
        if struct.unpack_from("<I", found, length - 4)[0] != lookup3(found[:-4]):
            raise FormatError(f"a {signature[:4].decode()} does not agree with its checksum")
        return found


def read_root(extent: Extent) -> int:
    """The address of the root group, from the superblock, after a look whether the file begins and ends as it says."""
    if extent.size < 48 or extent.take(0, 8) != SIGNATURE:
        raise FormatError("not an HDF5 file: its first bytes are others")
    version, offset_bytes, length_bytes, flags, base, extension, end, root = struct.unpack("<4B4Q", extent.take(8, 36))
    if (version, offset_bytes, length_bytes, base, extension) != (3, 8, 8, 0, UNDEFINED):
        raise FormatError(f"its superblock has version {version}, or options that scratchnet never uses")
    if struct.unpack("<I", extent.take(44, 4))[0] != lookup3(extent.take(0, 44)):
        raise FormatError("its superblock does not agree with its checksum")
    if flags:
        raise FormatError("it was never closed: the program that wrote it was stopped")
    if end != extent.size:
        raise FormatError(f"it has {extent.size} bytes and should have {end}: truncated, or something was appended")
    return int(root)


def read_messages(extent: Extent, address: int) -> list[Message]:
    """All messages in the header of the object at `address`, also those in the blocks in which it goes on."""
    prefix = extent.take(address, 6)
    flags = prefix[5]
    skip = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)  # times; how attributes are stored
    width = 1 << (flags & 3)
    first = int.from_bytes(extent.take(address + skip, width), "little")
    blocks = [(b"OHDR\x02", address, skip + width, skip + width + first + 4)]
    found: list[Message] = []
    total = 0
    while blocks:
        signature, start, head, length = blocks.pop()
        total += length
        if total > MAX_HEADER_BYTES or length < head + 4:
            raise FormatError(f"an object's header has a block of {length} bytes, which scratchnet never writes")
        block = extent.checked(signature, start, length)
        for message in _split(block[head:-4], 6 if flags & 4 else 4):
            if message.kind == CONTINUATION:
                blocks.append(
                    (b"OCHK", *struct.unpack_from("<Q", message.body), 4, *struct.unpack_from("<Q", message.body, 8))
                )
            found.append(message)
        if len(found) > MAX_MESSAGES:
            raise FormatError(f"an object's header holds more than {MAX_MESSAGES} messages")
    return found


def _split(block: bytes, head: int) -> Iterator[Message]:
    """The messages in a block of a header. head: bytes before each body."""
    position = 0
    while position + head <= len(block):  # a shorter rest is padding
        kind, length, flags = struct.unpack_from("<BHB", block, position)
        body = block[position + head : position + head + length]
        if (
            kind not in IN_ANY | IN_GROUPS | IN_DATASETS or flags & 2 or len(body) < length
        ):  # 2: shared with other objects
            raise FormatError(f"an object's header holds something that scratchnet never writes (message {kind:#04x})")
        yield Message(kind, body)
        position += head + length


def one(messages: list[Message], kind: int) -> bytes:
    """The body of the only message of its kind."""
    bodies = [message.body for message in messages if message.kind == kind]
    if len(bodies) != 1:
        raise FormatError(f"an object's header has {len(bodies)} messages of kind {kind:#04x} where one is needed")
    return bodies[0]


def is_group(messages: list[Message]) -> bool:
    """Whether the object is a group; otherwise it is a dataset. Raises FormatError where it is something else, or both."""
    kinds = {message.kind for message in messages} - IN_ANY
    for message in messages:
        if message.kind == ATTRIBUTE_INFO and _address_behind_flags(message.body, 2) != UNDEFINED:
            raise FormatError("an object has more or larger attributes than scratchnet writes")
    if LINK_INFO in kinds and kinds <= IN_GROUPS:
        return True
    if LAYOUT in kinds and kinds <= IN_DATASETS:
        return False
    raise FormatError("an object is neither a group nor an array")


def _address_behind_flags(body: bytes, optional: int) -> int:
    """An address that follows version, flags, and `optional` bytes that are there if flag 1 is set."""
    return int(struct.unpack_from("<Q", body, 2 + (optional if body[1] & 1 else 0))[0])


def read_links(extent: Extent, messages: list[Message]) -> dict[str, int]:
    """Name and address of each object in a group. Raises FormatError for any link but a hard one, and for a name given twice."""
    info = one(messages, LINK_INFO)
    heap = _address_behind_flags(info, 8)
    bodies = [message.body for message in messages if message.kind == LINK]
    if heap != UNDEFINED:
        index = int(struct.unpack_from("<Q", info, 10 + (8 if info[1] & 1 else 0))[0])
        bodies += Heap(extent, heap).objects(_read_index(extent, index))
    if len(bodies) > MAX_LINKS:
        raise FormatError(f"a group holds more than {MAX_LINKS} objects")
    links = dict(map(_parse_link, bodies))
    if len(links) < len(bodies):
        raise FormatError("a group holds two objects of one name")
    return links


def _parse_link(body: bytes) -> tuple[str, int]:
    flags = body[1]
    if flags & 8 and body[2]:
        raise FormatError("a link leads somewhere else, which is never followed")
    position = 2 + (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(body[position : position + width], "little")
    name = body[position + width : position + width + length].decode()
    if not name or "/" in name:
        raise FormatError(f"an object is called {name!r}")
    return name, struct.unpack_from("<Q", body, position + width + length)[0]


def _read_index(extent: Extent, address: int) -> list[bytes]:
    """The heap IDs of all names of a group, from its B-tree of version 2, record type 5: four bytes of hash, seven of heap ID."""
    head = extent.checked(b"BTHD\0\x05", address, 38)
    node_bytes, record, depth = struct.unpack_from("<IHH", head, 6)
    root, in_root, total = struct.unpack_from("<QHQ", head, 16)
    if record != 11 or node_bytes > 4096 or depth > 2 or total > MAX_LINKS:
        raise FormatError(f"a group has an index of {total} names, {depth} levels deep, which scratchnet never writes")
    # Bytes of a pointer to a node at each level: its address, its records, and below the lowest levels all under it.
    most = (node_bytes - 10) // record
    own = _bytes_for(most)
    pointer = [8 + own]
    inner = (node_bytes - 10 - pointer[0]) // (record + pointer[0])
    pointer.append(8 + own + _bytes_for((inner + 1) * most + inner))

    identifiers: list[bytes] = []
    nodes = [(root, in_root, depth)] if total else []
    while nodes:
        address, records, level = nodes.pop()
        children = records + 1 if level else 0
        step = pointer[level - 1] if level else 0
        length = 6 + records * record + children * step + 4
        if len(identifiers) + records > total or length > node_bytes:
            raise FormatError("a group's index holds more names than it declares")
        node = extent.checked(b"BTIN\0\x05" if level else b"BTLF\0\x05", address, length)
        identifiers += [node[at + 4 : at + 11] for at in range(6, 6 + records * record, record)]
        for at in range(6 + records * record, length - 4, step or 1):
            child, count = (
                int.from_bytes(node[at : at + 8], "little"),
                int.from_bytes(node[at + 8 : at + 8 + own], "little"),
            )
            nodes.append((child, count, level - 1))
            if len(nodes) > total:
                raise FormatError("a group's index is larger than it declares")
    if len(identifiers) != total:
        raise FormatError("a group's index holds fewer names than it declares")
    return identifiers


def _bytes_for(number: int) -> int:
    return (max(1, number).bit_length() + 7) // 8


@dataclass(frozen=True)
class _Block:
    """A direct block of a heap: the heap's offsets first … first + bytes − 1 stand from `address` on."""

    first: int
    bytes: int
    address: int


class Heap:
    """A fractal heap without filters and large objects, as groups keep their names in: one block, or a table of blocks."""

    def __init__(self, extent: Extent, address: int):
        self._extent, self._address = extent, address
        head = extent.checked(b"FRHP\0", address, 146)
        id_bytes, filters, self._flags, self._largest = struct.unpack_from("<HHBI", head, 5)
        width, first, most, bits, _, root, rows = struct.unpack_from("<HQQHHQH", head, 110)
        powers = first > 0 and most > 0 and first & (first - 1) == 0 and most & (most - 1) == 0
        if filters or id_bytes != 7 or bits != 32 or not powers or not first <= most <= 2**16 or not 1 <= width <= 64:
            raise FormatError("a group keeps its names in a heap that scratchnet never writes")
        if rows == 0:
            self._blocks = [_Block(0, first, root)]
            return
        # Rows 0 and 1 have blocks of the first size, each row after them of twice the size of the row before.
        if rows > 2 + (most // first).bit_length() - 1:
            raise FormatError("a group keeps more names than scratchnet writes")
        table = extent.checked(b"FHIB\0", root, 17 + rows * width * 8 + 4)
        self._blocks, offset = [], 0
        for number in range(rows * width):
            size = first << max(0, number // width - 1)
            (block,) = struct.unpack_from("<Q", table, 17 + 8 * number)
            self._blocks.append(_Block(offset, size, block))
            offset += size

    def objects(self, identifiers: list[bytes]) -> list[bytes]:
        """The objects with these IDs: a byte of flags (0), four of offset, two of length."""
        contents: dict[_Block, bytes] = {}
        found = []
        for identifier in identifiers:
            kind, offset, length = struct.unpack("<BIH", identifier)
            block = next((one for one in self._blocks if one.first <= offset < one.first + one.bytes), None)
            if kind or block is None or offset - block.first + length > block.bytes or length > self._largest:
                raise FormatError("a group's index names what its heap does not hold")
            if block not in contents:
                contents[block] = self._read_block(block)
            found.append(contents[block][offset - block.first : offset - block.first + length])
        return found

    def _read_block(self, block: _Block) -> bytes:
        """A whole block, head included. Its checksum stands in the head, and is computed with zeros in its place."""
        content = self._extent.take(block.address, block.bytes)
        if content[:5] != b"FHDB\0" or struct.unpack_from("<QI", content, 5) != (self._address, block.first):
            raise FormatError("there is no block of a heap where one should be")
        if self._flags & 2 and struct.unpack_from("<I", content, 17)[0] != lookup3(
            content[:17] + bytes(4) + content[21:]
        ):
            raise FormatError("a block of a heap does not agree with its checksum")
        return content


def read_contiguous(layout: bytes) -> tuple[int, int]:
    """Address and bytes of an array that is stored in one piece."""
    if layout[0] not in (3, 4, 5) or layout[1] != 1:
        raise FormatError("an array is not stored in one piece of this file")
    address, length = struct.unpack_from("<QQ", layout, 2)
    return address, length


def read_chunks(extent: Extent, layout: bytes) -> tuple[tuple[int, ...], list[Chunk]]:
    """The shape of a chunk, the bytes of an element behind it, and where each chunk is, in their order."""
    if layout[0] not in (4, 5) or layout[1] != 2:
        raise FormatError("an array is not stored in chunks of this file")
    flags, dimensions, width = layout[2:5]
    rest = 5 + dimensions * width
    shape = tuple(int.from_bytes(layout[at : at + width], "little") for at in range(5, rest, max(1, width)))
    if layout[rest] == 1 and flags & 2:  # one chunk is all
        length, mask, address = struct.unpack_from("<QIQ", layout, rest + 1)
        return shape, [Chunk(address, length, mask)]
    if layout[rest] == 3:
        return shape, _read_fixed_array(extent, struct.unpack_from("<Q", layout, rest + 2)[0])
    raise FormatError("an array's chunks have an index that scratchnet never writes")


def _read_fixed_array(extent: Extent, address: int) -> list[Chunk]:
    """Its elements: address, bytes and mask of each chunk. Beyond 2^page_bits of them they stand in pages."""
    head = extent.checked(b"FAHD\0\x01", address, 28)
    element, page_bits, entries, block = struct.unpack_from("<BBQQ", head, 6)
    if not 13 <= element <= 20 or not 0 < entries <= MAX_CHUNKS or entries * element > extent.size or page_bits > 20:
        raise FormatError("an array's index of chunks declares more than the file holds")
    page = 1 << page_bits
    if entries <= page:
        elements = extent.checked(b"FADB\0\x01", block, 14 + entries * element + 4)[14:-4]
    else:
        pages = -(-entries // page)
        start = 14 + (pages + 7) // 8 + 4
        extent.checked(b"FADB\0\x01", block, start)
        counts = [min(page, entries - first) for first in range(0, entries, page)]
        starts = [block + start + number * (page * element + 4) for number in range(pages)]
        elements = b"".join(
            extent.checked(b"", where, count * element + 4)[:-4] for where, count in zip(starts, counts, strict=True)
        )
    return [
        Chunk(
            int.from_bytes(elements[at : at + 8], "little"),
            int.from_bytes(elements[at + 8 : at + element - 4], "little"),
            int.from_bytes(elements[at + element - 4 : at + element], "little"),
        )
        for at in range(0, len(elements), element)
    ]
