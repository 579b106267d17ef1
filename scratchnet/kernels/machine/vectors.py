"""How wide this machine's vectors are, and the shape of the register tile that suits them.

Only speed depends on the answer: LLVM splits code for wider vectors than the machine has, and it stays right.
"""

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.extending import overload
from numpy.typing import DTypeLike

# Processors by LLVM's names, if `NUMBA_CPU_NAME` asks for another than this machine's.
WITH_AVX512 = (
    "x86-64-v4",
    "skylake-avx512",
    "cascadelake",
    "icelake",
    "sapphirerapids",
    "graniterapids",
    "znver4",
    "znver5",
)
WITH_AVX2 = ("x86-64-v3", "haswell", "broadwell", "skylake", "alderlake", "znver1", "znver2", "znver3")


def cpu_features() -> set[str]:
    """The vector extensions that Numba will compile for: this machine's, or those of `NUMBA_CPU_NAME` / `NUMBA_CPU_FEATURES`."""
    features = {name for name, present in llvm.get_host_cpu_features().items() if present}
    if numba.config.CPU_NAME:
        name = numba.config.CPU_NAME
        features = {"avx512f"} if name.startswith(WITH_AVX512) else {"avx2"} if name.startswith(WITH_AVX2) else set()
    for change in (numba.config.CPU_FEATURES or "").split(","):
        if change.startswith("+"):
            features.add(change[1:])
        elif change.startswith("-"):
            features.discard(change[1:])
    return features


def processor() -> str:
    """The processor that Numba compiles for, with the vector extensions that it will use."""
    return " ".join([numba.config.CPU_NAME or llvm.get_host_cpu_name(), *sorted(cpu_features())])


def tile_shape(features: set[str]) -> tuple[int, int]:
    """Bytes in a vector, and rows of the register tile, which is two vectors wide.

    A tile of R rows holds 2R sums in registers and needs 3 more (two vectors of B, one broadcast of A). AVX-512 has 32
    registers, AVX2 and SSE have 16. Measured on Zen 4 with AVX-512, one core: 8 rows 96–103 GFLOP/s, 12 rows 76–81;
    OpenBLAS beside them 100.
    """
    if "avx512f" in features:
        return 64, 8
    if "avx2" in features or "avx" in features:
        return 32, 6
    return 16, 6


VECTOR_BYTES, TILE_ROWS = tile_shape(cpu_features())


def lanes(dtype: DTypeLike) -> int:
    """Numbers in one vector: 16 float32 with AVX-512, 8 with AVX2, 4 elsewhere; half as many float64."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def panel_width(dtype: DTypeLike) -> int:
    """Columns of a register tile, and so of a packed panel: two vectors."""
    return 2 * lanes(dtype)


def lanes_of(array):
    """Numbers of the array's type in one vector: a constant in a kernel."""
    return lanes(array.dtype)


@overload(lanes_of)
def _lanes_of(array):
    count = lanes(array.dtype.name)
    return lambda array: count
