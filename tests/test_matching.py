"""Layers of another program find their places by shape, whatever they are called; what does not fit is told why."""

import numpy as np
import pytest

from scratchnet.errors import ConfigError, ShapeError
from scratchnet.nn.conv import Conv2D
from scratchnet.nn.dense import Dense
from scratchnet.nn.flatten import Flatten
from scratchnet.nn.models import MODELS
from scratchnet.nn.pool import MaxPool2D
from scratchnet.nn.relu import ReLU
from scratchnet.nn.sequential import Sequential
from scratchnet.use.exchange import from_torch, to_torch


def network(seed=0, *, twins=False, size=8, filters=4, kernel=3, classes=2):
    layers = [Conv2D(filters, kernel), ReLU(), MaxPool2D(2), Conv2D(6, 3), ReLU(), Flatten()]
    layers += [Dense(10), *([Dense(10), Dense(10)] if twins else []), Dense(classes)]
    made = Sequential(layers)
    made.build((size, size, 3), seed=seed)
    return made


def renamed(state, *names, turned=False):
    """The layers under other names; as in a file, in the order of these names."""
    old = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    new = dict(zip(old, names, strict=True))
    found = {f"{new[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}
    return dict(sorted(found.items(), reverse=turned))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("stem", "block2", "neck", "head"),
        ("z", "y", "b", "a"),
        ("conv1", "conv2", "fc1", "fc2"),
        ("model.stem.conv", "a", "c.d", "b"),
    ],
)
@pytest.mark.parametrize("ordered", [False, True])
def test_layers_of_different_shapes_may_have_any_names(names, turned, ordered):
    ours, theirs = network(seed=1), network(seed=2)
    state = renamed(to_torch(theirs), *names, turned=turned)
    ours.load_state_dict(from_torch(state, ours, ordered=ordered))
    for name, array in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], array)


def test_the_reports_network_needs_no_names():
    ours, theirs = (MODELS["report"](32) for _ in range(2))
    ours.build(seed=1)
    theirs.build(seed=2)
    state = renamed(to_torch(theirs), "stem", "block2", "block10", "zeta", "alpha", "w", "v", "u")
    ours.load_state_dict(from_torch(state, ours, ordered=False))
    for name, array in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], array)


def test_layers_of_one_shape_are_told_by_their_numbers():
    ours, theirs = network(twins=True, seed=1), network(twins=True, seed=2)
    state = renamed(to_torch(theirs), "stem", "block", "in", "fc9", "fc10", "out")
    ours.load_state_dict(from_torch(state, ours, ordered=False))
    for name, array in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], array)


def test_layers_of_one_shape_without_numbers_are_refused_where_the_order_is_lost():
    ours = network(twins=True)
    state = renamed(to_torch(network(twins=True, seed=2)), "stem", "block", "in", "neck", "body", "out")
    with pytest.raises(
        ConfigError, match=r"the layers body, neck have one shape, \(10, 10\), and fit dense2, dense3 in any"
    ):
        from_torch(state, ours, ordered=False)


def in_a_file(state, folder):
    """What safetensors' load_file returns of these arrays: sorted by type and name."""
    safetensors = pytest.importorskip("safetensors.numpy")
    contiguous = {name: np.ascontiguousarray(array) for name, array in state.items()}
    safetensors.save_file(contiguous, folder / "model.safetensors")
    return safetensors.load_file(folder / "model.safetensors")


@pytest.mark.parametrize("biases", ["float32", "float64"])
@pytest.mark.parametrize(
    "names",
    [
        ("stem", "block", "input_layer", "hidden", "mid", "out"),
        ("a", "b", "c", "x", "y", "z"),  # in the network's order by luck, which nobody can know
        ("a", "b", "c", "fc1", "mid2", "z"),
        ("a", "b", "c", "fc1", "fc01", "z"),
    ],
)
def test_what_a_file_has_sorted_is_not_taken_for_the_networks_order(names, biases, tmp_path):
    ours = network(twins=True)
    state = renamed(to_torch(network(twins=True, seed=2)), *names)
    state = {name: array.astype(biases) if name.endswith("bias") else array for name, array in state.items()}
    with pytest.raises(
        ConfigError, match=f"{names[3]}.*have one shape.*nothing tells their order.*block1, block2"
    ) as error:
        from_torch(in_a_file(state, tmp_path), ours)
    assert names[4] in str(error.value)
    assert names[0] not in str(error.value).split("have one shape")[0].replace("the layers", "").split(", ")


@pytest.mark.parametrize("names", [("fc9", "fc10"), ("body.2.fc", "body.10.fc")])
def test_numbers_tell_the_order_in_a_file(names, tmp_path):
    ours, theirs = network(twins=True, seed=1), network(twins=True, seed=2)
    state = renamed(to_torch(theirs), "stem", "block", "in", *names, "out")
    ours.load_state_dict(from_torch(in_a_file(state, tmp_path), ours))
    for name, array in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], array)


def test_a_models_own_order_is_kept_whatever_its_layers_are_called():
    """Also where the names happen to be sorted: a model has each bias right after its weight."""
    ours, theirs = network(twins=True, seed=1), network(twins=True, seed=2)
    for names in (("z", "y", "x", "w", "v", "u"), ("a", "b", "c", "d", "e", "f"), ("a", "b", "c", "fc2", "fc1", "z")):
        old = list(dict.fromkeys(name.rpartition(".")[0] for name in to_torch(theirs)))
        new = dict(zip(old, names, strict=True))
        parts = [(name.rpartition("."), array) for name, array in to_torch(theirs).items()]
        ours.load_state_dict(from_torch({f"{new[key]}.{role}": array for (key, _, role), array in parts}, ours))
        for name, array in theirs.state_dict().items():
            np.testing.assert_array_equal(ours.state_dict()[name], array)


def test_the_reports_network_comes_from_a_file_whatever_its_layers_are_called(tmp_path):
    ours, theirs = MODELS["report"](32), MODELS["report"](32)
    ours.build(seed=1)
    theirs.build(seed=2)
    state = renamed(to_torch(theirs), "stem", "block2", "block3", "block4", "block5", "fc1", "fc2", "head")
    ours.load_state_dict(from_torch(in_a_file(state, tmp_path), ours))
    for name, array in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], array)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"size": 16}, "it is of images of 16 pixels, the network here of 8"),
        ({"filters": 5}, "it has 5 filters, here 4"),
        ({"kernel": 5}, "its kernels are 5×5, here 3×3"),
        ({"classes": 3}, "it has 3 classes, here 2"),
    ],
)
@pytest.mark.parametrize("ordered", [False, True])
def test_what_does_not_fit_is_told_why(other, why, ordered):
    state = renamed(to_torch(network(**other)), "stem", "block2", "neck", "head")
    with pytest.raises(ShapeError, match=why) as error:
        from_torch(state, network(), ordered=ordered)
    assert "another image size or" not in str(error.value)
