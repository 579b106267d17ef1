"""Shards: what is written is read, and damage or malice is noticed."""

import os
import zlib

import h5py
import numpy as np
import pytest
from file_systems import made_pipe
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import make_shard, random_images

from scratchnet.data import Shard, ShardHeader, pack_image, write_shard
from scratchnet.data.shards import DATASETS, VERSION
from scratchnet.errors import DataError
from scratchnet.terminal.invocation import command


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
def test_what_is_written_is_read(tmp_path_factory, count, height, width, seed):
    path = tmp_path_factory.mktemp("shard") / "a.h5"
    images = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    make_shard(path, images, labels)
    with Shard(path) as shard:
        assert len(shard) == count
        assert shard.image_shape == (height, width, 3)
        assert shard.labels.dtype == np.int64
        np.testing.assert_array_equal(shard.labels, labels)
        for k in range(count):
            np.testing.assert_array_equal(shard.read(k), images[k])


def test_texts_of_all_kinds_survive(tmp_path):
    paths = ["fold_0/a b.bmp", "zürich/細胞.bmp", "line\nbreak.png", "broken-\udcff.png"]
    subjects = ["20+21", "H3", "Ωmega", ""]
    make_shard(tmp_path / "a.h5", random_images(4), [0, 1, 0, 1], subjects, paths, class_names=("größer", "klein"))
    with Shard(tmp_path / "a.h5") as shard:
        assert shard.subjects == tuple(subjects)
        assert shard.paths == (*paths[:3], "broken-\\udcff.png")
        assert shard.header == ShardHeader("id-1", "train", ("größer", "klein"), {"image_size": 8})


def test_the_file_is_plain_hdf5_that_other_programs_read(tmp_path):
    images = random_images(3)
    make_shard(tmp_path / "a.h5", images, [0, 1, 1])
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == set(DATASETS)
        np.testing.assert_array_equal(file["images"][:], images)
        assert file["images"].chunks == (1, 8, 8, 3)
        assert file["subjects"].asstr()[0] == "S0"
        assert file.attrs["version"] == VERSION
        assert file["checksums"][1] == zlib.crc32(images[1].tobytes() + np.int64(1).tobytes())


def test_the_same_content_gives_the_same_bytes(tmp_path):
    make_shard(tmp_path / "a.h5", random_images(3), [0, 1, 1])
    make_shard(tmp_path / "b.h5", random_images(3), [0, 1, 1])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("count", [2, 4])
def test_lists_of_unequal_length_write_nothing(tmp_path, count):
    images = [pack_image(image, 0) for image in random_images(count)]
    with pytest.raises(DataError, match=r"3 labels"):
        write_shard(
            tmp_path / "a.h5", images, image_shape=(8, 8, 3), labels=np.zeros(3, np.int64), subjects=["a"] * 3,
            paths=["b"] * 3, header=ShardHeader("id", "train", ("x",), {}),
        )  # fmt: skip
    assert os.listdir(tmp_path) == []


def test_reading_out_of_range(tmp_path):
    with Shard(make_shard(tmp_path / "a.h5", random_images(2), [0, 1])) as shard:
        for index in (-1, 2):
            with pytest.raises(IndexError):
                shard.read(index)


def read_all(path):
    """Everything a shard says, or the DataError."""
    with Shard(path) as shard:
        return (
            [shard.read(k).tobytes() for k in range(len(shard))],
            shard.labels.tolist(),
            shard.subjects,
            shard.paths,
            shard.header,
        )


def outcome(path):
    """What the shard says, or the message of the DataError."""
    try:
        return read_all(path)
    except DataError as error:
        return str(error)


def is_clear(message, path):
    return isinstance(message, str) and str(path) in message and command("prepare", "SOURCE", "OUT") in message


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path = make_shard(tmp_path / "a.h5", random_images(6), [0, 1] * 3)
    good, whole = path.read_bytes(), read_all(path)
    random, noticed = np.random.default_rng(0), 0
    for _ in range(300):
        bad = bytearray(good)
        bad[random.integers(len(bad))] ^= 1 << random.integers(8)
        path.write_bytes(bad)
        found = outcome(path)
        assert found == whole or is_clear(found, path)
        noticed += found != whole
    assert noticed > 100


def test_truncation_is_noticed(tmp_path):
    path = make_shard(tmp_path / "a.h5", random_images(6), [0, 1] * 3)
    good = path.read_bytes()
    for length in [*range(0, len(good), 97), len(good) - 1]:
        path.write_bytes(good[:length])
        with pytest.raises(DataError, match=r"a\.h5"):
            read_all(path)


def test_zeroed_blocks_are_noticed_or_change_nothing(tmp_path):
    path = make_shard(tmp_path / "a.h5", random_images(6), [0, 1] * 3)
    good, whole = path.read_bytes(), read_all(path)
    for start in range(0, len(good), 64):
        path.write_bytes(good[:start] + bytes(min(64, len(good) - start)) + good[start + 64 :])
        found = outcome(path)
        assert found == whole or is_clear(found, path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(DataError, match="damaged, or not a shard of scratchnet"):
        Shard(tmp_path / "a.h5")


def test_a_missing_file_and_a_pipe(tmp_path):
    with pytest.raises(DataError, match="no such shard"):
        Shard(tmp_path / "a.h5")
    if made_pipe(tmp_path / "pipe.h5"):
        with pytest.raises(DataError):
            Shard(tmp_path / "pipe.h5")


# Hostile files. Each case changes one thing of a good shard, and nothing may come of it but a DataError.


def replace(file, name, **options):
    del file[name]
    return file.create_dataset(name, **options)


def external_link(file, folder):
    del file["labels"]
    file["labels"] = h5py.ExternalLink(str(folder / "secret.h5"), "labels")


def soft_link(file, folder):
    del file["labels"]
    file["labels"] = h5py.SoftLink("/checksums")


def external_storage(file, folder):
    replace(file, "labels", shape=(2,), dtype=np.int64, external=[(str(folder / "secret.bin"), 0, 16)])


def external_images(file, folder):
    replace(file, "images", shape=(2, 8, 8, 3), dtype=np.uint8, external=[(str(folder / "secret.bin"), 0, 384)])


def virtual_dataset(file, folder):
    layout = h5py.VirtualLayout((2, 8, 8, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "images", (2, 8, 8, 3))
    del file["images"]
    file.create_virtual_dataset("images", layout)


def huge_table(file, folder):
    replace(file, "labels", shape=(2**40,), dtype=np.int64)


def unwritten_table(file, folder):
    replace(file, "labels", shape=(2**19,), dtype=np.int64)


def huge_images(file, folder):
    replace(file, "images", shape=(2, 2**20, 2**20, 3), dtype=np.uint8, chunks=(1, 8, 8, 3), compression="gzip")


def many_images(file, folder):
    replace(file, "images", shape=(2**40, 8, 8, 3), dtype=np.uint8, chunks=(1, 8, 8, 3), compression="gzip")


def huge_chunk(file, folder):
    growing = (None, None, None, 3)
    replace(
        file,
        "images",
        shape=(2, 8, 8, 3),
        maxshape=growing,
        dtype=np.uint8,
        chunks=(2, 8000, 8000, 3),
        compression="gzip",
    )


def other_filter(file, folder):
    replace(file, "images", data=np.zeros((2, 8, 8, 3), np.uint8), chunks=(1, 8, 8, 3), compression="lzf")


def scale_offset(file, folder):
    replace(file, "images", data=np.zeros((2, 8, 8, 3), np.uint8), chunks=(1, 8, 8, 3), scaleoffset=0)


def missing_chunk(file, folder):
    dataset = replace(file, "images", shape=(2, 8, 8, 3), dtype=np.uint8, chunks=(1, 8, 8, 3), compression="gzip")
    dataset[0] = 1


def bomb(file, folder):
    """A chunk of 33 kB, where an image takes 192 bytes, inflates to 33 MB."""
    file["images"].id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(2**25), 9))


def float_images(file, folder):
    replace(file, "images", data=np.zeros((2, 8, 8, 3)), chunks=(1, 8, 8, 3), compression="gzip")


def text_of_variable_length(file, folder):
    replace(file, "paths", data=["a", "b"], dtype=h5py.string_dtype())


def object_references(file, folder):
    replace(file, "paths", data=[file.ref, file.ref], dtype=h5py.ref_dtype)


def group_instead(file, folder):
    del file["labels"]
    file.create_group("labels")


def one_more(file, folder):
    file["more"] = np.zeros(3)


def one_less(file, folder):
    del file["paths"]


def small_labels(file, folder):
    replace(file, "labels", data=np.zeros(2, np.int32))


def more_paths(file, folder):
    """One path more than images, under a checksum that is right."""
    from scratchnet.data.shards import TEXT_ATTRIBUTES, _table_checksum

    replace(file, "paths", data=np.array([b"a"] * 3))
    tables = {name: file[name][()] for name in ("labels", "subjects", "paths", "checksums")}
    texts = {"version": VERSION, **{name: bytes(file.attrs[name]).decode() for name in TEXT_ATTRIBUTES}}
    file.attrs.create("table_checksum", _table_checksum(tables, texts), dtype="<i8")


def label_out_of_range(file, folder):
    file["labels"][0] = 7


def other_label(file, folder):
    file["labels"][0] = 1


def other_subject(file, folder):
    file["subjects"][0] = b"S9"


def other_version(file, folder):
    file.attrs["version"] = 99


def version_as_text(file, folder):
    file.attrs["version"] = "1"


def version_as_array(file, folder):
    file.attrs["version"] = np.ones(1000, np.int64)


def attribute_of_variable_length(file, folder):
    file.attrs["class_names"] = '["all", "hem"]'


def other_format(file, folder):
    del file.attrs["format"]


HOSTILE = [
    external_link, soft_link, external_storage, external_images, virtual_dataset, huge_table, unwritten_table, huge_images, many_images,
    huge_chunk, other_filter, scale_offset, missing_chunk, bomb, float_images, text_of_variable_length, object_references, group_instead,
    one_more, one_less,
    small_labels, more_paths, label_out_of_range, other_label, other_subject, other_version, version_as_text, version_as_array,
    attribute_of_variable_length, other_format,
]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_hostile_files_are_refused(tmp_path, change):
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    make_shard(tmp_path / "secret.h5", random_images(2), [0, 1])
    path = make_shard(tmp_path / "a.h5", random_images(2), [0, 1])
    with h5py.File(path, "r+", libver="latest") as file:
        change(file, tmp_path)
    with pytest.raises(DataError, match=r"a\.h5"):
        read_all(path)


def test_an_inflated_chunk_is_bounded(tmp_path):
    """Even a chunk whose size is plausible is inflated no further than one image."""
    path = make_shard(tmp_path / "a.h5", np.zeros((1, 64, 64, 3), np.uint8), [0])
    with h5py.File(path, "r+", libver="latest") as file:
        stored = zlib.compress(bytes(10**7), 9)
        assert len(stored) < 64 * 64 * 3
        file["images"].id.write_direct_chunk((0, 0, 0, 0), stored)
    with Shard(path) as shard:
        # The first bytes are right, so this image agrees with its checksum; what follows them is never inflated.
        assert shard.read(0).nbytes == 64 * 64 * 3
