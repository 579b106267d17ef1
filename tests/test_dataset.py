"""Prepared images as they are read: in any order, unchangeable, and refused where something is damaged or missing."""

import json

import numpy as np
import pytest
from small_data import make_dataset, make_shard, random_images, shard_file

from scratchnet.data import Dataset, read_manifest
from scratchnet.errors import DataError
from scratchnet.terminal.invocation import command


@pytest.mark.parametrize("memory_limit", [0, 2**28])
def test_images_are_read_in_the_order_asked(tmp_path, memory_limit):
    images, labels = make_dataset(tmp_path)
    with Dataset(tmp_path, "train", memory_limit=memory_limit) as dataset:
        assert len(dataset) == 12
        assert dataset.shard_sizes == (5, 4, 3)
        assert dataset.image_shape == (8, 8, 3)
        assert dataset.class_names == ("all", "hem")
        assert dataset.channel_mean == (0.5, 0.4, 0.3)
        assert dataset.dataset_id == "id-1"
        assert len(dataset.subjects) == len(dataset.paths) == 12
        np.testing.assert_array_equal(dataset.labels, labels)
        for _ in range(2):  # the second time, perhaps from memory
            for numbers in ([11, 0, 5, 4, 5], np.arange(12), [7]):
                read = dataset.read(numbers)
                assert read.dtype == np.uint8
                np.testing.assert_array_equal(read, images[numbers])
        assert dataset.read([]).shape == (0, 8, 8, 3)
        dataset.verify()


def test_what_was_read_cannot_be_changed_through_the_result(tmp_path):
    images, _ = make_dataset(tmp_path)
    with Dataset(tmp_path, "train") as dataset:
        dataset.read([3])[:] = 0
        np.testing.assert_array_equal(dataset.read([3]), images[[3]])


@pytest.mark.parametrize("numbers", [[12], [-1], [0.5], [[1, 2]]])
def test_numbers_that_are_none(tmp_path, numbers):
    make_dataset(tmp_path)
    with Dataset(tmp_path, "train") as dataset, pytest.raises(IndexError):
        dataset.read(numbers)


def refusal(folder, split="train"):
    with pytest.raises(DataError) as caught:
        Dataset(folder, split)
    return str(caught.value)


def test_no_folder_and_no_manifest(tmp_path):
    assert command("prepare", "SOURCE", "OUT") in refusal(tmp_path / "nothing")
    message = refusal(tmp_path)
    assert "manifest.json is missing" in message
    assert command("prepare", "SOURCE", "OUT") in message


def test_no_such_split(tmp_path):
    make_dataset(tmp_path)
    assert "has no split 'test'; it has train" in refusal(tmp_path, "test")


def test_missing_shard(tmp_path):
    make_dataset(tmp_path)
    (tmp_path / "train-0001.h5").unlink()
    message = refusal(tmp_path)
    assert "train-0001.h5: this shard is missing" in message
    assert command("prepare", "SOURCE", "OUT") in message


def test_truncated_shard(tmp_path):
    make_dataset(tmp_path)
    path = tmp_path / "train-0001.h5"
    path.write_bytes(path.read_bytes()[:-1])
    assert "train-0001.h5" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"dataset_id": "id-2"}, "preparation"),
        ({"split": "tests"}, "split"),
        ({"class_names": ("hem", "all")}, "classes"),
    ],
)
def test_shard_of_another_dataset(tmp_path, changed, what):
    make_dataset(tmp_path)
    path = tmp_path / "train-0001.h5"
    make_shard(path, random_images(4), [0, 1, 0, 1], **changed)
    rewrite(tmp_path, lambda content: content["splits"]["train"]["shards"][1].update(vars(shard_file(path, 4))))
    message = refusal(tmp_path)
    assert f"belongs to another dataset: its {what}" in message
    assert "train-0001.h5" in message


def test_shards_in_each_others_place(tmp_path):
    make_dataset(tmp_path, sizes=(4, 5))
    first, second = tmp_path / "train-0000.h5", tmp_path / "train-0001.h5"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert "train-0000.h5" in refusal(tmp_path)


def test_damage_of_one_image_is_found_when_it_is_read(tmp_path):
    images, _ = make_dataset(tmp_path, size=64)
    path = tmp_path / "train-0000.h5"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with Dataset(tmp_path, "train") as dataset:
        with pytest.raises(DataError, match=r"train-0000\.h5: image \d"):
            dataset.read(range(12))
        with pytest.raises(DataError, match="SHA-256"):
            dataset.verify()
        np.testing.assert_array_equal(dataset.read(range(5, 12)), images[5:])


def rewrite(folder, change):
    """Changes the manifest and gives it the checksum that belongs to the change."""
    from scratchnet.data import manifest

    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("checksum")
    change(content)
    path.write_text(json.dumps({**content, "checksum": manifest._checksum(content)}), encoding="utf-8")


def test_edited_manifest(tmp_path):
    make_dataset(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.5", "0.6"), encoding="utf-8")
    assert "damaged or edited" in refusal(tmp_path)


def test_every_flipped_bit_of_the_manifest_is_noticed(tmp_path):
    make_dataset(tmp_path)
    path = tmp_path / "manifest.json"
    good, whole = path.read_bytes(), read_manifest(tmp_path)
    random = np.random.default_rng(0)
    for _ in range(200):
        bad = bytearray(good)
        bad[random.integers(len(bad))] ^= 1 << random.integers(8)
        path.write_bytes(bad)
        try:
            found = read_manifest(tmp_path)
        except DataError as error:
            found = str(error)
        assert found == whole or "manifest.json" in found  # equal: one kind of white space for another


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["splits"]["train"]["shards"][0].update(file="../secret.h5"),
        lambda content: content["splits"]["train"]["shards"][0].update(file="/etc/passwd"),
        lambda content: content["splits"]["train"]["shards"][0].update(file="sub\\secret.h5"),
        lambda content: content["splits"]["train"]["shards"][0].update(images=1000),
        lambda content: content["splits"]["train"]["shards"][0].pop("sha256"),
        lambda content: content.update(splits=[]),
        lambda content: content.update(channel_mean=[0.1]),
        lambda content: content.update(channel_mean=["x", 0, 0]),
        lambda content: content.update(image_shape=[8, 8, 4]),
        lambda content: content.pop("class_names"),
        lambda content: content.update(version=2),
        lambda content: content.update(format="other"),
    ],
)
def test_manifests_that_cannot_be(tmp_path, change):
    make_dataset(tmp_path)
    rewrite(tmp_path, change)
    assert "manifest.json" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"checksum": "x"}', "\xff"])
def test_files_that_are_no_manifest(tmp_path, text):
    make_dataset(tmp_path)
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    assert "manifest.json" in refusal(tmp_path)


def test_a_manifest_survives_being_written_and_read(tmp_path):
    make_dataset(tmp_path)
    first = read_manifest(tmp_path)
    assert first.splits["train"].images == 12
    assert first.splits["train"].images_per_class == (6, 6)
