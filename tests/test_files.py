import os

import pytest

from scratchnet.files import write_atomically, write_text_atomically


def test_the_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_text("old")
    with write_atomically(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["weights.h5"]


@pytest.mark.parametrize("trouble", [OSError("no space left on device"), KeyboardInterrupt()])
def test_trouble_keeps_the_old_file_and_leaves_nothing(tmp_path, trouble):
    path = tmp_path / "weights.h5"
    path.write_text("old")

    def write_half():
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise trouble

    with pytest.raises(type(trouble)):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["weights.h5"]


def test_the_file_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("sync"), sync(descriptor)))
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
