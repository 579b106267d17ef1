"""A prepared folder appears whole or not at all, and what a killed process leaves is cleaned up."""

import os
import signal
import subprocess
import sys
import time

import pytest
from small_data import make_cnmc, save_image

from data_prep import main
from scratchnet.errors import DataError
from scratchnet.prepare.folder import new_folder, remove_abandoned
from scratchnet.storage.lock import Lock


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_at_the_end(tmp_path):
    out = tmp_path / "new" / "deep" / "out"
    with new_folder(out) as folder:
        (folder / "a").write_text("x", encoding="utf-8")
        assert not out.exists()
    assert names(tmp_path / "new" / "deep") == ["out"]
    assert names(out) == ["a"]


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "new" / "deep" / "out"):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_has_appeared_meanwhile_is_kept(tmp_path):
    with pytest.raises(DataError, match="has appeared meanwhile"), new_folder(tmp_path / "out"):
        (tmp_path / "out").mkdir()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("place", ["manifest.json", "fold-0/manifest.json"])
@pytest.mark.parametrize(
    ("theirs", "advice"),
    [
        ('{"dataset_id": "a"}', "the same dataset: use it"),
        ('{"dataset_id": "b"}', "other settings: choose another name"),
        ("[]", "choose another name"),
        ("{", "choose another name"),
    ],
)
def test_what_has_appeared_is_used_only_if_it_is_the_same(tmp_path, place, theirs, advice):
    def write(folder, text):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")

    def both():
        with new_folder(tmp_path / "out") as folder:
            write(folder, '{"dataset_id": "a"}')
            write(tmp_path / "out", theirs)

    with pytest.raises(DataError, match=advice):
        both()


def test_only_abandoned_folders_are_removed(tmp_path):
    mine, abandoned, older = (tmp_path / f".{digit * 16}.partial" for digit in "123")
    other = tmp_path / ".notes.partial"
    for folder in (mine, abandoned, older, other):
        folder.mkdir()
        (folder / "a").write_text("x", encoding="utf-8")
    abandoned.with_suffix(".lock").write_text("", encoding="utf-8")
    other.with_suffix(".lock").write_text("", encoding="utf-8")
    with Lock(mine.with_suffix(".lock")):
        remove_abandoned(tmp_path)
        assert names(tmp_path) == sorted(
            [mine.name, mine.with_suffix(".lock").name, older.name, other.name, other.with_suffix(".lock").name]
        )


def start(*arguments, program="from data_prep import main; import sys; sys.exit(main(sys.argv[1:]))"):
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals")
def test_what_a_killed_process_left_is_gone_after_the_next(tmp_path):
    source = make_cnmc(tmp_path / "source", subjects=20, images=40)
    process = start(source, tmp_path / "out", "--threads", "1", "--image-size", "512")
    deadline = time.monotonic() + 60
    while len(os.listdir(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert main([str(make_cnmc(tmp_path / "small")), str(tmp_path / "first"), "--image-size", "8", "--quiet"]) == 0
    assert len([name for name in names(tmp_path) if name.endswith(".partial")]) == 1  # it is still at work
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert len([name for name in names(tmp_path) if name.startswith(".")]) == 2
    assert main([str(tmp_path / "small"), str(tmp_path / "second"), "--image-size", "8", "--quiet"]) == 0
    assert names(tmp_path) == ["first", "second", "small", "source"]


LIMITED = """
import resource, sys
from data_prep import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits for one process")
@pytest.mark.parametrize("limit", [0, 1_000, 30_000, 150_000, 160_000, 400_000, 700_000])
def test_writing_fails_at_any_moment(tmp_path, limit):
    """As on a full disk, for the spool (about 145 kB), a shard (about 900 kB) and whatever else is written."""
    for k in range(48):
        save_image(tmp_path / "source" / ("a" if k % 2 else "b") / f"{k}.png", k, (32, 32))
    process = start(
        limit, tmp_path / "source", tmp_path / "new" / "out", "--image-size", "32", "--augment-offline", "symmetries",
        program=LIMITED,
    )  # fmt: skip
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert "cannot be written: File too large. Choose another folder." in said
    assert names(tmp_path) == ["source"]
