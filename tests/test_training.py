"""The trainer and the loop: micro-batches, evaluation, interruption and resumption."""

import dataclasses
import errno
import signal

import numpy as np
import pytest

from scratchnet.data import Batch
from scratchnet.errors import ConfigError, DataError, NonFiniteError
from scratchnet.prepare import Settings, prepare_sample
from scratchnet.training import (
    Display,
    Evaluation,
    Experiment,
    Progress,
    Run,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from scratchnet.training.config import Config
from scratchnet.training.divergence import advice, just_found_stuck
from scratchnet.training.interrupt import Interrupt, Interrupted
from scratchnet.training.selection import best_epoch
from tests.small_networks import report_is_small

pytestmark = pytest.mark.usefixtures("small_model")

# A learning rate that is another one at every step, so that a resumed run shows it where it is lost.
CONFIG = Config(image_size=32, epochs=2, batch_size=32, warmup=4, schedule="cosine")


def train(config, shards, folder, stop_after=None, step=None):
    """A run from its beginning, or from its checkpoint; `stop_after` steps it is interrupted. step: called before each one."""
    experiment = Experiment(config, shards)
    if folder.exists():
        run = Run(folder)
        progress = experiment.restore(run.load())
    else:
        run, progress = Run.create(folder, config), Progress()
    do_step, done = experiment.trainer.step, 0

    def observed_step(batch, epoch):
        nonlocal done
        done += 1
        if done == stop_after:
            signal.raise_signal(signal.SIGINT)
        if step:
            step(experiment, done)
        return do_step(batch, epoch)

    experiment.trainer.step = observed_step
    return fit(experiment, run, progress, Display(config.epochs, total=1)), run


@pytest.fixture(scope="module")
def uninterrupted(shards, tmp_path_factory):
    """What the training of CONFIG ends with, and its run."""
    with report_is_small():
        return train(CONFIG, shards, tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("stops", [[1], [3, 5], [7, 7]])
def test_resumed_runs_end_with_the_same_bits(shards, tmp_path, uninterrupted, stops):
    """197 images in batches of 32 are 7 steps an epoch: the run stops inside the first epoch, at its end, and later."""
    whole, whole_run = uninterrupted
    for stop in stops:
        evaluations, _ = train(CONFIG, shards, tmp_path / "cut", stop_after=stop)
        assert evaluations is None
    evaluations, run = train(CONFIG, shards, tmp_path / "cut")
    np.testing.assert_array_equal(evaluations["test"].logits, whole["test"].logits)
    for name, value in whole_run.load().weights.items():
        np.testing.assert_array_equal(run.load().weights[name], value)
    assert (run.folder / "metrics.csv").read_bytes() == (whole_run.folder / "metrics.csv").read_bytes()


def test_a_process_that_dies_between_two_timed_checkpoints_ends_with_the_same_bits(shards, tmp_path):
    """A checkpoint after each step; the process "dies" in the middle of an epoch without a chance to save."""
    config = dataclasses.replace(CONFIG, checkpoint_minutes=1e-9)
    whole, whole_run = train(config, shards, tmp_path / "whole")
    assert [path.name for path in whole_run.checkpoints()] == ["epoch-0002.h5", "epoch-0001-batch-00007.h5"]

    class PowerError(Exception):
        pass

    def fail(experiment, step):
        if step == 4:
            raise PowerError

    with pytest.raises(PowerError):
        train(config, shards, tmp_path / "cut", step=fail)
    assert Run(tmp_path / "cut").load().progress.batches_done == 3
    evaluations, run = train(config, shards, tmp_path / "cut")
    np.testing.assert_array_equal(evaluations["test"].logits, whole["test"].logits)
    assert (run.folder / "metrics.csv").read_bytes() == (whole_run.folder / "metrics.csv").read_bytes()
    for name, value in load_checkpoint(whole_run.best_path).weights.items():
        np.testing.assert_array_equal(load_checkpoint(run.best_path).weights[name], value)


def test_divergence_is_reported_and_what_was_saved_last_is_whole(shards, tmp_path):
    def spoil(experiment, step):
        if step == 10:
            experiment.network.parameters()[4].value[...] = np.nan

    config = dataclasses.replace(CONFIG, checkpoint_minutes=1e-9)
    with pytest.raises(NonFiniteError):
        train(config, shards, tmp_path / "run", step=spoil)
    run = Run(tmp_path / "run")
    trouble = run.trouble_path.read_text(encoding="utf-8")
    for expected in ("epoch 2, batch 3, after 9 steps", "--learning-rate 0.0001 or --clip-norm 1", "conv3.weight"):
        assert expected in trouble
    assert [line.split()[1] for line in trouble.splitlines() if line.startswith("conv3.weight")] == ["nan"]
    checkpoint = run.load()
    assert (checkpoint.progress.epoch, checkpoint.progress.batches_done) == (1, 2)
    assert all(np.isfinite(value).all() for value in checkpoint.weights.values())


def test_weights_that_are_no_numbers_are_not_saved(shards, tmp_path):
    """The step that ruins the weights may be the last one before a checkpoint is due."""

    def spoil(experiment, step):
        if step == 3:
            update = experiment.trainer.optimizer.step

            def ruin():
                update()
                experiment.network.parameters()[-1].value[0] = np.inf

            experiment.trainer.optimizer.step = ruin

    config = dataclasses.replace(CONFIG, checkpoint_minutes=1e-9)
    with pytest.raises(NonFiniteError, match=r"dense3\.bias holds a NaN or an infinity"):
        train(config, shards, tmp_path / "run", step=spoil)
    assert Run(tmp_path / "run").load().progress.batches_done == 2
    assert Run(tmp_path / "run").trouble_path.is_file()


def test_a_disk_that_fills_up_does_not_end_the_training(shards, tmp_path, monkeypatch, capsys):
    written = []

    def fill_up(path, *arguments, **options):
        written.append(path)
        if 2 <= len(written) <= 4:
            raise OSError(errno.ENOSPC, "full")
        return save_checkpoint(path, *arguments, **options)

    monkeypatch.setattr("scratchnet.training.run.save_checkpoint", fill_up)
    config = dataclasses.replace(CONFIG, checkpoint_minutes=1e-9)
    evaluations, run = train(config, shards, tmp_path / "run")
    assert evaluations is not None
    said = capsys.readouterr().out
    assert said.count("CAUTION: the run could not be saved") == 3
    assert "and the next one will be" in said
    assert "free some space" in said
    assert run.load().progress.epoch == 2


def test_a_disk_that_is_full_at_the_end_does(shards, tmp_path, monkeypatch):
    """There is no next occasion: the last checkpoint is tried once more, and then it is an error."""

    def fill_up(path, weights, about, *, optimizer=None, progress=None):
        if progress is not None and progress.epoch == 2:
            raise OSError(errno.ENOSPC, "full")
        return save_checkpoint(path, weights, about, optimizer=optimizer, progress=progress)

    monkeypatch.setattr("scratchnet.training.run.save_checkpoint", fill_up)
    with pytest.raises(OSError, match="full"):
        train(CONFIG, shards, tmp_path / "run")
    assert Run(tmp_path / "run").load().progress.epoch == 1


def test_the_best_weights_are_saved_later_where_they_could_not_be(shards, tmp_path, monkeypatch):
    refused = []

    def refuse_once(path, *arguments, **options):
        if path.name == "best.h5" and not refused:
            refused.append(path)
            raise OSError(errno.ENOSPC, "full")
        return save_checkpoint(path, *arguments, **options)

    _, whole = train(CONFIG, shards, tmp_path / "whole")
    monkeypatch.setattr("scratchnet.training.run.save_checkpoint", refuse_once)
    _, run = train(CONFIG, shards, tmp_path / "run")
    assert refused
    expected, found = load_checkpoint(whole.best_path), load_checkpoint(run.best_path)
    assert found.about["epoch"] == expected.about["epoch"]
    for name, value in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], value)


def test_a_disk_that_is_full_when_it_is_stopped_is_said(shards, tmp_path, monkeypatch, capsys):
    def fill_up(path, *arguments, progress=None, **options):
        if progress is not None and progress.batches_done:
            raise OSError(errno.ENOSPC, "full")
        return save_checkpoint(path, *arguments, progress=progress, **options)

    monkeypatch.setattr("scratchnet.training.run.save_checkpoint", fill_up)
    evaluations, _ = train(CONFIG, shards, tmp_path / "run", stop_after=2)
    assert evaluations is None
    assert "what came after it is lost, and will be done again" in capsys.readouterr().out


def test_a_start_that_collapses_during_the_warm_up_is_said(shards, tmp_path, capsys):
    config = Config(image_size=32, epochs=5, batch_size=64, learning_rate=1e-12, warmup=6)  # 4 steps an epoch
    train(config, shards, tmp_path / "run")
    assert capsys.readouterr().out.count("this start has collapsed") == 1


def test_a_disk_that_is_full_from_the_start_does(shards, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("scratchnet.training.run.save_checkpoint", fail)
    steps = []
    with pytest.raises(OSError, match="full"):
        train(CONFIG, shards, tmp_path / "run", step=lambda experiment, step: steps.append(step))
    assert not steps


def test_a_damaged_image_ends_the_training_after_a_save(shards, tmp_path):
    def damage(experiment, step):
        if step == 2:

            def refuse(number):
                raise DataError("train-0000.h5: image 7 does not agree with its checksum")

            experiment.train_set._read_one = refuse
            experiment.train_set._is_kept[:] = False

    with pytest.raises(DataError, match="image 7"):
        train(CONFIG, shards, tmp_path / "run", step=damage)
    assert 1 <= Run(tmp_path / "run").load().progress.batches_done < 7


def test_it_ends_early_when_nothing_gets_better(shards, tmp_path):
    config = Config(image_size=32, epochs=9, batch_size=128, learning_rate=1e-12, best_metric="loss", patience=2)
    _, run = train(config, shards, tmp_path / "run")
    rows = run.load().progress.rows
    best = best_epoch(rows, "loss")
    assert len(rows) == best + 2 < 9
    assert load_checkpoint(run.best_path).about["epoch"] == best
    # A run that has ended early goes on when it is asked for more patience, and not before.
    train(config, shards, run.folder)
    assert len(run.load().progress.rows) == len(rows)
    train(dataclasses.replace(config, patience=0), shards, run.folder)
    assert len(run.load().progress.rows) == 9


def test_a_cut_batch_gives_the_step_of_the_whole(shards):
    """In float64 only rounding can differ, because every dropout mask belongs to its image."""
    weights = []
    for micro_batch in (32, 5):
        experiment = Experiment(
            Config(image_size=32, dtype="float64", optimizer="sgd", micro_batch=micro_batch, warmup=0), shards
        )
        batch = next(iter(experiment.data.train.epoch(0)))
        experiment.trainer.step(batch, 0)
        weights.append(experiment.network.state_dict())
    start = Experiment(Config(image_size=32, dtype="float64"), shards).network.state_dict()
    for name, value in weights[0].items():
        moved = np.abs(value - start[name]).max()
        assert moved > 0, name
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=1e-11 * moved)


def test_a_trainer_that_has_finished_holds_the_weights_alone(shards):
    experiment = Experiment(Config(image_size=32), shards)
    batch = next(iter(experiment.data.train.epoch(0)))
    experiment.trainer.step(batch, 0)
    answers, weights = experiment.network.forward(batch.images), experiment.network.state_dict()
    experiment.trainer.finish()
    assert not experiment.trainer.optimizer.moments
    assert not any(parameter.grad.any() for parameter in experiment.network.parameters())
    np.testing.assert_array_equal(experiment.network.forward(batch.images), answers)
    for name, value in experiment.network.state_dict().items():
        np.testing.assert_array_equal(value, weights[name])


def test_evaluation_counts():
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [5.0, 0.0], [1.0, 0.0]])
    evaluation = Evaluation(0.0, logits, np.array([0, 1, 1, 0]))
    assert evaluation.accuracy == 0.75
    np.testing.assert_array_equal(evaluation.confusion(), [[2, 0], [1, 1]])
    assert evaluation.balanced_accuracy == 0.75


def test_a_run_is_never_overwritten(tmp_path):
    Run.create(tmp_path / "run", CONFIG)
    with pytest.raises(ConfigError, match="not overwritten"):
        Run.create(tmp_path / "run", CONFIG)


def test_resuming_on_other_data_is_refused(shards, tmp_path):
    train(CONFIG, shards, tmp_path / "run", stop_after=1)
    prepare_sample(tmp_path / "other", Settings(image_size=32, seed=1), quiet=True)
    with pytest.raises(DataError, match="not the data"):
        Experiment(CONFIG, tmp_path / "other").restore(Run(tmp_path / "run").load())


def test_a_run_without_checkpoint_cannot_be_resumed(tmp_path):
    with pytest.raises(DataError, match="no such run"):
        Run(tmp_path / "none").load()
    with pytest.raises(DataError, match="no checkpoint yet"):
        Run.create(tmp_path / "empty", CONFIG).load()


def test_images_of_another_size_are_refused(shards):
    with pytest.raises(ConfigError, match="32×32"):
        Experiment(Config(image_size=64), shards)


def test_an_interrupt_waits_for_the_step():
    seen = []
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:

        def loop():
            for i in interrupt.watch(range(5)):
                seen.append(i)
                if i == 2:
                    signal.raise_signal(signal.SIGINT)

        with pytest.raises(Interrupted):
            loop()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # a second one ends the process at once
    assert seen == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a signal of Unix")
def test_what_the_process_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.asked
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_collapsed_start_is_noticed_once():
    labels = np.array([0] * 70 + [1] * 30)
    constant = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    learning = {"train_loss": 0.5, "train_balanced_accuracy": 0.6}
    stuck = {"train_loss": constant * 1.01, "train_balanced_accuracy": 0.5}
    rows = [learning, *[stuck] * 5]
    assert [just_found_stuck(rows[:n], labels, 3) for n in range(1, 7)] == [False, False, False, True, False, False]
    assert not just_found_stuck([learning] * 3, labels, 3)
    for side in ("train_sample", "test"):  # what is evaluated if not all training images are
        others = [{name.replace("train", side): value for name, value in row.items()} for row in rows]
        assert [just_found_stuck(others[:n], labels, 3) for n in (4, 5)] == [True, False]
    assert not just_found_stuck([{**stuck, "train_loss": 0.5 * constant}] * 3, labels, 3)


@pytest.mark.parametrize(
    ("losses", "stuck"),
    [
        ((0.690, 0.677, 0.672), False),
        ((0.693, 0.692, 0.688), False),
        ((0.6932, 0.6931, 0.6931), True),
        ((0.72, 0.70, 0.694), True),  # it falls towards the constant answer
        ((0.6935, 0.6925, 0.6928), True),
    ],
)
def test_a_start_whose_loss_falls_has_not_collapsed(losses, stuck):
    rows = [{"train_loss": loss, "train_balanced_accuracy": 0.5} for loss in losses]
    assert just_found_stuck(rows, np.array([0, 1] * 20), 3) is stuck


def test_advice_names_only_what_is_not_set_yet():
    faithful = Config(pixels="unit", warmup=0, learning_rate=0.001)
    assert "--pixels standardised" in advice(faithful, 3)
    assert "--learning-rate 0.0003" in advice(faithful, 3)
    assert "--pixels" not in advice(Config(pixels="standardised"), 3)


def test_a_batch_larger_than_memory_allows_is_cut(shards):
    experiment = Experiment(Config(image_size=32, micro_batch=4), shards)
    sizes = []
    forward = experiment.network.forward
    experiment.network.forward = lambda x, **options: (sizes.append(len(x)), forward(x, **options))[1]
    images = np.zeros((10, 32, 32, 3), np.float32)
    experiment.trainer.step(Batch(images, np.zeros(10, np.int64), np.arange(10)), 0)
    assert sizes == [4, 4, 2]
