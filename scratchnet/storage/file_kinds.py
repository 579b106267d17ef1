"""What a file is, by its first bytes and not by its name: for the message about a file of an unexpected kind."""

import contextlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

MOST_MEMBERS = 10_000  # names in an archive that are checked

SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "arrays"),
    (b"\x93NUMPY", "an array of NumPy (.npy)", "arrays"),
    (b"PAR1", "a Parquet table", "arrays"),
    (b"\x1f\x8b", "an archive or file packed by gzip", "archive"),
    (b"BZh", "an archive or file packed by bzip2", "archive"),
    (b"\xfd7zXZ\x00", "an archive or file packed by xz", "archive"),
    (b"\x28\xb5\x2f\xfd", "an archive or file packed by Zstandard", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "archive"),
    (b"Rar!\x1a\x07", "a RAR archive", "archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file", "workbook"),
    (b"SQLite format 3\x00", "an SQLite database", "document"),
    (b"%PDF-", "a PDF file", "document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", "image"),
    (b"\xff\xd8\xff", "a JPEG image", "image"),
    (b"GIF8", "a GIF image", "image"),
    (b"BM", "a BMP image", "image"),
    (b"II*\x00", "a TIFF image", "image"),
    (b"MM\x00*", "a TIFF image", "image"),
    (b"II+\x00", "a BigTIFF image", "image"),
    (b"MM\x00+", "a BigTIFF image", "image"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image", "image"),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS, and not the file itself", "pointer"),
    (b"GGUF", "a language model (GGUF)", "document"),
    (b"MATLAB 5.0 MAT-file", "a file of MATLAB (.mat)", "arrays"),
    (b"MATLAB 7.3 MAT-file", "a file of MATLAB (.mat)", "arrays"),
    *((b"\x80" + bytes([version]), "a pickle of Python", "weights") for version in range(2, 6)),
)
PACKED_AS_ZIP = {
    ".keras": ("a model of Keras (.keras)", "weights"),
    ".pt": ("a file of PyTorch (.pt)", "weights"),
    ".pth": ("a file of PyTorch (.pt)", "weights"),
    ".ckpt": ("a file of PyTorch (.pt)", "weights"),
    ".npz": ("a file of NumPy arrays (.npz)", "arrays"),
    ".xlsx": ("an Excel workbook (.xlsx)", "workbook"),
    ".ods": ("an OpenDocument file (.ods, .odt)", "workbook"),
}


@dataclass(frozen=True)
class FileKind:
    """name: "a ZIP archive", to follow "is".

    group: "archive", "arrays", "workbook", "document", "image", "pointer", "weights", "page", "table", "text", "empty" or
    "unknown".
    """

    name: str
    group: str


def kind_of(file: Path) -> FileKind:
    """What this file is. Never raises: a file that cannot be read is of an unknown kind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "cells.png").write_bytes(b"PK\\x05\\x06" + bytes(18))
    ...     kind_of(Path(folder) / "cells.png")
    FileKind(name='a ZIP archive', group='archive')
    """
    unknown = FileKind("a file of an unknown kind", "unknown")
    try:
        if not file.is_file():  # reading a pipe would block
            return unknown
        with open(file, "rb") as stream:
            head = stream.read(1024)
    except OSError:
        return unknown
    if not head:
        return FileKind("an empty file, of zero bytes", "empty")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(file)
    for signature, name, group in SIGNATURES:
        if head.startswith(signature):
            return FileKind(name, group)
    if head[257:262] == b"ustar":
        return FileKind("a TAR archive", "archive")
    if head[128:132] == b"DICM":
        return FileKind("a DICOM image", "image")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileKind("a WebP image", "image")
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return FileKind("a HEIC or AVIF image", "image")
    return _text(file, head) or unknown


def _zip(file: Path) -> FileKind:
    """Programs that pack their files as ZIP are told apart by the names inside, or else by the file's own name."""
    names: list[str] = []
    with (
        contextlib.suppress(OSError, zipfile.BadZipFile, ValueError, NotImplementedError),
        zipfile.ZipFile(file) as archive,
    ):
        names = archive.namelist()[:MOST_MEMBERS]
    if names and all(name.endswith(".npy") for name in names):
        return FileKind("a file of NumPy arrays (.npz)", "arrays")
    if any(name.endswith("data.pkl") for name in names):
        return FileKind("a file of PyTorch (.pt)", "weights")
    if "model.weights.h5" in names:
        return FileKind("a model of Keras (.keras)", "weights")
    if any(name.startswith("xl/") for name in names):
        return FileKind("an Excel workbook (.xlsx)", "workbook")
    if "mimetype" in names and "content.xml" in names:
        return FileKind("an OpenDocument file (.ods, .odt)", "workbook")
    return FileKind(*PACKED_AS_ZIP.get(file.suffix.lower(), ("a ZIP archive", "archive")))


def _text(file: Path, head: bytes) -> FileKind | None:
    """A text, or None if it holds bytes that texts don't have."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FileKind("a text in UTF-16", "text")
    if any(byte < 32 and byte not in b"\t\n\r\f" for byte in head):
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return FileKind("a web page (HTML)", "page")
    if file.suffix.lower() in (".csv", ".tsv"):
        return FileKind("a table (CSV)", "table")
    return FileKind("a text", "text")
