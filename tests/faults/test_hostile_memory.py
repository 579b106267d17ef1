"""What reading all hostile files takes at most, each time in a process of its own."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_data import make_shard

from faults.hostile import HOSTILE, MANIFESTS, make_checkpoint, refusal
from scratchnet.storage.hdf5 import WRITTEN_WITH
from scratchnet.training import load_checkpoint

MEMORY = 300 * 2**20  # bytes that a reader of a small file may take beyond Python and NumPy


@pytest.fixture
def checkpoint(tmp_path):
    return make_checkpoint(tmp_path)


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


def test_the_largest_headers_that_are_read_take_bounded_memory(tmp_path, run_python):
    """Thousands of objects in many groups: refused before they add up."""
    pytest.importorskip("resource")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=WRITTEN_WITH) as file:
        first = file.create_group("group 0")
        for number in range(500):
            first.create_dataset(f"{number}", data=np.uint8(0)).attrs.create("a", number)
        for group in range(1, 33):  # a few more objects than may be
            file.copy(first, f"group {group}")
    program = READ_ALL.replace("read_shard, load_checkpoint", "load_checkpoint")
    assert int(run_python(program, str(path))) < MEMORY
    assert "more objects" in refusal(load_checkpoint, path)
