"""`prange`: every round is run once, by whichever thread is free, and an error in a round is the kernel's."""

import numba
import numpy as np
import pytest

from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.threads import most_threads, set_threads, thread_count

WAIT = 2_000_000_000  # looks at what other rounds have left, some seconds; then the round gives up

needs_two_threads = pytest.mark.skipif(
    most_threads() < 2 or numba.config.DISABLE_JIT, reason="one thread runs all rounds"
)


@kernel
def count_rounds(rounds, enough):
    """Adds 1 to each number."""
    for i in prange(rounds.size, enough):
        rounds[i] += 1


@kernel
def wait_for_the_others(done, looks, enough, most):
    """The first round waits until the rounds from `looks.size` on are done, or it has looked so often."""
    for i in prange(done.size, enough):
        if i == 0:
            waiting = True
            while waiting and looks[0] < most:
                looks[0] += 1
                waiting = not done[looks.size :].all()
            done[0] = not waiting
        else:
            done[i] = True


@kernel
def refuse(numbers):
    """Raises for a negative number."""
    for i in prange(numbers.size):
        if numbers[i] < 0:
            raise ValueError("a negative number")


@pytest.fixture(autouse=True)
def all_threads_afterwards():
    yield
    set_threads(0)


@pytest.mark.parametrize("threads", range(1, most_threads() + 1))
def test_every_round_is_run_once(threads):
    set_threads(threads)
    for size in (0, 1, 2, 3, 7, 64, 1000, 100_003):
        for enough in (1, 5, 1000):
            rounds = np.zeros(size, np.int64)
            count_rounds(rounds, enough)
            assert (rounds == 1).all(), (size, enough)
    assert thread_count() == threads


@needs_two_threads
def test_rounds_that_wait_for_a_slow_thread_are_run_by_another():
    """Of eight rounds the first thread has taken two. The other runs the remaining six: its half would be four."""
    set_threads(2)
    done, looks = np.zeros(8, np.bool_), np.zeros(2, np.int64)
    wait_for_the_others(done, looks, 1, WAIT)
    assert done.all()


@needs_two_threads
@pytest.mark.parametrize(("enough", "threads"), [(4, 2), (5, 1)])
def test_a_thread_is_woken_for_enough_rounds_only(enough, threads):
    """Of eight rounds each of two threads has four, but not five: then the first round waits for rounds that nobody runs."""
    set_threads(2)
    done, looks = np.zeros(8, np.bool_), np.zeros(2, np.int64)
    wait_for_the_others(done, looks, enough, WAIT if threads == 2 else 1000)
    assert done[0] == (threads == 2)
    assert done[1:].all()


@pytest.mark.parametrize("threads", range(1, most_threads() + 1))
def test_an_error_in_a_round_is_the_kernels(threads):
    set_threads(threads)
    numbers = np.ones(1000)
    refuse(numbers)
    for place in (0, 500, 999):
        numbers[:] = 1
        numbers[place] = -1
        with pytest.raises(ValueError, match="a negative number"):
            refuse(numbers)
    assert thread_count() == threads
