"""While a network trains, its layers search for a NaN only where one can arise: none gets past them all the same."""

import numpy as np
import pytest

from scratchnet import BatchNorm2D, Conv2D, Dense, GlobalAveragePool2D, MaxPool2D, ReLU, Residual, Sequential
from scratchnet.errors import NonFiniteError
from scratchnet.nn import base


def network(*first, shortcut=None):
    block = Residual([Conv2D(4, 3), BatchNorm2D(), ReLU(), Conv2D(4, 3), BatchNorm2D()], shortcut)
    middle = [Conv2D(4, 3), BatchNorm2D(), ReLU(), block, ReLU(), MaxPool2D(2), Residual([Conv2D(4, 3)])]
    net = Sequential([*first, *middle, BatchNorm2D(), ReLU(), GlobalAveragePool2D(), Dense(2)])
    net.build((8, 8, 3), seed=0)
    return net


def network_around(block):
    net = Sequential([BatchNorm2D(), block, ReLU(), MaxPool2D(2), GlobalAveragePool2D(), Dense(2)])
    net.build((8, 8, 3), seed=0)
    return net


def images(rng):
    return rng.normal(size=(4, 8, 8, 3)).astype("float32")


def refused_by(net, x, *, training):
    try:
        with np.errstate(all="ignore"):
            net.forward(x, training=training)
    except NonFiniteError as error:
        return str(error).split(":")[0]
    return "nobody"


@pytest.mark.parametrize("shortcut", [None, [Conv2D(4, 1)], [Conv2D(4, 1), BatchNorm2D()]])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_training_names_the_layer_that_a_search_of_every_input_names(rng, bad, shortcut):
    net, x = network(shortcut=shortcut), images(rng)
    assert refused_by(net, x, training=True) == "nobody"
    for parameter in net.parameters():
        if parameter.value.ndim > 1 or "gamma" in parameter.name:  # 3e38 as a bias is just a number
            before = parameter.value.copy()
            parameter.value[...] = bad
            named = refused_by(net, x, training=False)
            assert refused_by(net, x, training=True) == named, parameter.name
            assert named != "nobody" or not np.isnan(bad) or parameter.name == "dense1.weight"  # the loss refuses that
            parameter.value[...] = before


def test_what_a_layer_of_ones_own_spoils_is_found(rng):
    class Spoils:
        def forward(self, x, *, training=False):
            x[0, 0, 0, 0] = np.nan  # in the array that the layer before has vouched for
            return x

        def backward(self, dy):
            return dy

    net = network(Conv2D(3, 3), BatchNorm2D(), Spoils())
    assert refused_by(net, images(rng), training=True).startswith("Spoils 'spoils1'")
    for shortcut in (None, [Conv2D(3, 1), BatchNorm2D()]):
        net = network_around(Residual([Spoils(), BatchNorm2D(), Conv2D(3, 3), BatchNorm2D()], shortcut))
        assert refused_by(net, images(rng), training=True) != "nobody"


def test_a_sum_that_a_layer_of_ones_own_spoils_in_the_shortcut_is_found(rng):
    class Spoiled(Conv2D):
        def _forward(self, x, training):
            y = super()._forward(x, training)
            y[0, 1, 1, 0] = np.nan
            return y

    net = network_around(Residual([Conv2D(3, 3), BatchNorm2D()], [Spoiled(3, 1)]))
    assert refused_by(net, images(rng), training=True) != "nobody"


def test_a_normalisation_of_ones_own_searches_as_every_layer(rng):
    class Doubles(BatchNorm2D):
        def _forward(self, x, training):
            return 2 * x

    layer, x = Doubles(), images(rng)
    layer.build((8, 8, 3))
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(NonFiniteError):
        layer.forward(x, training=True)


def test_a_gradient_of_nan_is_refused_by_the_layers_within_a_block(rng):
    block = Residual([Conv2D(3, 3)])
    block.build((8, 8, 3))
    y = block.forward(images(rng), training=True)
    with pytest.raises(NonFiniteError):
        block.backward(np.full_like(y, np.nan))


def test_what_is_changed_between_layers_that_are_called_by_hand_is_found(rng):
    net, x = network(), images(rng)
    net.forward(x, training=True)
    x[0, 0, 0, 0] = np.nan
    assert refused_by(net, x, training=True) == "Conv2D 'conv1'"
    norm, relu = BatchNorm2D(), ReLU()
    for layer in (norm, relu):
        layer.build((8, 8, 3))
    y = norm.forward(images(rng), training=True)
    y[0, 0, 0, 0] = np.inf
    with pytest.raises(NonFiniteError, match="ReLU 'relu'"):
        relu.forward(y, training=True)


def test_one_pass_over_memory_is_enough_where_normalisation_follows(rng, monkeypatch):
    net, x, searched = network(shortcut=[Conv2D(4, 1), BatchNorm2D()]), images(rng), []
    monkeypatch.setattr(base, "all_finite", lambda x: searched.append(x.shape) or True)
    net.forward(x, training=True)
    assert searched == [x.shape, (4, 4)]  # the images, and the means that the dense layer gets
