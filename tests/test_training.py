"""The trainer and the loop: micro-batches, evaluation, interruption and resumption."""

import signal
from dataclasses import asdict, replace

import numpy as np
import pytest

from data_prep import Settings, prepare_sample
from scratchnet import reference
from scratchnet.config import Config
from scratchnet.data import Augmentation, Batch, symmetry
from scratchnet.errors import ConfigError, DataError
from scratchnet.training import Display, Evaluation, Experiment, Progress, Run, fit
from scratchnet.training.interrupt import Interrupt, Interrupted
from scratchnet.training.loop import advice, just_found_stuck

CONFIG = Config(image_size=32, epochs=2, batch_size=32, warmup=4)
OPTIONS = {"schedule": "step", "step_epochs": 1, "brightness": 0.2, "class_weights": "balanced"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "sample"
    prepare_sample(folder, Settings(image_size=32), quiet=True)
    return folder


def train(config, shards, folder, stop_after=None):
    """A run from its beginning, or from its checkpoint; `stop_after` steps it is interrupted."""
    experiment = Experiment(config, shards)
    if folder.exists():
        run = Run(folder)
        progress = experiment.take_over(run.load())
    else:
        run, progress = Run.create(folder, config), Progress()
    if stop_after is not None:
        step = experiment.trainer.step

        def step_then_stop(batch, epoch):
            nonlocal stop_after
            stop_after -= 1
            if stop_after == 0:
                signal.raise_signal(signal.SIGINT)
            return step(batch, epoch)

        experiment.trainer.step = step_then_stop
    display = Display(config.epochs, total=1)
    return fit(experiment.trainer, experiment.data, config.epochs, run, experiment.about, progress, display), run


@pytest.mark.parametrize(("stops", "options"), [([1], {}), ([3, 5], OPTIONS), ([7, 7], {})])
def test_resumed_runs_end_with_the_same_bits(shards, tmp_path, stops, options):
    """197 images in batches of 32 are 7 steps an epoch: the run stops inside the first epoch, at its end, and later."""
    config = replace(CONFIG, **options)
    whole, whole_run = train(config, shards, tmp_path / "whole")
    for stop in stops:
        evaluation, _ = train(config, shards, tmp_path / "cut", stop_after=stop)
        assert evaluation is None
    evaluation, run = train(config, shards, tmp_path / "cut")
    np.testing.assert_array_equal(evaluation.logits, whole.logits)
    for name, value in whole_run.load().weights.items():
        np.testing.assert_array_equal(run.load().weights[name], value)
    assert (run.folder / "metrics.csv").read_bytes() == (whole_run.folder / "metrics.csv").read_bytes()


def test_a_cut_batch_gives_the_step_of_the_whole(shards):
    """In float64 only rounding can differ, because every dropout mask belongs to its image."""
    weights, options = [], {"dtype": "float64", "optimizer": "sgd", "warmup": 0, "class_weights": "balanced"}
    for micro_batch in (32, 5):
        experiment = Experiment(Config(image_size=32, micro_batch=micro_batch, **options), shards)
        batch = next(iter(experiment.data.train.epoch(0)))
        experiment.trainer.step(batch, 0)
        weights.append(experiment.network.state_dict())
    start = Experiment(Config(image_size=32, dtype="float64"), shards).network.state_dict()
    for name, value in weights[0].items():
        moved = np.abs(value - start[name]).max()
        assert moved > 0, name
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=1e-11 * moved)


def test_each_option_reaches_what_it_is_for(shards):
    trained = Experiment(
        Config(
            image_size=32, epochs=9, warmup=0, schedule="step", step_epochs=2, step_factor=0.5, augment="rotations", brightness=0.3,
            class_weights="balanced", test_symmetries="average",
        ),
        shards,
    )  # fmt: skip
    steps = len(trained.data.train)
    rates = [trained.trainer.schedule.rate(e * steps) for e in (2, 3, 4, 8)]
    assert rates == pytest.approx([0.00015, 0.00015, 0.000075, 0.00001875])
    assert trained.data.train.augment == Augmentation("rotations", 0.3)
    assert trained.data.train_check.augment is trained.data.test.augment is None
    counts = np.bincount(trained.train_set.labels)
    np.testing.assert_allclose(trained.trainer.loss.class_weights, counts.sum() / (2 * counts))
    assert trained.data.test_symmetries
    plain = Experiment(Config(image_size=32), shards)
    assert plain.trainer.loss.class_weights is None
    assert not plain.data.test_symmetries


@pytest.mark.parametrize("micro_batch", [32, 5])
def test_an_evaluation_counts_every_image_the_same(shards, micro_batch):
    """Whatever the class weights of training are, and however the batches are cut."""
    config = Config(image_size=32, dtype="float64", class_weights="balanced", micro_batch=micro_batch)
    experiment = Experiment(config, shards)
    plain = experiment.trainer.evaluate(experiment.data.test.epoch(0))
    expected = reference.softmax_cross_entropy(plain.logits, plain.labels).mean()
    assert plain.loss == pytest.approx(expected, rel=1e-12)


def test_an_evaluation_averaged_over_the_symmetries(shards):
    experiment = Experiment(Config(image_size=32, dtype="float64", batch_size=8, micro_batch=5), shards)
    batch = next(iter(experiment.data.test.epoch(0)))
    averaged = experiment.trainer.evaluate([batch], symmetries=True)
    views = [experiment.network.forward(symmetry(batch.images, s), training=False) for s in range(8)]
    np.testing.assert_allclose(averaged.logits, reference.log_mean_softmax(np.stack(views)), rtol=1e-9)
    assert averaged.loss == pytest.approx(-averaged.logits[np.arange(len(batch)), batch.labels].mean(), rel=1e-9)


def test_test_images_are_averaged_and_training_images_are_not(shards, tmp_path):
    config = Config(image_size=32, epochs=1, batch_size=64, test_symmetries="average")
    evaluation, run = train(config, shards, tmp_path / "run")
    experiment = Experiment(config, shards)
    progress = experiment.take_over(run.load())
    again = experiment.trainer.evaluate(experiment.data.test.epoch(0), symmetries=True)
    np.testing.assert_array_equal(evaluation.logits, again.logits)
    check = experiment.trainer.evaluate(experiment.data.train_check.epoch(0))
    assert (progress.rows[0]["test_loss"], progress.rows[0]["train_loss"]) == (again.loss, check.loss)


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


def test_an_interrupt_waits_for_the_step_and_a_second_does_not():
    seen = []
    with Interrupt() as interrupt:

        def loop():
            for i in interrupt.watch(range(5)):
                seen.append(i)
                if i == 2:
                    signal.raise_signal(signal.SIGINT)

        with pytest.raises(Interrupted):
            loop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert seen == [0, 1, 2]


def test_a_collapsed_start_is_noticed_once():
    labels = np.array([0] * 70 + [1] * 30)
    constant = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    learning = {"train_loss": 0.5, "train_balanced_accuracy": 0.6}
    stuck = {"train_loss": constant * 1.01, "train_balanced_accuracy": 0.5}
    rows = [learning, *[stuck] * 5]
    assert [just_found_stuck(rows[:n], labels) for n in range(1, 7)] == [False, False, False, True, False, False]
    assert not just_found_stuck([learning] * 3, labels)
    assert not just_found_stuck([{**stuck, "train_loss": 0.5 * constant}] * 3, labels)


def test_advice_names_only_what_is_not_set_yet():
    faithful = asdict(Config(pixels="unit", warmup=0, learning_rate=0.001))
    assert "--pixels standardised" in advice(faithful)
    assert "--learning-rate 0.00033" in advice(faithful)
    assert "--pixels" not in advice(asdict(Config(pixels="standardised")))


def test_a_batch_larger_than_memory_allows_is_cut(shards):
    experiment = Experiment(Config(image_size=32, micro_batch=4), shards)
    sizes = []
    forward = experiment.network.forward
    experiment.network.forward = lambda x, **options: (sizes.append(len(x)), forward(x, **options))[1]
    images = np.zeros((10, 32, 32, 3), np.float32)
    experiment.trainer.step(Batch(images, np.zeros(10, np.int64), np.arange(10)), 0)
    assert sizes == [4, 4, 2]
