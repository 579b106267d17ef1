"""The trainer and the loop: micro-batches, evaluation, interruption and resumption."""

import signal

import numpy as np
import pytest

from data_prep import Settings, prepare_sample
from scratchnet.config import Config
from scratchnet.data import Batch
from scratchnet.errors import ConfigError, DataError
from scratchnet.training import Display, Evaluation, Experiment, Progress, Run, fit
from scratchnet.training.interrupt import Interrupt, Interrupted
from scratchnet.training.trouble import advice, just_found_stuck

CONFIG = Config(image_size=32, epochs=2, batch_size=32, warmup=4)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "sample"
    prepare_sample(folder, Settings(image_size=32), quiet=True)
    return folder


def train(config, shards, folder, stop_after=None, step=None):
    """A run from its beginning, or from its checkpoint; `stop_after` steps it is interrupted. step: called before each one."""
    experiment = Experiment(config, shards)
    if folder.exists():
        run = Run(folder)
        progress = experiment.take_over(run.load())
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


@pytest.mark.parametrize("stops", [[1], [3, 5], [7, 7]])
def test_resumed_runs_end_with_the_same_bits(shards, tmp_path, stops):
    """197 images in batches of 32 are 7 steps an epoch: the run stops inside the first epoch, at its end, and later."""
    whole, whole_run = train(CONFIG, shards, tmp_path / "whole")
    for stop in stops:
        evaluations, _ = train(CONFIG, shards, tmp_path / "cut", stop_after=stop)
        assert evaluations is None
    evaluations, run = train(CONFIG, shards, tmp_path / "cut")
    np.testing.assert_array_equal(evaluations["test"].logits, whole["test"].logits)
    for name, value in whole_run.load().weights.items():
        np.testing.assert_array_equal(run.load().weights[name], value)
    assert (run.folder / "metrics.csv").read_bytes() == (whole_run.folder / "metrics.csv").read_bytes()


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
        Experiment(CONFIG, tmp_path / "other").take_over(Run(tmp_path / "run").load())


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
    assert not just_found_stuck([{**stuck, "train_loss": 0.5 * constant}] * 3, labels, 3)


def test_advice_names_only_what_is_not_set_yet():
    faithful = Config(pixels="unit", warmup=0, learning_rate=0.001)
    assert "--pixels standardised" in advice(faithful, 3)
    assert "--learning-rate 0.00033" in advice(faithful, 3)
    assert "--pixels" not in advice(Config(pixels="standardised"), 3)


def test_a_batch_larger_than_memory_allows_is_cut(shards):
    experiment = Experiment(Config(image_size=32, micro_batch=4), shards)
    sizes = []
    forward = experiment.network.forward
    experiment.network.forward = lambda x, **options: (sizes.append(len(x)), forward(x, **options))[1]
    images = np.zeros((10, 32, 32, 3), np.float32)
    experiment.trainer.step(Batch(images, np.zeros(10, np.int64), np.arange(10)), 0)
    assert sizes == [4, 4, 2]
