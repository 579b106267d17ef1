"""Denormal numbers never cost time: kernels take them for zero, optimisers leave none, and NumPy keeps its own rules."""

import platform

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.kernels import matmul
from scratchnet.kernels.elementwise import sum_of_squares
from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.update import NEGLIGIBLE
from scratchnet.nn.base import Parameter

DENORMAL = {"float32": 1e-40, "float64": 1e-310}
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"),
    reason="the kernels know no way to flush denormal numbers on this processor",
)


def denormals(array):
    """How many of its numbers are denormal."""
    return int(np.count_nonzero((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)))


NETWORKS = {
    "winograd": ([lambda: sn.Conv2D(40, 5)], (16, 16, 40)),
    "fused": ([lambda: sn.Conv2D(40, 5), sn.ReLU, lambda: sn.MaxPool2D(2)], (16, 16, 40)),
    "direct": ([lambda: sn.Conv2D(6, 3, stride=2)], (9, 9, 5)),
    "as a dense layer": ([lambda: sn.Conv2D(6, 5)], (2, 2, 40)),
    "dense": ([lambda: sn.Dense(20)], (30,)),
    "long dense": ([lambda: sn.Dense(20)], (4096,)),
    "dropout": ([lambda: sn.Dropout(0.5)], (30,)),
}


@pytest.mark.compiled
@each_dtype
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("where", ["weights", "inputs", "gradients"])
def test_no_kernel_makes_or_meets_one(name, where, dtype, rng):
    layers, shape = NETWORKS[name]
    net = sn.Sequential([make() for make in layers])
    net.build(input_shape=shape, seed=0, dtype=dtype)
    tiny = DENORMAL[dtype]
    x = rng.normal(size=(16, *shape)).astype(dtype)
    if where == "weights":
        for parameter in net.parameters():
            if parameter.decay:
                parameter.value[...] *= tiny
                assert denormals(parameter.value) > 0
    if where == "inputs":
        x = (x * tiny).astype(dtype)
        assert denormals(x) > 0
    y = net.forward(x, training=True)
    dy = rng.normal(size=y.shape).astype(dtype)
    if where == "gradients":
        dy = (dy * tiny).astype(dtype)
    dx = net.backward(dy)
    arrays = {"y": y, "dx": dx} | {p.name: p.grad for p in net.parameters() if p.decay}
    assert {key: denormals(array) for key, array in arrays.items() if denormals(array)} == {}


def assert_that_rules_are_kept(dtype):
    """NumPy's in this thread, and those of a kernel that does not flush, in all of its threads: block_sums only adds."""
    tiny = np.full((4096, 64), DENORMAL[dtype], dtype)
    assert (np.multiply(tiny, np.dtype(dtype).type(0.5)) != 0).all()
    assert (matmul.column_sums(tiny) > 0).all()


@pytest.mark.compiled
@each_dtype
def test_numpy_and_other_kernels_keep_their_rules(dtype):
    tiny = np.full((4096, 64), DENORMAL[dtype], dtype)
    product = matmul.dense_forward(tiny, np.full((64, 64), 0.5, dtype), np.zeros(64, dtype))
    assert (product == 0).all()
    assert_that_rules_are_kept(dtype)


@kernel
def raise_while_flushing(numbers):
    """Raises for a negative number."""
    for i in prange(numbers.size):
        rules = flush_denormals()
        if numbers[i] < 0:
            raise ValueError("a negative number")
        restore(rules)


def test_they_keep_them_after_a_task_that_raised(thread_counts):
    """It does not come to the end, where it would restore them: as where there is no memory for its patches."""
    for _ in thread_counts:
        for negative in (slice(0, 1), slice(999, None), slice(None)):  # the last: all threads
            numbers = np.ones(1000)
            numbers[negative] = -1
            with pytest.raises(ValueError, match="a negative number"):
                raise_while_flushing(numbers)
            assert_that_rules_are_kept("float32")


@pytest.mark.compiled
def test_the_norm_of_denormal_gradients_is_zero():
    assert sum_of_squares(np.full(10, 1e-40, "float32")) == 0


OPTIMIZERS = [
    lambda p: sn.Adam(p, 1e-3, l2=5e-4),
    lambda p: sn.Adam(p, 1e-3, weight_decay=0.01),
    lambda p: sn.SGD(p, 1e-2, momentum=0.9, l2=5e-4),
    lambda p: sn.SGD(p, 1e-2),
]


@each_dtype
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_what_is_negligible_becomes_an_exact_zero(make, dtype):
    bound = NEGLIGIBLE[dtype]
    values = [0.5 * bound, -0.5 * bound, DENORMAL[dtype], -DENORMAL[dtype], 2.0, np.nan, 0.0, 4 * bound]
    w = Parameter("w", np.array(values * 5000, dtype), decay=True)  # more than one task of the kernel
    optimizer = make([w])
    optimizer.step()
    first, second = w.value.reshape(-1, 8)[0], w.value.reshape(-1, 8)[-1]
    assert np.array_equal(first, second, equal_nan=True)
    assert (first[:4] == 0).all()
    assert not np.signbit(first[:4]).any()
    assert first[4] == pytest.approx(2, abs=0.01)
    assert np.isnan(first[5])
    assert first[6] == 0
    for moment in optimizer.moments.values():
        assert denormals(moment[0]) == 0


@each_dtype
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_weight_at_zero_is_moved_by_the_next_gradient(make, dtype):
    w = Parameter("w", np.full(3, DENORMAL[dtype], dtype), decay=True)
    optimizer = make([w])
    optimizer.step()
    assert (w.value == 0).all()
    w.grad[:] = 1
    optimizer.step()
    assert (w.value < -1e-4).all()


@pytest.mark.parametrize("make", OPTIMIZERS[2:])
def test_a_velocity_that_dies_away_ends_at_zero(make):
    w = Parameter("w", np.ones(3, "float32"), decay=False)
    optimizer = make([w])
    w.grad[:] = 1e-3
    optimizer.step()
    w.grad[:] = 0
    seen = 0
    for _ in range(1200):  # 0.9 ** 800 is 1e-37
        optimizer.step()
        seen = max(seen, denormals(optimizer.moments["velocity"][0]))
    assert seen == 0
    assert (optimizer.moments["velocity"][0] == 0).all()


def test_adam_leaves_no_denormal_number_when_gradients_end():
    """As weights of a filter that no image needs: only L2 moves them, and their moments die away."""
    w = Parameter("w", np.full(64, 1e-12, "float32"), decay=True)
    optimizer = sn.Adam([w], 1e-3, l2=5e-4)
    for _ in range(3000):
        optimizer.step()
        arrays = [w.value, *optimizer.moments["mean"], *optimizer.moments["square"]]
        assert not any(map(denormals, arrays))
