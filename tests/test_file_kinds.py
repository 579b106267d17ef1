"""What a file is, whatever its name says."""

import gzip
import io
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from scratchnet.storage.file_kinds import kind_of
from tests.file_systems import made_pipe


def packed(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def written(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def tar(file):
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("cells/a.png"))


def hdf5(file):
    with h5py.File(file, "w") as store:
        store["x"] = np.zeros(3)


KINDS = {
    "a ZIP archive": (packed("cells/a.png"), "archive"),
    "a TAR archive": (written(tar), "archive"),
    "an archive or file packed by gzip": (gzip.compress(b"x"), "archive"),
    "a file of NumPy arrays (.npz)": (written(lambda file: np.savez(file, images=np.zeros(3))), "arrays"),
    "an array of NumPy (.npy)": (written(lambda file: np.save(file, np.zeros(3))), "arrays"),
    "an HDF5 file": (written(hdf5), "arrays"),
    "an Excel workbook (.xlsx)": (packed("[Content_Types].xml", "xl/workbook.xml"), "workbook"),
    "an OpenDocument file (.ods, .odt)": (packed("mimetype", "content.xml"), "workbook"),
    "a file of PyTorch (.pt)": (packed("archive/data.pkl", "archive/data/0"), "weights"),
    "a model of Keras (.keras)": (packed("config.json", "model.weights.h5"), "weights"),
    "a pickle of Python": (b"\x80\x04\x95", "weights"),
    "a pointer of Git LFS, and not the file itself": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n",
        "pointer",
    ),
    "a web page (HTML)": (b"\n<!DOCTYPE html><title>Sign in</title>", "page"),
    "a text": ("für\n".encode(), "text"),
    "a text in UTF-16": ("file\tsubject".encode("utf-16"), "text"),
    "an empty file, of zero bytes": (b"", "empty"),
    "a DICOM image": (bytes(128) + b"DICM", "image"),
    "a file of an unknown kind": (b"\x01\x02\x03", "unknown"),
    **{
        f"a {kind} image": (written(lambda file, kind=kind: Image.new("RGB", (4, 4)).save(file, kind)), "image")
        for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF")
    },
}


@pytest.mark.parametrize("name", KINDS)
def test_the_content_says_what_it_is(tmp_path, name):
    content, group = KINDS[name]
    (tmp_path / "file.dat").write_bytes(content)
    kind = kind_of(tmp_path / "file.dat")
    assert (kind.name, kind.group) == (name, group)


def test_a_table_is_known_by_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("file,subject\n", encoding="utf-8")
    assert kind_of(tmp_path / "a.csv").group == "table"


def test_a_damaged_archive_is_still_one(tmp_path):
    (tmp_path / "a").write_bytes(packed("a.npy")[:20])
    assert kind_of(tmp_path / "a").name == "a ZIP archive"


def test_what_is_no_file_is_unknown(tmp_path):
    assert kind_of(tmp_path).group == "unknown"
    assert kind_of(tmp_path / "gone").group == "unknown"
    if made_pipe(tmp_path / "pipe"):
        assert kind_of(tmp_path / "pipe").group == "unknown"
