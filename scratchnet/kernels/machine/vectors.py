"""How wide this machine's vectors are, and the shape of the register tile that suits them.

Only speed depends on the answer: LLVM splits code for wider vectors than the machine has, and it stays right.
"""

import math
from typing import NamedTuple

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.extending import overload
from numpy.typing import DTypeLike

FAMILY = llvm.get_default_triple().split("-")[0]  # of processors, by LLVM's name
X86 = FAMILY in ("x86_64", "amd64")
ARM64 = FAMILY in ("aarch64", "arm64")

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


class TileShape(NamedTuple):
    """Of the register tile: bytes in a vector, rows, and vectors beside each other."""

    vector_bytes: int
    rows: int
    vectors: int


def tile_shape(features: set[str], arm64: bool = ARM64) -> TileShape:
    """The shape for a processor with these extensions.

    A tile of R rows and V vectors holds R · V sums in registers and needs V + 1 more (V vectors of B, one number of A). AVX-512
    has 32 registers, AVX2 and SSE have 16. Measured on Zen 4 with AVX-512, one core: 8 × 2 has 96–103 GFLOP/s, 12 × 2 76–81;
    OpenBLAS beside them 100.

    NEON, of ARM64, has 32 registers of 16 bytes and multiplies by a number that needs no broadcast. Instructions that QEMU executes
    for one step of the loop, over its multiply-and-adds (LLVM 22, for Cortex-A72; for Neoverse N1 the same but where it is named):

        6 × 2   23 / 12 = 1.92      6 × 4   37 / 24 = 1.54      5 × 5   38 / 25 = 1.52, but panels of 20 columns
        8 × 2   29 / 16 = 1.81      8 × 3   39 / 24 = 1.62      4 × 6   36 / 24 = 1.50, 38 on Neoverse: sums in memory
       12 × 2   41 / 24 = 1.71      7 × 4   44 / 28 = 1.57, 98 on Neoverse: sums in memory

    With 10 numbers and vectors loaded for 24 multiply-and-adds, 6 × 4 keeps two multipliers busy even where one is loaded a
    cycle, as by the Cortex-A72 of a Raspberry Pi 4; 8 × 2 loads 10 for 16.
    """
    if arm64:
        return TileShape(16, 6, 4)
    if "avx512f" in features:
        return TileShape(64, 8, 2)
    if "avx2" in features or "avx" in features:
        return TileShape(32, 6, 2)
    return TileShape(16, 6, 2)


VECTOR_BYTES, TILE_ROWS, TILE_VECTORS = tile_shape(cpu_features())


def lanes(dtype: DTypeLike) -> int:
    """Numbers in one vector: 16 float32 with AVX-512, 8 with AVX2, 4 elsewhere; half as many float64."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def panel_width(dtype: DTypeLike, columns: float = math.inf) -> int:
    """Columns of a register tile, and so of a packed panel, for a matrix of so many: one vector where that holds them all."""
    return lanes(dtype) if columns <= lanes(dtype) else TILE_VECTORS * lanes(dtype)


def lanes_of(array):
    """Numbers of the array's type in one vector: a constant in a kernel."""
    return lanes(array.dtype)


@overload(lanes_of)
def _lanes_of(array):
    count = lanes(array.dtype.name)
    return lambda array: count
