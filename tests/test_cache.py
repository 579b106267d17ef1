"""Prepared images that are kept, and what a preparation is expected to come to."""

import doctest
import errno
import os
import subprocess
import sys

import pytest

import scratchnet.prepare.augment
import scratchnet.prepare.estimate
from scratchnet.data import read_manifest
from scratchnet.errors import ConfigError, DataError
from scratchnet.prepare import SAMPLE, Settings, cache, prepare
from scratchnet.prepare.estimate import estimate, expected_sides
from scratchnet.prepare.sources import find_images
from scratchnet.storage.lock import Lock
from tests.small_data import make_cnmc, save_image


@pytest.fixture
def cells(tmp_path):
    return make_cnmc(tmp_path / "cells", subjects=5, images=4)


def test_the_same_images_are_prepared_once(cells, tmp_path):
    said = []
    settings = Settings(image_size=32)
    first = cache.kept(cells, settings, tmp_path / "kept", say=said.append)
    assert first == cache.shards_of(cells, settings, tmp_path / "kept")
    assert cache.is_dataset(first)
    before = (first / "manifest.json").stat().st_mtime_ns
    assert cache.kept(cells, settings, tmp_path / "kept", say=said.append) == first
    assert (first / "manifest.json").stat().st_mtime_ns == before
    assert [line.partition(" ")[0] for line in said] == ["Preparing", "Images", "Using"]


def test_another_image_setting_or_table_is_another_preparation(cells, tmp_path):
    table = tmp_path / "subjects.csv"
    table.write_text("file,subject\n", encoding="utf-8")
    settings = Settings(subjects=table)
    marks = {cache.fingerprint(cells, settings), cache.fingerprint(cells, Settings())}
    table.write_text("file,subject\na.png,1\n", encoding="utf-8")
    marks.add(cache.fingerprint(cells, settings))
    marks.add(cache.fingerprint(cells, Settings(seed=1)))
    image = save_image(cells / "fold_0/all/UID_99_1_1_all.bmp", seed=99)
    marks.add(cache.fingerprint(cells, Settings()))
    os.utime(image, ns=(1, 1))
    marks.add(cache.fingerprint(cells, Settings()))
    image.unlink()
    assert len(marks) == 6
    assert cache.fingerprint(cells, Settings()) in marks


@pytest.mark.parametrize("content", [None, ""], ids=["missing", "empty"])
def test_a_table_that_is_not_there_is_refused_beside_images_that_were_prepared_without_one(cells, tmp_path, content):
    """They were split by other subjects."""
    cache.kept(cells, Settings(image_size=32), tmp_path / "kept", say=lambda _: None)
    table = tmp_path / "subjects.csv"
    if content is not None:
        table.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"subjects\.csv"):
        cache.kept(cells, Settings(image_size=32, subjects=table), tmp_path / "kept", say=lambda _: None)


def test_folds_are_told_from_a_dataset(cells, tmp_path):
    place = cache.kept(cells, Settings(image_size=32, split="kfold", folds=2), tmp_path / "kept", say=lambda _: None)
    assert cache.is_folds(place)
    assert not cache.is_dataset(place)
    assert cache.name_of(SAMPLE) == "sample"
    assert cache.name_of(place) == place.name


@pytest.mark.parametrize("split", ["report", "subject"])
@pytest.mark.parametrize("augment", ["report", "none"])
def test_what_is_expected_is_what_comes_about(cells, tmp_path, split, augment):
    for path in sorted(cells.rglob("*_hem.bmp"))[::2]:  # 20 of ALL, 10 of HEM
        path.unlink()
    settings = Settings(image_size=32, split=split, augment_offline=augment)
    expected = estimate(find_images(cells), settings)
    sides = read_manifest(cache.kept(cells, settings, tmp_path / "kept", say=lambda _: None)).splits
    assert abs(expected.train - sides["train"].images) <= 4
    assert abs(expected.test - sides["test"].images) <= 2
    assert expected.seconds > 0


def test_what_can_not_be_foreseen_is_refused():
    for settings in (
        Settings(split="kfold"),
        Settings(augment_offline="symmetries"),
        Settings(validation_fraction=0.1),
    ):
        with pytest.raises(ConfigError, match="only the splits report and subject"):
            expected_sides([10, 10], settings)


@pytest.mark.parametrize("module", [scratchnet.prepare.augment, scratchnet.prepare.estimate])
def test_the_examples_run(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def run_together(cells, kept, settings, count):
    """What `count` processes say that prepare the same at once, and which folder each of them gets."""
    program = (
        "import sys; from pathlib import Path; from scratchnet.prepare import Settings, cache; "
        f"print(cache.kept(Path(sys.argv[1]), {settings!r}, Path(sys.argv[2])))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, cells, kept], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * count, ended
    return [said for said, _ in ended]


def test_of_four_first_runs_one_prepares_and_the_others_use_it(cells, tmp_path):
    said = run_together(cells, tmp_path / "kept", Settings(image_size=32), 4)
    assert len({lines.splitlines()[-1] for lines in said}) == 1
    assert sum("Preparing" in lines for lines in said) == 1
    assert os.listdir(tmp_path / "kept") == [cache.shards_of(cells, Settings(image_size=32)).name]


def test_the_second_waits_for_the_first_and_says_so(cells, tmp_path, monkeypatch):
    settings, said = Settings(image_size=32), []
    place = cache.shards_of(cells, settings, tmp_path / "kept")
    place.parent.mkdir()
    first = Lock(place.with_name(f".{place.name}.lock"))

    def prepared_meanwhile(seconds):
        prepare(cells, place, settings, quiet=True)
        first.__exit__(None, None, None)

    first.__enter__()
    monkeypatch.setattr("time.sleep", prepared_meanwhile)
    assert cache.kept(cells, settings, tmp_path / "kept", say=said.append) == place
    assert said[0].startswith(f"Waiting for process {os.getpid()} on ")
    assert said[1].startswith("Using the images that another run has just prepared")
    assert len(said) == 2


def test_the_second_prepares_where_the_first_has_ended_without(cells, tmp_path, monkeypatch):
    settings, said = Settings(image_size=32), []
    place = cache.shards_of(cells, settings, tmp_path / "kept")
    place.parent.mkdir()
    first = Lock(place.with_name(f".{place.name}.lock"))
    first.__enter__()
    monkeypatch.setattr("time.sleep", lambda seconds: first.__exit__(None, None, None))  # as when it is killed
    assert cache.kept(cells, settings, tmp_path / "kept", say=said.append) == place
    assert [line.partition(" ")[0] for line in said] == ["Waiting", "Preparing", "Images"]


def test_a_lock_that_a_killed_run_left_holds_nobody_up(cells, tmp_path):
    settings = Settings(image_size=32)
    place = cache.shards_of(cells, settings, tmp_path / "kept")
    place.parent.mkdir()
    place.with_name(f".{place.name}.lock").write_text("process 1 on elsewhere\n", encoding="utf-8")
    said = []
    cache.kept(cells, settings, tmp_path / "kept", say=said.append)
    assert said[0].startswith("Preparing")
    assert os.listdir(tmp_path / "kept") == [place.name]


def test_other_settings_wait_for_nobody(cells, tmp_path):
    place = cache.shards_of(cells, Settings(image_size=32), tmp_path / "kept")
    place.parent.mkdir()
    with Lock(place.with_name(f".{place.name}.lock")):
        other = cache.kept(cells, Settings(image_size=16), tmp_path / "kept", say=lambda _: None)
    assert cache.is_dataset(other)


def test_without_locks_the_slower_one_uses_what_the_faster_has_made(cells, tmp_path, monkeypatch):
    settings, said = Settings(image_size=32), []
    place = cache.shards_of(cells, settings, tmp_path / "kept")

    def no_locks(descriptor):
        raise OSError(errno.ENOLCK, "no locks")

    def meanwhile(*arguments):
        prepare(cells, place, settings, quiet=True)
        return prepare(*arguments)

    monkeypatch.setattr("scratchnet.storage.lock._take", no_locks)
    monkeypatch.setattr(cache, "prepare", meanwhile)
    assert cache.kept(cells, settings, tmp_path / "kept", say=said.append) == place
    assert said[-1].startswith("Using the images that another run has prepared meanwhile")


def test_nothing_is_left_of_a_preparation_that_fails(tmp_path):
    save_image(tmp_path / "cells" / "all" / "1.png")
    for _ in range(2):
        with pytest.raises(DataError, match="one folder with images"):
            cache.kept(tmp_path / "cells", Settings(), tmp_path / "new" / "kept", say=lambda _: None)
    assert os.listdir(tmp_path) == ["cells"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("cells.zip", b"PK\x05\x06" + bytes(18), r"is a ZIP archive; expected a folder of images\. Unpack it"),
        ("cells.tar.gz", b"\x1f\x8b\x08", r"packed by gzip; .* Unpack it"),
        ("patches.h5", b"\x89HDF\r\n\x1a\n", r"is an HDF5 file; .* Write each of its images as a PNG file"),
        ("a.npy", b"\x93NUMPY\x01", "PNG file into a folder named after its class"),
        ("subjects.csv", b"file,subject\n", "is a table.*with --subjects"),
        ("book.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "saved as CSV"),
        ("cell.bmp", b"BM1234", "is a BMP image; .* predict` takes single images"),
        ("cells", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("download", b"<html>", "is a web page.*fetch the images anew"),
        ("notes.txt", b"x", r"is a text; expected a folder of images\. Give the folder\.$"),
    ],
)
def test_a_file_as_data_is_named_with_the_next_step(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    for refuse in (cache.require_folder, find_images):
        with pytest.raises(DataError, match=expected) as error:
            refuse(tmp_path / name)
        assert "\n" not in str(error.value)
