"""`python -m scratchnet verify`: one verdict a file, and exit code 1 if a single one is bad."""

import numpy as np
import pytest
from small_data import make_dataset

from scratchnet.__main__ import main
from scratchnet.errors import ConfigError
from scratchnet.training import Progress, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.use.verify import DAMAGED, OK, UNKNOWN, files_below, verify

ROWS = [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.1 + 0.2}]
WEIGHTS = {"conv1.weight": np.ones((2, 3), np.float32)}


@pytest.fixture
def dataset(tmp_path):
    make_dataset(tmp_path / "data", sizes=(5, 4))
    return tmp_path / "data"


@pytest.fixture
def run(tmp_path):
    """A run's folder as training leaves it."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    config = Config(epochs=2)
    about = {"config": vars(config)}
    (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    for epoch in (1, 2):
        path = folder / "checkpoints" / f"epoch-{epoch:04d}.h5"
        save_checkpoint(path, WEIGHTS, about, optimizer=WEIGHTS, progress=Progress(epoch=epoch, rows=ROWS[:epoch]))
    for name in ("weights.h5", "best.h5"):
        save_checkpoint(folder / name, WEIGHTS, about)
    (folder / "metrics.csv").write_text("epoch,train_loss\n1,0.5\n2,0.30000000000000004\n", encoding="utf-8")
    (folder / "timings.csv").write_text("epoch,seconds\n", encoding="utf-8")
    return folder


def states(path):
    return {verdict.path.name: verdict.state for verdict in verify(path)}


def text(path, name):
    return next(verdict.text for verdict in verify(path) if verdict.path.name == name)


def flip(path, position=None):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 1
    path.write_bytes(content)


def test_a_good_dataset(dataset, capsys):
    assert states(dataset) == {"manifest.json": OK, "train-0000.h5": OK, "train-0001.h5": OK}
    assert main(["verify", str(dataset)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "ok        manifest.json: manifest of 9 images: train"
    assert said[-1] == "3 files: 3 ok"


def test_each_bad_shard_has_its_line(dataset, capsys):
    flip(dataset / "train-0000.h5")
    (dataset / "train-0001.h5").unlink()
    (dataset / "notes.txt").write_text("x", encoding="utf-8")
    (dataset / ".0123456789abcdef.partial.h5").write_text("x", encoding="utf-8")
    assert main(["verify", str(dataset)]) == 1
    said = capsys.readouterr().out
    assert "damaged   train-0000.h5: " in said
    assert "damaged   train-0001.h5: this shard is missing" in said
    assert "unknown   notes.txt: the manifest does not name it" in said
    assert "unknown   .0123456789abcdef.partial.h5: left over from a write that was stopped" in said
    assert said.endswith("5 files: 1 ok, 2 damaged, 2 unknown\n")


def test_damage_that_no_reader_meets_is_in_the_digest(dataset):
    """Bytes between HDF5's structures are never read, but the file is not the one that was written."""
    path = dataset / "train-0000.h5"
    content = path.read_bytes()
    for position in range(len(content) - 1, 0, -1):
        flip(path, position)
        if "SHA-256" in text(dataset, path.name):
            break
        path.write_bytes(content)
    else:
        pytest.fail("no byte of the file is without a reader")
    assert states(dataset)[path.name] == DAMAGED


def test_a_bad_manifest_leaves_the_shards_to_themselves(dataset):
    flip(dataset / "manifest.json")
    flip(dataset / "train-0001.h5")
    assert states(dataset) == {"manifest.json": DAMAGED, "train-0000.h5": OK, "train-0001.h5": DAMAGED}
    (dataset / "manifest.json").unlink()
    assert states(dataset) == {"manifest.json": DAMAGED, "train-0000.h5": OK, "train-0001.h5": DAMAGED}


def test_a_good_run(run, capsys):
    expected = dict.fromkeys(
        ["config.toml", "epoch-0001.h5", "epoch-0002.h5", "metrics.csv", "weights.h5", "best.h5"], OK
    )
    (run / "notes.txt").write_text("x", encoding="utf-8")
    assert states(run) == expected | {"timings.csv": OK, "notes.txt": UNKNOWN}
    assert text(run, "metrics.csv") == "metrics, epochs: 2, as in epoch-0002.h5"
    assert main(["verify", str(run)]) == 0
    assert (
        "ok        checkpoints/epoch-0001.h5: checkpoint, epochs done: 1, batches of the next: 0"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("name", ["checkpoints/epoch-0001.h5", "weights.h5"])
def test_a_damaged_checkpoint(run, name):
    flip(run / name)
    assert states(run)[name.rpartition("/")[2]] == DAMAGED


def test_weights_that_are_no_numbers_are_said(run):
    save_checkpoint(run / "weights.h5", {"conv1.weight": np.array([np.nan, 1.0])}, {})
    assert text(run, "weights.h5") == "weights alone; NaN or infinite numbers in weights/conv1.weight"


BAD_METRICS = {
    "another number": "epoch,train_loss\n1,0.5\n2,0.3\n",
    "a word": "epoch,train_loss\n1,0.5\n2,x\n",
    "a field too few": "epoch,train_loss\n1,0.5\n2\n",
    "a field too many": "epoch,train_loss\n1,0.5,1\n2,0.3\n",
    "an epoch twice": "epoch,train_loss\n1,0.5\n1,0.5\n",
    "two epochs too few": "epoch,train_loss\n",
    "no text": b"\xff\xfe\x00epoch",
    "a quote that never ends": 'epoch,train_loss\n1,"0.5\n',
    "empty": "",
}


@pytest.mark.parametrize("content", BAD_METRICS.values(), ids=BAD_METRICS)
def test_bad_metrics(run, content):
    (run / "metrics.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert states(run)["metrics.csv"] == DAMAGED
    assert "Resuming the run writes it again" in text(run, "metrics.csv")


def test_metrics_one_epoch_behind_are_a_stop_between_two_writes(run):
    (run / "metrics.csv").write_text("epoch,train_loss\n1,0.5\n", encoding="utf-8")
    assert states(run)["metrics.csv"] == OK


def test_an_edited_configuration(run):
    (run / "config.toml").write_text(Config(epochs=9).to_toml(), encoding="utf-8")
    assert states(run)["config.toml"] == OK  # epochs may be raised
    (run / "config.toml").write_text(Config(learning_rate=0.5).to_toml(), encoding="utf-8")
    assert "learning_rate is 0.5, in epoch-0002.h5 0.0003" in text(run, "config.toml")
    (run / "config.toml").write_text("nonsense = 3", encoding="utf-8")
    assert states(run)["config.toml"] == DAMAGED


def test_single_files(dataset, run, capsys):
    for path in (
        dataset / "train-0000.h5",
        run / "weights.h5",
        run / "config.toml",
        run / "metrics.csv",
        dataset / "manifest.json",
    ):
        assert main(["verify", str(path)]) == 0, path
    flip(run / "weights.h5")
    assert main(["verify", str(run / "weights.h5")]) == 1
    assert "1 file: 1 damaged" in capsys.readouterr().out


def test_what_cannot_be_verified(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    for path in ("nothing", "empty", "a.txt"):
        with pytest.raises(ConfigError, match=path):
            verify(tmp_path / path)
        assert main(["verify", str(tmp_path / path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_bar_ends_full(dataset, run):
    for folder in (dataset, run):
        sizes = []
        list(verify(folder, sizes.append))
        expected = sum(path.stat().st_size for path in files_below(folder) if path.name != "manifest.json")
        assert sum(sizes) == expected


def test_predictions_are_read(run):
    (run / "predictions.csv").write_text("path,subject\n1,2\n", encoding="utf-8")
    assert states(run)["predictions.csv"] == DAMAGED


def test_a_renamed_column_is_damage(run):
    table = run / "metrics.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("train_loss", "train_lossx"), encoding="utf-8")
    assert "columns" in text(run, "metrics.csv")


def test_missing_files_of_a_run_are_named(run):
    (run / "metrics.csv").unlink()
    (run / "config.toml").unlink()
    assert states(run)["metrics.csv"] == states(run)["config.toml"] == DAMAGED
    assert main(["verify", str(run)]) == 1


def test_what_is_no_file_gets_a_verdict(run):
    (run / "nowhere.h5").symlink_to(run / "gone.h5")
    assert states(run)["nowhere.h5"] == UNKNOWN


def test_the_pages_of_a_run(run):
    """They are known, and held to be whole; they have no checksum."""
    for name in ("report.html", "report-best.html"):
        (run / name).write_text("<!doctype html>\n<html><body>é</body></html>\n", encoding="utf-8")
    (run / "trouble.txt").write_text("a NaN", encoding="utf-8")
    assert {states(run)[name] for name in ("report.html", "report-best.html", "trouble.txt")} == {OK}
    content = (run / "report.html").read_bytes()
    for damaged in (b"", content[:-9], content[9:], b"\0" * len(content)):
        (run / "report.html").write_bytes(damaged)
        assert states(run)["report.html"] == DAMAGED
        assert "writes it again" in text(run, "report.html")
