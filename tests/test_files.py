"""Files are written whole or not at all, on each system."""

import errno
import os
import stat
from pathlib import Path

import pytest

from scratchnet.storage import files
from scratchnet.storage.files import write_atomically, write_text_atomically


@pytest.fixture(autouse=True)
def synced(monkeypatch, disk_sync):
    """Here files are forced to the disk."""
    monkeypatch.setattr(files, "_sync", disk_sync)


def test_the_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_text("old", encoding="utf-8")
    with write_atomically(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5"
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["weights.h5"]


@pytest.mark.parametrize("trouble", [OSError("no space left on device"), KeyboardInterrupt()])
def test_trouble_keeps_the_old_file_and_leaves_nothing(tmp_path, trouble):
    path = tmp_path / "weights.h5"
    path.write_text("old", encoding="utf-8")

    def write_half():
        with write_atomically(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise trouble

    with pytest.raises(type(trouble)):
        write_half()
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["weights.h5"]


def test_the_file_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    sync, replace = files._sync, os.replace
    monkeypatch.setattr(files, "_sync", lambda descriptor: (calls.append("sync"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    write_text_atomically(tmp_path / "a.txt", "x")
    assert calls[:2] == ["sync", "rename"]
    assert calls[2:] == ([] if os.name == "nt" else ["sync"])


def test_text_is_utf8_with_plain_newlines(tmp_path):
    write_text_atomically(tmp_path / "a.txt", "Zürich\n細胞\n")
    assert (tmp_path / "a.txt").read_bytes() == "Zürich\n細胞\n".encode()


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_place_of_the_target_stays(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt"):
        write_text_atomically(tmp_path / "a.txt", "x")
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    (tmp_path / "elsewhere.txt").write_text("old", encoding="utf-8")
    (tmp_path / "a.txt").symlink_to("elsewhere.txt")
    write_text_atomically(tmp_path / "a.txt", "new")
    assert not (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"
    assert (tmp_path / "elsewhere.txt").read_text(encoding="utf-8") == "old"


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
@pytest.mark.parametrize(("code", "fails"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders(tmp_path, monkeypatch, code, fails):
    """What the file system cannot do is no failure of the save; a broken disk is one."""
    sync = files._sync

    def sync_files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(files, "_sync", sync_files_only)
    if fails:
        with pytest.raises(OSError, match=os.strerror(code)):
            write_text_atomically(tmp_path / "a.txt", "x")
    else:
        write_text_atomically(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "x"


def test_windows_waits_for_a_reader_of_the_old_file(tmp_path, monkeypatch):
    replace, refused = os.replace, []

    def busy(a, b):
        if len(refused) < 2:
            refused.append(b)
            raise PermissionError(errno.EACCES, "in use")
        replace(a, b)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr("scratchnet.storage.files.Path", type(tmp_path))  # of this system, whatever os.name says
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("scratchnet.storage.files.os.name", "posix")
        with pytest.raises(PermissionError):
            write_text_atomically(tmp_path / "a.txt", "x")
    refused.clear()
    with monkeypatch.context() as windows:
        windows.setattr("scratchnet.storage.files.os.name", "nt")
        write_text_atomically(tmp_path / "a.txt", "y")
    assert len(refused) == 2
    assert Path(tmp_path, "a.txt").read_text(encoding="utf-8") == "y"
