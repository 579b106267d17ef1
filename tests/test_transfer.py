"""Going on from what was learnt: --start-from and --freeze, in Python and in train.py."""

import tomllib

import numpy as np
import pytest

import scratchnet as sn
import train
from scratchnet.errors import ConfigError
from tests.small_runs import make_sides, weights


def made(classes=2, dtype="float32", seed=0, filters=3):
    net = sn.Sequential(
        [
            sn.Conv2D(filters, kernel_size=3), sn.BatchNorm2D(), sn.ReLU(), sn.MaxPool2D(2),
            sn.Conv2D(4, kernel_size=5), sn.ReLU(), sn.MaxPool2D(2), sn.Flatten(), sn.Dense(5), sn.ReLU(), sn.Dense(classes),
        ]
    )  # fmt: skip
    net.build((8, 8, 3), seed=seed, dtype=dtype)
    return net


def data(classes=2):
    return np.random.default_rng(2).random((12, 8, 8, 3), "float32"), np.arange(12) % classes


def bits(net):
    return {name: value.tobytes() for name, value in net.state_dict().items()}


def changed(before, after):
    return sorted({name.partition(".")[0] for name in before if before[name] != after[name]})


def test_weights_are_taken_where_names_and_shapes_agree():
    old, new = made(seed=1), made(classes=5, seed=2)
    old.fit(*data(), epochs=1)
    before = bits(new)
    taken, left = new.start_from(old)
    assert taken == ["conv1", "norm1", "conv2", "dense1"]
    assert left == {"dense2": "(5, 2) there, (5, 5) here"}
    after, theirs = bits(new), bits(old)
    assert changed(before, after) == sorted(taken)
    assert all(after[name] == theirs[name] for name in after if not name.startswith("dense2"))
    # Of a layer all or nothing; numbers in the network's own type.
    double = made(dtype="float64", filters=2)
    taken, left = double.start_from(old.state_dict())
    assert taken == ["dense1", "dense2"]
    assert left == {
        "conv1": "(3, 3, 3, 3) there, (3, 3, 3, 2) here",
        "norm1": "(3,) there, (2,) here",
        "conv2": "(5, 5, 3, 4) there, (5, 5, 2, 4) here",
    }
    np.testing.assert_array_equal(double["dense2"].weight.value, old["dense2"].weight.value)
    other = sn.Sequential([sn.Flatten(name="flat"), sn.Dense(2, name="other")])
    other.build((8, 8, 3))
    with pytest.raises(ConfigError, match=r"no layer fits: other \(not there\)"):
        other.start_from(old)
    with pytest.raises(ConfigError, match="expected a network"):
        other.start_from(3)


@pytest.mark.parametrize("optimizer", [sn.Adam, sn.SGD])
@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        (("conv*", "norm1"), ["conv1", "norm1", "conv2"]),
        (("conv2",), ["conv2"]),
        (("dense2",), ["dense2"]),
        (("*1",), ["conv1", "norm1", "relu1", "pool1", "flatten1", "dense1"]),
    ],
)
def test_frozen_layers_stand_still_to_the_bit_and_the_others_move_as_they_would(optimizer, patterns, frozen):
    net, x_and_y = made(), data()
    assert net.freeze(*patterns) == frozen
    before = bits(net)
    moved = optimizer(net.parameters(), 0.01, l2=0.1)
    net.fit(*x_and_y, epochs=2, batch_size=4, optimizer=moved)
    after = bits(net)
    with_weights = ["conv1", "conv2", "dense1", "dense2", "norm1"]
    assert changed(before, after) == [name for name in with_weights if name not in frozen]
    assert not any(parameter.grad.any() for parameter in net.parameters() if parameter.frozen)
    net.unfreeze()
    net.fit(*x_and_y, epochs=1, optimizer=optimizer(net.parameters(), 0.01))
    assert changed(after, bits(net)) == with_weights


def test_the_gradients_of_the_others_are_those_of_the_whole():
    whole, part = made(), made()
    part["conv2"].weight.frozen = part["conv2"].bias.frozen = True
    x, labels = data()
    for net in (whole, part):
        loss = sn.SoftmaxCrossEntropy()
        loss.forward(net.forward(x, training=True), labels)
        net.backward(loss.backward(), need_dx=False)
    for one, other in zip(whole.parameters(), part.parameters(), strict=True):
        assert other.grad.tobytes() == (np.zeros_like(one.grad) if other.frozen else one.grad).tobytes(), one.name


def test_backward_stops_at_the_first_layer_that_learns():
    net, seen = made(), []
    for layer in net:
        layer.backward = lambda dy, name=layer.name, was=layer.backward, **how: (seen.append(name), was(dy, **how))[1]
    net.freeze("conv*", "norm1", "dense1")
    y = net.forward(data()[0], training=True)
    net.backward(np.ones_like(y), need_dx=False)
    assert seen == ["dense2"]
    net.backward(np.ones_like(y))
    assert seen[-1] in ("conv1", "conv2")  # the gradient with respect to the images is still there, if it is asked for


def test_what_cannot_be_frozen():
    net = made()
    with pytest.raises(ConfigError, match="no layer is called 'convv'; the layers are conv1, norm1"):
        net.freeze("convv")
    with pytest.raises(ConfigError, match="nothing is left to learn"):
        net.freeze("*")
    assert not any(parameter.frozen for parameter in net.parameters())
    net.freeze("conv1")
    assert net["conv1"].weight.frozen
    net.build()
    assert not net["conv1"].weight.frozen


# In the tools

MINE = """
import scratchnet as sn

def net(classes):
    return sn.Sequential([sn.MaxPool2D(8), sn.Flatten(), sn.Dense(6), sn.ReLU(), sn.Dense(classes)])
"""


@pytest.fixture
def at(tmp_path, monkeypatch, no_pages):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scratchnet.commands.session.kernels_are_compiled", lambda config: True)
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    make_sides(tmp_path / "shards")
    make_sides(tmp_path / "other", ("cat", "dog"))
    return tmp_path


def learn(name, *arguments, shards="shards"):
    given = ["--data", shards, "--model", "mine.py:net", "--epochs", "2", "--batch-size", "4", "--name", name]
    return train.main([*given, *arguments])


def test_a_run_starts_from_another_with_a_new_head_and_a_frozen_body(at, capsys):
    assert learn("first", "--seed", "3") == 0
    capsys.readouterr()
    assert learn("second", "--start-from", "runs/first", "--freeze", "dense1", shards="other") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "started from runs/first: dense1; new: dense2 (other classes)" in said
    first, second = weights("runs/first"), weights("runs/second")
    assert changed(first, second) == ["dense2"]
    config = tomllib.loads((at / "runs/second/config.toml").read_text(encoding="utf-8"))
    assert (config["start_from"], config["freeze"]) == ("runs/first", "dense1")
    # It is repeated and resumed, still frozen; the classes of the first run are its own again.
    assert train.main(["--config", "runs/second/config.toml", "--name", "again"]) == 0
    assert weights("runs/again") == second
    assert train.main(["--resume", "runs/second", "--epochs", "3"]) == 0
    assert changed(second, weights("runs/second")) == ["dense2"]
    assert learn("third", "--start-from", "runs/first/best.h5") == 0
    assert "started from runs/first/best.h5: dense1, dense2; all of them" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--start-from", "runs/none"), "there is no such run or file"),
        (("--freeze", "conv*"), "no layer is called 'conv*'; the layers are pool1"),
        (("--freeze", "dense*"), "nothing is left to learn"),
    ],
)
def test_what_train_refuses(at, capsys, more, said):
    assert learn("run", *more) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert said in last
    assert last.startswith("train.py: ")
    assert not (at / "runs" / "run").exists()
