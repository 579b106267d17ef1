"""Real cells in one line, quickly the second time."""

import numpy as np
import pytest

from course import cells, sample
from scratchnet.errors import ConfigError


def same(one, other):
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def test_they_are_the_samples_and_are_decoded_once(tmp_path, monkeypatch):
    first = images, labels, subjects = cells(8, cache=tmp_path / "kept")
    assert (images.shape, images.dtype) == ((246, 8, 8, 3), np.uint8)
    assert sorted(set(labels)) == [0, 1]
    assert all(name.startswith("H") == (label == 0) for name, label in zip(subjects, labels, strict=True))
    assert len(set(subjects)) == 54
    (file,) = (tmp_path / "kept").iterdir()  # nothing half-written beside it
    monkeypatch.setattr(sample, "_decoded", lambda size: pytest.fail("decoded again"))
    assert same(first, cells(8, cache=tmp_path / "kept"))
    assert file.suffix == ".npz"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive", "half", "flipped"])
def test_what_is_damaged_is_made_again(damage, tmp_path, monkeypatch):
    made = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]), np.array(["H1", "2"])
    monkeypatch.setattr(sample, "_decoded", lambda size: made)
    first = cells(4, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    half = {"half": data[: len(data) // 2], "flipped": data[:200] + bytes(255 - b for b in data[200:260]) + data[260:]}
    file.write_bytes(half.get(damage, damage))
    assert same(first, cells(4, cache=tmp_path))
    assert file.read_bytes()[:2] == b"PK"


def test_where_nothing_can_be_kept_they_come_all_the_same(tmp_path, monkeypatch):
    made = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]), np.array(["H1", "2"])
    monkeypatch.setattr(sample, "_decoded", lambda size: made)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert same(cells(4, cache=tmp_path / "file" / "below"), made)


@pytest.mark.parametrize("size", [0, 451, 1.5, True, "32", None])
def test_a_size_that_cannot_be(size):
    with pytest.raises(ConfigError, match="whole number from 1 to 450"):
        cells(size)
