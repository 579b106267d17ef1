"""The names in a group of an HDF5 file, and the address of the object that each leads to.

A few names stand as messages in the group's own header. Many stand in a heap, and an index says where in the heap:

    link info ──▶ heap header ──▶ one block, or table of blocks ──▶ blocks: links, one after the other
              └─▶ index header ──▶ nodes: heap IDs of the links

Each line draws a structure, as in `scratchnet.storage.hdf5.format`: bytes and name of each field; [in brackets] what a flag adds.

    body of link info (IV.A.2.c)    1 version = 0 · 1 flags · [8 order of creation] · 8 heap · 8 index · …
    a link (IV.A.2.g)               1 version = 1 · 1 flags · [1 kind = 0: hard] · [8 order of creation] · [1 character set]
                                    1, 2, 4 or 8 length of the name · name · 8 address of the object
    index header (III.A.2)          4 "BTHD" · 1 version = 0 · 1 type = 5: names · 4 length of a node · 2 length of a record = 11 · 2 depth
                                    1 split and 1 merge percent · 8 root node · 2 records in it · 8 records in all · 4 checksum
      a node                        4 "BTLF", or "BTIN" above others · 1 version = 0 · 1 type = 5 · records …
                                    [of a BTIN, one more than it has records: 8 address · records in that node · records below it]
                                    4 checksum
      a record                      4 hash of the name · 7 heap ID
    heap ID (III.G)                 1 flags = 0: in a block · 4 offset in the heap · 2 length
    heap header (III.G)             4 "FRHP" · 1 version = 0 · 2 length of a heap ID = 7 · 2 length of filters = 0 · 1 flags
                                    4 largest object · 96 large objects, free space and statistics, of no use here
                                    2 width of the table · 8 smallest and 8 largest block · 2 bits of an offset = 32
                                    2 first rows · 8 root: block or table · 2 rows of the table, 0 for one block · 4 checksum
      table of blocks               4 "FHIB" · 1 version = 0 · 8 heap header · 4 offset · rows × width × 8 address of a block · 4 checksum
                                    rows 0 and 1 have blocks of the first size, each row after them of twice the size of the row before
      a block                       4 "FHDB" · 1 version = 0 · 8 heap header · 4 offset · [4 checksum] · links …
                                    its checksum is computed with zeros in its own place

Source: The HDF Group, "HDF5 File Format Specification Version 3.0", whose sections stand in brackets.
"""

import struct
from dataclasses import dataclass

from scratchnet.storage.hdf5.checksum import lookup3
from scratchnet.storage.hdf5.format import (
    CHECKSUM,
    CREATION_INDEX,
    LINK,
    LINK_INFO,
    MAX_LINKS,
    UNDEFINED,
    WIDTH,
    Extent,
    Fields,
    FormatError,
    Message,
    address_behind_flags,
    one,
)

KIND, CREATION_ORDER, CHARACTER_SET = 0x08, 0x04, 0x10  # flags of a link: what it has besides the name

INDEX_HEADER = Fields(
    signature="4s", version="B", type="B", node_bytes="I", record_bytes="H", depth="H", split="B", merge="B",
    root="Q", records_in_root="H", records="Q", checksum="I",
)  # fmt: skip
NODE_HEAD = 6  # bytes: signature, version, type
RECORD, HASH = 11, 4  # bytes of a record, and of the hash in front of its heap ID
MAX_NODE_BYTES, MAX_DEPTH = 4096, 2

HEAP_HEADER = Fields(
    signature="4s", version="B", id_bytes="H", filter_bytes="H", flags="B", largest="I", unused="96s",
    width="H", first="Q", most="Q", offset_bits="H", first_rows="H", root="Q", rows="H", checksum="I",
)  # fmt: skip
BLOCKS_HAVE_CHECKSUMS = 0x02  # a flag of a heap
HEAP_ID = Fields(kind="B", offset="I", length="H")
BLOCK_HEAD = Fields(signature="4s", version="B", heap="Q", offset="I")  # of a block and of a table of blocks
MAX_BLOCK_BYTES, MAX_WIDTH = 2**16, 64


def read_links(extent: Extent, messages: list[Message]) -> dict[str, int]:
    """Name and address of each object in a group. Raises FormatError for any link but a hard one, and for a name given twice."""
    info = one(messages, LINK_INFO)
    heap = address_behind_flags(info, 8)
    bodies = [message.body for message in messages if message.kind == LINK]
    if heap != UNDEFINED:
        index = struct.unpack_from("<Q", info, 10 + (8 if info[1] & CREATION_INDEX else 0))[0]
        bodies += Heap(extent, heap).objects(_read_index(extent, index))
    if len(bodies) > MAX_LINKS:
        raise FormatError(f"a group holds more than {MAX_LINKS} objects")
    links = dict(map(_parse_link, bodies))
    if len(links) < len(bodies):
        raise FormatError("a group holds two objects of one name")
    return links


def _parse_link(body: bytes) -> tuple[str, int]:
    flags = body[1]
    if flags & KIND and body[2]:
        raise FormatError("a link leads somewhere else, which is never followed")
    position = (
        2 + (1 if flags & KIND else 0) + (8 if flags & CREATION_ORDER else 0) + (1 if flags & CHARACTER_SET else 0)
    )
    width = 1 << (flags & WIDTH)
    length = int.from_bytes(body[position : position + width], "little")
    name = body[position + width : position + width + length].decode()
    if not name or "/" in name:
        raise FormatError(f"an object is called {name!r}")
    return name, struct.unpack_from("<Q", body, position + width + length)[0]


def _read_index(extent: Extent, address: int) -> list[bytes]:
    """The heap IDs of all names of a group."""
    head = INDEX_HEADER.read(extent.checked(b"BTHD\0\x05", address, INDEX_HEADER.bytes))
    node_bytes, total = head.node_bytes, head.records
    known = head.record_bytes == RECORD and node_bytes <= MAX_NODE_BYTES and head.depth <= MAX_DEPTH
    if not known or total > MAX_LINKS:
        raise FormatError(
            f"a group has an index of {total} names, {head.depth} levels deep, which scratchnet never writes"
        )
    # Bytes of a pointer to a node at each level: its address, its records, and below the lowest levels all under it.
    room = node_bytes - NODE_HEAD - CHECKSUM
    most = room // RECORD
    own = _bytes_for(most)
    pointer = [8 + own]
    inner = (room - pointer[0]) // (RECORD + pointer[0])
    pointer.append(8 + own + _bytes_for((inner + 1) * most + inner))

    identifiers: list[bytes] = []
    nodes = [(head.root, head.records_in_root, head.depth)] if total else []
    while nodes:
        address, records, level = nodes.pop()
        children = records + 1 if level else 0
        step = pointer[level - 1] if level else 0
        end = NODE_HEAD + records * RECORD  # of the records
        length = end + children * step + CHECKSUM
        if len(identifiers) + records > total or length > node_bytes:
            raise FormatError("a group's index holds more names than it declares")
        node = extent.checked(b"BTIN\0\x05" if level else b"BTLF\0\x05", address, length)
        identifiers += [node[at + HASH : at + RECORD] for at in range(NODE_HEAD, end, RECORD)]
        for at in range(end, length - CHECKSUM, step or 1):
            child, count = node[at : at + 8], node[at + 8 : at + 8 + own]
            nodes.append((int.from_bytes(child, "little"), int.from_bytes(count, "little"), level - 1))
            if len(nodes) > total:
                raise FormatError("a group's index is larger than it declares")
    if len(identifiers) != total:
        raise FormatError("a group's index holds fewer names than it declares")
    return identifiers


def _bytes_for(number: int) -> int:
    return (max(1, number).bit_length() + 7) // 8


@dataclass(frozen=True)
class _Block:
    """A block of a heap: the heap's offsets first … first + bytes − 1 stand from `address` on."""

    first: int
    bytes: int
    address: int


class Heap:
    """A fractal heap without filters and large objects, as groups keep their names in: one block, or a table of blocks."""

    def __init__(self, extent: Extent, address: int):
        self._extent, self._address = extent, address
        head = HEAP_HEADER.read(extent.checked(b"FRHP\0", address, HEAP_HEADER.bytes))
        self._largest, self._blocks_have_checksums = head.largest, head.flags & BLOCKS_HAVE_CHECKSUMS
        first, most = head.first, head.most
        powers = first > 0 and most > 0 and first & (first - 1) == 0 and most & (most - 1) == 0
        sizes = powers and first <= most <= MAX_BLOCK_BYTES and 1 <= head.width <= MAX_WIDTH
        if head.filter_bytes or head.id_bytes != HEAP_ID.bytes or head.offset_bits != 32 or not sizes:
            raise FormatError("a group keeps its names in a heap that scratchnet never writes")
        if head.rows == 0:
            self._blocks = [_Block(0, first, head.root)]
            return
        if head.rows > 2 + (most // first).bit_length() - 1:  # below that, a row of tables would follow
            raise FormatError("a group keeps more names than scratchnet writes")
        entries = head.rows * head.width
        table = extent.checked(b"FHIB\0", head.root, BLOCK_HEAD.bytes + entries * 8 + CHECKSUM)
        self._blocks, offset = [], 0
        for number, block in enumerate(struct.unpack_from(f"<{entries}Q", table, BLOCK_HEAD.bytes)):
            size = first << max(0, number // head.width - 1)
            self._blocks.append(_Block(offset, size, block))
            offset += size

    def objects(self, identifiers: list[bytes]) -> list[bytes]:
        """The objects with these heap IDs."""
        contents: dict[_Block, bytes] = {}
        found = []
        left = sum(block.bytes for block in self._blocks)  # objects don't share bytes
        for identifier in map(HEAP_ID.read, identifiers):
            offset, length = identifier.offset, identifier.length
            left -= length
            block = next((one for one in self._blocks if one.first <= offset < one.first + one.bytes), None)
            if (
                identifier.kind
                or block is None
                or offset - block.first + length > block.bytes
                or min(left, self._largest - length) < 0
            ):
                raise FormatError("a group's index names what its heap does not hold")
            if block not in contents:
                contents[block] = self._read_block(block)
            found.append(contents[block][offset - block.first : offset - block.first + length])
        return found

    def _read_block(self, block: _Block) -> bytes:
        """A whole block, head included: the heap's offsets count it."""
        content = self._extent.read(block.address, block.bytes)
        head = BLOCK_HEAD.read(content)
        if (head.signature, head.version, head.heap, head.offset) != (b"FHDB", 0, self._address, block.first):
            raise FormatError("there is no block of a heap where one should be")
        end = BLOCK_HEAD.bytes + CHECKSUM
        stored, covered = content[BLOCK_HEAD.bytes : end], content[: BLOCK_HEAD.bytes] + bytes(CHECKSUM) + content[end:]
        if self._blocks_have_checksums and int.from_bytes(stored, "little") != lookup3(covered):
            raise FormatError("a block of a heap does not agree with its checksum")
        return content
