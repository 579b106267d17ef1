"""The reader of HDF5 in plain Python reads what h5py writes, and what h5py reads."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scratchnet.data import Shard
from scratchnet.errors import DataError, DtypeError
from scratchnet.storage.hdf5 import MAX_TEXT_BYTES, NUMBERS, WRITTEN_WITH, HDF5File
from scratchnet.storage.hdf5.checksum import lookup3
from scratchnet.storage.json_text import MAX_VALUES, JsonError, parse_json
from scratchnet.training import load_checkpoint, save_checkpoint
from scratchnet.training.checkpoint import MAX_LINKS, MAX_NAME, Progress, read_about

TYPES = [*NUMBERS.values(), np.dtype("S1"), np.dtype("S300")]


def opened(path):
    return HDF5File(path, "file", "Get another.")


@settings(max_examples=60)
@given(data=st.data())
def test_it_reads_what_h5py_writes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    names = data.draw(
        st.lists(st.text("abcé細.-_ ", min_size=1, max_size=20).filter(lambda x: x != "."), unique=True, max_size=30)
    )
    dtypes, shapes = st.sampled_from(TYPES), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    written = {}
    with h5py.File(path, "w", libver=WRITTEN_WITH) as file:
        for name in names:
            content = data.draw(arrays.arrays(data.draw(dtypes), data.draw(shapes)))
            group = data.draw(st.sampled_from(["", "weights/", "optimizer/"]))
            stored = file.create_dataset(group + name, data=content)
            stored.attrs.create("number", data.draw(st.integers(0, 2**32 - 1)), dtype="<u4")
            stored.attrs.create("text", np.bytes_(name.encode()))
            written[group + name] = content
    with opened(path) as file, h5py.File(path) as oracle:
        assert sorted(file.datasets) == sorted(written)
        for name, content in written.items():
            read = file.array(name)
            assert read.dtype == content.dtype
            assert read.shape == content.shape == oracle[name].shape
            assert read.tobytes() == content.tobytes()
            assert file.integer("number", name) == oracle[name].attrs["number"]
            assert file.text("text", name) == oracle[name].attrs["text"].decode()


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 3))
def test_it_finds_every_chunk(tmp_path_factory, count, side):
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    content = np.random.default_rng(count).integers(0, 256, (count, side, 2), np.uint8)
    with h5py.File(path, "w", libver=WRITTEN_WITH) as file:
        file.create_dataset("images", data=content, chunks=(1, side, 2), compression="gzip")
    with opened(path) as file, h5py.File(path) as oracle:
        shape, chunks = file.chunks("images")
        assert shape == (1, side, 2)
        for number, chunk in enumerate(chunks):
            mask, stored = oracle["images"].id.read_direct_chunk((number, 0, 0))
            assert (chunk.mask, file.chunk(chunk)) == (mask, stored)
        assert len(chunks) == count


@pytest.mark.parametrize("count", [1024, 1025, 2500])
def test_many_images_have_an_index_in_pages(tmp_path, count):
    from small_data import make_shard, random_images

    images = random_images(count, size=2)
    with Shard(make_shard(tmp_path / "a.h5", images, np.arange(count) % 2)) as shard:
        for number in (0, 1023, count // 2, count - 1):
            np.testing.assert_array_equal(shard.read(number), images[number])


@pytest.mark.parametrize(("count", "length"), [(8, 200), (9, 10), (46, 50), (1000, 200), (MAX_LINKS, 30)])
def test_groups_of_any_size_that_may_be_written(tmp_path, count, length):
    weights = {f"{number:0{length}}": np.full(number % 3, number, np.float32) for number in range(count)}
    save_checkpoint(tmp_path / "a.h5", weights, {})
    found = load_checkpoint(tmp_path / "a.h5").weights
    assert found.keys() == weights.keys()
    assert all(found[name].tobytes() == weights[name].tobytes() for name in weights)


@pytest.mark.parametrize(
    "weights",
    [
        {str(number): np.zeros(1) for number in range(MAX_LINKS + 1)},
        {f"{number:0150}": np.zeros(1) for number in range(2000)},
        {"x" * (MAX_NAME + 1): np.zeros(1)},
        {"a/b": np.zeros(1)},
        {"": np.zeros(1)},
    ],
    ids=["too many", "names too long together", "a name too long", "a slash", "no name"],
)
def test_what_could_not_be_read_is_not_written(tmp_path, weights):
    with pytest.raises(DataError):
        save_checkpoint(tmp_path / "a.h5", weights, {})
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    "array", [np.zeros(2, bool), np.zeros(2, complex), np.zeros(2, np.float16), np.array(["x"]), np.array([{}])]
)
def test_arrays_of_other_types_are_not_written(tmp_path, array):
    with pytest.raises(DtypeError, match=r"weights/w: a checkpoint holds"):
        save_checkpoint(tmp_path / "a.h5", {"w": array}, {})


def test_numbers_with_the_high_byte_first_are_written_low_byte_first(tmp_path):
    save_checkpoint(tmp_path / "a.h5", {"w": np.array([1.5, -2], ">f8")}, {})
    assert load_checkpoint(tmp_path / "a.h5").weights["w"].tolist() == [1.5, -2]


@pytest.mark.parametrize(
    "options",
    [
        {"libver": "earliest"},
        {"userblock_size": 512, "libver": WRITTEN_WITH},
        {"libver": WRITTEN_WITH, "fs_strategy": "page"},
    ],
    ids=["old format", "user block", "other file space"],
)
def test_other_kinds_of_hdf5_files_are_named(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w", **options) as file:
        file["x"] = np.zeros(3)
    with pytest.raises(
        DataError,
        match=r"a\.h5(: damaged, or not a file of scratchnet: .*Get another| is an HDF5 file of another program: .*)\.",
    ):
        opened(tmp_path / "a.h5")


def test_lookup3():
    """The values that Jenkins gives in lookup3.c for one seed, and blocks of all lengths against HDF5's own files."""
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    assert len({lookup3(bytes(length)) for length in range(40)}) == 40


def test_progress_is_checked_against_its_annotations(tmp_path):
    from scratchnet.training import checkpoint

    rows = [{"epoch": 1, "auc": float("nan")}]
    good = {"epoch": 2, "batches_done": 3, "loss_sum": 1, "seconds": 0.5, "rows": rows, "timings": []}
    assert checkpoint._parse_progress(good).batches_done == 3
    for change in (
        {"epoch": 1.5}, {"epoch": -1}, {"epoch": 2**70}, {"epoch": True}, {"epoch": None}, {"loss_sum": float("inf")}, {"loss_sum": "1"},
        {"rows": {}}, {"rows": [1]},
        {"rows": [{"epoch": "1"}]}, {"rows": [{"epoch": None}]}, {"surprise": 1},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(change))):
            checkpoint._parse_progress({**good, **change})
    for name in good:
        with pytest.raises(ValueError, match=f"lacks field '{name}'"):
            checkpoint._parse_progress({key: value for key, value in good.items() if key != name})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int | None, [3, None], [3.0, "3", True]), (dict[str, list[float]], [{}, {"a": [1, 2.5]}], [{"a": 1}, {"a": ["1"]}, []]),
        (str, ["x"], [None, 1]), (bool, [True], [1]),
    ],
)  # fmt: skip
def test_annotations(kind, good, bad):
    from scratchnet.training.checkpoint import _fits

    assert all(_fits(value, kind, finite=True) for value in good)
    assert not any(_fits(value, kind, finite=True) for value in bad)


def test_the_texts_are_read_without_the_weights(tmp_path):
    """Damage among the weights doesn't keep a checkpoint from saying what it is."""
    path = tmp_path / "a.h5"
    save_checkpoint(path, {"w": np.full(1000, 7.0)}, {"seed": 3}, optimizer={}, progress=Progress(epoch=2))
    content = path.read_bytes()
    path.write_bytes(content.replace(np.full(1000, 7.0).tobytes(), np.full(1000, 8.0).tobytes()))
    assert read_about(path) == ({"seed": 3}, Progress(epoch=2))
    with pytest.raises(DataError, match="weights/w does not agree with its checksum"):
        load_checkpoint(path)


def test_weights_that_are_no_numbers_are_evidence(tmp_path):
    weights = {"w": np.array([np.nan, np.inf, -0.0])}
    save_checkpoint(tmp_path / "a.h5", weights, {}, optimizer={}, progress=Progress(rows=[{"loss": float("nan")}]))
    found = load_checkpoint(tmp_path / "a.h5")
    assert found.weights["w"].tobytes() == weights["w"].tobytes()
    assert found.optimizer == {}
    assert np.isnan(found.progress.rows[0]["loss"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 10**6, "too deep"), (b"1" * 10**5, "integer string"), (b"NaN", "not a number"), (b"\xff", "utf-8"), (b"", "Expecting"),
        (b"[1,2", "Expecting"), (b"[" + b"0," * MAX_VALUES + b"0]", "more than"), (b" " * 2**24, "at most"),
    ],
)  # fmt: skip
def test_json_that_is_refused(text, said):
    with pytest.raises(JsonError, match=said) as caught:
        parse_json(text, max_bytes=2**23)
    assert "\n" not in str(caught.value)


def test_shards_with_texts_that_no_reader_accepts_are_not_written(tmp_path):
    from small_data import make_shard, random_images

    with pytest.raises(DataError, match="class_names takes more than"):
        make_shard(tmp_path / "a.h5", random_images(2), [0, 1], class_names=("x" * MAX_TEXT_BYTES, "y"))
    assert not (tmp_path / "a.h5").exists()


FULL = """
import os, resource, signal, sys
import numpy as np
from pathlib import Path
from scratchnet.training import load_checkpoint, save_checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit fails as on a full disk
path = Path(sys.argv[1], "a.h5")
weights = {f"dense{number}.weight": np.full(700, number, np.float32) for number in range(20)}
save_checkpoint(path, weights, {"run": "old"})
size = path.stat().st_size
failed = 0
for limit in [*range(0, size, 997), size - 1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
    try:
        save_checkpoint(path, weights, {"run": "new"})
    except OSError as error:
        failed += 1
        assert error.strerror, error
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    assert load_checkpoint(path).about == {"run": "old"}
    assert os.listdir(path.parent) == ["a.h5"]
print(failed == len([*range(0, size, 997), size - 1]))
"""


def test_a_disk_that_is_full_at_any_byte(tmp_path, run_python):
    """HDF5 itself crashes where a write fails, so it never hears of it; the old file stays, and the error is the disk's."""
    pytest.importorskip("resource")
    assert run_python(FULL, str(tmp_path)) == "True"


KEPT = """
import ctypes, sys
import numpy as np
from pathlib import Path
from scratchnet.storage.hdf5 import writer
from scratchnet.training import save_checkpoint

class Broken:
    def __init__(self, stream): self.stream = stream
    def __getattr__(self, name): return getattr(self.stream, name)
    def seek(self, *where): raise trouble

trouble, sink = OSError(5, "Input/output error"), writer._Sink
writer._Sink = lambda stream: sink(Broken(stream))
try:
    save_checkpoint(Path(sys.argv[1], "a.h5"), {"w": np.zeros(1000)}, {})
except OSError as error:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(error))  # kept to the very end
    print(error is trouble)
"""


def test_an_error_that_is_kept_does_not_crash_the_end_of_the_process(tmp_path, run_python):
    assert run_python(KEPT, str(tmp_path)) == "True"


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(5, "Input/output error")])
@pytest.mark.parametrize("after", [0, 1, 3, 8])
def test_trouble_in_the_middle_of_a_write(tmp_path, monkeypatch, trouble, after):
    """HDF5 goes on as if nothing had happened; the trouble comes out at the end, and the old file stays."""
    from scratchnet.storage.hdf5 import writer

    path = tmp_path / "a.h5"
    save_checkpoint(path, {"w": np.zeros(1000)}, {"run": "old"})
    before = path.read_bytes()
    writes = []
    real = writer._Sink._attempt

    def attempt(sink, call, otherwise):
        def troubled():
            writes.append(call)
            if len(writes) > after:
                raise trouble
            return call()

        return real(sink, troubled if otherwise is not None else call, otherwise)

    monkeypatch.setattr(writer._Sink, "_attempt", attempt)
    with pytest.raises(type(trouble)):
        save_checkpoint(path, {f"w{number}": np.zeros(1000) for number in range(20)}, {"run": "new"})
    assert len(writes) == after + 1
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]
