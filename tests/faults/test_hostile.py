"""HDF5 made to do harm: refused in one line, without opening another file.

tests/test_shards.py has the hostile shards that h5py can write; here are checkpoints, and what needs other tools than h5py.
"""

import os
import struct
import zlib

import h5py
import numpy as np
import pytest
from file_systems import made_pipe
from small_data import make_dataset, make_shard, random_images

from faults import targets
from faults.hdf5_mutation import repaired, structures
from faults.hostile import HOSTILE, SECRET, make_checkpoint, refusal
from scratchnet.data import Dataset, Shard, read_manifest
from scratchnet.errors import DataError
from scratchnet.storage.hdf5 import WRITTEN_WITH, HDF5File
from scratchnet.training import load_checkpoint, save_checkpoint
from scratchnet.training.checkpoint import read_about, verify_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    return make_checkpoint(tmp_path)


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_hostile_checkpoints_are_refused(checkpoint, tmp_path, change):
    with h5py.File(checkpoint, "r+", libver=WRITTEN_WITH) as file:
        change(file, tmp_path)
    for read in (load_checkpoint, read_about, verify_checkpoint):
        said = refusal(read, checkpoint)
        assert SECRET.decode() not in said


@pytest.mark.parametrize("libver", ["earliest", "latest", ("v114", "v114")])
def test_the_same_content_in_other_versions_of_hdf5(checkpoint, tmp_path, libver):
    """An old file, with tables of names and B-trees that have no checksum, is another program's; a newer one may be read."""
    with h5py.File(checkpoint) as file, h5py.File(tmp_path / "b.h5", "w", libver=libver) as copy:
        for name in file:
            file.copy(name, copy)
        for name, value in file.attrs.items():
            copy.attrs.create(name, value)
    try:
        assert load_checkpoint(tmp_path / "b.h5").about == {"seed": 1}
    except DataError as error:
        refused = (
            "b.h5 is an HDF5 file of another program" if libver == "earliest" else "b.h5: damaged, or not a checkpoint"
        )
        assert refused in str(error)  # noqa: PT017 - either is right


# What no writer writes: bytes changed inside HDF5's structures, with their checksums made right again.


def forged(content, old, new, which=0):
    """`content` with one occurrence of the bytes `old` replaced, and all checksums right."""
    spans = structures(content)
    position = -1
    for _ in range(which + 1):
        position = content.index(old, position + 1)
    return repaired(content[:position] + new + content[position + len(old) :], spans)


def test_two_arrays_cannot_share_their_bytes_to_take_more_than_the_file(tmp_path):
    """A thousand headers that point at the same megabyte would make a gigabyte of a megabyte."""
    path = tmp_path / "a.h5"
    weights = {f"{number:03}": np.full(2**15, number, np.uint8) for number in range(40)}
    weights["large"] = np.full(2**20, 7, np.uint8)
    save_checkpoint(path, weights, {})
    with h5py.File(path) as file:
        large = file["weights/large"].id.get_offset()
        small = [file[f"weights/{number:03}"].id.get_offset() for number in range(40)]
    content = path.read_bytes()
    layouts = {address: struct.pack("<QQ", address, 2**15) for address in small}
    for layout in layouts.values():
        content = forged(content, layout, struct.pack("<QQ", large, 2**20))
    content = content.replace(struct.pack("<Q", 2**15), struct.pack("<Q", 2**20))  # their shapes
    content = repaired(content, structures(path.read_bytes()))
    path.write_bytes(content)

    def read(path):
        with HDF5File(path, "file", "") as file, file.refusing():
            for name in file.datasets:
                taken.append(file.array(name).nbytes)

    taken = []
    assert "declares 1048576 bytes" in refusal(read, path)
    assert sum(taken) <= len(content) < 40 * 2**20
    refusal(load_checkpoint, path)


def test_headers_that_go_on_in_a_circle(tmp_path):
    path = make_shard(tmp_path / "a.h5", random_images(3), [0, 1, 0])
    content = path.read_bytes()
    at = content.index(b"OCHK")
    end = next(span.end for span in structures(content) if span.start == at)
    continuation = b"\x10\x10\x00\x00" + struct.pack("<QQ", at, end + 4 - at)  # "it goes on in this very block"
    forged_content = content[: at + 4] + continuation + content[at + 4 + len(continuation) :]
    path.write_bytes(repaired(forged_content, structures(content)))
    refusal(Shard, path)


@pytest.mark.parametrize("number", [0, 1, 47, 2**31, 2**40, 2**63, 2**64 - 1])
def test_addresses_that_lead_elsewhere(checkpoint, number):
    """Every address of another structure, in turn replaced: refused, or it was no address, or one that nobody needs."""
    content = checkpoint.read_bytes()
    starts = [span.start for span in structures(content)]
    truth, refused = targets.run("checkpoint", content, checkpoint.parent), 0
    for start in starts:
        for which in range(content.count(struct.pack("<Q", start))):
            changed = forged(content, struct.pack("<Q", start), struct.pack("<Q", number), which)
            found = targets.run("checkpoint", changed, checkpoint.parent)
            assert isinstance(found, str) or found == truth
            refused += isinstance(found, str)
    assert refused >= 8


def test_an_image_that_inflates_to_more_than_it_is(tmp_path):
    path = make_shard(tmp_path / "a.h5", random_images(2, 32), [0, 1])
    with h5py.File(path, "r+", libver=WRITTEN_WITH) as file:
        file["images"].id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(2**21), 9))
    with Shard(path) as shard:
        refusal(lambda _: shard.read(0), path)


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_pipes_devices_folders_and_links_in_the_place_of_files(tmp_path):
    make_dataset(tmp_path / "data")
    made_pipe(tmp_path / "pipe.h5")  # where it cannot be, its name leads nowhere
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "circle.h5").symlink_to("circle.h5")
    (tmp_path / "nowhere.h5").symlink_to("nothing")
    (tmp_path / "text.h5").symlink_to("/etc/passwd")
    (tmp_path / "device.h5").symlink_to("/dev/zero")
    for read in (Shard, load_checkpoint, read_about, verify_checkpoint):
        for name in ("pipe.h5", "folder.h5", "circle.h5", "nowhere.h5", "text.h5", "device.h5"):
            refusal(read, tmp_path / name)
        refusal(read, tmp_path / ("x" * 300))
        refusal(read, tmp_path / "text.h5" / "inside.h5")
    shard = tmp_path / "data" / "train-0001.h5"
    for other in ("pipe.h5", "folder.h5", "circle.h5", "device.h5"):
        shard.unlink()
        shard.symlink_to(tmp_path / other)
        refusal(lambda _: Dataset(tmp_path / "data", "train"), shard)
    manifest = tmp_path / "data" / "manifest.json"
    for other in ("pipe.h5", "folder.h5", "circle.h5", "device.h5"):
        manifest.unlink()
        manifest.symlink_to(tmp_path / other)
        with pytest.raises(DataError, match=r"manifest\.json"):
            read_manifest(tmp_path / "data")


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(checkpoint):
    checkpoint.chmod(0)
    assert "Permission denied" in refusal(load_checkpoint, checkpoint)


def test_json_of_a_shard_is_checked_too(tmp_path):
    """Attributes with a right checksum, and JSON in them that is none."""
    from scratchnet.data.shards import _table_checksum

    for name, text in (
        ("class_names", b"[" * 20_000),
        ("class_names", b'"all"'),
        ("class_names", b"[1, 2]"),
        ("preprocessing", b"[]"),
    ):
        path = make_shard(tmp_path / "a.h5", random_images(2), [0, 1])
        with h5py.File(path, "r+", libver=WRITTEN_WITH) as file:
            file.attrs.create(name, np.bytes_(text))
            tables = {table: file[table][()] for table in ("labels", "subjects", "paths", "checksums")}
            texts = {"version": 1} | {
                key: bytes(file.attrs[key]).decode()
                for key in ("format", "dataset_id", "split", "class_names", "preprocessing")
            }
            file.attrs.create("table_checksum", _table_checksum(tables, texts), dtype="<i8")
        said = refusal(Shard, path)
        assert "checksum" not in said, said
