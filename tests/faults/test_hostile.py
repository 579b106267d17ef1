"""Files made to do harm: refused in one line, without opening another file, and in bounded memory.

tests/test_shards.py has the hostile shards that h5py can write; here are checkpoints, manifests, what needs other tools than h5py,
and the memory that all of them take.
"""

import contextlib
import json
import os
import struct
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_data import make_dataset, make_shard, random_images

from faults import targets
from faults.hdf5_mutation import repaired, structures
from scratchnet.config import from_toml
from scratchnet.data import Dataset, Shard, read_manifest
from scratchnet.errors import ConfigError, DataError
from scratchnet.hdf5 import WRITTEN_WITH, HDF5File
from scratchnet.training import Progress, load_checkpoint, save_checkpoint
from scratchnet.training.checkpoint import read_about, verify_checkpoint

MEMORY = 300 * 2**20  # bytes that a reader of a small file may take beyond Python and NumPy
SECRET = b"root:x:0:0:secret"


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "a.h5"
    weights = {"conv1.weight": np.ones((4, 4), np.float32), "conv1.bias": np.zeros(4, np.float32)}
    save_checkpoint(path, weights, {"seed": 1}, optimizer={"steps": np.array(3)}, progress=Progress(1))
    (tmp_path / "secret.bin").write_bytes(SECRET * 10)
    with h5py.File(tmp_path / "secret.h5", "w", libver=WRITTEN_WITH) as file:
        file["x"] = np.ones(3)
    return path


def external_link(file, folder):
    file["weights/stolen"] = h5py.ExternalLink(str(folder / "secret.h5"), "/x")


def soft_link(file, folder):
    file["weights/again"] = h5py.SoftLink("/weights/conv1.bias")


def link_that_leads_nowhere(file, folder):
    file["weights/again"] = h5py.SoftLink("/nowhere")


def group_behind_a_link(file, folder):
    del file["optimizer"]
    file["optimizer"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")


def second_name(file, folder):
    file["weights/again"] = file["weights/conv1.bias"]


def cycle(file, folder):
    file["weights/weights"] = file["weights"]


def cycle_to_the_root(file, folder):
    file["optimizer/root"] = file["/"]


def group_in_a_group(file, folder):
    file.create_group("weights/more")


def deep_groups(file, folder):
    file.create_group("weights" + "/more" * 500)


def one_more_group(file, folder):
    file.create_group("code")


def external_storage(file, folder):
    file.create_dataset("weights/stolen", shape=(4,), dtype=np.uint8, external=[(str(folder / "secret.bin"), 0, 4)])


def virtual_dataset(file, folder):
    layout = h5py.VirtualLayout((3,), np.float64)
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (3,))
    file.create_virtual_dataset("weights/stolen", layout)


def texts_of_variable_length(file, folder):
    file.create_dataset("weights/text", data=["a", "b"], dtype=h5py.string_dtype())


def lists_of_variable_length(file, folder):
    file.create_dataset("weights/lists", shape=(3,), dtype=h5py.vlen_dtype(np.int32))


def compound(file, folder):
    file["weights/pairs"] = np.zeros(3, [("a", "i4"), ("b", "f8")])


def deep_compound(file, folder):
    dtype = np.dtype("i1")
    for _ in range(25):
        dtype = np.dtype([("inside", dtype)])
    file["weights/deep"] = np.zeros(1, dtype)


def arrays_of_arrays(file, folder):
    file["weights/deep"] = np.zeros(1, [("a", "f4", (100, 100))])


def enumeration(file, folder):
    file["weights/mask"] = np.ones(3, bool)


def references(file, folder):
    file.create_dataset("weights/reference", data=[file["weights"].ref], dtype=h5py.ref_dtype)


def region_references(file, folder):
    region = file["weights/conv1.bias"].regionref[:2]
    file.create_dataset("weights/region", data=[region], dtype=h5py.regionref_dtype)


def named_type(file, folder):
    file["weights/type"] = np.dtype("f8")


def array_of_a_named_type(file, folder):
    file["type"] = np.dtype("f8")
    file.create_dataset("weights/w", shape=(2,), dtype=file["type"])


def opaque(file, folder):
    file["weights/opaque"] = np.zeros(2, np.void(b"1234").dtype)


def long_float(file, folder):
    file["weights/w"] = np.zeros(2, np.float16)


def big_endian(file, folder):
    file["weights/w"] = np.zeros(2, ">f4")


def huge_declared(file, folder):
    file.create_dataset("weights/huge", shape=(2**40,), dtype="f4")


def huge_product(file, folder):
    file.create_dataset("weights/huge", shape=(2**31, 2**31 - 1), dtype="f4", chunks=(1, 1))


def never_written(file, folder):
    file.create_dataset("weights/empty", shape=(10,), dtype="f4", fillvalue=np.nan)


def filled_without_being_stored(file, folder):
    file.create_dataset("weights/huge", shape=(10**9,), dtype="f4", chunks=(10**6,), fillvalue=1.0)


def chunked(file, folder):
    file.create_dataset("weights/w", data=np.zeros(100), chunks=(10,))


def growing(file, folder):
    file.create_dataset("weights/w", data=np.zeros(100), maxshape=(None,), chunks=(10,))


def deflate_bomb(file, folder):
    file.create_dataset(
        "weights/w", shape=(10**7,), dtype="f4", chunks=(10**7,), compression="gzip", data=np.zeros(10**7, "f4")
    )


def compact(file, folder):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file["weights"].id, b"compact", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((4,)), plist)


def no_extent(file, folder):
    file["weights/null"] = h5py.Empty("f4")


def many_dimensions(file, folder):
    file["weights/w"] = np.zeros((1,) * 32)


def huge_attribute(file, folder):
    file["weights/conv1.bias"].attrs["more"] = np.zeros(10**6)


def many_attributes(file, folder):
    for number in range(1000):
        file["weights/conv1.bias"].attrs[f"more {number}"] = number


def attribute_of_variable_length(file, folder):
    del file.attrs["format"]
    file.attrs["format"] = "scratchnet-checkpoint"


def attribute_reference(file, folder):
    file.attrs["reference"] = file["weights"].ref


def many_objects(file, folder):
    for number in range(5000):
        file.create_dataset(f"weights/{number}", data=np.zeros(1, np.uint8))


def huge_text(file, folder):
    del file["about"]
    file.create_dataset("about", data=np.full(2**25, ord(" "), np.uint8)).attrs.create("crc32", 0, dtype="<u4")


def missing_array(file, folder):
    del file["weights/conv1.bias"]


def another_root_array(file, folder):
    file["more"] = np.zeros(3)


def text_that_is_no_array_of_bytes(file, folder):
    del file["about"]
    file.create_dataset("about", data=np.zeros((2, 2))).attrs.create("crc32", 0, dtype="<u4")


def other_version(file, folder):
    file.attrs["version"] = 99


HOSTILE = [
    external_link, soft_link, link_that_leads_nowhere, group_behind_a_link, second_name, cycle, cycle_to_the_root, group_in_a_group,
    deep_groups, one_more_group, external_storage, virtual_dataset, texts_of_variable_length, lists_of_variable_length, compound,
    deep_compound, arrays_of_arrays, enumeration, references, region_references, named_type, array_of_a_named_type, opaque, long_float,
    big_endian, huge_declared, huge_product, never_written, filled_without_being_stored, chunked, growing, deflate_bomb, compact, no_extent,
    many_dimensions, huge_attribute, many_attributes, attribute_of_variable_length, attribute_reference, many_objects, huge_text,
    missing_array, another_root_array, text_that_is_no_array_of_bytes, other_version,
]  # fmt: skip


def refusal(read, path):
    """The one line that `read` says about a file."""
    with pytest.raises(DataError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_hostile_checkpoints_are_refused(checkpoint, tmp_path, change):
    with h5py.File(checkpoint, "r+", libver=WRITTEN_WITH) as file:
        change(file, tmp_path)
    for read in (load_checkpoint, read_about, verify_checkpoint):
        said = refusal(read, checkpoint)
        assert SECRET.decode() not in said


@pytest.mark.parametrize("libver", ["earliest", "latest", ("v114", "v114")])
def test_the_same_content_in_other_versions_of_hdf5(checkpoint, tmp_path, libver):
    """An old file, with tables of names and B-trees that have no checksum, is not scratchnet's; a newer one may be read."""
    with h5py.File(checkpoint) as file, h5py.File(tmp_path / "b.h5", "w", libver=libver) as copy:
        for name in file:
            file.copy(name, copy)
        for name, value in file.attrs.items():
            copy.attrs.create(name, value)
    try:
        assert load_checkpoint(tmp_path / "b.h5").about == {"seed": 1}
    except DataError as error:
        assert "b.h5: damaged, or no checkpoint of scratchnet" in str(error)  # noqa: PT017 - either is right


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_devices_folders_and_links_in_the_place_of_files(tmp_path):
    make_dataset(tmp_path / "data")
    os.mkfifo(tmp_path / "pipe.h5")
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


MANIFESTS = {
    "deep": b"[" * 10**6,
    "deep objects": b'{"a":' * 10**6,
    "a number of a million digits": b'{"version": ' + b"9" * 10**6 + b"}",
    "an exponent of a million digits": b'{"version": 1e' + b"9" * 10**6 + b"}",
    "three million values": b"[" + b"{}," * 3 * 10**6 + b"{}]",
    "larger than any": b" " * (2**26 + 1),
    "not a number": b'{"checksum": NaN, "format": 1, "version": 1}',
    "surrogates": b'{"checksum": "\\ud800", "format": "\\udfff", "version": 1}',
    "null bytes": bytes(1000),
    "UTF-16": '{"format": 1}'.encode("utf-16"),
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_hostile_manifests(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    said = refusal(lambda path: read_manifest(path.parent), tmp_path / "manifest.json")
    assert len(said) < 500


READ_ALL = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from peak_memory import peak_memory
from scratchnet.data import Shard, read_manifest
from scratchnet.errors import ScratchnetError
from scratchnet.training import load_checkpoint
from pathlib import Path

def read_shard(path):
    with Shard(path) as shard:
        for number in range(len(shard)):
            shard.read(number)

before = peak_memory()
for name in sys.argv[1:]:
    path = Path(name)
    readers = [lambda path: read_manifest(path.parent)] if path.suffix == ".json" else [read_shard, load_checkpoint]
    for read in readers:
        try:
            read(path)
        except ScratchnetError:
            pass
print(peak_memory() - before)
"""


def test_memory_is_bounded(checkpoint, tmp_path, run_python):
    """All hostile files together, in a process of their own: what it took at most, beyond what it had after its imports."""
    pytest.importorskip("resource")
    paths = []
    good = checkpoint.read_bytes()
    for change in HOSTILE:
        path = tmp_path / f"{change.__name__}.h5"
        path.write_bytes(good)
        with h5py.File(path, "r+", libver=WRITTEN_WITH) as file:
            change(file, tmp_path)
        paths.append(path)
    for number, content in enumerate(MANIFESTS.values()):
        (tmp_path / str(number)).mkdir()
        paths.append(tmp_path / str(number) / "manifest.json")
        paths[-1].write_bytes(content)
    shard = make_shard(
        tmp_path / "bomb.h5", np.zeros((50, 1024, 1024, 3), np.uint8), [0, 1] * 25
    )  # 150 MB in 200 kB: read one by one
    assert int(run_python(READ_ALL, *map(str, [*paths, shard]))) < MEMORY


def test_a_manifest_at_its_limits_is_read_in_bounded_memory(tmp_path, run_python):
    """The richest JSON that is parsed at all; on Linux the system itself enforces a bound."""
    pytest.importorskip("resource")
    content = b'{"checksum": "x", "format": "x", "version": 1, "y": [' + b'{"a":0},' * 10**6 + b"0]}"
    (tmp_path / "manifest.json").write_bytes(content)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))"
    program = READ_ALL.replace("before =", f"{limit if sys.platform.startswith('linux') else ''}\nbefore =")
    assert int(run_python(program, str(tmp_path / "manifest.json"))) < 2 * MEMORY


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


CONFIGURATIONS = {
    "deep": "seed = " + "[" * 10**5,
    "deep tables": "[" + "a." * 10**5 + "b]",
    "a number of ten thousand digits": "seed = " + "9" * 10**4,
    "a key of many lines": '"a\\nb" = 1',
    "not UTF-8": b"seed = \xff",
    "null bytes": bytes(100),
}


@pytest.mark.parametrize("content", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_hostile_configurations(tmp_path, content):
    (tmp_path / "config.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        from_toml(tmp_path / "config.toml")
    assert "config.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_right_in_form_only(tmp_path):
    """Every field of a manifest replaced by every kind of value: refused, or nothing is read that isn't there."""
    from scratchnet.data import manifest

    make_dataset(tmp_path)
    good = json.loads((tmp_path / "manifest.json").read_text())
    good.pop("checksum")
    for field in good:
        for value in (
            None,
            True,
            -1,
            2**70,
            0.5,
            "",
            "x",
            [],
            [[]],
            [None],
            {},
            {"train": {}},
            {"train": None},
            [1e400],
            [8, 8, 2**60],
        ):
            content = {**good, field: value}
            (tmp_path / "manifest.json").write_text(json.dumps({**content, "checksum": manifest._checksum(content)}))
            with contextlib.suppress(DataError):
                Dataset(tmp_path, "train").close()


def test_the_largest_headers_that_are_read_take_bounded_memory(tmp_path, run_python):
    """Thousands of objects in many groups: refused before they add up."""
    pytest.importorskip("resource")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=WRITTEN_WITH) as file:
        for group in range(40):
            inside = file.create_group(f"group {group}")
            for number in range(500):
                inside.create_dataset(f"{number}", data=np.uint8(0)).attrs.create("a", number)
    program = READ_ALL.replace("read_shard, load_checkpoint", "load_checkpoint")
    assert int(run_python(program, str(path))) < MEMORY
    assert "more objects" in refusal(load_checkpoint, path)
