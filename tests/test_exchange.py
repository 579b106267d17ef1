"""Out to PyTorch, Keras, safetensors and ONNX, and back: the same weights, and the same answers there as here."""

import json
import sys

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from scratchnet.__main__ import main
from scratchnet.data import PixelScaling
from scratchnet.errors import ConfigError, DataError, DtypeError, MissingExtraError, ScratchnetError, ShapeError
from scratchnet.nn.models import report
from scratchnet.terminal.invocation import command
from scratchnet.use.exchange import (
    from_keras,
    from_torch,
    read_safetensors,
    to_keras,
    to_torch,
    write_onnx,
    write_safetensors,
)
from scratchnet.use.exchange.onnx import onnx_model
from scratchnet.use.predictor import Predictor
from tests.small_data import random_images, save_image


def small(dtype="float64", size=(9, 8), seed=1):
    """Height, width, channels and filters all differ, so that no two axes can be taken for each other."""
    net = Sequential(
        [Conv2D(5, 3), ReLU(), MaxPool2D(2), Conv2D(4, 3), ReLU(), Flatten(), Dense(7), ReLU(), Dropout(0.5), Dense(3)]
    )
    net.build((*size, 3), seed=seed, dtype=dtype)
    for parameter in net.parameters():
        parameter.value += (
            np.random.default_rng(len(parameter.name)).normal(size=parameter.value.shape).astype(dtype) / 9
        )
    return net


def torch_twin(network):
    """The same layers in PyTorch, one for one."""
    torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install -e ".[parity]"')
    nn = torch.nn

    def layer(one):
        if isinstance(one, Conv2D):
            return nn.Conv2d(one.input_shape[2], one.filters, one.kernel_size, padding="same")
        if isinstance(one, Dense):
            return nn.Linear(one.input_shape[0], one.units)
        if isinstance(one, Dropout):
            return nn.Dropout(one.rate)
        return {ReLU: nn.ReLU, Flatten: nn.Flatten, MaxPool2D: lambda: nn.MaxPool2d(2)}[type(one)]()

    model = nn.Sequential(*map(layer, network.layers)).eval()
    return torch, model.double() if network.dtype == np.float64 else model


def logits_of(torch, model, x):
    torch.set_num_threads(1)
    with torch.no_grad():
        return model(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).numpy()


@pytest.mark.parametrize(("make", "dtype", "tolerance"), [
    (small, "float64", 1e-10), (small, "float32", 1e-4), (lambda dtype: built_report(64, dtype), "float32", 1e-4),
    (lambda dtype: built_report(96, dtype), "float64", 1e-10),
])  # fmt: skip
def test_pytorch_says_the_same(rng, make, dtype, tolerance):
    network = make(dtype)
    torch, model = torch_twin(network)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(network).items()})
    x = rng.normal(size=(3, *network.input_shape)).astype(dtype)
    np.testing.assert_allclose(logits_of(torch, model, x), network.forward(x), rtol=0, atol=tolerance)


def built_report(size, dtype):
    network = report(size)
    network.build(seed=3, dtype=dtype)
    return network


def test_pytorch_s_weights_come_here(rng):
    network = small()
    torch, model = torch_twin(network)
    x = rng.normal(size=(3, 9, 8, 3))
    expected = logits_of(torch, model, x)
    assert not np.allclose(network.forward(x), expected)
    network.load_state_dict(from_torch(model.state_dict(), network))
    np.testing.assert_allclose(network.forward(x), expected, rtol=0, atol=1e-10)


def test_there_and_back():
    network = small()
    state = network.state_dict()
    for back in (from_torch(to_torch(network), network), from_keras(to_keras(network), network)):
        assert back.keys() == state.keys()
        for name, array in back.items():
            np.testing.assert_array_equal(array, state[name])
            assert array.flags.c_contiguous


def test_names_do_not_matter_and_order_does():
    """A model in two parts, whose names sort the wrong way round."""
    network, other = small(), small(seed=2)
    state = to_torch(network)
    parts = {
        ("features." if int(name.split(".")[0]) < 5 else "classifier.") + name: array for name, array in state.items()
    }
    other.load_state_dict(from_torch(dict(sorted(parts.items())), other))
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, network.state_dict()[name])


def test_keras_layout_by_its_definition(rng):
    """A dense layer after Flatten with channels last is a sum over (h, w, c), in Keras' documentation and here."""
    network = Sequential([Flatten(), Dense(2)])
    network.build((2, 3, 4), dtype="float64")
    kernel, bias = rng.normal(size=(24, 2)), rng.normal(size=2)
    network.load_state_dict(from_keras([kernel, bias], network))
    x = rng.normal(size=(1, 2, 3, 4))
    expected = bias.copy()
    for h, w, c in np.ndindex(2, 3, 4):
        expected += x[0, h, w, c] * kernel[(h * 3 + w) * 4 + c]
    np.testing.assert_allclose(network.forward(x)[0], expected, atol=1e-12)


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: without(s, "0.bias"), ConfigError, "'0' has a weight alone"),
        (
            lambda s: without(without(s, "0.bias"), "0.weight"),
            ConfigError,
            "1 arrays of 4 axes, the network has 2 conv",
        ),
        (lambda s: s | {"1.running_mean": np.zeros(5)}, ConfigError, "'1.running_mean' is neither"),
        (lambda s: s | {"0.weight": np.zeros((5, 3, 5, 5))}, ShapeError, r"0.weight \(5, 3, 5, 5\).*do not fit conv1"),
        (lambda s: s | {"6.weight": np.zeros((7, 10))}, ShapeError, "dense1"),
        (lambda s: s | {"0.weight": np.zeros((5, 3, 5))}, ConfigError, "3 axes; expected 4"),
    ],
)
def test_what_does_not_fit(change, error, message):
    network = small()
    with pytest.raises(error, match=message) as raised:
        from_torch(change(to_torch(network)), network)
    assert "\n" not in str(raised.value)


def test_what_does_not_fit_of_keras():
    network = small()
    with pytest.raises(ConfigError, match="7 arrays, the network has 8"):
        from_keras(to_keras(network)[:7], network)
    with pytest.raises(ShapeError, match=r"array 0 has shape \(2,\), conv1.weight"):
        from_keras([np.zeros(2), *to_keras(network)[1:]], network)


# safetensors


def test_safetensors_there_and_back(trained_run, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    predictor = sn.load(trained_run.folder)
    first = predictor.network.parameters()[0]
    first.value = np.asfortranarray(first.value)  # the library would write its memory as it lies
    write_safetensors(predictor, tmp_path / "m.safetensors")
    stored = safetensors.load_file(tmp_path / "m.safetensors")
    for name, array in predictor.network.state_dict().items():
        np.testing.assert_array_equal(stored[name], array)
    again = read_safetensors(tmp_path / "m.safetensors")
    assert again.about == predictor.about
    pixels = random_images(4, 32)
    assert again.logits(pixels).tobytes() == sn.load(trained_run.folder).logits(pixels).tobytes()


def test_import_and_export_commands(trained_run, tmp_path, capsys):
    torch_file = pytest.importorskip("safetensors.torch", exc_type=ImportError)
    run, out = str(trained_run.folder), tmp_path / "m.safetensors"
    assert main(["export", run, str(out)]) == 0
    assert main(["import", str(out), str(tmp_path / "m.h5")]) == 0
    pixels = random_images(4, 32)
    assert sn.load(tmp_path / "m.h5").logits(pixels).tobytes() == sn.load(run).logits(pixels).tobytes()

    torch, model = torch_twin(sn.load(run).network)
    torch_file.save_file(model.state_dict(), tmp_path / "torch.safetensors")
    assert main(["import", str(tmp_path / "torch.safetensors"), str(tmp_path / "torch.h5"), "--like", run]) == 0
    imported = sn.load(tmp_path / "torch.h5")
    x = imported.scaling.apply(pixels)
    np.testing.assert_allclose(imported.logits(pixels), logits_of(torch, model, x), rtol=0, atol=1e-4)
    assert imported.class_names == ("all", "hem")
    assert not {"data", "dataset_id", "command", "epoch", "facts", "history"} & set(imported.about)  # those were like's
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "torch.h5"), str(trained_run.data), "--bootstrap", "0"]) == 0
    assert "It cannot be known whether images of these subjects were trained on." in capsys.readouterr().out
    assert main(["summary", str(tmp_path / "torch.h5")]) == 0
    assert "data  " not in capsys.readouterr().out

    capsys.readouterr()
    (tmp_path / "model.pth").write_bytes(b"\x80\x02}q\x00.")
    for arguments, message in (
        (["import", str(tmp_path / "torch.safetensors"), "new.h5"], "name a run that is like it with --like"),
        (["import", str(out), "new.h5", "--like", run], "leave the other network out"),
        (["import", str(out), str(tmp_path / "m.h5")], "not overwritten"),
        (["import", str(tmp_path / "model.pth"), "new.h5"], "can run code"),
        (["import", "nowhere.safetensors", "new.h5"], "no such file"),
        (["import", str(tmp_path / "torch.safetensors"), str(tmp_path), "--like", run], "not overwritten"),
        (["import", str(out), str(tmp_path / "no" / "new.h5")], "is not a folder: make it first"),
        (["export", run, str(tmp_path / "no" / "m.onnx")], "is not a folder: make it first"),
        (["export", run, str(out)], "not overwritten"),
        (["predict", str(out), "x.png"], command("import")),
        (["import", str(trained_run.folder / "weights.h5"), "new.h5"], "expected a file of safetensors"),
        (["export", run, "m.pt"], "NAME.onnx or NAME.safetensors"),
        (["export", run, "m.safetensors", "--images", "x"], "leave them out"),
    ):
        assert main(arguments) == 2, arguments
        err = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in err


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16", "int32"])
def test_numbers_of_other_sizes(trained_run, tmp_path, dtype):
    torch_file = pytest.importorskip("safetensors.torch", exc_type=ImportError)
    like = sn.load(trained_run.folder)
    torch, model = torch_twin(like.network)
    state = {name: value.to(getattr(torch, dtype)) for name, value in model.state_dict().items()}
    torch_file.save_file(state, tmp_path / "m.safetensors")
    if dtype in ("float16", "float64"):
        read = read_safetensors(tmp_path / "m.safetensors", like).network
        expected = from_torch({name: value.numpy() for name, value in state.items()}, read)
        for name, array in read.state_dict().items():
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, expected[name].astype("float32"))
        return
    with pytest.raises(ScratchnetError, match=r"bfloat16|got int32") as raised:
        read_safetensors(tmp_path / "m.safetensors", like)
    assert "\n" not in str(raised.value)
    with pytest.raises(DtypeError, match=r"0.weight: .*(model.float\(\)|got int32)"):
        from_torch(state, like.network)


def test_the_graph_is_tried_on_what_can_be_read(trained_run, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a.png").write_bytes(b"x")
    command = ["export", str(trained_run.folder), str(tmp_path / "m.onnx"), "--images", str(tmp_path / "cells")]
    assert main(command) == 2
    assert "no image can be read, of 1 that were tried" in capsys.readouterr().err
    save_image(tmp_path / "cells" / "b.png", seed=1, size=(32, 32))
    assert main(command) == 0
    err = capsys.readouterr().err
    assert "left out: " in err
    assert "on 1 image ONNX Runtime says the same" in err


def test_averaging_stays_here(trained_run, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    stored = sn.load(trained_run.folder)
    stored.about["config"] = stored.about["config"] | {"test_symmetries": "average"}
    stored.save(tmp_path / "averaged.h5")
    assert main(["export", str(tmp_path / "averaged.h5"), str(tmp_path / "m.onnx")]) == 0
    assert "it does not average over eight symmetries" in capsys.readouterr().err


def test_a_hostile_safetensors_file(tmp_path):
    pytest.importorskip("safetensors")
    head = json.dumps({"a.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    for number, content in enumerate((b"", len(head).to_bytes(8, "little") + head, (2**63 - 1).to_bytes(8, "little"))):
        (tmp_path / f"{number}.safetensors").write_bytes(content)
        with pytest.raises(DataError, match=r"not a readable|expected a file of safetensors"):
            read_safetensors(tmp_path / f"{number}.safetensors")


# ONNX


def by_hand(layers, size=9, scaling=None, dtype="float32"):
    network = Sequential(layers)
    network.build((size, size, 3), seed=2, dtype=dtype)
    classes = network.output_shape[0]
    return Predictor(network, [f"class {k}" for k in range(classes)], scaling or PixelScaling("unit"))


def test_onnx_of_a_trained_network(trained_run, tmp_path):
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    assert main(["export", str(trained_run.folder), str(path)]) == 0
    predictor = sn.load(trained_run.folder)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 5, 33):
        pixels = random_images(count, 32, seed=count)
        logits, probabilities = session.run(None, {"pixels": pixels})
        np.testing.assert_allclose(logits, predictor.logits(pixels), rtol=0, atol=1e-4)
        np.testing.assert_allclose(probabilities, predictor.predict_proba(pixels), rtol=0, atol=1e-5)
    facts = {one.key: json.loads(one.value) for one in onnx.load(path).metadata_props}
    assert facts == {"class_names": ["all", "hem"], "preprocessing": predictor.preprocessing}


@pytest.mark.parametrize(
    "layers",
    [
        [Conv2D(4, (3, 2), stride=2), ReLU(), Conv2D(3, 3, padding="valid"), Flatten(), Dense(2)],
        [Conv2D(4, 2), MaxPool2D(3, stride=2), Flatten(), Dense(5), ReLU(), Dropout(0.5), Dense(4)],
        [MaxPool2D(2), Flatten(), Dense(3)],
        [Flatten(), Dense(3)],
    ],
)
@pytest.mark.parametrize(
    "scaling", [PixelScaling("unit"), PixelScaling("standardised", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))]
)
def test_onnx_of_other_networks(layers, scaling, tmp_path):
    pytest.importorskip("onnxruntime")
    assert write_onnx(by_hand(layers, scaling=scaling), tmp_path / "m.onnx", random_images(7, 9)) < 1e-4


def test_onnx_of_every_layer(rng, tmp_path):
    pytest.importorskip("onnxruntime")
    around = [Conv2D(6, 1, stride=2), sn.BatchNorm2D()]
    predictor = by_hand([
        sn.Residual([sn.Tanh()]), Conv2D(4, 3), sn.BatchNorm2D(), ReLU(), sn.AveragePool2D(3, 1), sn.DepthwiseConv2D(3),
        sn.Residual([Conv2D(6, 3, stride=2), Sequential([sn.BatchNorm2D(), sn.LeakyReLU(0.2)]), Conv2D(6, 3)], around),
        sn.Residual([sn.Sigmoid(), Conv2D(6, 3)]), sn.GlobalAveragePool2D(), sn.Residual([Dense(6)]), Dense(2),
    ])  # fmt: skip
    for array in predictor.network.buffers().values():
        array[:] = rng.uniform(0.5, 2, size=array.shape)
    assert write_onnx(predictor, tmp_path / "m.onnx", random_images(7, 9)) < 1e-4


def test_onnx_of_float64(tmp_path):
    pytest.importorskip("onnxruntime")
    assert (
        write_onnx(
            by_hand([Conv2D(3, 3), Flatten(), Dense(2)], dtype="float64"), tmp_path / "m.onnx", random_images(3, 9)
        )
        < 1e-4
    )


def test_a_graph_that_says_otherwise_is_not_written(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    predictor = by_hand([Conv2D(3, 3), Flatten(), Dense(2)])
    model = onnx_model(predictor)
    monkeypatch.setattr("scratchnet.use.exchange.onnx.onnx_model", lambda _: model)
    predictor.network.layers[0].bias.value += 0.01  # after the graph was made
    with pytest.raises(DataError, match=r"not written: .* differ from ours"):
        write_onnx(predictor, tmp_path / "m.onnx", random_images(3, 9))
    assert not list(tmp_path.iterdir())


def test_a_layer_of_one_s_own(tmp_path):
    pytest.importorskip("onnxruntime")

    class Doubled:
        def forward(self, x, *, training=False):
            return 2 * x

        def backward(self, dy, *, need_dx=True):
            return 2 * dy

    with pytest.raises(ConfigError, match="cannot be written as ONNX"):
        write_onnx(by_hand([Doubled(), Flatten(), Dense(2)]), tmp_path / "m.onnx", random_images(3, 9))


@pytest.mark.parametrize(
    ("library", "file"), [("onnx", "m.onnx"), ("onnxruntime", "m.onnx"), ("safetensors", "m.safetensors")]
)
def test_the_missing_extra_is_named(library, file, tmp_path, monkeypatch):
    for name in [*sys.modules]:
        if name == library or name.startswith(f"{library}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    predictor = by_hand([Flatten(), Dense(2)])
    write = write_safetensors if library == "safetensors" else lambda *where: write_onnx(*where, random_images(1, 9))
    with pytest.raises(MissingExtraError, match=r"\[export\]"):
        write(predictor, tmp_path / file)
