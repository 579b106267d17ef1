"""The order of an epoch: every image once, a function of its arguments, and well mixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet.data import epoch_order
from scratchnet.errors import ConfigError


@given(st.lists(st.integers(0, 20), max_size=6), st.integers(0, 5), st.integers(0, 5), st.integers(1, 50))
def test_every_image_once(sizes, seed, epoch, buffer):
    order = epoch_order(sizes, seed, epoch, buffer)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(sum(sizes)))


def test_a_function_of_its_arguments():
    first = epoch_order([40, 30], 1, 2)
    np.testing.assert_array_equal(first, epoch_order([40, 30], 1, 2))
    assert (first != epoch_order([40, 30], 1, 3)).any()
    assert (first != epoch_order([40, 30], 2, 2)).any()


def test_a_small_buffer_stays_within_few_shards():
    order = epoch_order([100] * 10, seed=0, epoch=0, buffer=50)
    for start in range(0, 1000, 50):
        assert len(set(order[start : start + 50] // 100)) == 1


def test_a_large_buffer_makes_every_position_equally_likely():
    counts = np.zeros((6, 6))
    for epoch in range(3000):
        counts[np.arange(6), epoch_order([2, 3, 1], 0, epoch)] += 1
    assert abs(counts / 3000 - 1 / 6).max() < 0.03


def test_images_of_neighbouring_shards_are_mixed():
    order = epoch_order([10] * 4, seed=0, epoch=0, buffer=20)
    assert len(set(order[:10] // 10)) == 2


def test_a_buffer_of_nothing():
    with pytest.raises(ConfigError, match="buffer"):
        epoch_order([3], 0, 0, buffer=0)
