"""Files that are not readable images: each is named by its content, with the next step, under any name."""

from pathlib import Path

import pytest

from scratchnet.data.images import UnusableImage, decode
from scratchnet.data.signatures import OTHERS, what_it_is

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"
FILES = {
    "lfs": (POINTER.encode(), "git lfs pull"),
    "page": (b"\r\n  <!DOCTYPE html>\n<html><body>403</body></html>", "a web page"),
    "page with a mark": (b"\xef\xbb\xbf<html>", "a web page"),
    "page in UTF-16": ("\ufeff<html><head>".encode("utf-16-le"), "a text in UTF-16"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a text"),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "an SVG drawing"),
    "JSON": (b'{"message": "not found"}', "a text"),
    "a text cut in a letter": (("x" + "é" * 2000).encode(), "a text"),
    "HEIC": (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "a HEIC image"),
    "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF image"),
    "MP4": (b"\0\0\0\x1cftypisom\0\0\0\0", "a video"),
    "DICOM": (bytes(128) + b"DICM" + bytes(40), "a DICOM file"),
    "CZI": (b"ZISRAWFILE" + bytes(30), "a CZI file"),
    "ND2": (b"\xda\xce\xbe\x0a" + bytes(30), "an ND2 file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(30), "an HDF5 file"),
    "NumPy": (b"\x93NUMPY\1\0" + bytes(30), "an array of NumPy"),
    "CR2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(30), "a raw file of a Canon camera"),
    "PGM": (b"P5 4 4 255\n" + bytes(16), "a PNM image"),
    "PCX": (b"\x0a\5\1\x08" + bytes(124), "a PCX image"),
    "TGA": (b"\0\0\2" + bytes(9) + b"\x10\0\x08\0\x18\x20" + bytes(384), "a TGA image"),
    "TGA, grey, packed": (b"\0\0\x0b" + bytes(9) + b"\x10\0\x08\0\x08\0" + b"\x9f\7" * 4, "a TGA image"),
    "TGA of a palette": (b"\0\1\1\0\0\0\1\x18" + bytes(4) + b"\x10\0\x08\0\x08\0" + bytes(896), "a TGA image"),
    "SGI": (b"\x01\xda\1\1\0\3" + bytes(506), "an SGI image"),
    "zeros": (bytes(5000), "nothing but zeros"),
    "a PNG in text mode": (b"\x89PNG\n\x1a\n" + bytes(30), "transfer in text mode"),
    "a PNG as UTF-8": (b"\xc2\x89PNG\r\n\x1a\n" + bytes(30), "transfer as text"),
    "AppleDouble": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(30), "macOS"),
    "tar": (b"cell.png" + bytes(249) + b"ustar\0" + bytes(200), "a TAR archive"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("called", ["cell.png", "cell.tif", "cell"])
def test_a_file_is_called_what_it_is(tmp_path, name, called):
    content, said = FILES[name]
    (tmp_path / called).write_bytes(content)
    with pytest.raises(UnusableImage) as caught:
        decode(tmp_path / called)
    assert said in str(caught.value)
    assert ", which is not read: " in str(caught.value)


def test_each_signature_is_found():
    """None is hidden behind another that stands before it."""
    for place, magic, what, remedy in OTHERS:
        assert what_it_is(Path("a"), bytes(place) + magic + b"\1" * 400) == (what, remedy)


@pytest.mark.parametrize("content", [b"\x89", b"\x80\x81\x82" * 9, bytes(range(1, 256))])
def test_bytes_that_tell_nothing(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert what_it_is(tmp_path / "a", content) is None
