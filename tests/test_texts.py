"""Texts as people's programs write them."""

import zipfile

import pytest

from scratchnet.errors import DataError
from scratchnet.storage.texts import read_text
from tests.file_systems import made_pipe

TEXT = "file,subject\r\nZellé.png,Größe\n細胞.png,P1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "a.csv") == TEXT


def test_the_other_order_of_bytes(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert read_text(str(tmp_path / "a.csv")) == TEXT


def refusal(path, **options):
    with pytest.raises(DataError) as error:
        read_text(path, **options)
    said = str(error.value)
    assert "\n" not in said
    assert str(path) in said
    return said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\nb\nZellé\n".encode("cp1252"), "line 3 has the byte 0xE9, which is not UTF-8"),
        ("größe\n".encode("latin-1"), "line 1 has the byte 0xF6"),
        (TEXT.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("ab".encode("utf-16") + b"x", "announced as UTF-16-LE and breaks off"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "is an HDF5 file; expected a text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "old Excel"),
        (b"\x80\x04\x95\x00", "a pickle of Python"),
        (b"abc\x00def\xff", "is not a text, or one in UTF-16"),
    ],
)
def test_what_is_refused_names_the_remedy(tmp_path, content, expected):
    (tmp_path / "a.csv").write_bytes(content)
    said = refusal(tmp_path / "a.csv")
    assert expected in said
    assert "Save" in said


def test_a_workbook_under_the_name_of_a_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(range(256)) * 20)
    assert "is an Excel workbook (.xlsx); expected a text. Save the sheet as CSV" in refusal(tmp_path / "a.csv")


def test_what_is_no_file(tmp_path):
    assert "cannot be read: No such file" in refusal(tmp_path / "gone.csv")
    assert "not a regular file" in refusal(tmp_path)
    if made_pipe(tmp_path / "pipe"):
        assert "not a regular file" in refusal(tmp_path / "pipe")
    (tmp_path / "long").write_text("x" * 11, encoding="utf-8")
    assert "larger than 10 bytes" in refusal(tmp_path / "long", max_bytes=10)
    assert read_text(tmp_path / "long", max_bytes=11) == "x" * 11
