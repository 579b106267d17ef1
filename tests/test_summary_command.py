"""python -m scratchnet summary: of a run, a file, a preset."""

import shutil

import pytest

from scratchnet.__main__ import main
from scratchnet.training import Progress, load_checkpoint, read_about, save_checkpoint


def summary(capsys, what):
    code = main(["summary", str(what)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_of_a_run(trained_run, capsys):
    code, out, _ = summary(capsys, trained_run.folder)
    assert code == 0
    for expected in (
        "epochs    2 done",
        "last    epoch 2: train loss",
        "best    epoch",
        f"data      {trained_run.data}",
        "classes   all, hem",
        "(x / 255 − mean) / std",
        "conv5",
        f"{'batch_size':<18}  {'48':<17}  256",
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
    assert "epochs    0 done, and 3 batches of the next" in out


def test_the_best_is_the_first_among_equals(trained_run, tmp_path, capsys):
    shutil.copy(trained_run.folder / "weights.h5", tmp_path)
    lines = [
        "epoch,train_loss,test_loss,test_accuracy,test_balanced_accuracy",
        *("1,0.7,0.6,0.5,0.5", "2,0.6,0.5,0.8,0.7", "3,0.5,0.4,0.8,0.7"),
    ]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    out = summary(capsys, tmp_path)[1]
    assert "last    epoch 3: train loss 0.5000, test loss 0.4000, test accuracy 80.0%, balanced 70.0%" in out
    assert "best    epoch 2" in out
    assert "by balanced_accuracy of the test side" in out
    (tmp_path / "metrics.csv").write_text("epoch,odd\n1,2\n")
    code, _, err = summary(capsys, tmp_path)
    assert code == 2
    assert "metrics.csv" in err


def test_of_a_file(trained_run, capsys):
    code, out, _ = summary(capsys, trained_run.folder / "weights.h5")
    assert code == 0
    assert "5,932,354" in out
    assert " done" not in out


@pytest.mark.parametrize("name", ["report-256", "report-wide-32", "report-32-wide"])
def test_of_a_preset(capsys, name):
    code, out, _ = summary(capsys, name)
    assert code == (2 if name == "report-wide-32" else 0)
    assert (f"{'learning_rate':<18}  {'0.001':<17}  0.001" in out) == (code == 0)


def test_about_is_read_without_the_weights(trained_run):
    file = trained_run.folder / "checkpoints" / "epoch-0002.h5"
    stored = load_checkpoint(file)
    assert read_about(file) == (stored.about, stored.progress)
    assert read_about(trained_run.folder / "weights.h5")[1] is None
