"""python -m scratchnet summary: of a run, a file, a preset."""

import shutil

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
from scratchnet.__main__ import main
from scratchnet.prepare import SAMPLE
from scratchnet.training import Progress, load_checkpoint, read_about, save_checkpoint


def summary(capsys, what):
    code = main(["summary", str(what)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_of_a_run(trained_run, capsys):
    code, out, _ = summary(capsys, trained_run.folder)
    assert code == 0
    for expected in (
        "epochs    2 of 2 done",
        "last    epoch 2: train loss",
        "best    epoch",
        f"data      {trained_run.data}",
        "classes   all, hem",
        "(x / 255 − mean) / std",
        "conv5",
        f"{'batch_size':<18}  {'48':<17}  {'32':<17}  256",
        f"{(trained_run.folder / 'weights.h5').stat().st_size:,}  weights.h5",
    ):
        assert expected in out


def test_of_a_run_that_has_just_begun(trained_run, tmp_path, capsys):
    stored = load_checkpoint(trained_run.folder / "weights.h5")
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(
        tmp_path / "checkpoints" / "epoch-0000-batch-00003.h5", stored.weights, stored.about, progress=Progress(0, 3)
    )
    code, out, _ = summary(capsys, tmp_path)
    assert code == 0
    assert "epochs    0 of 2 done, and 3 batches of the next" in out
    assert "training has not ended" in out
    (tmp_path / "best.h5").write_bytes((trained_run.folder / "best.h5").read_bytes())
    for weights in ("last", "best"):
        assert main(["predict", str(tmp_path), str(SAMPLE / "fold_0" / "hem"), "--weights", weights]) == 0
        assert "CAUTION: training has not ended: 0 of 2 epochs are done" in capsys.readouterr().err


def test_of_equals_the_first_is_the_best(trained_run, tmp_path, capsys):
    shutil.copy(trained_run.folder / "weights.h5", tmp_path)
    lines = [
        "epoch,train_loss,test_loss,test_accuracy,test_balanced_accuracy",
        *("1,0.7,0.6,0.5,0.5", "2,0.6,0.5,0.8,0.7", "3,0.5,0.4,0.8,0.7"),
    ]
    (tmp_path / "metrics.csv").write_text("\n".join(lines), encoding="utf-8")
    out = summary(capsys, tmp_path)[1]
    assert "last    epoch 3: train loss 0.5000, test loss 0.4000, test accuracy 80.0%, balanced 70.0%" in out
    assert "best    epoch 2" in out
    assert "by balanced_accuracy of the test side" in out
    (tmp_path / "metrics.csv").write_text("epoch,odd\n1,2\n", encoding="utf-8")
    code, _, err = summary(capsys, tmp_path)
    assert code == 2
    assert "metrics.csv" in err


def test_of_a_classifier_s_file(tmp_path, capsys):
    """It was trained on arrays: no data, no command."""
    X = np.arange(4, dtype=np.uint8)[:, None, None, None].repeat(32, 1).repeat(32, 2).repeat(3, 3) * 60
    sn.Classifier(epochs=1, batch_size=4).fit(X, [0, 1, 0, 1]).predictor_.save(tmp_path / "c.h5")
    code, out, _ = summary(capsys, tmp_path / "c.h5")
    assert code == 0
    assert "classes   0, 1" in out
    assert "data  " not in out
    Image.fromarray(X[1]).save(tmp_path / "one.png")
    assert main(["predict", str(tmp_path / "c.h5"), str(tmp_path / "one.png")]) == 0
    assert "1 of 1 file predicted" in capsys.readouterr().err


def test_of_a_file(trained_run, capsys):
    code, out, _ = summary(capsys, trained_run.folder / "weights.h5")
    assert code == 0
    assert "5,932,354" in out
    assert " done" not in out


@pytest.mark.parametrize("name", ["report-256", "report-wide-32", "report-32-wide"])
def test_of_a_preset(capsys, name):
    code, out, _ = summary(capsys, name)
    assert code == (2 if name == "report-wide-32" else 0)
    assert (f"{'learning_rate':<18}  {'0.001':<17}  {'0.0003':<17}  0.001" in out) == (code == 0)


def test_about_is_read_without_the_weights(trained_run):
    file = trained_run.folder / "checkpoints" / "epoch-0002.h5"
    stored = load_checkpoint(file)
    assert read_about(file) == (stored.about, stored.progress)
    assert read_about(trained_run.folder / "weights.h5")[1] is None


def test_of_a_network_alone(tmp_path, capsys):
    net = sn.Sequential([sn.Flatten(), sn.Dense(2)])
    net.build((4, 4, 3))
    net.save(tmp_path / "net.h5")
    code, out, _ = summary(capsys, tmp_path / "net.h5")
    assert code == 0
    for expected in ("a network alone, as net.save writes it", "4 × 4 × 3, float32", "dense1", " 98 ", "  net.h5"):
        assert expected in out
