"""Any thread may call: predictions and training steps side by side give the bits that they give alone, or an error."""

import copy
import importlib
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from unittest import mock

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.data.pixels import PixelScaling
from scratchnet.errors import OrderError
from scratchnet.kernels.machine.threads import WAITING, set_threads, thread_count
from scratchnet.nn.models import MODELS
from scratchnet.use.explain import grad_cam
from scratchnet.use.predictor import Predictor


def openmp():
    """Whether there is Numba's layer on OpenMP, which some builds lack, as Debian's for ARM64, and the library that it loads."""
    try:
        with mock.patch.dict(os.environ, OMP_WAIT_POLICY="PASSIVE"):  # the library reads it now, for this whole process
            return bool(importlib.import_module("numba.np.ufunc.omppool"))
    except ImportError:
        return False


needs_openmp = pytest.mark.skipif(not openmp(), reason="no OpenMP for Numba")
OMP = pytest.param("omp", marks=needs_openmp)

# What each thread does in a process of its own, with a threading layer of Numba's that is chosen at its start: predictions of
# one network, and training steps of networks of their own, direct, fused and dense; each compared with what it is alone.
ALONE = """
import hashlib
import numpy as np
import scratchnet as sn
from scratchnet.data.pixels import PixelScaling
from scratchnet.nn.models import MODELS
from scratchnet.use.predictor import Predictor

network = MODELS["report"](32)
network.build(seed=0)
predictor = Predictor(network, ("all", "hem"), PixelScaling("unit"))
images = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32, 3), dtype=np.uint8)

def steps(number):
    net = sn.Sequential([
        sn.Conv2D(8, 5), sn.ReLU(), sn.MaxPool2D(2), sn.Conv2D(40, 3, stride=2), sn.ReLU(), sn.Conv2D(24, 3), sn.Flatten(),
        sn.Dropout(0.5), sn.Dense(16 + number), sn.ReLU(), sn.Dense(2),
    ])
    net.build(input_shape=(32, 32, 3), seed=number)
    loss, optimizer = sn.SoftmaxCrossEntropy(), sn.Adam(net.parameters(), l2=5e-4)
    rng = np.random.default_rng(number)
    x, labels = rng.normal(size=(9, 32, 32, 3)).astype("float32"), rng.integers(0, 2, 9)
    for _ in range(4):
        loss.forward(net.forward(x, training=True), labels)
        net.backward(loss.backward())
        optimizer.step()
    return np.concatenate([p.value.ravel() for p in net.parameters()])

alone = [predictor.predict_proba(part) for part in images], [steps(k) for k in range(8)]
bits = hashlib.sha256(b"".join(array.tobytes() for arrays in alone for array in arrays)).hexdigest()
"""
SIDE_BY_SIDE = f"""
import sys, threading
try:
    if sys.argv[1] == "tbb":
        import numba.np.ufunc.tbbpool
except ImportError:
    print("not here")
    sys.exit()
{ALONE}
wrong, answers = [], []

def work(k):
    for _ in range(6):
        answers.append(k)
        if not np.array_equal(predictor.predict_proba(images[k]), alone[0][k]):
            wrong.append(("prediction", k))
    if not np.array_equal(steps(k), alone[1][k]):
        wrong.append(("training", k))

for threads in (2, 8):
    everyone = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    [t.start() for t in everyone]
    [t.join() for t in everyone]
import numba
print(numba.threading_layer(), len(answers), wrong, bits)
"""


@pytest.fixture(scope="module")
def bits_here():
    """What is computed alone in this process, on whichever layer and number of threads it has."""
    names = {}
    exec(ALONE, names)
    return names["bits"]


@pytest.mark.parametrize("layer", [OMP, "workqueue", "tbb"])
def test_threads_side_by_side_compute_what_each_computes_alone(layer, run_python, bits_here):
    """Two of them, then eight; and each layer gives the same bits."""
    # The wheel of TBB puts its library where the loader doesn't look by itself.
    environment = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2", "LD_LIBRARY_PATH": f"{sys.prefix}/lib"}
    printed = run_python(SIDE_BY_SIDE, layer, **environment)
    if printed == "not here":
        pytest.skip("TBB is not installed")
    assert printed == f"{layer} {6 * (2 + 8)} [] {bits_here}"


@pytest.mark.parametrize("layer", ["tbb", "no-such-layer"])
def test_a_threading_layer_that_is_not_there_is_named(layer, run_python):
    program = """
import sys
if sys.argv[1] == "tbb":
    try:
        import numba.np.ufunc.tbbpool
    except ImportError:
        pass
    else:
        sys.exit()
from scratchnet.errors import ConfigError
from scratchnet.kernels.elementwise import all_finite
from scratchnet.kernels.machine.threads import set_threads
import numpy as np
for call in (lambda: all_finite(np.ones(2**15, np.float32)), lambda: set_threads(1), lambda: all_finite(np.ones(2**15))):
    try:
        call()
    except ConfigError as error:
        print(error)
"""
    lines = run_python(program, layer, NUMBA_THREADING_LAYER=layer).splitlines()
    if layer == "tbb" and not lines:
        pytest.skip("TBB is found here")
    assert len(lines) == 3  # a second call fails in the same way
    for line in lines:
        assert line.startswith(f"NUMBA_THREADING_LAYER is {layer!r}, which Numba cannot load here: remove the variable")
        assert "workqueue" in line
        assert ("loader" in line) == (layer == "tbb")


@needs_openmp
@pytest.mark.skipif(sys.platform != "linux", reason="OMP_DISPLAY_ENV says it on Linux, where the library is GCC's")
@pytest.mark.parametrize(
    ("asked", "policy", "spins"),
    [
        ({}, "PASSIVE", "0"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", "30000000000"),
        ({"GOMP_SPINCOUNT": "77"}, "PASSIVE", "77"),  # the policy is GCC's default: its threads turn first, then sleep
    ],
)
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(asked, policy, spins):
    """What GCC's library has read when it was loaded; and the environment is as it was."""
    program = (
        "import os; from scratchnet.kernels.elementwise import all_finite; import numpy as np; before = dict(os.environ); "
        "all_finite(np.ones(2**15, np.float32)); assert dict(os.environ) == before; import numba; print(numba.threading_layer())"
    )
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", "NUMBA_THREADING_LAYER": "omp", **asked}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout == "omp\n"
    assert re.search(r"OMP_WAIT_POLICY = '(\w+)'", done.stderr)[1] == policy
    assert re.search(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)[1] == spins


def in_another_thread(function, *arguments):
    """What the function returns, or raises, in a thread that ends before this one goes on."""
    result = []

    def run():
        try:
            result.append(function(*arguments))
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def network_and_batch():
    net = sn.Sequential([sn.Conv2D(4, 3), sn.ReLU(), sn.MaxPool2D(2), sn.Flatten(), sn.Dropout(0.5), sn.Dense(2)])
    net.build(input_shape=(8, 8, 3), seed=0, dtype="float64")
    return net, np.random.default_rng(0).normal(size=(5, 8, 8, 3))


def gradients(net):
    return [parameter.grad.copy() for parameter in net.parameters()]


@pytest.mark.parametrize("how", ["of the network", "of its layers"])
def test_a_prediction_between_forward_and_backward_changes_nothing(how):
    net, x = network_and_batch()
    net.seed_batch(0, np.arange(5))
    dy = np.ones((5, 2))

    def forward(images, *, training):
        if how == "of the network":
            return net.forward(images, training=training)
        for layer in net.layers:
            images = layer.forward(images, training=training)
        return images

    def backward(gradient):
        if how == "of the network":
            return net.backward(gradient)
        for layer in reversed(net.layers):
            gradient = layer.backward(gradient)
        return gradient

    forward(x, training=True)
    dx, expected = backward(dy), gradients(net)
    net.seed_batch(0, np.arange(5))
    forward(x, training=True)
    in_another_thread(lambda: forward(7 * x[:2], training=False))
    assert np.array_equal(backward(dy), dx)
    assert all(np.array_equal(a, b) for a, b in zip(gradients(net), expected, strict=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: network_and_batch()[0],
        lambda: sn.Conv2D(2, 3),
        lambda: sn.Dense(2),
        lambda: sn.ReLU(),
        lambda: sn.MaxPool2D(2),
        lambda: sn.Dropout(0.5),
    ],
    ids=["network", "conv", "dense", "relu", "pool", "dropout"],
)
def test_a_backward_that_would_follow_another_threads_batch_is_refused(make):
    layer = make()
    shape = (6,) if isinstance(layer, sn.Dense) else (8, 8, 3)
    layer.build(shape, dtype="float64")
    x = np.random.default_rng(0).normal(size=(4, *shape))
    y = layer.forward(x, training=True)
    in_another_thread(lambda: layer.forward(-x, training=True))
    with pytest.raises(OrderError, match=r"another thread has called forward\(training=True\)"):
        layer.backward(np.ones_like(y))
    dx = in_another_thread(lambda: (layer.forward(x, training=True), layer.backward(np.ones_like(y)))[1])
    assert isinstance(dx, np.ndarray)
    y = layer.forward(x, training=True)  # and this thread may go on, from a forward of its own
    assert layer.backward(np.ones_like(y)).shape == x.shape


def test_a_loss_refuses_it_too():
    loss, logits, labels = sn.SoftmaxCrossEntropy(), np.zeros((3, 2)), np.array([0, 1, 1])
    loss.forward(logits, labels)
    in_another_thread(loss.forward, logits[:2], labels[:2])
    with pytest.raises(OrderError, match="another thread"):
        loss.backward()


def test_every_call_may_come_from_another_thread_of_a_pool():
    """As an executor does it: nothing is wrong as long as the calls come one after the other."""
    net, x = network_and_batch()
    dy = np.ones((5, 2))
    for _ in range(3):
        y = in_another_thread(lambda: net.forward(x, training=True))
        assert y.shape == (5, 2)
        assert in_another_thread(net.backward, dy).shape == x.shape
        net.forward(x, training=True)
        assert in_another_thread(net.backward, dy).shape == x.shape


def test_explanations_side_by_side_are_those_alone():
    net = MODELS["report"](32)
    net.build(seed=0)
    images = np.random.default_rng(0).random((6, 1, 32, 32, 3), np.float32)
    classes = np.array([1])
    alone = [grad_cam(net, x, classes) for x in images]
    found = [None] * 6

    def explain(k):
        for _ in range(3):
            found[k] = grad_cam(net, images[k], classes)

    threads = [threading.Thread(target=explain, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, found, strict=True))


def test_the_number_of_threads_is_that_of_every_thread():
    try:
        assert set_threads(1) == 1
        assert in_another_thread(thread_count) == 1
    finally:
        most = set_threads(0)
    assert in_another_thread(thread_count) == most


def test_a_network_is_copied_with_what_it_remembers():
    net, x = network_and_batch()
    net.seed_batch(0, np.arange(5))
    net.forward(x, training=True)
    twin = copy.deepcopy(net)
    assert np.array_equal(twin.backward(np.ones((5, 2))), net.backward(np.ones((5, 2))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("layer", [OMP, "workqueue"])
def test_a_forked_child_gets_an_error_where_it_would_hang(layer, run_python):
    program = """
import multiprocessing, os, warnings
import numpy as np
import scratchnet as sn
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and newer warn of a fork beside threads
net = sn.Sequential([sn.Conv2D(8, 3), sn.ReLU(), sn.Flatten(), sn.Dense(2)])
net.build(input_shape=(64, 64, 8))
x = np.ones((8, 64, 64, 8), "float32")
def child(pipe):
    try:
        pipe.send(net.forward(x).shape)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
def ask():
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(there,))
    process.start()
    answer = here.recv() if here.poll(60) else "it hangs"
    process.kill()
    process.join()
    return answer
before = ask()            # no kernel has run here yet: the child may run its own
net.forward(x)
print(before, ask(), net.forward(x).shape, sep="|")
"""
    before, after, parent = run_python(program, NUMBA_THREADING_LAYER=layer).split("|")
    assert before == parent == "(8, 2)"
    assert after.startswith("OrderError: this process was forked after kernels had run")
    assert "get_context('spawn')" in after


def _predict_in_a_new_process(pipe, seed, pixels):
    network = MODELS["report"](32)
    network.build(seed=seed)
    pipe.send(Predictor(network, ("all", "hem"), PixelScaling("unit")).predict_proba(pixels))


@pytest.mark.parametrize("method", [one for one in multiprocessing.get_all_start_methods() if one != "fork"])
def test_the_remedy_works(method):
    """A process that is not a copy of this one runs kernels of its own, and gives the same bits: spawn, which Windows and macOS
    take by default, and forkserver, as Linux does from Python 3.14 on."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    network = MODELS["report"](32)
    network.build(seed=3)
    expected = Predictor(network, ("all", "hem"), PixelScaling("unit")).predict_proba(pixels)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context(method).Process(target=_predict_in_a_new_process, args=(there, 3, pixels))
    process.start()
    assert here.poll(120)
    assert np.array_equal(here.recv(), expected)
    process.join()
