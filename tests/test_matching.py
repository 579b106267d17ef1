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
    with pytest.raises(ConfigError, match="the layers body, neck have one shape and fit dense2, dense3 in any order"):
        from_torch(state, ours, ordered=False)


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
