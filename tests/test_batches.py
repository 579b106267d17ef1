"""Batches: the order of images, the thread that reads ahead, and how it ends."""

import gc
import threading
import time

import numpy as np
import pytest
from small_data import make_dataset

from scratchnet.data import Augmentation, Batches, Dataset, PixelScaling, epoch_order
from scratchnet.data.batches import Shown
from scratchnet.errors import ConfigError, DataError

UNIT = PixelScaling("unit")


@pytest.fixture
def dataset(tmp_path):
    make_dataset(tmp_path)
    with Dataset(tmp_path, "train") as opened:
        yield opened


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("scratchnet-reader")]


def test_batches_in_the_datasets_order(dataset):
    batches = Batches(dataset, 5, UNIT, shuffle=False, seed=0)
    assert len(batches) == 3
    seen = list(batches.epoch(0))
    assert [len(batch) for batch in seen] == [5, 5, 2]
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in seen]), np.arange(12))
    for batch in seen:
        assert batch.images.dtype == np.float32
        assert batch.labels.dtype == batch.indices.dtype == np.int64
        np.testing.assert_array_equal(batch.images, UNIT.apply(dataset.read(batch.indices)))
        np.testing.assert_array_equal(batch.labels, dataset.labels[batch.indices])
    assert readers() == []


def test_shuffled_and_augmented(dataset):
    batches = Batches(dataset, 5, UNIT, shuffle=True, augment=Augmentation(brightness=0.3), seed=7, dtype="float64")
    for epoch in (0, 3):
        seen = list(batches.epoch(epoch))
        order = np.concatenate([batch.indices for batch in seen])
        np.testing.assert_array_equal(order, epoch_order(dataset.shard_sizes, 7, epoch))
        changed = Augmentation(brightness=0.3).apply(dataset.read(order), 7, epoch, order)
        assert (changed != dataset.read(order)).any(axis=(1, 2, 3)).all()
        images = np.concatenate([batch.images for batch in seen])
        assert images.dtype == np.float64
        np.testing.assert_array_equal(images, UNIT.apply(changed, "float64"))


@pytest.mark.parametrize(("memory_limit", "kind"), [(0, np.ndarray), (2**28, Shown)])
def test_a_large_batch_does_not_wait_as_numbers(tmp_path, monkeypatch, memory_limit, kind):
    """It waits as pixels, or, where the images are in memory, not even so; all have the same bits, whole and in parts."""
    make_dataset(tmp_path)
    scaling, augment = PixelScaling("standardised", (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)), Augmentation(brightness=0.3)
    with Dataset(tmp_path, "train", memory_limit=memory_limit) as dataset:
        batches = Batches(dataset, 12, scaling, shuffle=True, augment=augment, seed=1)
        (small,) = batches.epoch(2)
        monkeypatch.setattr("scratchnet.data.batches.AHEAD_BYTES", 1000)
        (large,) = batches.epoch(2)
    assert isinstance(large.given, kind)
    assert kind is Shown or large.given.dtype == np.uint8
    np.testing.assert_array_equal(large.images, small.images)
    for batch in (small, large):
        parts = list(batch.parts(5))
        assert [len(part) for part in parts] == [5, 5, 2]
        for name in ("images", "labels", "indices"):
            found = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(found, getattr(small, name))
    assert readers() == []


def test_a_set_of_a_users_own_needs_no_more_than_the_protocol(dataset, monkeypatch):
    class Own:
        labels, class_names, image_shape = dataset.labels, dataset.class_names, dataset.image_shape
        shard_sizes, read = dataset.shard_sizes, staticmethod(dataset.read)

        def __len__(self):
            return len(dataset)

    (expected,) = Batches(dataset, 12, UNIT, shuffle=False, seed=0).epoch(0)
    monkeypatch.setattr("scratchnet.data.batches.AHEAD_BYTES", 1000)
    (large,) = Batches(Own(), 12, UNIT, shuffle=False, seed=0).epoch(0)
    np.testing.assert_array_equal(large.images, expected.images)


def test_parts_of_a_batch_in_memory_are_made_one_ahead(dataset, monkeypatch):
    monkeypatch.setattr("scratchnet.data.batches.AHEAD_BYTES", 1000)
    batches = Batches(dataset, 12, UNIT, shuffle=False, seed=0)
    (batch,) = batches.epoch(0)
    made, make = [], batches.pixels
    monkeypatch.setattr(batches, "pixels", lambda *arguments: (made.append(1), make(*arguments))[1])
    parts = batch.parts(2)
    next(parts)
    until = time.monotonic() + 60
    while len(made) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 2
    parts.close()
    assert readers() == []


def test_an_epoch_goes_on_where_it_stopped(dataset):
    batches = Batches(dataset, 5, UNIT, shuffle=True, augment=Augmentation(brightness=0.3), seed=7)
    whole = list(batches.epoch(4))
    for start in range(4):
        rest = list(batches.epoch(4, start=start))
        assert len(rest) == 3 - start
        for a, b in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(a.images, b.images)
            np.testing.assert_array_equal(a.indices, b.indices)


def test_the_size_of_a_batch_changes_no_image(dataset):
    small, large = (
        np.concatenate(
            [
                batch.images
                for batch in Batches(
                    dataset, size, UNIT, shuffle=True, augment=Augmentation(brightness=0.3), seed=7
                ).epoch(2)
            ]
        )
        for size in (1, 12)
    )
    np.testing.assert_array_equal(small, large)


def test_an_epoch_left_early_leaves_no_thread(dataset):
    batches = Batches(dataset, 1, UNIT, shuffle=True, seed=0)
    epoch = batches.epoch(0)
    next(epoch)
    assert len(readers()) == 1
    begin = time.perf_counter()
    epoch.close()
    assert time.perf_counter() - begin < 2
    assert readers() == []
    for _ in batches.epoch(0):
        break  # the generator is closed as soon as nobody holds it
    assert readers() == []


def test_an_error_in_the_consumer_leaves_no_thread(dataset):
    def train():
        for _ in Batches(dataset, 1, UNIT, shuffle=True, seed=0).epoch(0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    gc.collect()
    assert readers() == []


def test_only_a_few_batches_are_made_ahead(dataset, monkeypatch):
    made = []
    batches = Batches(dataset, 1, UNIT, shuffle=False, seed=0)
    make = batches.batch
    monkeypatch.setattr(batches, "batch", lambda *arguments: (made.append(1), make(*arguments))[1])
    epoch = batches.epoch(0)
    next(epoch)
    time.sleep(0.1)
    assert len(made) <= 4
    epoch.close()


def test_batches_are_made_while_the_consumer_works(dataset, monkeypatch):
    """While it holds one, the next is made, without being asked for."""
    batches = Batches(dataset, 1, UNIT, shuffle=False, seed=0)
    make, made = batches.batch, threading.Semaphore(0)
    monkeypatch.setattr(batches, "batch", lambda *arguments: (make(*arguments), made.release())[0])
    for number, _ in enumerate(batches.epoch(0)):
        for _ in range(2 if number == 0 else int(number < 11)):  # the first has been made, and there are twelve
            assert made.acquire(timeout=60)


@pytest.mark.parametrize("ahead_bytes", [10**8, 1000])
def test_a_damaged_image_is_raised_where_the_batch_was_expected(tmp_path, monkeypatch, ahead_bytes):
    """Also of a large one, whose pixels are made later: training never meets it in the middle of a step."""
    monkeypatch.setattr("scratchnet.data.batches.AHEAD_BYTES", ahead_bytes)
    make_dataset(tmp_path, size=64)
    path = tmp_path / "train-0002.h5"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with Dataset(tmp_path, "train") as dataset:
        epoch = Batches(dataset, 3, UNIT, shuffle=False, seed=0).epoch(0)
        for _ in range(3):
            assert len(next(epoch)) == 3
        with pytest.raises(DataError, match=r"train-0002\.h5"):
            next(epoch)
    assert readers() == []


def test_wrong_arguments(dataset):
    with pytest.raises(ConfigError, match="batch size"):
        Batches(dataset, 0, UNIT, shuffle=False, seed=0)
    batches = Batches(dataset, 5, UNIT, shuffle=False, seed=0)
    for start in (-1, 4):
        with pytest.raises(ConfigError, match="start"):
            batches.epoch(0, start=start)
