"""`examples/textbook.py`: the network made of reference.py alone, and the layers, train alike."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import reference
from scratchnet.nn.initializers import xavier_uniform

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "examples" / "textbook.py"


@pytest.fixture(scope="module")
def textbook():
    spec = importlib.util.spec_from_file_location("textbook", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cells(textbook):
    return textbook.cells("fold_1")


def start(textbook, seed):
    rng = np.random.default_rng(seed)
    shapes = textbook.CONVS | textbook.HIDDEN | textbook.OUTPUT
    return {name: [reference.xavier_uniform(rng, s), rng.normal(0, 0.1, s[-1])] for name, s in shapes.items()}


def by_name(parameters):
    """{"conv1.weight": …, "conv1.bias": …} from {"conv1": [weight, bias]}."""
    pairs = parameters.items()
    return {
        f"{layer}.{part}": array for layer, both in pairs for part, array in zip(("weight", "bias"), both, strict=True)
    }


def network_of_layers(textbook, parameters):
    layers = []
    for kernel, _, _, filters in textbook.CONVS.values():
        layers += [sn.Conv2D(filters, kernel), sn.ReLU(), sn.MaxPool2D(2)]
    layers.append(sn.Flatten())
    for _, units in textbook.HIDDEN.values():
        layers += [sn.Dense(units), sn.ReLU()]
    network = sn.Sequential([*layers, sn.Dense(2)])
    network.build((32, 32, 3), dtype="float64")
    network.load_state_dict(by_name(parameters))
    return network


def test_it_is_the_reports_network_in_miniature(textbook):
    kinds = [layer.kind for layer in network_of_layers(textbook, start(textbook, 0)).layers]
    assert kinds == [layer.kind for layer in sn.models.report(32).layers if layer.kind != "dropout"]


def test_gradients_are_those_of_the_layers(textbook, cells):
    x, labels = cells[0][::2], cells[1][::2]
    parameters = start(textbook, 1)
    network, loss = network_of_layers(textbook, parameters), sn.SoftmaxCrossEntropy()
    logits, value, gradients = textbook.gradients(parameters, x, labels)

    expected = network.forward(x, training=True)
    assert value == pytest.approx(loss.forward(expected, labels), abs=1e-9)
    network.backward(loss.backward())
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-9)
    found = by_name(gradients)
    assert found.keys() == {parameter.name for parameter in network.parameters()}
    for parameter in network.parameters():
        assert np.abs(parameter.grad).max() > 1e-4, parameter.name
        np.testing.assert_allclose(found[parameter.name], parameter.grad, rtol=0, atol=1e-9, err_msg=parameter.name)


def test_five_steps_are_those_of_the_layers(textbook, cells):
    x, labels = cells
    parameters = start(textbook, 2)
    network, loss = network_of_layers(textbook, parameters), sn.SoftmaxCrossEntropy()
    optimizer = sn.Adam(network.parameters(), l2=5e-4)
    losses = list(textbook.train(parameters, x, labels, 5, np.random.default_rng(3)))

    rng, expected = np.random.default_rng(3), []
    for _ in range(5):
        batch = rng.choice(len(x), 32, replace=False)
        expected.append(loss.forward(network.forward(x[batch], training=True), labels[batch]))
        network.backward(loss.backward())
        optimizer.step()
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-9)
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(by_name(parameters)[name], value, rtol=0, atol=1e-9, err_msg=name)


def test_it_runs_in_seconds_and_without_numba():
    """Seconds of the processor, on one thread of BLAS: the machine of the tests may be busy with others."""
    run = f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    code = f"import runpy, sys, time; {run}; print(time.process_time()); print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    *said, seconds, modules = answer.stdout.splitlines()
    assert float(seconds) < 60  # takes 6
    assert not {"numba", "llvmlite", "scratchnet.kernels", "scratchnet.nn"} & set(modules.split())
    assert "scratchnet.reference" in modules.split()
    losses = [float(word) for line in said[:-1] for word in line.split()[3::4]]
    assert len(losses) == 99
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert "right" in said[-1]


def test_it_fits_two_screens():
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 70


@pytest.mark.parametrize("shape", [(5, 5, 3, 32), (3, 1, 2, 7), (1, 1, 4, 4), (20, 10)])
def test_xavier_is_that_of_the_layers(shape):
    taps = int(np.prod(shape[:-2]))
    found = reference.xavier_uniform(np.random.default_rng(0), shape)
    expected = xavier_uniform(np.random.default_rng(0), shape, taps * shape[-2], taps * shape[-1])
    np.testing.assert_array_equal(found, expected)
