"""Memory for kernels: arrays that begin at a cache line, and whose memory is reused once nothing uses them.

A vector of 64 bytes that straddles two cache lines costs two accesses, and all vectors of an array straddle if the
first does. NumPy begins an array at any multiple of 16.
"""

import math
import os
import threading

import numpy as np

from scratchnet.kernels.machine.jit import helper

LINE = 64  # bytes
WORTH_KEEPING = 1 << 20  # bytes: for smaller arrays the system's own allocator is quick
MOST_KEPT = 512 << 20  # bytes kept unused


def empty(shape, dtype):
    """np.empty, from the beginning of a cache line; large arrays reuse the memory of earlier ones.

    Fresh memory costs more than it seems: the system provides it page by page, each cleared when it is first touched.
    A training step needs the same arrays as the step before.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = _reused(size) if size >= WORTH_KEEPING else _aligned(size)
    return np.ndarray(shape, dtype, memory)


def _aligned(size):
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size]


def _reused(size):
    """The smallest unused block that is large enough, by at most a quarter; else a new one, rounded up to 4, 5, 6 or 7 times a power of 2.

    Arrays of one such quarter then share a block, whichever comes first; what is never written takes no memory. A step of `report` at
    256 × 256 asks for 249 MB at once; it then writes to blocks of 287 MB, without rounding of 326.
    With blocks of up to twice the size a training of 256 × 256 held 0.14 GB less; but a step whose layers ran one by one took a sixth
    longer backward, because the next large array found its block lent, and had to have fresh memory.
    """
    with _one_at_a_time:
        fitting = [block for block in _waiting if size <= block.size <= size * 5 // 4]
        block = min(fitting, key=len, default=None)
        if block is not None:
            _waiting[:] = [other for other in _waiting if other is not block]
    step = 1 << size.bit_length() - 3
    return np.asarray(_Loan(_aligned(-(-size // step) * step) if block is None else block))


class _Loan:
    """A block that is free again when the last array that uses it is gone: NumPy keeps the owner of an array's memory alive."""

    def __init__(self, block):
        self.block = block
        self.__array_interface__ = block.__array_interface__

    def __del__(self):
        if self.block.size > MOST_KEPT:
            return
        with _one_at_a_time:
            _waiting.append(self.block)
            while sum(map(len, _waiting)) > MOST_KEPT:
                del _waiting[0]


def release():
    """Gives all unused blocks back to the system: where other work begins, whose arrays are of other sizes."""
    with _one_at_a_time:
        _waiting.clear()


_waiting: list[np.ndarray] = []
# An array may be deleted while another is allocated, in the same thread or in another.
_one_at_a_time = threading.RLock()


def _in_a_forked_child():
    """Another thread of the parent may have held the lock, which nothing in the child would release."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_a_forked_child)


@helper
def scratch(size, like):
    """An array of `size` numbers of the type of `like`, from the beginning of a cache line: for one task inside a kernel."""
    spare = LINE // like.itemsize
    memory = np.empty(size + spare, like.dtype)
    start = (LINE - memory.ctypes.data % LINE) // like.itemsize % spare
    return memory[start : start + size]
