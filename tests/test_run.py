"""The folder of a run: what is kept, what is used when something is damaged, and what is refused."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from scratchnet.errors import ConfigError, DataError
from scratchnet.training import Progress, Run, load_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.resume import history, resumed_config, resumed_data
from scratchnet.training.selection import best_epoch, out_of_patience

WEIGHTS = {"dense1.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
ABOUT = {"config": {}, "data": "prepared/sample"}


def row(epoch, **values):
    return {"epoch": epoch, "test_loss": 0.5, "test_accuracy": 0.5, "test_balanced_accuracy": 0.5, **values}


def save(run, epoch, batches=0, **options):
    progress = Progress(epoch=epoch, batches_done=batches, rows=[row(k + 1) for k in range(epoch)])
    weights = {"dense1.weight": WEIGHTS["dense1.weight"] + epoch}
    return run.save(weights, {"steps": np.array(epoch)}, ABOUT, progress, **options)


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "runs" / "one", Config())


def names(run):
    return [path.name for path in run.checkpoints()]


def test_the_newest_two_are_kept(run):
    for epoch, batches in [(0, 0), (0, 7), (1, 0), (1, 3), (1, 12)]:
        save(run, epoch, batches)
    assert names(run) == ["epoch-0001-batch-00012.h5", "epoch-0001-batch-00003.h5"]
    assert run.load().progress.batches_done == 12


def test_every_nth_epoch_is_kept(run):
    for epoch in range(8):
        save(run, epoch, keep_every=3)
        save(run, epoch, 5, keep_every=3)
    assert names(run) == ["epoch-0007-batch-00005.h5", "epoch-0007.h5", "epoch-0006.h5", "epoch-0003.h5"]


def test_ten_epochs_come_after_nine(run):
    save(run, 9, 99999)
    save(run, 10)
    assert names(run) == ["epoch-0010.h5", "epoch-0009-batch-99999.h5"]


def test_the_one_before_a_damaged_one_is_used_and_it_is_said(run):
    save(run, 1)
    damaged = save(run, 2)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    said = []
    assert run.load(said.append).progress.epoch == 1
    assert len(said) == 1
    assert damaged.name in said[0]
    assert damaged.is_file()  # only who goes on with the run moves anything
    run.load(said.append, set_aside=True)
    assert names(run) == ["epoch-0001.h5"]
    assert damaged.with_name(damaged.name + ".damaged").is_file()
    save(run, 2)
    assert names(run) == ["epoch-0002.h5", "epoch-0001.h5"]


def test_only_what_is_damaged_is_set_aside(run, monkeypatch):
    """Another version of the format, or no right to read, is no damage: nothing is moved, and the reason is said."""
    save(run, 1)
    save(run, 2)
    before = names(run)
    monkeypatch.setattr("scratchnet.training.checkpoint.VERSION", 99)
    with pytest.raises(DataError, match="this program reads version 99"):
        run.load(set_aside=True)
    monkeypatch.undo()
    monkeypatch.setattr(
        "scratchnet.storage.hdf5.reader.open",
        lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no")),
        raising=False,
    )
    with pytest.raises(DataError, match="cannot be read"):
        run.load(set_aside=True)
    assert names(run) == before


def test_nothing_is_set_aside_where_none_is_whole(run):
    for epoch in (1, 2):
        save(run, epoch).write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of its 2"):
        run.load(lambda line: None, set_aside=True)
    assert names(run) == ["epoch-0002.h5", "epoch-0001.h5"]


def test_a_run_that_saved_nothing_frees_its_name(run):
    run.discard_if_empty()
    assert not run.folder.exists()
    saved = Run.create(run.folder, Config())
    save(saved, 1)
    saved.discard_if_empty()
    assert names(saved) == ["epoch-0001.h5"]


def test_a_folder_that_is_no_run_is_not_touched(tmp_path):
    with pytest.raises(DataError, match="is not a run"):
        Run(tmp_path).require_there()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["epochs = ", "epochs = 0"])
def test_a_broken_config_names_the_remedy(run, text):
    checkpoint = checkpoint_of(run, Config(epochs=5))
    run.config_path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml.*delete it"):
        resumed_config(run, checkpoint, {})


def test_tables_of_epochs_that_are_undone_go(run):
    save(run, 2)
    assert (run.folder / "metrics.csv").is_file()
    run.write_tables(Progress())
    assert not (run.folder / "metrics.csv").exists()


def test_when_all_are_damaged_it_is_said(run):
    for epoch in (1, 2):
        save(run, epoch).write_bytes(b"nothing")
    said = []
    with pytest.raises(DataError, match="none of its 2 checkpoints is whole"):
        run.load(said.append)
    assert len(said) == 2


def test_an_older_checkpoint_goes_only_after_the_new_one_is_whole(run, monkeypatch):
    save(run, 1)
    save(run, 2)
    monkeypatch.setattr("scratchnet.storage.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        save(run, 3)
    monkeypatch.undo()
    assert names(run) == ["epoch-0002.h5", "epoch-0001.h5"]


def test_what_a_killed_process_left_is_removed(run):
    save(run, 1)
    (run.folder / ".0123456789abcdef.partial.csv").write_text("half", encoding="utf-8")
    (run.checkpoints_folder / ".0123456789abcdef.partial.h5").write_text("half", encoding="utf-8")
    (run.folder / ".mine.h5").write_text("somebody's own", encoding="utf-8")
    before = names(run)
    run.remove_leftovers()
    assert names(run) == before
    assert sorted(path.name for path in run.folder.rglob(".*")) == [".mine.h5"]


def test_the_best_epoch():
    rows = [row(1, test_loss=0.6), row(2, test_loss=0.4, test_accuracy=0.7), row(3, test_loss=0.4, test_accuracy=0.7)]
    assert best_epoch([], "loss") == 0
    assert best_epoch(rows, "loss") == 2
    assert best_epoch(rows, "accuracy") == 2
    assert best_epoch(rows, "balanced_accuracy") == 1  # all the same: the first, whatever their losses are
    validated = [{**one, "validation_loss": loss} for one, loss in zip(rows, (0.3, 0.5, 0.4), strict=True)]
    assert best_epoch(validated, "loss") == 1  # on the validation side, where there is one


@pytest.mark.parametrize(
    ("patience", "ends"),
    [(0, [False] * 4), (1, [False, False, True, True]), (2, [False, False, False, True])],
)
def test_patience(patience, ends):
    rows = [row(k + 1, test_loss=loss) for k, loss in enumerate([0.5, 0.4, 0.45, 0.41])]
    assert [out_of_patience(rows[:n], "loss", patience) for n in range(1, 5)] == ends


# ---- Going on.


def checkpoint_of(run, config):
    run.save(WEIGHTS, {"steps": np.array(1)}, {"config": asdict(config), "data": "gone"}, Progress(epoch=2))
    return load_checkpoint(run.checkpoints()[0])


def test_a_run_goes_on_with_its_own_settings(run):
    config = Config(epochs=5, learning_rate=0.01)
    run.write_config(config)
    checkpoint = checkpoint_of(run, config)
    assert resumed_config(run, checkpoint, {}) == config
    assert resumed_config(run, checkpoint, {"epochs": 9, "learning_rate": 0.01}).epochs == 9


def test_every_difference_is_named(run):
    config = Config(epochs=5, learning_rate=0.01)
    run.write_config(config)
    checkpoint = checkpoint_of(run, config)
    with pytest.raises(ConfigError) as refused:
        resumed_config(run, checkpoint, {"learning_rate": 0.02, "seed": 4, "epochs": 7})
    for expected in ("learning_rate is 0.01 there, 0.02 on the command line", "seed is 0 there, 4", "--config"):
        assert expected in str(refused.value)
    assert "epochs" not in str(refused.value)
    run.config_path.write_text("batch_size = 8\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"batch_size is 32 there, 8 in its config\.toml"):
        resumed_config(run, checkpoint, {})


def test_epochs_that_were_raised_stay_raised(run):
    """A process that was killed before its first checkpoint has still been told the new number."""
    checkpoint = checkpoint_of(run, Config(epochs=5))
    run.write_config(Config(epochs=8))
    assert resumed_config(run, checkpoint, {}).epochs == 8


def test_fewer_epochs_than_are_done_are_refused(run):
    run.write_config(Config(epochs=5))
    with pytest.raises(ConfigError, match="2 epochs behind it; --epochs 1 is less"):
        resumed_config(run, checkpoint_of(run, Config(epochs=5)), {"epochs": 1})


@pytest.mark.parametrize("stored", [None, [], {"epochs": "many"}, {"colour": 3}])
def test_a_checkpoint_with_a_strange_configuration_says_so(run, stored):
    run.save(WEIGHTS, {"steps": np.array(1)}, json.loads(json.dumps({"config": stored})), Progress())
    with pytest.raises(DataError, match="no configuration that this version knows"):
        resumed_config(run, load_checkpoint(run.checkpoints()[0]), {})


def test_data_that_has_moved_is_asked_for(run, tmp_path):
    checkpoint = checkpoint_of(run, Config())
    with pytest.raises(DataError, match="say where they are now with --data"):
        resumed_data(run, checkpoint, None)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "manifest.json").write_text("{}", encoding="utf-8")
    assert resumed_data(run, checkpoint, str(tmp_path / "moved")) == tmp_path / "moved"


def test_what_was_changed_on_the_way_is_kept(run):
    checkpoint = checkpoint_of(run, Config(epochs=5))
    assert history(checkpoint, Config(epochs=5)) == []
    changed = history(checkpoint, Config(epochs=9, keep_every=2))
    assert changed == [{"at_epoch": 2, "epochs": [5, 9], "keep_every": [0, 2]}]
    checkpoint.about["history"] = changed
    assert history(checkpoint, Config(epochs=5)) == changed
    assert len(history(checkpoint, Config(epochs=6))) == 2
