"""The bytes of an HDF5 file that decide what the HDF5 library will do, looked at before the library sees them.

HDF5 can do far more than hold arrays: it follows links into other files, takes an array's bytes from any file of the disk,
inflates compressed tables of names without a limit. scratchnet writes none of that. So a file's superblock and the header of
each of its objects are read here, in plain Python, and whatever scratchnet never writes is refused: HDF5's code for it is
then never reached.

Source: The HDF Group, "HDF5 File Format Specification Version 3.0", sections II (superblock), III.A (B-trees),
III.G (fractal heap), IV.A (object headers). All numbers are little-endian; every structure that scratchnet writes carries a checksum,
which the library compares.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK_BYTES = 48
UNDEFINED = 2**64 - 1  # the address of what is not there

MAX_HEADER_BYTES = 2**20  # one object's header, all attributes included
MAX_MESSAGES = 256  # in one header
MAX_LINKS = 2**14  # in one group
MAX_TREE_DEPTH = 3  # of the index of a group's names: two levels hold several thousand

# What a header may hold (section IV.A.2).
DATASPACE, LINK_INFO, DATATYPE, FILL_VALUE, LINK = 0x01, 0x02, 0x03, 0x05, 0x06
LAYOUT, GROUP_INFO, FILTERS, ATTRIBUTE, CONTINUATION, ATTRIBUTE_INFO = 0x08, 0x0A, 0x0B, 0x0C, 0x10, 0x15
NOTHING = 0x00
KNOWN = {
    *(NOTHING, DATASPACE, LINK_INFO, DATATYPE, FILL_VALUE, LINK),
    *(LAYOUT, GROUP_INFO, FILTERS, ATTRIBUTE, CONTINUATION, ATTRIBUTE_INFO),
}
CONTIGUOUS, CHUNKED = 1, 2  # kinds of layout
SINGLE_CHUNK, FIXED_ARRAY = 1, 3  # kinds of index over chunks


class HeaderError(ValueError):
    """The file is damaged, or uses a part of HDF5 that scratchnet never writes; the message says which."""


@dataclass(frozen=True)
class Superblock:
    """Where a file begins. end: the file's size as it was written. root: address of the root group's header."""

    end: int
    root: int


def read_superblock(stream: BinaryIO, size: int) -> Superblock:
    """The first 48 bytes of a file of `size` bytes. Raises HeaderError unless they are as scratchnet writes them."""
    stream.seek(0)
    first = stream.read(SUPERBLOCK_BYTES)
    if len(first) < SUPERBLOCK_BYTES or not first.startswith(SIGNATURE):
        raise HeaderError("its first bytes are others")
    version, offset_bytes, length_bytes, flags = struct.unpack_from("<4B", first, 8)
    base, extension, end, root = struct.unpack_from("<4Q", first, 12)
    if (version, offset_bytes, length_bytes, base, extension) != (3, 8, 8, 0, UNDEFINED):
        raise HeaderError(f"its superblock has version {version}, or options that scratchnet never uses")
    if flags:
        raise HeaderError("it was never closed: the program that wrote it was stopped")
    if end != size:
        raise HeaderError(f"{size} bytes where its own header says {end}: truncated, or something was appended")
    return Superblock(end, root)


class Headers:
    """Reads object headers of one open file of `size` bytes; no more than `size` bytes in all, and each header once."""

    def __init__(self, stream: BinaryIO, size: int):
        self._stream, self._size = stream, size
        self._left = size
        self._seen: set[int] = set()

    def check(self, address: int) -> str:
        """Looks at the object whose header begins at `address`: returns "group" or "dataset", or raises HeaderError.

        A group has its links in its header, or in an uncompressed heap under a shallow index. A dataset is contiguous, or has
        one chunk or a fixed number of chunks. Nothing is shared with another object, virtual, or stored in another file.
        """
        try:
            messages = self._messages(address)
            kinds = [kind for kind, _ in messages]
            for kind, body in messages:
                if kind == LINK_INFO:
                    self._check_link_info(body)
                elif kind == ATTRIBUTE_INFO:
                    self._check_attribute_info(body)
                elif kind == LAYOUT:
                    self._check_layout(body)
        except struct.error as error:
            raise HeaderError("an object's header ends too early") from error
        if kinds.count(LINK_INFO) == 1 and not {LAYOUT, DATASPACE, DATATYPE, FILTERS} & set(kinds):
            return "group"
        if kinds.count(LAYOUT) == 1 and not {LINK_INFO, GROUP_INFO, LINK} & set(kinds):
            return "dataset"
        raise HeaderError("an object is neither a group nor a dataset")

    def _take(self, address: int, length: int) -> bytes:
        if not SUPERBLOCK_BYTES <= address <= self._size - length or length > self._left:
            raise HeaderError("an address leads out of the file, or parts of it are used twice")
        self._left -= length
        self._stream.seek(address)
        return self._stream.read(length)

    def _messages(self, address: int) -> list[tuple[int, bytes]]:
        """The messages of an object's header, and of the blocks in which it goes on."""
        if address in self._seen:
            raise HeaderError("an object stands in two places")
        self._seen.add(address)
        prefix = self._take(address, 6)
        if prefix[:5] != b"OHDR\x02":
            raise HeaderError("an object's header has another version, or lies elsewhere")
        flags = prefix[5]
        skip = (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        sizes = self._take(address + 6, skip + width)
        first = (address + 6 + skip + width, int.from_bytes(sizes[skip:], "little"))
        blocks, found, total = [first], [], 0
        while blocks:
            start, length = blocks.pop()
            total += length
            if total > MAX_HEADER_BYTES:
                raise HeaderError("an object's header is larger than any that scratchnet writes")
            for kind, body in _split(self._take(start, length), tracked=bool(flags & 4)):
                found.append((kind, body))
                if kind == CONTINUATION:
                    where, length = struct.unpack("<QQ", body[:16])
                    if length < 8 or self._take(where, 4) != b"OCHK":
                        raise HeaderError("an object's header goes on where there is none")
                    blocks.append((where + 4, length - 8))  # without signature and checksum
            if len(found) > MAX_MESSAGES:
                raise HeaderError("an object's header holds more messages than any that scratchnet writes")
        return found

    def _check_link_info(self, body: bytes) -> None:
        """Names in a heap: it must be uncompressed, with no large objects, and its index must be shallow."""
        heap, index = struct.unpack_from("<QQ", body, 2 + (8 if body[1] & 1 else 0))
        if heap == UNDEFINED:
            return
        head = self._take(heap, 80)
        (filters,), (huge_index,) = struct.unpack_from("<H", head, 7), struct.unpack_from("<Q", head, 22)
        if head[:5] != b"FRHP\0" or filters or huge_index != UNDEFINED:
            raise HeaderError("a group's names are stored in a way that scratchnet never uses")
        head = self._take(index, 38)
        kind, node_bytes, _, depth = struct.unpack_from("<BIHH", head, 5)
        (links,) = struct.unpack_from("<Q", head, 26)
        if head[:5] != b"BTHD\0" or kind != 5 or node_bytes > 4096 or depth > MAX_TREE_DEPTH or links > MAX_LINKS:
            raise HeaderError("a group's names have an index that scratchnet never writes")

    def _check_attribute_info(self, body: bytes) -> None:
        (heap,) = struct.unpack_from("<Q", body, 2 + (2 if body[1] & 1 else 0))
        if heap != UNDEFINED:
            raise HeaderError("an object has more attributes, or larger ones, than any that scratchnet writes")

    def _check_layout(self, body: bytes) -> None:
        version, kind = body[0], body[1]
        if version == 3 or (version == 4 and kind == CONTIGUOUS):
            if kind != CONTIGUOUS:
                raise HeaderError("an array is stored in a way that scratchnet never uses")
            return
        if version != 4 or kind != CHUNKED:
            raise HeaderError("an array is virtual, or stored in a way that scratchnet never uses")
        dimensions, width = body[3], body[4]
        index = body[5 + dimensions * width]
        if index not in (SINGLE_CHUNK, FIXED_ARRAY):
            raise HeaderError("an array's chunks have an index that scratchnet never writes")
        if index == FIXED_ARRAY:
            (address,) = struct.unpack_from("<Q", body, 5 + dimensions * width + 2)
            if address != UNDEFINED:
                head = self._take(address, 28)
                (entries,) = struct.unpack_from("<Q", head, 8)
                if head[:5] != b"FAHD\0" or entries * head[6] > self._size:
                    raise HeaderError("an array's index of chunks declares more than the file holds")


def _split(block: bytes, *, tracked: bool) -> list[tuple[int, bytes]]:
    """The messages in a block of a header: kind and body of each. tracked: each also carries its order of creation."""
    messages = []
    head = 6 if tracked else 4
    position = 0
    while position + head <= len(block):  # a shorter rest is padding
        kind, length, flags = struct.unpack_from("<BHB", block, position)
        body = block[position + head : position + head + length]
        if kind not in KNOWN or flags & 2 or len(body) < length:
            raise HeaderError(f"an object's header holds something that scratchnet never writes (message {kind:#x})")
        messages.append((kind, body))
        position += head + length
    return messages
