"""What somebody who means harm could write into a checkpoint: one change each, made by h5py; and manifests that are none."""

import h5py
import numpy as np
import pytest

from scratchnet.errors import DataError
from scratchnet.storage.hdf5 import WRITTEN_WITH
from scratchnet.training import Progress, save_checkpoint

SECRET = b"root:x:0:0:secret"  # stands in files beside the checkpoint


def make_checkpoint(tmp_path):
    """A good one, and beside it files that nobody should be made to read."""
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


def refusal(read, path):
    """The one line that `read` says about a file."""
    with pytest.raises(DataError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith((f"{path}: ", f"{path} "))
    assert "\n" not in said
    return said
