"""The same products on other machines: other vector widths, no compiler at all, and nowhere to keep compiled code."""

import os
import platform
import shutil

import numba
import pytest

from scratchnet.kernels.machine import jit, vectors

X86 = platform.machine().lower() in ("x86_64", "amd64")

# Every product that is built on the register tile, with edges in all directions, against the textbook in float64: what the
# textbook rounds in float32 depends on the machine's BLAS.
PRODUCTS = """
import sys
import numpy as np
from scratchnet import reference
from scratchnet.kernels import direct, matmul
from scratchnet.kernels.geometry import Geometry
from scratchnet.kernels.machine import vectors

for dtype in sys.argv[1:]:
    rng = np.random.default_rng(0)
    shapes = [(2, 5, 7, 3), (3, 2, 3, 35), (35,), (2, 2, 3, 35)]
    x, weight, bias, dy = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    dweight, geometry = np.empty_like(weight), Geometry((5, 7, 3), (2, 3, 35), (3, 2), 2, (0, 0, 0, 0))
    direct.backward_weight(x, dy, 2, dweight, False)
    found = [direct.forward(x, weight, bias, 2), direct.backward_input(geometry, dy, weight), dweight]
    exact = [array.astype("float64") for array in (x, weight, bias, dy)]
    expected = [reference.conv2d(*exact[:3], 2), *reference.conv2d_gradient(exact[0], exact[1], exact[3], 2)[:2]]

    a, b, da = (rng.normal(size=s).astype(dtype) for s in [(9, 600), (600, 17), (9, 17)])
    db = np.ones_like(b)
    matmul.dense_backward_weight(a, da, db, True)
    found += [matmul.dense_forward(a, b, bias[:17]), matmul.dense_backward_input(da, b), db, matmul.column_sums(da)]
    exact = [array.astype("float64") for array in (a, b, da, bias[:17])]
    gradients = reference.dense_gradient(*exact[:3])
    expected += [reference.dense(exact[0], exact[1], exact[3]), gradients[0], 1 + gradients[1], gradients[2]]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        size = np.sqrt(np.mean(other**2))  # a sum of 600 products of size 1 is rounded as a number of size 25
        np.testing.assert_allclose(one, other, rtol=0, atol=100 * np.finfo(dtype).eps * size)
print(vectors.VECTOR_BYTES, vectors.TILE_ROWS, vectors.TILE_VECTORS)
"""


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="haswell is a processor of the x86 family")
def test_products_with_avx2(run_python, tmp_path):
    tile = run_python(PRODUCTS, "float32", "float64", NUMBA_CPU_NAME="haswell", NUMBA_CACHE_DIR=str(tmp_path))
    assert tile == "32 6 2"


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="'generic' has vectors of 16 bytes on x86 only")
def test_products_with_the_oldest_vectors(run_python, tmp_path):
    tile = run_python(PRODUCTS, "float32", "float64", NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path))
    assert tile == "16 6 2"


def test_kernels_without_compilation(run_python):
    """As Python, in which a debugger can follow them; and, as machine code, without a warning where integers wrap around."""
    program = "import contextlib, sys, pytest\nwith contextlib.redirect_stdout(sys.stderr): sys.exit(pytest.main(sys.argv[1:]))"
    files = [f"tests/test_{name}.py" for name in ("kernels", "dropout", "transpose")]
    run_python(program, "-q", "-n", "0", "-p", "no:cacheprovider", *files, NUMBA_DISABLE_JIT="1")


def test_products_without_compilation(run_python, tmp_path):
    run_python(PRODUCTS, "float32", "float64", NUMBA_DISABLE_JIT="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert not list(tmp_path.rglob("*.nbc"))


@pytest.mark.parametrize(
    ("features", "arm64", "vector_bytes", "registers"),
    [
        ({"avx512f", "avx2", "avx"}, False, 64, 32),
        ({"avx2", "avx"}, False, 32, 16),
        ({"avx"}, False, 32, 16),
        ({"sse2"}, False, 16, 16),
        (set(), False, 16, 16),
        ({"neon", "fp-armv8", "crc"}, True, 16, 32),
        (set(), True, 16, 32),  # what LLVM knows of an ARM64 processor that is new to it
    ],
)
def test_tile_fits_into_the_registers(features, arm64, vector_bytes, registers):
    tile = vectors.tile_shape(features, arm64)
    assert tile.vector_bytes == vector_bytes
    assert registers // 2 <= tile.rows * tile.vectors + tile.vectors + 1 <= registers


def test_lanes_count_numbers_in_a_vector():
    assert vectors.lanes("float32") * 4 == vectors.lanes("float64") * 8 == vectors.VECTOR_BYTES
    assert vectors.panel_width("float32") == vectors.TILE_VECTORS * vectors.lanes("float32")


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("haswell", "", {"avx2"}),
        ("skylake", "", {"avx2"}),
        ("skylake-avx512", "", {"avx512f"}),
        ("znver4", "", {"avx512f"}),
        ("generic", "", set()),
        ("generic", "+avx2,+fma", {"avx2", "fma"}),
        ("znver4", "-avx512f,+avx2", {"avx2"}),
    ],
)
def test_cpu_features_follow_what_numba_is_told(monkeypatch, name, change, expected):
    monkeypatch.setattr(numba.config, "CPU_NAME", name)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", change)
    assert vectors.cpu_features() == expected


def test_cpu_features_of_this_machine(monkeypatch):
    monkeypatch.setattr(numba.config, "CPU_NAME", None)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", None)
    monkeypatch.setattr(vectors.llvm, "get_host_cpu_features", lambda: {"neon": True, "crc": True, "sve": False})
    assert vectors.cpu_features() == {"neon", "crc"}
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "-crc")
    assert vectors.cpu_features() == {"neon"}


def test_a_changed_kernel_gets_another_cache(monkeypatch, repository, tmp_path):
    """Numba alone would go on running the old code of a function that is called from another file."""
    kernels = shutil.copytree(
        repository / "scratchnet" / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(jit, "__file__", str(kernels / "machine" / "jit.py"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    cache = jit.cache_directory.__wrapped__  # what a new process would find
    before = cache()
    assert before == cache()
    assert before.is_dir()
    assert before.is_relative_to(kernels)
    for source in ("matmul.py", "pool.py", "winograd/tiles.py", "machine/denormals.py"):
        (kernels / source).write_text(
            (kernels / source).read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8"
        )
        assert cache() != before
        before = cache()


def test_another_checkout_that_shares_the_cache_compiles_its_own(monkeypatch, repository, tmp_path):
    """Numba loads machine code only for sources where they were; the message that says so must know."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "shared"))
    cache, found = jit.cache_directory.__wrapped__, set()
    for name in ("one", "other"):
        kernels = shutil.copytree(
            repository / "scratchnet" / "kernels", tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
        monkeypatch.setattr(jit, "__file__", str(kernels / "machine" / "jit.py"))
        found.add(cache())
    assert len(found) == 2


def test_the_users_cache_folder_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit, "cache_directory", jit.cache_directory.__wrapped__)  # as in a new process
    assert not jit.compiled_before("float32")
    assert jit.cache_directory().parent == tmp_path
    jit.remember_compiled("float32")
    assert jit.compiled_before("float32")
    assert not jit.compiled_before("float64")


def test_kernels_run_where_nothing_can_be_written(run_python, repository, tmp_path):
    """A read-only installation: all three places are files, in which no folder can be made, not even by root."""
    package = shutil.copytree(
        repository / "scratchnet", tmp_path / "scratchnet", ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "kernels" / "__pycache__").touch()
    nowhere = str(tmp_path / "a file")
    (tmp_path / "a file").touch()
    program = """
import numpy as np
import scratchnet
from scratchnet.kernels.elementwise import relu_forward
from scratchnet.kernels.machine.jit import cache_directory, compiled_before, remember_compiled

y = np.empty(2)
relu_forward(np.array([-1.0, 2.0]), y)
remember_compiled("all")
print(scratchnet.__file__, cache_directory(), compiled_before("all"), y)
"""
    places = dict.fromkeys(("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"), nowhere)
    printed = run_python(program, package_root=tmp_path, PYTHONDONTWRITEBYTECODE="1", **places)
    assert printed == f"{package}{os.sep}__init__.py None False [0. 2.]"


@pytest.mark.compiled
def test_damaged_machine_code_is_compiled_anew(run_python, tmp_path):
    """A full disk or a power cut can leave half a file; it must cost time, not every later run."""
    program = """
import numpy as np
from scratchnet.kernels.elementwise import all_finite
assert all_finite(np.ones(2**15, np.float32))
"""
    run_python(program, NUMBA_CACHE_DIR=str(tmp_path))
    for damage in (b"", b"neither pickle nor code"):
        for kept in [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]:
            kept.write_bytes(damage)
        run_python(program, NUMBA_CACHE_DIR=str(tmp_path))
    assert any(kept.stat().st_size > 100 for kept in tmp_path.rglob("*.nbc"))
