"""Arrays that begin at a cache line, out of memory that is used again, and never twice at once."""

import gc

import numpy as np
import pytest

from scratchnet.kernels.machine import memory

LARGE = (memory.WORTH_KEEPING // 4 + 100,)


@pytest.fixture(autouse=True)
def nothing_waits(monkeypatch):
    monkeypatch.setattr(memory, "_waiting", [])


@pytest.mark.parametrize("shape", [(3,), (0,), (5, 7), LARGE])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_an_array_begins_at_a_cache_line(shape, dtype):
    for _ in range(3):
        array = memory.empty(shape, dtype)
        assert array.size == 0 or array.ctypes.data % memory.LINE == 0
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_memory_is_used_again_when_nothing_uses_it_any_more():
    array = memory.empty(LARGE, "float32")
    address = array.ctypes.data
    part = array[10:].reshape(2, -1)
    del array
    gc.collect()
    other = memory.empty(LARGE, "float32")
    assert not np.shares_memory(part, other)  # a view is a use
    del part
    gc.collect()
    again = memory.empty(LARGE, "float32")
    assert again.ctypes.data == address
    assert not np.shares_memory(again, other)


def test_a_block_much_too_large_is_left_waiting():
    array = memory.empty((3 * LARGE[0],), "float32")
    address = array.ctypes.data
    del array
    assert memory.empty(LARGE, "float32").ctypes.data != address


def test_not_more_waits_than_stated(monkeypatch):
    monkeypatch.setattr(memory, "MOST_KEPT", 5 * memory.WORTH_KEEPING)
    arrays = [memory.empty(LARGE, "float32") for _ in range(9)]
    del arrays
    assert 0 < sum(block.size for block in memory._waiting) <= memory.MOST_KEPT


def test_what_waits_can_be_given_back():
    array = memory.empty(LARGE, "float32")
    del array
    assert memory._waiting
    memory.release()
    assert not memory._waiting


def test_small_arrays_do_not_wait():
    array = memory.empty((7,), "float64")
    del array
    assert not memory._waiting


def test_arrays_of_nearly_one_size_share_a_block_whichever_comes_first():
    array = memory.empty(LARGE, "float32")
    address = array.ctypes.data
    del array
    assert memory.empty((LARGE[0] * 9 // 8,), "float32").ctypes.data == address
