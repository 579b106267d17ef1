"""The directories of a TIFF: what each of its pages is; and one page cut out, keeping only its pixels.

A TIFF is a chain of directories of tags, one a page. Pillow decodes the pixels. The tags that tell what a file is are read
here, so that the answer is the same with every version of Pillow; Pillow gets only the tags that describe pixels.

Adobe, TIFF 6.0, 1992; BigTIFF: https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = (
    254, 255, 256, 257, 258, 259, 262, 274,
)  # fmt: skip
STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR, COLOUR_MAP = 273, 277, 278, 279, 284, 320
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, JPEG_START, JPEG_BYTES = 322, 323, 324, 325, 513, 514
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, ICC, DNG_VERSION = 330, 338, 339, 700, 34675, 50706
# 266 order of bits; 278 rows a strip; 292, 293 fax; 317 predictor; 322, 323 tiles; 512 … 521, 347 JPEG; 529 … 532 YCbCr
OF_PIXELS = (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, 266, STRIPS, SAMPLES, 278, STRIP_BYTES, PLANAR, 292, 293, 317,
             COLOUR_MAP, 322, 323, TILES, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT, 347, *range(512, 522), 529, 530, 531, 532)  # fmt: skip
WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # the types of whole numbers: struct's letters
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
MAX_NUMBERS = 2**18  # values of one tag: the offsets of 2²⁴ pixels in four channels, in the smallest tiles
MAX_TAGS = 2**10  # of one page
MAX_PAGES = 64  # that are looked at
COMPRESSIONS = {
    2: "CCITT RLE", 3: "CCITT fax, group 3", 4: "CCITT fax, group 4", 5: "LZW", 6: "JPEG in its old form", 7: "JPEG", 8: "Deflate",
    9: "JBIG", 10: "JBIG", 32766: "NeXT RLE", 32767: "Sony's ARW", 32773: "PackBits", 32809: "ThunderScan", 32946: "Deflate",
    33003: "JPEG 2000 (Aperio, YCbCr)", 33004: "JPEG 2000 (Aperio)", 33005: "JPEG 2000 (Aperio, RGB)", 34661: "JBIG",
    34676: "SGI Log", 34677: "SGI Log", 34712: "JPEG 2000", 34713: "Nikon's NEF", 34887: "LERC", 34892: "JPEG with loss (DNG)",
    34925: "LZMA", 34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
    52546: "JPEG XL", 65000: "Kodak's DCR", 65535: "Pentax' PEF",
}  # fmt: skip


class TiffError(ValueError):
    """The directories cannot be read; the message says why."""


@dataclass(frozen=True)
class Directory:
    """One page. tags: by number, the type, the count of values, and where in the file they lie. next: the next page, or 0.

    is_whole: False if the file ends before the directory does.
    """

    content: bytes
    order: str
    tags: dict[int, tuple[int, int, int]]
    next: int
    is_whole: bool = True

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """The whole numbers of a tag, or the default where it is missing, empty or of another type.

        Raises TiffError if they lie outside the file, or there are too many.
        """
        kind, count, offset = self.tags.get(tag, (0, 0, 0))
        if kind not in WHOLE or not count:
            return default
        if count > MAX_NUMBERS or offset + count * SIZES[kind] > len(self.content):
            raise TiffError(f"the values of tag {tag} lie outside the file")
        return struct.unpack_from(f"{self.order}{count}{WHOLE[kind]}", self.content, offset)

    def bytes_of(self, tag: int, most: int) -> bytes:
        """The first bytes of a tag's value, at most `most`; empty if the tag is missing."""
        kind, count, offset = self.tags.get(tag, (0, 0, 0))
        return self.content[offset : offset + min(count * SIZES.get(kind, 0), most)]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, (0, 0) where they are missing."""
        return self.numbers(WIDTH, 0)[0], self.numbers(HEIGHT, 0)[0]

    @property
    def is_reduced(self) -> bool:
        """Whether the page says that it is a smaller copy of another, or a mask for another."""
        return bool(self.numbers(SUBFILE, 0)[0] & 0b101) or self.numbers(OLD_SUBFILE, 0)[0] == 2


def first_directory(content: bytes) -> int:
    """Where the first directory lies. Raises TiffError if this is not a TIFF."""
    order = _order(content)
    pointer, offset = (f"{order}Q", 8) if _is_big(content) else (f"{order}I", 4)
    try:
        return int(struct.unpack_from(pointer, content, offset)[0])
    except struct.error as error:
        raise TiffError("it ends within its header") from error


def directory(content: bytes, offset: int) -> Directory:
    """The directory at that offset of the file. Raises TiffError if there is none.

    Tags beyond the file's end, and those after the first 1024, are left out; if a tag comes twice, the first counts.
    """
    order, big = _order(content), _is_big(content)
    head, entry = (f"{order}Q", f"{order}HHQ") if big else (f"{order}H", f"{order}HHI")
    pointer, inline = (f"{order}Q", 8) if big else (f"{order}I", 4)
    start, step = offset + struct.calcsize(head), struct.calcsize(entry) + inline
    if not 0 < offset < start <= len(content):
        raise TiffError("a directory lies outside the file")
    (declared,) = struct.unpack_from(head, content, offset)
    count = min(declared, (len(content) - start) // step, MAX_TAGS)
    tags: dict[int, tuple[int, int, int]] = {}
    for number in range(count):
        at = start + number * step
        tag, kind, values = struct.unpack_from(entry, content, at)
        value = at + step - inline
        if values * SIZES.get(kind, 1) > inline:
            (value,) = struct.unpack_from(pointer, content, value)
        tags.setdefault(tag, (kind, values, value))
    end = start + declared * step
    following = struct.unpack_from(pointer, content, end)[0] if end + inline <= len(content) else 0
    return Directory(content, order, tags, following, end + inline <= len(content))


def pages(content: bytes) -> tuple[list[Directory], bool]:
    """The pages of a TIFF in their order, at most 64; and whether there are more. A chain that leads back ends there.

    Raises TiffError if one cannot be read: it might have been the picture.
    """
    offset = first_directory(content)
    found, seen = [directory(content, offset)], {offset}
    while (offset := found[-1].next) and offset not in seen:
        if len(found) == MAX_PAGES:
            return found, True
        seen.add(offset)
        found.append(directory(content, offset))
    return found, False


def one_page(page: Directory, changed: Mapping[int, Sequence[int]]) -> bytes:
    """A classic TIFF of this page alone, with the tags that describe its pixels and no others.

    changed: tags with other values, which are whole numbers below 2³²; an empty one is left out. The rest of the file stays
    where it is, so that its offsets stay valid; the new directory is appended. Raises TiffError if an offset is beyond 2³².
    """
    wide = {tag: page.numbers(tag) for tag, (kind, _, _) in page.tags.items() if kind in (16, 18) and tag in OF_PIXELS}
    changed = {**wide, **changed}
    tags = sorted(tag for tag in {*page.tags, *changed} if tag in OF_PIXELS and changed.get(tag, (1,)))
    pad = bytes(len(page.content) % 2)
    end = len(page.content) + len(pad)
    values, entries = b"", []  # values of changed tags stand before the directory
    try:
        for tag in tags:
            kind, count, offset = page.tags.get(tag, (0, 0, 0))
            if tag in changed:
                kind, count = (3 if max(changed[tag]) < 2**16 else 4), len(changed[tag])
                stored = struct.pack(f"{page.order}{count}{WHOLE[kind]}", *changed[tag])
                offset, values = end + len(values), values + stored + bytes(len(stored) % 4)
            else:
                stored = page.content[offset : offset + 4]
            length = count * SIZES.get(kind, 1)
            field = stored[:length].ljust(4, b"\0") if length <= 4 else struct.pack(f"{page.order}I", offset)
            entries.append(struct.pack(f"{page.order}HHI", tag, kind, count) + field)
        start = struct.pack(f"{page.order}I", end + len(values))
    except struct.error as error:
        raise TiffError("its pixels lie outside the file") from error
    made = struct.pack(f"{page.order}H", len(entries)) + b"".join(entries) + bytes(4)
    magic = b"II*\0" if page.order == "<" else b"MM\0*"
    return b"".join((magic, start, memoryview(page.content)[8:], pad, values, made))


def _order(content: bytes) -> str:
    if content[:4] not in (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+"):
        raise TiffError("it has no TIFF header")
    return "<" if content[:2] == b"II" else ">"


def _is_big(content: bytes) -> bool:
    return content[2:4] in (b"+\0", b"\0+")
