"""From a folder of images to a prepared one: the same pixels, the same bytes each time, and nothing left out unsaid."""

import csv
import doctest
import hashlib
import importlib
import io
import os
import pkgutil

import numpy as np
import pytest
from file_systems import require_names
from PIL import Image
from small_data import make_cnmc, mean_over_areas, save_image, shards_of

import scratchnet.prepare
from data_prep import main
from scratchnet.data import Dataset, read_manifest
from scratchnet.prepare import SAMPLE, Settings, describe, prepare, prepare_sample, printable

SPOOL, WRITING = (importlib.import_module(f"scratchnet.prepare.{name}") for name in ("spool", "writing"))
SMALL = Settings(image_size=8, test_fraction=0.4)


@pytest.mark.parametrize("name", [info.name for info in pkgutil.iter_modules(scratchnet.prepare.__path__)])
def test_examples_in_docstrings(name):
    failures, _ = doctest.testmod(importlib.import_module(f"scratchnet.prepare.{name}"))
    assert failures == 0


def reasons(manifest):
    return {remark.path: remark.reason for remark in manifest.left_out}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "prepared"
    prepare_sample(folder, Settings(image_size=32))
    return folder


def test_the_sample(sample):
    manifest = read_manifest(sample)
    train, test = shards_of(sample, "train"), shards_of(sample, "test")
    assert len(train) + len(test) == 246
    assert len({subject for _, subject, _, _ in train + test}) == 54
    assert not {subject for _, subject, _, _ in train} & {subject for _, subject, _, _ in test}
    for split, images in (("train", train), ("test", test)):
        counts = np.bincount([label for label, _, _, _ in images])
        assert tuple(counts) == manifest.splits[split].images_per_class
    assert abs(sum(label == 0 for label, *_ in test) / 176 - 0.2) < 0.03
    assert abs(sum(label == 1 for label, *_ in test) / 70 - 0.2) < 0.03
    assert set(reasons(manifest)) == {"README.md", "index.csv", "prelim_test/all/", "prelim_test/hem/"}
    assert manifest.altered == ()
    assert manifest.preparation["sample"] is True


def test_a_folder_called_sample_is_not_the_sample(tmp_path):
    manifest = prepare(make_cnmc(tmp_path / "sample"), tmp_path / "out", SMALL)
    assert manifest.preparation["source"] == "sample"
    assert manifest.preparation["sample"] is False


def test_prepared_pixels_are_those_of_the_files(sample):
    for _, _, path, pixels in shards_of(sample, "test")[:10]:
        expected = mean_over_areas(np.asarray(Image.open(SAMPLE / path)), 32)
        assert abs(pixels - expected).max() <= 0.5 + 1e-9


def test_statistics_of_the_training_pixels(sample):
    train = np.stack([pixels for _, _, _, pixels in shards_of(sample, "train")]) / 255
    with Dataset(sample, "test") as dataset:
        np.testing.assert_allclose(dataset.channel_mean, train.mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(dataset.channel_std, train.std(axis=(0, 1, 2)), rtol=1e-9)


def test_the_dataset_reads_what_was_prepared(sample):
    for split in ("train", "test"):
        with Dataset(sample, split) as dataset:
            dataset.verify()
            images = shards_of(sample, split)
            assert dataset.labels.tolist() == [label for label, _, _, _ in images]
            assert dataset.paths == tuple(path for _, _, path, _ in images)
            np.testing.assert_array_equal(
                dataset.read(range(len(dataset))), np.stack([pixels for *_, pixels in images])
            )


def test_the_packaged_sample_is_attributed_and_complete():
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for needed in ("10.7937/tcia.2019.dc64i46r", "CC BY", "Gupta", "The Cancer Imaging Archive"):
        assert needed in readme
    with open(SAMPLE / "index.csv", encoding="utf-8", newline="") as file:
        listed = [row["file"] for row in csv.DictReader(file)]
    assert sorted(listed) == sorted(path.relative_to(SAMPLE).as_posix() for path in SAMPLE.rglob("*.webp"))
    assert len(listed) == 260


def test_the_packaged_sample_has_the_pixels_of_the_original_files():
    """Written as a BMP again, with the header that the originals have, each gives the original's bytes."""
    with open(SAMPLE / "index.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["prelim_name"]]
    assert len(rows) == 246
    for row in rows:
        bmp = io.BytesIO()
        Image.open(SAMPLE / row["file"]).save(bmp, "BMP", dpi=(95.99, 95.99))
        assert hashlib.sha256(bmp.getvalue()).hexdigest() == row["sha256_of_bmp"], row["file"]


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(tmp_path):
    source = make_cnmc(tmp_path / "source")
    first = prepare(source, tmp_path / "a", Settings(image_size=8, threads=1, shard_size=7))
    second = prepare(source, tmp_path / "b", Settings(image_size=8, threads=5, shard_size=7))
    assert first.dataset_id == second.dataset_id
    names = sorted(os.listdir(tmp_path / "a"))
    assert names == [
        "manifest.json",
        "test-0000.h5",
        "train-0000.h5",
        "train-0001.h5",
        "train-0002.h5",
        "train-0003.h5",
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"image_size": 9},
        {"fit": "stretch"},
        {"split": "report"},
        {"test_fraction": 0.4},
        {"shard_size": 7},
        {"crop": True},
        {"split": "fold", "test_fold": 1},
        {"split": "fold", "test_fold": 0},
        {"validation_fraction": 0.3},
        {"augment_offline": "symmetries"},
    ],
)
def test_other_settings_give_another_dataset(tmp_path, changed):
    source = make_cnmc(tmp_path / "source")
    first = prepare(source, tmp_path / "a", Settings(**{"image_size": 8}))
    assert prepare(source, tmp_path / "b", Settings(**{"image_size": 8, **changed})).dataset_id != first.dataset_id


def test_another_pixel_gives_another_dataset(tmp_path):
    source = make_cnmc(tmp_path / "source")
    first = prepare(source, tmp_path / "a", SMALL)
    save_image(source / "fold_0" / "all" / "UID_2_0_1_all.bmp", seed=999)
    assert prepare(source, tmp_path / "b", SMALL).dataset_id != first.dataset_id


def test_duplicates_and_merged_subjects(tmp_path):
    source = make_cnmc(tmp_path / "source", subjects=6)
    save_image(source / "fold_0" / "all" / "UID_20_1_1_all.bmp", seed=500)
    save_image(source / "fold_0" / "all" / "UID_20_2_1_all.bmp", seed=501)
    save_image(source / "fold_1" / "all" / "UID_21_1_1_all.png", seed=500)  # the same pixels in another format
    save_image(source / "fold_1" / "all" / "UID_21_2_1_all.bmp", seed=502)
    save_image(source / "fold_0" / "hem" / "UID_H30_1_1_hem.bmp", seed=600)
    save_image(source / "fold_1" / "all" / "UID_31_1_1_all.bmp", seed=600)  # the same pixels in another class
    save_image(source / "fold_1" / "all" / "UID_31_2_1_all.bmp", seed=601)
    manifest = prepare(source, tmp_path / "out", SMALL)
    assert set(reasons(manifest)) == {
        "fold_1/all/UID_21_1_1_all.png", "fold_0/hem/UID_H30_1_1_hem.bmp", "fold_1/all/UID_31_1_1_all.bmp",
    }  # fmt: skip
    assert (
        reasons(manifest)["fold_1/all/UID_21_1_1_all.png"]
        == "duplicate: the same image as fold_0/all/UID_20_1_1_all.bmp"
    )
    assert "mislabelled" in reasons(manifest)["fold_1/all/UID_31_1_1_all.bmp"]
    assert manifest.merged_subjects == (("20", "21"), ("31", "H30"))
    sides = {side: {subject for _, subject, _, _ in shards_of(tmp_path / "out", side)} for side in ("train", "test")}
    assert not sides["train"] & sides["test"]
    assert "20+21" in sides["train"] | sides["test"]
    assert not {"20", "21"} & (sides["train"] | sides["test"])
    assert "20 = 21" in describe(manifest)


@pytest.mark.parametrize("split", ["subject", "report"])
def test_kept_duplicates_stand_on_one_side(tmp_path, split):
    source = make_cnmc(tmp_path / "source")
    for k in range(20):
        for subject in (50, 51):
            save_image(source / "fold_0" / "all" / f"UID_{subject}{k}_1_1_all.bmp", seed=500 + k)
    manifest = prepare(
        source, tmp_path / "out", Settings(image_size=8, keep_duplicates=True, split=split, test_fraction=0.4)
    )
    assert manifest.left_out == ()
    train = {pixels.tobytes() for *_, pixels in shards_of(tmp_path / "out", "train")}
    test = {pixels.tobytes() for *_, pixels in shards_of(tmp_path / "out", "test")}
    assert not train & test
    assert manifest.splits["train"].images + manifest.splits["test"].images == 70


def test_bad_images_are_listed_and_the_rest_is_used(tmp_path, capsys):
    source = make_cnmc(tmp_path / "source")
    folder = source / "fold_0" / "all"
    (folder / "UID_90_1_1_all.bmp").write_bytes(b"")
    (folder / "UID_90_2_1_all.bmp").write_text("not an image", encoding="utf-8")
    Image.new("CMYK", (4, 4)).save(folder / "UID_90_3_1_all.jpg")
    Image.new("RGBA", (4, 4), (1, 2, 3, 100)).save(folder / "UID_90_4_1_all.png")
    save_image(folder / "UID_91_1_1_all.png", 900, mode="L")
    save_image(folder / "UID_91_2_1_all.bmp", 901, format="PNG")
    assert main([str(source), str(tmp_path / "out"), "--image-size", "8"]) == 0
    manifest = read_manifest(tmp_path / "out")
    assert set(reasons(manifest)) == {
        f"fold_0/all/UID_90_{k}_1_all.{kind}" for k, kind in enumerate(("bmp", "bmp", "jpg", "png"), 1)
    }
    assert {remark.path: remark.reason for remark in manifest.altered} == {
        "fold_0/all/UID_91_1_1_all.png": "greyscale, converted to RGB",
        "fold_0/all/UID_91_2_1_all.bmp": "a PNG file named .bmp, read as PNG",
    }
    said = capsys.readouterr()
    assert said.err == ""
    for path in [*reasons(manifest), *(remark.path for remark in manifest.altered)]:
        assert path in said.out
    assert sum(split.images for split in manifest.splits.values()) == 32


def test_names_of_all_kinds_are_used_and_printed_safely(tmp_path, capsys):
    require_names(tmp_path, "sour ce\nü", "\x1b", "\udcff.png")
    source = tmp_path / "sour ce\nü"
    for k in range(4):
        save_image(source / "größe\nzwei" / f"a {k}.png", k)
        save_image(source / "b" / f"細胞{k}\x1b[31m.png", 10 + k)
    (source / "b" / "bad\n\u202e.png").write_text("x", encoding="utf-8")
    with open(os.fsencode(source) + b"/b/\xff.png", "wb") as file:
        file.write(b"")
    assert main([str(source), str(tmp_path / "out"), "--image-size", "8", "--test-fraction", "0.5"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "b/bad\\n\\u202e.png" in out
    assert "b/\\udcff.png" in out
    assert "größe\\nzwei" in out
    assert {path for _, _, path, _ in shards_of(tmp_path / "out", "train") + shards_of(tmp_path / "out", "test")} == {
        *(f"größe\nzwei/a {k}.png" for k in range(4)),
        *(f"b/細胞{k}\x1b[31m.png" for k in range(4)),
    }
    assert "b/\udcff.png" in reasons(read_manifest(tmp_path / "out"))


def test_printable():
    assert printable("a b/ü細.png") == "a b/ü細.png"
    assert printable("a\nb\t\x1b\udcff\u202e") == "a\\nb\\t\\x1b\\udcff\\u202e"


def test_the_reports_split_says_what_it_does(tmp_path, capsys):
    source = make_cnmc(tmp_path / "source")
    assert main([str(source), str(tmp_path / "out"), "--image-size", "8", "--split", "report"]) == 0
    train = {subject for _, subject, _, _ in shards_of(tmp_path / "out", "train")}
    test = [subject for _, subject, _, _ in shards_of(tmp_path / "out", "test")]
    seen = sum(subject in train for subject in test)
    assert seen > 0
    assert read_manifest(tmp_path / "out").preparation["test_images_of_training_subjects"] == seen
    assert (
        f"images of one subject stand on both sides. Of {len(test)} test images,\n  {seen} have their subject in training"
        in capsys.readouterr().out
    )


def test_unknown_subjects_are_said_loudly(tmp_path, capsys):
    for k in range(5):
        save_image(tmp_path / "source" / "a" / f"{k}.png", k)
        save_image(tmp_path / "source" / "b" / f"{k}.png", 10 + k)
    assert main([str(tmp_path / "source"), str(tmp_path / "out"), "--image-size", "8"]) == 0
    out = capsys.readouterr().out
    assert "CAUTION: nothing tells the subject" in out
    assert "--subject-pattern" in out
    assert not read_manifest(tmp_path / "out").subjects_known


def test_images_that_are_not_square(tmp_path):
    for k in range(6):
        save_image(tmp_path / "source" / ("a" if k % 2 else "b") / f"{k}.png", k, size=(20, 10))
    prepare(tmp_path / "source", tmp_path / "pad", Settings(image_size=8, test_fraction=0.4))
    prepare(tmp_path / "source", tmp_path / "stretch", Settings(image_size=8, test_fraction=0.4, fit="stretch"))
    padded = np.stack([pixels for *_, pixels in shards_of(tmp_path / "pad", "train")])
    stretched = np.stack([pixels for *_, pixels in shards_of(tmp_path / "stretch", "train")])
    assert (padded[:, :2] == 0).all()
    assert (padded[:, -2:] == 0).all()
    assert (stretched[:, :2] > 0).any()
    assert read_manifest(tmp_path / "pad").preprocessing["fit"] == "pad"
