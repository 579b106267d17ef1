"""Files of other programs in the place of weights: each is named for what it is, with the next step; and so are outputs."""

import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from scratchnet.__main__ import main
from scratchnet.errors import DamagedError, DataError
from scratchnet.storage.foreign_files import foreign_file
from scratchnet.storage.hdf5 import HDF5File
from scratchnet.training.checkpoint import save_checkpoint
from scratchnet.use.predictor import Predictor
from tests.small_runs import make_run, make_sides

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"


def keras(path, **options):
    with h5py.File(path, "w", **options) as file:
        file.attrs["keras_version"] = "2.15.0"
        file.create_group("model_weights").create_dataset("conv/kernel:0", data=np.zeros((3, 3, 3, 8)))


def other_hdf5(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((4, 9, 9, 3), np.uint8)


def archive(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"x")


def safetensors(path):
    head = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))


KINDS = {
    "pointer.h5": (lambda path: path.write_text(POINTER, encoding="utf-8"), "a pointer of Git LFS.*git lfs pull"),
    "keras.h5": (keras, "Keras in HDF5.*from_keras"),
    "new-keras.h5": (lambda path: keras(path, libver="latest"), "Keras in HDF5"),
    "model.keras": (lambda path: archive(path, "config.json", "model.weights.h5"), "a model of Keras.*from_keras"),
    "empty.keras": (lambda path: archive(path, "metadata.json"), "a model of Keras.*from_keras"),
    "cut.keras": (lambda path: path.write_bytes(b"PK\3\4" + bytes(40)), "a model of Keras.*from_keras"),
    "cut.pt": (lambda path: path.write_bytes(b"PK\3\4" + bytes(40)), "of PyTorch.*can run code"),
    "config.toml": (lambda path: path.write_text("seed = 1\n", encoding="utf-8"), "a text: expected .* a run's folder, or a file such as"),
    "metrics.csv": (lambda path: path.write_text("epoch,loss\n1,2\n", encoding="utf-8"), "a table .CSV.: expected .* a run's folder"),
    "run.json": (lambda path: path.write_text("{}", encoding="utf-8"), "a text: expected .* a run's folder"),
    "model.gguf": (lambda path: path.write_bytes(b"GGUF\3" + bytes(40)), "a language model .GGUF.: expected"),
    "cells.mat": (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file, " + bytes(120)), "a file of MATLAB"),
    "saved_model.pb": (lambda path: path.write_bytes(b"\x08\x01\x12" + bytes(40)), "a model of TensorFlow: expected"),
    "patches.h5": (other_hdf5, "an HDF5 file of another program"),
    "model.pt": (lambda path: archive(path, "model/data.pkl"), "of PyTorch.*can run code.*safetensors"),
    "old.pth": (lambda path: path.write_bytes(pickle.dumps({"a": 1}, 2)), "a pickle of Python, which can run code"),
    "set.npz": (lambda path: np.savez(path, a=np.zeros(3)), "NumPy arrays"),
    "cells.png": (lambda path: Image.new("RGB", (9, 9)).save(path), "a PNG image: images come after the network"),
    "runs.zip": (lambda path: archive(path, "runs/x/weights.h5"), "a ZIP archive: unpack it"),
    "weights.html": (lambda path: path.write_text("<!DOCTYPE html><html>", encoding="utf-8"), "web page.*download the file itself"),
    "model.safetensors": (safetensors, "a safetensors file.*scratchnet import"),
    "renamed.h5": (safetensors, "a safetensors file"),
    "model.onnx": (lambda path: path.write_bytes(b"\x08\x08\x12\x0ascratchnet"), "a model in ONNX"),
    "model.tflite": (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(20)), "TensorFlow Lite"),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def foreign(request, tmp_path):
    """A file of another program, and what is said of it."""
    make, said = KINDS[request.param]
    make(tmp_path / request.param)
    return tmp_path / request.param, said


def test_a_file_of_another_program_is_named_as_what_it_is(foreign):
    path, said = foreign
    with pytest.raises(DataError, match=f"is .*{said}") as error:
        Predictor.load(path)
    assert not isinstance(error.value, DamagedError)
    assert "copy this file again" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_import_says_so_too(foreign, tmp_path, capsys):
    pytest.importorskip("safetensors")
    path, said = foreign
    if "safetensors file" not in said:
        assert main(["import", str(path), str(tmp_path / "out.h5")]) == 2
        err = capsys.readouterr().err
        assert "header too large" not in err
        assert f"{path.name} is " in err


def test_what_may_be_ours_is_damaged_and_not_foreign(tmp_path):
    path = tmp_path / "weights.h5"
    save_checkpoint(path, {"a": np.zeros(3, np.float32)}, {})
    whole = path.read_bytes()
    assert foreign_file(path) is None
    for content in (whole[:-20], whole[:8] + b"\0" + whole[9:], b"", b"\0" * 100, b"x"):
        path.write_bytes(content)
        assert foreign_file(path) is None
        with pytest.raises(DamagedError):
            HDF5File(path, "checkpoint", "")
    path.write_bytes(b"")
    with pytest.raises(DamagedError, match="it is empty, of zero bytes"):
        HDF5File(path, "checkpoint", "")
    assert foreign_file(tmp_path / "nothing") is None
    assert foreign_file(tmp_path) is None


def test_verify_calls_foreign_files_unknown_and_a_pointer_damaged(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    keras(folder / "keras.h5")
    save_checkpoint(folder / "weights.h5", {"a": np.zeros(3, np.float32)}, {})
    assert main(["verify", str(folder)]) == 0
    assert "unknown   keras.h5: is a model or the weights of Keras" in capsys.readouterr().out
    (folder / "best.h5").write_text(POINTER, encoding="utf-8")
    assert main(["verify", str(folder)]) == 1
    assert "damaged   best.h5: is a pointer of Git LFS" in capsys.readouterr().out


def test_a_run_of_pointers_is_named(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "weights.h5").write_text(POINTER, encoding="utf-8")
    assert main(["summary", str(tmp_path)]) == 2
    assert "weights.h5 is a pointer of Git LFS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["predict", "{run}", "{data}", "--out", "predictions.xlsx"], "--out predictions.xlsx: CSV, which"),
        (
            ["predict", "{run}", "{data}", "--out", "{data}/p.xlsx"],
            "end in .csv, .json, .jsonl, .txt: say {data}/p.csv",
        ),
        (["predict", "{run}", "{data}", "--out", "p.tsv", "--format", "json"], "end in .json, .txt: say p.json"),
        (
            ["predict", "{run}", "{data}", "--out", "p.json", "--format", "csv"],
            "--format csv and --out p.json disagree: say --format json, or --out p.csv",
        ),
        (["predict", "{run}", "{data}", "--out", "p.csv", "--format", "jsonl"], "--format csv, or --out p.jsonl"),
        (["predict", "{run}", "{data}", "--codalab", "answers.csv"], "say answers.zip"),
        (["evaluate", "{run}", "{data}", "--json", "figures.xlsx"], "JSON can be written there"),
        (["evaluate", "{run}", "{data}", "--predictions", "p.parquet"], "say p.csv"),
        (["compare", "{run}", "{run}", "--out", "both.pdf"], "say both.html"),
        (["report", "{run}", "--out", "page.pdf"], "say page.html"),
        (["explain", "{run}", "{data}", "--out", "sheet.png"], "written into a folder"),
        (["import", "x.safetensors", "weights.pt"], "say weights.h5"),
        (["export", "{run}", "model.pt"], "NAME.onnx or NAME.safetensors"),
    ],
)
def test_no_output_is_called_what_it_is_not(tmp_path, monkeypatch, capsys, command, said):
    data = make_sides(tmp_path / "data", train=4, test=4)
    run = make_run(tmp_path / "run", data)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert main([part.format(run=run.folder, data=data) for part in command]) == 2
    assert said.format(data=data) in capsys.readouterr().err.replace("\\\\", "\\").replace(f"{data}\\", f"{data}/")
    assert set(tmp_path.iterdir()) == before
