"""What a file is, told by its first bytes and not by its name; and, where it is no image that is read, what to do with it."""

import re

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
DELETE = "nothing to train on, it can be deleted"
# Where the bytes stand, the bytes, what the file is, and what to do. The first that fits is taken.
OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer in the place of the file", "fetch the files with `git lfs pull`"),
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
    (4, b"ftyphei", "a HEIC image, as iPhones take them", "save it as PNG, or set the camera to JPEG (“most compatible”)"),
    (4, b"ftyphev", "a HEIC image, as iPhones take them", "save it as PNG, or set the camera to JPEG (“most compatible”)"),
    (4, b"ftypmif1", "a HEIF image (HEIC or AVIF)", SAVE),
    (4, b"ftypmsf1", "a HEIF image (HEIC or AVIF)", SAVE),
    (4, b"ftyp", "a video (MP4 or QuickTime)", "export its pictures as PNG"),
    (128, b"DICM", "a DICOM file", "export its picture as TIFF or PNG, with 16 bits where it has more than 8"),
    (0, b"ZISRAWFILE", "a CZI file of Zeiss' microscopes", EXPORT),
    (0, b"\xda\xce\xbe\x0a", "an ND2 file of Nikon's microscopes", EXPORT),
    (0, b"\x70\0\0\0", "a LIF file of Leica's microscopes", EXPORT),
    (0, b"\xd0\xcf\x11\xe0", "an OLE container (Thumbs.db of Windows, an OIB file of Olympus' microscopes, an old Office document)",
     "delete it, or export its pictures as TIFF or PNG"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", "export its pictures as PNG, one file an image"),
    (0, b"\x93NUMPY", "a NumPy array (.npy)", "save its images as PNG, one file an image"),
    (0, b"SIMPLE  =", "a FITS file", EXPORT),
    (344, b"n+1\0", "a NIfTI volume", EXPORT),
    (0, b"NRRD000", "an NRRD volume", EXPORT),
    (0, b"MATLAB 5.0", "a MATLAB file (.mat)", "save its images as PNG, one file an image"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image", SAVE),
    (0, b"8BPS", "a Photoshop document", SAVE),
    (0, b"gimp xcf", "a GIMP document", SAVE),
    (0, b"qoif", "a QOI image", SAVE),
    (0, b"\0\0\1\0", "a Windows icon", SAVE),
    (0, b"icns", "a macOS icon", SAVE),
    (0, b"DDS ", "a DDS texture", SAVE),
    (0, b"%!PS", "a PostScript document", SAVE),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS document", SAVE),
    (0, b"%PDF", "a PDF document", "export its pictures as PNG"),
    (0, b"PK\x03\x04", "a ZIP archive (or a file in one's shape: .npz, .docx)", UNPACK),
    (0, b"PK\x05\x06", "an empty ZIP archive", DELETE),
    (0, b"\x1f\x8b", "a file compressed with gzip", UNPACK),
    (0, b"BZh", "a file compressed with bzip2", UNPACK),
    (0, b"\xfd7zXZ\0", "a file compressed with xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a file compressed with Zstandard", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"\0\x05\x16\x07", "what macOS keeps beside a file (AppleDouble, ._name), without its picture", DELETE),
    (0, b"\0\0\0\1Bud1", "the .DS_Store of a macOS folder", DELETE),
    (8, b"AVI ", "a video (AVI)", "export its pictures as PNG"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)", "export its pictures as PNG"),
    (0, b"SQLite format 3\0", "an SQLite database", "nothing to train on, move it out of the folder"),
    (0, b"MZ", "a program for Windows", "nothing to train on, move it out of the folder"),
    (0, b"\x7fELF", "a program for Linux", "nothing to train on, move it out of the folder"),
    # A PNG in which line ends or characters were changed on the way.
    (0, b"\x89PNG", "a PNG that a transfer in text mode has broken", "copy it again in binary mode"),
    (0, b"\xc2\x89PNG", "a PNG that a transfer as text has broken", "copy it again in binary mode"),
    (0, b"\xef\xbf\xbdPNG", "a PNG that a transfer as text has broken", "copy it again in binary mode"),
)  # fmt: skip
PNM = re.compile(rb"P[1-7]\s")
WEB_PAGE = re.compile(rb"<(!doctype html|html|head|body)\b", re.IGNORECASE)
TEXT_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))
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


def what_it_is(content: bytes) -> tuple[str, str] | None:
    """What a file is that is none of FORMATS, and what to do; None where its bytes don't tell.

    content: the file, or its first 1024 bytes.

    >>> what_it_is(b"GIF89a" + bytes(10))
    ('a GIF image', 'save it as PNG')
    """
    head = bytes(content[:LOOKED_AT])
    for place, magic, what, remedy in OTHERS:
        if head[place : place + len(magic)] == magic:
            return what, remedy
    if PNM.match(head):
        return "a PNM image (PBM, PGM or PPM)", SAVE
    if head and not head.strip(b"\0"):
        return "nothing but zeros, a file whose content was never written", "copy it again"
    text = _text(head)
    if text is None:
        return None
    if WEB_PAGE.match(text):
        return "a web page (HTML), as a failed download leaves it", "download the image again"
    if b"<svg" in text:
        return "an SVG drawing", SAVE
    if text.startswith((b"{", b"[")):
        return "a text (JSON)", "move it out of the folder, or download the image again"
    if text.startswith(b"<?xml"):
        return "a text (XML), as a failed download leaves it", "move it out of the folder, or download the image again"
    return "a text", "move it out of the folder, or download the image again"


def _text(head: bytes) -> bytes | None:
    """The beginning of a text without the white space before it; None for bytes that are no text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace").encode().lstrip()
    if head.translate(None, TEXT_CONTROLS) != head:
        return None
    for end in range(4 if len(head) == LOOKED_AT else 1):  # the last letter may be cut
        try:
            return head[: len(head) - end].decode("utf-8-sig").lstrip().encode()
        except UnicodeDecodeError:
            continue
    return None
