"""A network is a Python object: a list of layers that can be printed, cut, called, trained, saved and loaded."""

import inspect
import json

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.errors import ConfigError, DataError, DtypeError, LabelError, NonFiniteError, OrderError, ShapeError
from scratchnet.nn import description
from scratchnet.nn.description import LAYERS, described, from_description, own_of
from scratchnet.nn.initializers import INITIALIZERS
from scratchnet.training.checkpoint import load_checkpoint, save_checkpoint
from tests import small_layers
from tests.small_layers import EXAMPLES, input_of


def small(**first):
    return sn.Sequential([sn.Conv2D(4, kernel_size=3, **first), sn.ReLU(), sn.MaxPool2D(2), sn.Flatten(), sn.Dense(2)])


def built(network=None, shape=(8, 8, 3), **how):
    network = network or small()
    network.build(shape, **how)
    return network


def images(count=12, shape=(8, 8, 3)):
    return np.random.default_rng(3).random((count, *shape), "float32")


class Square(sn.Layer):
    """A layer of a user's own."""

    def __init__(self, power=2, **more):
        super().__init__(**more)
        self.power = power

    def _forward(self, x, training):
        self._x = x
        return x**self.power

    def _backward(self, dy, need_dx, accumulate):
        return (dy * self.power * self._x ** (self.power - 1)).astype(dy.dtype)


class Plain:
    """A layer that only has the methods."""

    def forward(self, x, *, training=False):
        return x

    def backward(self, dy, *, need_dx=True):
        return dy


def halves(rng, shape, fan_in, fan_out):
    return np.full(shape, 0.5)


# A list of layers


def test_a_network_is_a_list_of_its_layers():
    net = built()
    assert len(net) == 5
    assert [layer.name for layer in net] == ["conv1", "relu1", "pool1", "flatten1", "dense1"]
    assert net[-1] is net["dense1"] is net.layers[4]
    assert net(images()).tobytes() == net.forward(images()).tobytes()
    with pytest.raises(ConfigError, match="no layer is called 'dense9'; the layers are conv1, relu1"):
        net["dense9"]
    with pytest.raises(IndexError):
        net[5]


def test_a_slice_is_a_network_of_the_same_layers():
    net, x = built(seed=1), images()
    body, head = net[:-1], net[-1:]
    assert body[0] is net[0]
    assert head(body(x)).tobytes() == net(x).tobytes()
    assert (body.input_shape, head.input_shape, head.output_shape) == ((8, 8, 3), (64,), (2,))
    net["conv1"].weight.value[:] = 0
    assert not body[:1](x).any()
    for part in (net[::2], small()[:2]):
        with pytest.raises(OrderError, match="build"):
            part(x)
    with pytest.raises(ConfigError, match="at least one layer"):
        net[5:]


def test_layers_are_added():
    net = sn.Sequential([sn.Flatten()])
    net.add(sn.Dense(3))
    assert built(net).output_shape == (3,)
    net.add(sn.Dense(2))
    with pytest.raises(OrderError, match="build"):
        net(images())
    assert built(net).output_shape == (2,)
    for wrong, said in ((sn.ReLU, "is a class"), (3, "is not a layer"), (net[0], "stands in the list twice")):
        with pytest.raises(ConfigError, match=said):
            net.add(wrong)
    assert len(net) == 3


# Printed


def names_for_eval():
    return {name: getattr(sn, name) for name in sn.__all__ if inspect.isclass(getattr(sn, name))}


def test_every_layer_has_an_example():
    assert {type(layer).__name__ for layer in EXAMPLES} == set(LAYERS) - {"Sequential"}
    assert {type(case.values[0]()).__name__ for case in small_layers.LAYERS} == set(LAYERS) - {"Sequential"}
    there = [one for one in names_for_eval().values() if issubclass(one, sn.Layer)]
    assert set(there) - {sn.Layer} == set(LAYERS.values()) - {sn.Sequential}


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_what_is_printed_makes_the_same_layer(layer):
    """Pasted, or described in a file and read back, it gives the same outputs from the same seed."""
    net = sn.Sequential([layer])
    net.build(input_of(layer), seed=4, dtype="float64")
    x = np.random.default_rng(0).normal(size=(3, *net.input_shape))
    answers = [net.forward(x, training=training).tobytes() for training in (False, True)]
    for again in (eval(repr(net), names_for_eval()), from_description(described(net))):
        assert repr(again) == repr(net)
        again.build(net.input_shape, seed=4, dtype="float64")
        assert [again.forward(x, training=training).tobytes() for training in (False, True)] == answers


def test_a_printed_network_is_short_or_has_a_line_for_each_layer():
    assert repr(small()) == "Sequential([Conv2D(4, kernel_size=3), ReLU(), MaxPool2D(2), Flatten(), Dense(2)])"
    assert repr(small(weight_init=INITIALIZERS["he_normal"])) == repr(small(weight_init="he_normal")).replace("'", "")
    long = repr(sn.models.report(64))
    assert long.startswith("Sequential([\n    Conv2D(32, kernel_size=5),\n")
    assert long.endswith("    Dense(2),\n], input_shape=(64, 64, 3))")
    assert repr(sn.Sequential([Square(3), Plain(), sn.Dense(2, weight_init=halves)])) == (
        "Sequential([Square(3), Plain(), Dense(2, weight_init=halves)])"
    )
    assert str(small()) == repr(small())


def test_other_objects_say_something():
    net = built()
    optimizer = sn.SGD(net.parameters(), 0.1, momentum=0.9)
    optimizer.step()
    assert repr(optimizer) == "<SGD of 242 weights, learning_rate=0.1, momentum=0.9, l2=0.0; steps done: 1>"
    assert repr(sn.SoftmaxCrossEntropy()) == "SoftmaxCrossEntropy()"
    assert repr(sn.SoftmaxCrossEntropy([1, 2])) == "SoftmaxCrossEntropy([1, 2])"
    schedule = sn.Schedule("cosine", peak=0.1, warmup=0, total=9)
    assert eval(repr(schedule), {"Schedule": sn.Schedule}).rate(3) == schedule.rate(3)


# In a file


def same(one, other, x):
    assert repr(one) == repr(other)
    state, theirs = one.state_dict(), other.state_dict()
    assert {name: value.tobytes() for name, value in state.items()} == {n: v.tobytes() for n, v in theirs.items()}
    assert one(x).tobytes() == other(x).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_network_comes_back_to_the_bit(tmp_path, dtype):
    net = built(dtype=dtype, seed=5)
    net.save(tmp_path / "mine.h5")
    again, x = sn.load(tmp_path / "mine.h5"), images().astype(dtype)
    same(again, net, x)
    assert (again.dtype, again.seed, again.input_shape) == (net.dtype, 5, (8, 8, 3))
    optimizers = [sn.Adam(one.parameters()) for one in (net, again)]
    for one, optimizer in zip((net, again), optimizers, strict=True):
        one.backward(one.forward(x, training=True))
        optimizer.step()
    same(again, net, x)


def test_a_part_of_a_network_is_saved_under_the_names_it_has(tmp_path):
    net = built(sn.Sequential([sn.Flatten(), sn.Dense(4), sn.ReLU(), sn.Dense(3, name="head")]))
    net[2:].save(tmp_path / "part.h5")
    again = sn.load(tmp_path / "part.h5")
    assert list(again.state_dict()) == ["head.weight", "head.bias"]
    net[1:2].save(tmp_path / "part.h5")
    again = sn.load(tmp_path / "part.h5")
    assert list(again.state_dict()) == ["dense1.weight", "dense1.bias"]
    assert [layer.name for layer in sn.load(tmp_path / "part.h5")] == ["dense1"]
    net[-1:].save(tmp_path / "part.h5")
    assert list(sn.load(tmp_path / "part.h5").state_dict()) == ["head.weight", "head.bias"]


def test_a_layer_of_one_s_own_is_named_and_has_to_be_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(description, "OWN", {})
    net = built(sn.Sequential([Square(3, name="cube"), sn.Flatten(), sn.Dense(2, weight_init=halves)]))
    net.save(tmp_path / "mine.h5")
    same(sn.load(tmp_path / "mine.h5", layers=[Square, halves]), net, images())
    assert own_of(net) == {"Square": Square, "halves": halves}
    for given, lacking in (((), "Square"), ([Square], "halves")):
        with pytest.raises(DataError, match=rf"has {lacking}, .* layers=\[{lacking}\]") as error:
            sn.load(tmp_path / "mine.h5", layers=given)
        assert "\n" not in str(error.value)
    for wrong in (Square, [Square()], 3):
        with pytest.raises(ConfigError, match=r"layers must be"):
            sn.load(tmp_path / "mine.h5", layers=wrong)


def test_what_cannot_be_described(tmp_path):
    class Given:
        def __init__(self, units):
            pass

        forward = backward = Plain.forward

    with pytest.raises(OrderError, match="build"):
        small().save(tmp_path / "mine.h5")
    for layer, said in (
        (Square(np.ones(3)), "Square: power is array"),
        (Square(float("nan")), "Square: power is nan"),
        (Given(3), "Given does not remember its units: inherit"),
        (sn.Dense(2, weight_init=lambda *all: np.ones(all[1])), "Dense: weight_init is <function"),
    ):
        with pytest.raises(ConfigError, match=said):
            described(sn.Sequential([layer]))
    assert not list(tmp_path.iterdir())


def test_a_network_alone_is_not_a_run(tmp_path):
    built().save(tmp_path / "mine.h5")
    with pytest.raises(DataError, match=r"a network alone.*scratchnet\.load"):
        sn.Predictor.load(tmp_path / "mine.h5")


def layer(kind, **arguments):
    return {"layer": kind, "arguments": arguments}


def nested(depth):
    inside = layer("ReLU")
    for _ in range(depth):
        inside = layer("Sequential", layers=[inside])
    return inside


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"layers": layer("Sequential", layers=[layer("os.system")])}, "there is no layer 'os.system'"),
        ({"layers": layer("Sequential", layers=[layer(["x"])])}, "there is no layer"),
        ({"layers": layer("Sequential", layers=[{"own_layer": "os.system", "arguments": {}}])}, "not the name of a class"),
        ({"layers": layer("Sequential", layers=[{"own_layer": "Evil", "arguments": {}}])}, "has Evil, which is"),
        ({"layers": layer("Sequential", layers=[layer("Flatten"), layer("Dense", units=10**12)])}, "more weights than the 386"),
        ({"layers": layer("Sequential", layers=[layer("Dense", units=2.5)])}, "units must be whole numbers|whole number"),
        ({"layers": layer("Sequential", layers=[layer("Dense", units=2, code="x")])}, "Dense cannot be made"),
        ({"layers": layer("Sequential", layers=[layer("Dense", units=2, name=[3])])}, "a name is a text"),
        ({"layers": layer("Sequential", layers=[layer("Conv2D", filters=1, kernel_size=3, padding=10**7)])}, "outputs of the shape"),
        ({"layers": layer("Sequential", layers=[layer("ReLU")] * 20_000)}, "more than 10000 layers"),
        ({"layers": layer("Sequential", layers=3)}, "Sequential needs a list"),
        ({"layers": layer("Sequential", layers=[3])}, "not a layer"),
        ({"layers": layer("ReLU")}, "that of a Sequential, got ReLU"),
        ({"layers": [layer("ReLU")]}, "that of a Sequential, got list"),
        ({"layers": nested(40)}, "within layers"),
        ({"layers": {"class": "ReLU"}}, "not a description"),
        ({"input_shape": [10**9, 10**9, 3]}, "larger than any"),
        ({"input_shape": "8x8"}, "whole numbers"),
        ({"input_shape": 8}, "not iterable"),
        ({"dtype": "O"}, "float32 or float64"),
        ({"seed": -1}, "seed"),
        ({"seed": None, "layers": None}, "that of a Sequential"),
        (None, "lacks 'layers'|not subscriptable|indices"),
    ],
)  # fmt: skip
def test_a_hostile_description_is_refused_in_one_line(tmp_path, facts, said):
    net = built(sn.Sequential([sn.Flatten(), sn.Dense(2)]))
    net.save(tmp_path / "mine.h5")
    stored = load_checkpoint(tmp_path / "mine.h5")
    changed = {} if facts is None else stored.about["network"] | facts
    save_checkpoint(tmp_path / "evil.h5", stored.weights, {"network": changed})
    with pytest.raises(DataError, match=said) as error:
        sn.load(tmp_path / "evil.h5")
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(str(tmp_path / "evil.h5"))
    assert len(text) < 500


def test_a_text_that_is_no_description():
    for text in ("", "{", "[" * 100_000, json.dumps(None)):
        with pytest.raises(ConfigError):
            from_description(text)


# Trained


def test_fit_learns_and_is_the_same_each_time():
    x = images(24)
    labels = np.arange(24) % 2
    x[labels == 1] += 0.5
    nets = [small() for _ in range(2)]
    histories = [net.fit(x, labels, epochs=40, batch_size=8, seed=3) for net in nets]
    same(*nets, x)
    assert histories[0] == histories[1]
    assert [row["epoch"] for row in histories[0]] == list(range(1, 41))
    assert histories[0][-1]["loss"] < histories[0][0]["loss"]
    assert (nets[0].predict(x) == labels).mean() > 0.8
    np.testing.assert_allclose(nets[0].predict_proba(x).sum(axis=1), 1)


def test_fit_is_trainer_s_own_steps():
    """Two epochs, written out by hand."""
    from scratchnet.data.order import epoch_order

    x, labels = images(10), np.arange(10) % 2
    net, mine = built(seed=1), built(seed=1)
    net.fit(x, labels, epochs=2, batch_size=4, optimizer=sn.SGD(net.parameters(), 0.1), seed=7)
    optimizer, loss = sn.SGD(mine.parameters(), 0.1), sn.SoftmaxCrossEntropy()
    for epoch in range(2):
        order = epoch_order([10], 7, epoch)
        for start in range(0, 10, 4):
            batch = order[start : start + 4]
            loss.forward(mine.forward(x[batch], training=True), labels[batch])
            mine.backward(loss.backward(), need_dx=False)
            optimizer.step()
    same(net, mine, x)


def test_patience_ends_early_and_goes_back_to_the_best():
    x, labels = images(16), np.arange(16) % 2
    net = built()
    optimizer = sn.SGD(net.parameters(), 0.5, momentum=0.9)
    history = net.fit(
        x, labels, epochs=60, batch_size=4, validation_data=(x[:6], 1 - labels[:6]), patience=2, optimizer=optimizer
    )
    losses = [row["validation_loss"] for row in history]
    assert len(history) == int(np.argmin(losses)) + 3 < 60
    judged = sn.SoftmaxCrossEntropy().forward(net(x[:6]), 1 - labels[:6])
    assert judged == pytest.approx(min(losses), rel=1e-6)


def test_what_fit_refuses():
    net, x, labels = built(), images(4), [0, 1, 0, 1]
    for arguments, error, said in (
        (((x * 255).astype(np.uint8), labels), DtypeError, r"uint8, expected .* float32: \(images / 255\)"),
        ((x.tolist(), labels), DtypeError, "list, expected"),
        ((x[:, :4], labels), ShapeError, r"\(4, 4, 8, 3\), expected \(N, 8, 8, 3\)"),
        ((x, labels[:3]), LabelError, "one for each image"),
        ((x, [0, 1, 0, 2]), LabelError, "out of range"),
    ):
        with pytest.raises(error, match=said):
            net.fit(*arguments, epochs=1)
    with pytest.raises(ConfigError, match="validation_data"):
        net.fit(x, labels, patience=3)
    with pytest.raises(ConfigError, match="epochs"):
        net.fit(x, labels, epochs=0)
    with pytest.raises(NonFiniteError, match=r"diverged in epoch \d, .* try learning_rate="):
        net.fit(x * np.float32(1e30), labels, epochs=9, optimizer=sn.SGD(net.parameters(), 1e9))
    with pytest.raises(OrderError, match="learnt nothing"):
        small().predict(x)


def test_an_optimiser_of_another_network_and_halves_of_a_pair_are_refused():
    net, other = built(), built()
    x, y = images(), np.arange(12) % 2
    for how, error, said in (
        ({"optimizer": sn.Adam(other.parameters())}, ConfigError, "other parameters than this network's"),
        ({"optimizer": sn.Adam}, ConfigError, "expected Adam"),
        ({"validation_data": x}, ShapeError, "a pair"),
    ):
        with pytest.raises(error, match=said):
            net.fit(x, y, epochs=1, **how)
    with pytest.raises(DtypeError, match="a NumPy array, got list"):
        small().fit(x.tolist(), y)


NO_PATHS = [None, 3, True, b"net.h5", "", "a\0b", {}, np.zeros((3, 3))]


@pytest.mark.parametrize("given", NO_PATHS, ids=repr)
def test_what_is_no_path_is_refused_in_one_line(given):
    for use in (sn.load, sn.Predictor.load, built().save):
        with pytest.raises(sn.ScratchnetError, match=r"expected (the path of|a run or several)") as refused:
            use(given)
        assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match="expected the path of a run"):
        sn.load([given])


def test_a_place_where_no_file_can_be_is_refused_with_the_remedy(tmp_path):
    net = built()
    predictor = sn.Predictor(net, ("a", "b"), sn.data.PixelScaling("unit"), about={"config": {}})
    for save in (net.save, predictor.save):
        for where, said in (
            (tmp_path, "it is a folder: name a file in it"),
            (tmp_path / "no" / "net.h5", "make it first"),
            (tmp_path / ("n" * 300 + ".h5"), "too long"),
        ):
            with pytest.raises(DataError, match=f"cannot be written: .*{said}"):
                save(where)
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty.h5").touch()
    for load in (sn.load, sn.Predictor.load):
        with pytest.raises(DataError, match="it is empty, of zero bytes"):
            load(tmp_path / "empty.h5")
        with pytest.raises(DataError, match="holds no weights: give the folder of a run"):
            load(tmp_path)


@pytest.mark.parametrize("name", ["a/b", "a.b", "a\0", " ", "n" * 65, 5])
def test_a_name_that_no_file_of_weights_can_hold_is_refused_before_training(name):
    with pytest.raises(ConfigError, match="a layer cannot be called"):
        built(sn.Sequential([sn.Flatten(), sn.Dense(2, name=name)]))


def test_one_object_in_two_blocks_is_refused():
    shared = sn.Conv2D(3, 3)
    for layers in ([sn.Residual([shared]), sn.Residual([shared])], [shared, sn.Residual([sn.ReLU()], [shared])]):
        with pytest.raises(ConfigError, match="the same layer object stands in the list twice"):
            sn.Sequential(layers)


class Doubled(sn.Sequential):
    """A network with arguments of its own."""

    def __init__(self, classes=2):
        super().__init__([sn.Flatten(), sn.Dense(classes)])

    def forward(self, x, *, training=False):
        return 2 * super().forward(x, training=training)


def test_a_network_class_of_one_s_own_is_saved(tmp_path):
    net = Doubled(3)
    net.build((8, 8, 3))
    net.save(tmp_path / "own.h5")
    again = sn.load(tmp_path / "own.h5", layers=[Doubled])
    assert isinstance(again, Doubled)
    assert again(images()).tobytes() == net(images()).tobytes()
