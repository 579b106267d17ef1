"""Arrays that begin where a cache line begins.

A vector of 64 bytes that straddles two cache lines costs two accesses, and all vectors of an array straddle if the
first does. NumPy begins an array at any multiple of 16.
"""

import math

import numpy as np

from scratchnet.kernels.jit import helper

LINE = 64  # bytes


def empty(shape, dtype):
    """np.empty, from the beginning of a cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


@helper
def scratch(size, like):
    """An array of `size` numbers of the type of `like`, from the beginning of a cache line: for one task inside a kernel."""
    spare = LINE // like.itemsize
    memory = np.empty(size + spare, like.dtype)
    start = (LINE - memory.ctypes.data % LINE) // like.itemsize % spare
    return memory[start : start + size]


def workspace(name, shape, dtype):
    """An array whose contents nobody needs after the call that asks for it; the same memory is given out again for the same name.

    Fresh memory costs more than it seems: the system hands it out page by page, each cleared when it is first touched.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if name not in _kept or _kept[name].nbytes < size:
        _kept[name] = empty((size,), np.uint8)
    return _kept[name][:size].view(dtype).reshape(shape)


_kept: dict[str, np.ndarray] = {}
