"""Prepared images that are kept, and what a preparation is expected to come to."""

import doctest
import os

import pytest

import data_prep.augment
import data_prep.estimate
from data_prep import SAMPLE, Settings, cache
from data_prep.estimate import estimate, expected_sides
from data_prep.sources import find_images
from scratchnet.data import read_manifest
from scratchnet.errors import ConfigError
from tests.small_data import make_cnmc, save_image


@pytest.fixture
def cells(tmp_path):
    return make_cnmc(tmp_path / "cells", subjects=5, images=4)


def test_the_same_images_are_prepared_once(cells, tmp_path):
    said = []
    settings = Settings(image_size=32)
    first = cache.kept(cells, settings, tmp_path / "kept", say=said.append)
    assert first == cache.place_of(cells, settings, tmp_path / "kept")
    assert cache.is_dataset(first)
    before = (first / "manifest.json").stat().st_mtime_ns
    assert cache.kept(cells, settings, tmp_path / "kept", say=said.append) == first
    assert (first / "manifest.json").stat().st_mtime_ns == before
    assert [line.partition(" ")[0] for line in said] == ["Preparing", "Images", "Using"]


def test_another_image_setting_or_table_is_another_preparation(cells, tmp_path):
    table = tmp_path / "subjects.csv"
    table.write_text("file,subject\n")
    settings = Settings(subjects=table)
    marks = {cache.fingerprint(cells, settings), cache.fingerprint(cells, Settings())}
    table.write_text("file,subject\na.png,1\n")
    marks.add(cache.fingerprint(cells, settings))
    marks.add(cache.fingerprint(cells, Settings(seed=1)))
    image = save_image(cells / "fold_0/all/UID_99_1_1_all.bmp", seed=99)
    marks.add(cache.fingerprint(cells, Settings()))
    os.utime(image, ns=(1, 1))
    marks.add(cache.fingerprint(cells, Settings()))
    image.unlink()
    assert len(marks) == 6
    assert cache.fingerprint(cells, Settings()) in marks


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


@pytest.mark.parametrize("module", [data_prep.augment, data_prep.estimate])
def test_the_examples_run(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
