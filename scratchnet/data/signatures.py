"""What a file is, told by its first bytes and not by its name; and what to do with it if it is not an image that can be
read."""

import contextlib
import re
import struct
from pathlib import Path

from scratchnet.storage.file_kinds import kind_of

FORMATS = ("BMP", "PNG", "TIFF", "JPEG", "WEBP")

IMAGES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF, for files over 4 GB, which some programs always write
    b"MM\0+": "TIFF",
}

SAVE = "save it as PNG"
EXPORT = "export its pictures as TIFF or PNG, with Fiji for instance"
UNPACK = "unpack it and give the folder of images"
DEVELOP = "develop it into a TIFF or PNG with the camera's program"
OUT = "move it out of the folder of images"
DELETE = "nothing to train on, it can be deleted"
# Where the bytes stand, the bytes, what the file is, and what to do. The first that fits is taken.
OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"GIF8", "a GIF image", SAVE),
    (4, b"jP  \r\n\x87\n", "a JPEG 2000 image (or an old ND2 file of Nikon's microscopes)", SAVE),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 codestream", SAVE),
    (4, b"JXL \r\n\x87\n", "a JPEG XL image", SAVE),
    (0, b"\xff\x0a", "a JPEG XL image", SAVE),
    (0, b"II\xbc", "a JPEG XR image", SAVE),
    (8, b"CR\x02", "a raw file of a Canon camera (CR2)", DEVELOP),
    (4, b"ftypcrx", "a raw file of a Canon camera (CR3)", DEVELOP),
    (0, b"FUJIFILMCCD-RAW", "a raw file of a Fujifilm camera", DEVELOP),
    (0, b"IIRO", "a raw file of an Olympus camera", DEVELOP),
    (0, b"IIRS", "a raw file of an Olympus camera", DEVELOP),
    (0, b"IIU\0", "a raw file of a Panasonic camera", DEVELOP),
    (4, b"ftypavi", "an AVIF image", SAVE),
    (4, b"ftyphei", "a HEIC image, as iPhones take them", "save it as PNG, or have the camera take JPEG"),
    (4, b"ftyphev", "a HEIC image, as iPhones take them", "save it as PNG, or have the camera take JPEG"),
    (4, b"ftypmif1", "a HEIF image (HEIC or AVIF)", SAVE),
    (4, b"ftypmsf1", "a HEIF image (HEIC or AVIF)", SAVE),
    (4, b"ftyp", "a video (MP4 or QuickTime)", "export its pictures as PNG"),
    (128, b"DICM", "a DICOM file", "export its picture as TIFF or PNG, with 16 bits where it has more than 8"),
    (0, b"ZISRAWFILE", "a CZI file of Zeiss' microscopes", EXPORT),
    (0, b"\xda\xce\xbe\x0a", "an ND2 file of Nikon's microscopes", EXPORT),
    (0, b"\x70\0\0\0", "a LIF file of Leica's microscopes", EXPORT),
    (0, b"\xd0\xcf\x11\xe0", "an OLE container (Thumbs.db of Windows, an OIB file of Olympus' microscopes, an old Office document)",
     "delete it, or export its pictures as TIFF or PNG"),
    (0, b"SIMPLE  =", "a FITS file", EXPORT),
    (344, b"n+1\0", "a NIfTI volume", EXPORT),
    (0, b"NRRD000", "an NRRD volume", EXPORT),
    (0, b"MATLAB 5.0", "a MATLAB file (.mat)", "save its images as PNG, one file an image"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image", SAVE),
    (0, b"8BPS", "a Photoshop document", SAVE),
    (0, b"gimp xcf", "a GIMP document", SAVE),
    (0, b"qoif", "a QOI image", SAVE),
    (0, b"\0\0\1\0", "a Windows icon", SAVE),
    (0, b"\x01\xda\0\1", "an SGI image", SAVE),
    (0, b"\x01\xda\1\1", "an SGI image", SAVE),
    (0, b"\x59\xa6\x6a\x95", "a Sun raster image", SAVE),
    (0, b"#?RADIANCE", "a Radiance image (HDR)", SAVE),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)", SAVE),
    (40, b" EMF", "a Windows metafile (EMF)", SAVE),
    (0, b"AT&TFORM", "a DjVu document", SAVE),
    (208, b"MAP ", "an MRC volume", EXPORT),
    (0, b"icns", "a macOS icon", SAVE),
    (0, b"DDS ", "a DDS texture", SAVE),
    (0, b"%!PS", "a PostScript document", SAVE),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS document", SAVE),
    (0, b"\0\x05\x16\x07", "what macOS keeps beside a file (AppleDouble, ._name), without its picture", DELETE),
    (0, b"\0\0\0\1Bud1", "the .DS_Store of a macOS folder", DELETE),
    (8, b"AVI ", "a video (AVI)", "export its pictures as PNG"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)", "export its pictures as PNG"),
    (0, b"MZ", "a program for Windows", OUT),
    (0, b"\x7fELF", "a program for Linux", OUT),
    # A PNG in which line ends or characters were changed on the way.
    (0, b"\x89PNG", "a PNG that a transfer in text mode has broken", "copy it again in binary mode"),
    (0, b"\xc2\x89PNG", "a PNG that a transfer as text has broken", "copy it again in binary mode"),
    (0, b"\xef\xbf\xbdPNG", "a PNG that a transfer as text has broken", "copy it again in binary mode"),
)  # fmt: skip
PCX = re.compile(rb"\x0a[\0\2-\5][\0\1][\1\2\4\x08]")
PNM = re.compile(rb"P[1-7]\s")
AGAIN = "download the image again"
# What to do with files that are not images, by the groups of `scratchnet.storage.file_kinds`.
REMEDIES = {
    "archive": UNPACK,
    "arrays": "export its images as PNG, one file an image",
    "pointer": "fetch the files with `git lfs pull`",
    "page": f"a failed download leaves such files, {AGAIN}",
    "text": f"{OUT}, or {AGAIN}",
}
LOOKED_AT = 1024  # bytes at the beginning


def image_format(head: bytes) -> str | None:
    """Which of FORMATS these first bytes of a file (16 or more) announce; None for another file.

    >>> image_format(b"BM" + bytes(14)), image_format(b"GIF89a" + bytes(10))
    ('BMP', None)
    """
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[8:11] == b"CR\x02":  # Canon's raw files, which begin as a TIFF does
        return None
    return next((kind for magic, kind in IMAGES.items() if head.startswith(magic)), None)


def what_it_is(file: Path, head: bytes) -> tuple[str, str] | None:
    """What a file of none of the FORMATS is, and what to do with it; None if its bytes don't tell.

    head: its first 1024 bytes.

    >>> what_it_is(Path("cell.png"), b"GIF89a" + bytes(10))
    ('a GIF image', 'save it as PNG')
    """
    for offset, magic, what, remedy in OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return what, remedy
    if PNM.match(head):
        return "a PNM image (PBM, PGM or PPM)", SAVE
    if PCX.match(head):
        return "a PCX image", SAVE
    if _is_tga(head):
        return "a TGA image", SAVE
    if head and not head.strip(b"\0"):
        return "nothing but zeros, a file whose content was never written", "copy it again"
    kind = kind_of(file)
    if kind.group == "unknown" or (kind.group == "text" and not _is_text(head)):
        return None
    if kind.group in ("page", "text") and b"<svg" in head:
        return "an SVG drawing", SAVE
    return kind.name, REMEDIES.get(kind.group, OUT)


def _is_tga(head: bytes) -> bool:
    """Whether these bytes are the header of a TGA, which has no signature: each of its fields must hold what it may hold."""
    if len(head) < 18:
        return False
    has_map, kind, map_length, map_bits, width, height, bits, flags = struct.unpack("<xBB2xHB4xHHBB", head[:18])
    of_a_map = kind in (1, 9) and map_length > 0 and map_bits in (15, 16, 24, 32)
    sound = of_a_map if has_map else kind in (2, 3, 10, 11) and not any(head[3:8])
    return sound and width > 0 and height > 0 and bits in (8, 15, 16, 24, 32) and flags & 0xC0 == 0


def _is_text(head: bytes) -> bool:
    """Whether these bytes are UTF-8, or say that they are UTF-16; the last letter may be cut."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    for end in range(4 if len(head) == LOOKED_AT else 1):
        with contextlib.suppress(UnicodeDecodeError):
            head[: len(head) - end].decode()
            return True
    return False
