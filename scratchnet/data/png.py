"""The chunks of a PNG: those that make its pixels, and what stands beside them.

W3C, Portable Network Graphics (PNG) Specification, third edition, 2025.
"""

import zlib
from collections.abc import Iterator

from scratchnet.data.container import LARGE, MAX_METADATA, SEVERAL, Container, UnusableImage
from scratchnet.data.orientation import UPRIGHT, from_exif, from_xmp

MAX_UNPACKED = 64 * MAX_METADATA  # of all texts together; what follows is dropped unread
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
ANIMATION = (b"acTL", b"fcTL", b"fdAT")  # how many frames, how each is shown, and the pixels of all but the first
METADATA = {
    b"iCCP": "colour profile", b"tEXt": "comment", b"zTXt": "comment", b"iTXt": "comment", b"eXIf": "EXIF block",
    b"gAMA": "gamma", b"cHRM": "chromaticity", b"sRGB": "colour space", b"cICP": "colour space", b"sBIT": "number of bits",
    b"bKGD": "background", b"hIST": "histogram", b"pHYs": "resolution", b"sPLT": "palette to suggest", b"tIME": "time",
}  # fmt: skip
APPLE = "Apple's variant of PNG (CgBI), which only its devices read: take the original file"


def parse(data: bytes) -> Container:
    """The pixels of a PNG, with its checksums compared, and its orientation.

    What stands beside the pixels is dropped; a remark says so if it is damaged or large. Raises UnusableImage
    for a file whose pixels are damaged.
    """
    kept: list[bytes | memoryview] = [SIGNATURE]
    remarks: list[str] = []
    orientation, bits, colours, unpacked = UPRIGHT, 8, 0, 0
    seen: set[bytes] = set()
    for kind, body, whole, sound in _chunks(data):
        if kind == b"CgBI":
            raise UnusableImage(APPLE)
        if len(kept) == 1 and kind != b"IHDR":
            raise UnusableImage(f"truncated or damaged: it begins with the chunk {_name(kind)}")
        if kind not in METADATA:
            if not sound:
                raise UnusableImage(f"truncated or damaged: the checksum of its chunk {_name(kind)} is wrong")
            if kind in PIXELS:
                kept.append(whole)
            elif kind in ANIMATION:
                if kind != b"acTL" or b"IDAT" not in seen:  # behind the picture it doesn't count
                    seen.add(kind)
            elif not kind[0] & 0x20:  # a capital: the picture cannot be shown without it
                raise UnusableImage(
                    f"a PNG with a chunk {_name(kind)} that this program does not know: save it as PNG again"
                )
            if kind == b"IHDR" and len(body) == 13:
                bits = body[8]
            elif kind == b"PLTE":
                colours = len(body) // 3
            elif kind == b"IDAT":
                seen.add(kind)
        elif not sound:
            remarks.append(f"a damaged {METADATA[kind]}, not read")
        else:
            text = _text(kind, body) if unpacked <= MAX_UNPACKED else b""
            unpacked += len(text)
            if max(len(text), len(body)) > MAX_METADATA:
                remarks.append(LARGE.format(METADATA[kind]))
                continue
            try:
                orientation = max(orientation, _orientation(kind, body, text))
            except ValueError:
                remarks.append("a damaged EXIF block, not read")
    if {b"acTL", b"fdAT"} <= seen:
        raise UnusableImage(SEVERAL)
    return Container(b"".join(kept), bits, orientation, tuple(dict.fromkeys(remarks)), colours=colours)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview, bool]]:
    """Each chunk to the end of the picture: its kind, what is in it, all of it, and whether it agrees with its checksum."""
    view, offset = memoryview(data), len(SIGNATURE)
    while True:
        length = int.from_bytes(view[offset : offset + 4])
        end = offset + 12 + length
        if end > len(data):
            raise UnusableImage("truncated or damaged: it ends before its end chunk")
        kind = bytes(view[offset + 4 : offset + 8])
        sound = zlib.crc32(view[offset + 4 : end - 4]) == int.from_bytes(view[end - 4 : end])
        yield kind, view[offset + 8 : end - 4], view[offset:end], sound
        if kind == b"IEND":
            return
        offset = end


def _text(kind: bytes, body: memoryview) -> bytes:
    """The text of a chunk after its name, at most MAX_METADATA + 1 bytes; empty if it cannot be decompressed."""
    if kind not in (b"iCCP", b"tEXt", b"zTXt", b"iTXt"):
        return b""
    content = bytes(body[: MAX_METADATA + 1])
    rest = content.partition(b"\0")[2]
    compressed = kind in (b"iCCP", b"zTXt")
    if kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # its language, and its name in it
    elif compressed:
        rest = rest[1:]
    if not compressed:
        return rest
    try:
        return zlib.decompressobj().decompress(rest, MAX_METADATA + 1)
    except zlib.error:
        return b""


def _orientation(kind: bytes, body: memoryview, text: bytes) -> int:
    """The orientation in a chunk or its text; 1 if it is missing. Raises ValueError for damaged EXIF."""
    if kind == b"eXIf":
        return from_exif(bytes(body))
    if kind == b"iTXt" and body[:18] == b"XML:com.adobe.xmp\0":
        return from_xmp(text)
    if kind in (b"tEXt", b"zTXt") and body[:17] == b"Raw profile type ":
        return _raw_profile(text)
    return UPRIGHT


def _raw_profile(text: bytes) -> int:
    """The orientation in EXIF that ImageMagick wrote as a text: a line with its kind, one with its length, and its bytes in hex."""
    lines = text.split()
    if len(lines) < 3 or lines[0] not in (b"exif", b"app1"):
        return UPRIGHT
    return from_exif(bytes.fromhex(b"".join(lines[2:]).decode("ascii")))


def _name(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))
