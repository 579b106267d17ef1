"""Each option of an experiment reaches what it is for: schedule, augmentation, class weights, averaging."""

import dataclasses
import signal

import numpy as np
import pytest

from scratchnet import reference
from scratchnet.commands.session import reopen, train_to_the_end
from scratchnet.data import Augmentation, symmetry
from scratchnet.nn.relu import ReLU
from scratchnet.nn.sequential import Sequential
from scratchnet.training import Display, Experiment, Progress, Run, fit
from scratchnet.training import experiment as training_experiment
from scratchnet.training.config import Config
from scratchnet.training.messages import announcement
from scratchnet.training.trainer import evaluation_batch_size
from scratchnet.use.predictor import Predictor

pytestmark = pytest.mark.usefixtures("small_model")

ALL = Config(
    image_size=32, epochs=9, batch_size=64, warmup=0, schedule="step", step_epochs=2, step_factor=0.5,
    augment="rotations", brightness=0.3, class_weights="balanced", test_symmetries="average",
    label_smoothing=0.1,
)  # fmt: skip


def test_each_option_reaches_what_it_is_for(shards):
    trained = Experiment(ALL, shards)
    steps = len(trained.data.train)
    rates = [trained.trainer.schedule.rate(epoch * steps) for epoch in (1, 2, 3, 4, 8)]
    assert rates == pytest.approx([0.0003, 0.00015, 0.00015, 0.000075, 0.00001875])
    assert trained.data.train.augment == Augmentation("rotations", 0.3)
    assert all(batches.augment is None for batches in trained.data.checks.values())
    counts = np.bincount(trained.train_set.labels)
    np.testing.assert_allclose(trained.trainer.loss.class_weights, counts.sum() / (2 * counts))
    assert (trained.trainer.loss.label_smoothing, trained.trainer.loss.focus) == (0.1, 0)
    assert Experiment(Config(image_size=32, focus=2), shards).trainer.loss.focus == 2
    assert Experiment(Config(image_size=32), shards).trainer.loss.class_weights is None


@pytest.mark.parametrize("option", [{"label_smoothing": 0.2}, {"focus": 2.0}, {}])
@pytest.mark.parametrize("micro_batch", [32, 5])
def test_a_step_has_the_loss_worked_out_by_hand(option, micro_batch, shards):
    """Weighted by class too, however the batch is cut; the evaluation beside it is the plain cross-entropy."""
    config = Config(
        image_size=32, dtype="float64", dropout=0, class_weights="balanced", micro_batch=micro_batch, **option
    )
    experiment = Experiment(config, shards)
    batch = next(iter(experiment.data.train.epoch(0)))
    logits = experiment.network.forward(batch.images, training=False)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right, smoothing = p[np.arange(len(batch)), batch.labels], option.get("label_smoothing", 0)
    losses = -(1 - smoothing) * np.log(right) - smoothing * np.log(p).mean(axis=1)
    losses *= (1 - right) ** option.get("focus", 0)
    weights = experiment.trainer.loss.class_weights[batch.labels]
    judged = experiment.trainer.evaluate([batch])
    assert experiment.trainer.step(batch, 0) == pytest.approx((weights * losses).mean(), rel=1e-12)
    assert judged.loss == pytest.approx(-np.log(right).mean(), rel=1e-12)


def test_which_training_images_are_evaluated(shards, monkeypatch):
    def checks(how, seed=0):
        config = Config(image_size=32, train_evaluation=how, seed=seed)
        return {name: batches.dataset for name, batches in Experiment(config, shards).data.checks.items()}

    count = len(checks("full")["train"])
    assert list(checks("full")) == list(checks("sample")) == ["train", "test"]  # 1,000 are all of them
    assert list(checks("none")) == ["test"]
    monkeypatch.setattr(training_experiment, "SAMPLE", 20)
    found = checks("sample")
    assert list(found) == ["train_sample", "test"]
    assert 20 < len(found["train_sample"]) == len(found["test"]) < count  # as exact as the figure beside it
    monkeypatch.setattr(training_experiment, "SAMPLE", 60)
    sample, again, other = (checks("sample", seed)["train_sample"] for seed in (0, 0, 1))
    images = [one.read(np.arange(60)) for one in (sample, again, other)]
    assert len(sample) == len(np.unique(images[0].reshape(60, -1), axis=0)) == 60
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    whole = checks("full")["train"]
    place = [int(np.flatnonzero((whole.read(np.arange(count)) == image).all(axis=(1, 2, 3)))[0]) for image in images[0]]
    assert np.array_equal(whole.labels[place], sample.labels)


@pytest.mark.parametrize(("how", "columns"), [("sample", ["train_sample", "test"]), ("none", ["test"])])
def test_the_metrics_name_what_was_evaluated(how, columns, shards, tmp_path, monkeypatch, capsys, no_pages):
    """In the table and above the lines of the epochs (of the page: test_report_runs); and a resumed run goes on with the same."""
    monkeypatch.setattr(training_experiment, "SAMPLE", 60)
    config = Config(image_size=32, epochs=2, train_evaluation=how, batch_size=64)
    run, experiment = Run(tmp_path / "run"), Experiment(config, shards)
    run = Run.create(tmp_path / "run", config, experiment.about)
    assert ("60 images that the seed has drawn" in announcement(experiment, 1, run.folder, Progress())) == (
        how == "sample"
    )
    with run.lock():
        assert train_to_the_end(experiment, run, Progress())
    head = (run.folder / "metrics.csv").read_text(encoding="utf-8").partition("\n")[0]
    measures = ("loss", "accuracy", "balanced_accuracy")
    assert head == ",".join(["epoch", "learning_rate", *(f"{side}_{name}" for side in columns for name in measures)])
    assert ("train (sample)" in capsys.readouterr().out) == (how == "sample")
    resumed, progress, changed = reopen(run, {"epochs": 3}, str(shards))
    assert list(resumed.data.checks) == columns
    assert not changed
    with run.lock():
        assert train_to_the_end(resumed, run, progress)
    assert len(run.load().progress.rows) == 3


def test_a_run_of_before_goes_on_evaluating_all_training_images():
    config = Config(image_size=32, epochs=1, train_evaluation="full")
    stored = {name: value for name, value in dataclasses.asdict(config).items() if name != "train_evaluation"}
    assert Config.from_dict(stored) == config


def test_a_run_of_before_goes_on_with_the_plain_loss():
    config = Config(image_size=32)
    stored = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in ("label_smoothing", "focus")
    }
    restored = Config.from_dict({**stored, "train_evaluation": "sample"})
    assert restored == config
    assert (restored.label_smoothing, restored.focus) == (0, 0)


def test_a_cut_batch_gives_the_step_of_the_whole_with_class_weights(shards):
    """Though the parts hold other shares of the classes than the batch."""
    weights, start = [], None
    for micro_batch in (32, 5):
        config = Config(
            image_size=32, dtype="float64", optimizer="sgd", warmup=0, micro_batch=micro_batch, class_weights="balanced"
        )
        experiment = Experiment(config, shards)
        start = {name: value.copy() for name, value in experiment.network.state_dict().items()}
        experiment.trainer.step(next(iter(experiment.data.train.epoch(0))), 0)
        weights.append(experiment.network.state_dict())
    for name, value in weights[0].items():
        moved = np.abs(value - start[name]).max()
        assert moved > 0, name
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=1e-11 * moved)


@pytest.mark.parametrize("micro_batch", [32, 5])
def test_an_evaluation_counts_every_image_the_same(shards, micro_batch):
    """Whatever the class weights of training are, and however the batches are cut."""
    config = Config(image_size=32, dtype="float64", class_weights="balanced", micro_batch=micro_batch)
    plain = Experiment(config, shards).evaluate("test")
    expected = reference.softmax_cross_entropy(plain.logits, plain.labels).mean()
    assert plain.loss == pytest.approx(expected, rel=1e-12)


def test_the_answers_do_not_depend_on_the_batches_of_training(shards):
    """An evaluation has batches of its own, by what the network needs; a Predictor has the same, so its bits are the same."""
    logits = []
    for batch_size, micro_batch in ((32, 0), (7, 3)):
        experiment = Experiment(Config(image_size=32, batch_size=batch_size, micro_batch=micro_batch), shards)
        assert experiment.data.checks["test"].batch_size == 256
        logits.append(experiment.evaluate("test").logits)
    images = experiment.test_set.read(np.arange(len(experiment.test_set)))
    predictor = Predictor(
        experiment.network, experiment.test_set.class_names, experiment.scaling, about=experiment.about
    )
    assert logits[0].tobytes() == logits[1].tobytes() == predictor.logits(images).tobytes()


@pytest.mark.parametrize(("image_bytes", "images"), [(10_000, 256), (5_000_000, 24), (20_000_000, 6), (10**9, 1)])
def test_an_evaluation_takes_as_many_images_as_memory_has_room_for(image_bytes, images):
    network = Sequential([ReLU()])
    network.build(input_shape=(image_bytes // 8,), dtype="float64")
    assert evaluation_batch_size(network) == images


def test_an_evaluation_averaged_over_the_symmetries(shards):
    experiment = Experiment(Config(image_size=32, dtype="float64", batch_size=8, micro_batch=5), shards)
    batch = next(iter(experiment.data.checks["test"].epoch(0)))
    averaged = experiment.trainer.evaluate([batch], symmetries=True)
    views = [experiment.network.forward(symmetry(batch.images, s), training=False) for s in range(8)]
    np.testing.assert_allclose(averaged.logits, reference.log_mean_softmax(np.stack(views)), rtol=1e-9)
    assert averaged.loss == pytest.approx(-averaged.logits[np.arange(len(batch)), batch.labels].mean(), rel=1e-9)


def run_it(config, shards, folder, stop_after=None):
    """A run from its beginning or its checkpoint; `stop_after` steps it is interrupted."""
    experiment = Experiment(config, shards)
    new = not folder.exists()
    run = Run.create(folder, config) if new else Run(folder)
    progress = Progress() if new else experiment.restore(run.load())
    step, done = experiment.trainer.step, 0

    def observed_step(batch, epoch):
        nonlocal done
        done += 1
        if done == stop_after:
            signal.raise_signal(signal.SIGINT)
        return step(batch, epoch)

    experiment.trainer.step = observed_step
    return fit(experiment, run, progress, Display(config.epochs, total=1)), experiment, run


def test_a_resumed_run_with_all_options_ends_with_the_same_bits(shards, tmp_path):
    """197 images in batches of 64 are 4 steps an epoch; the learning rate falls between the two epochs."""
    config = dataclasses.replace(ALL, epochs=2, step_epochs=1)
    whole, experiment, whole_run = run_it(config, shards, tmp_path / "whole")
    assert run_it(config, shards, tmp_path / "cut", stop_after=2)[0] is None
    again, _, run = run_it(config, shards, tmp_path / "cut")
    np.testing.assert_array_equal(again["test"].logits, whole["test"].logits)
    assert (run.folder / "metrics.csv").read_bytes() == (whole_run.folder / "metrics.csv").read_bytes()
    rates = [row["learning_rate"] for row in run.load().progress.rows]
    assert rates == pytest.approx([0.0003, 0.00015])

    # Test images are averaged over their symmetries, training images are not.
    for side, symmetries in (("test", True), ("train", False)):
        checked = experiment.trainer.evaluate(experiment.data.checks[side].epoch(0), symmetries=symmetries)
        np.testing.assert_array_equal(whole[side].logits, checked.logits)
        assert whole[side].loss == checked.loss
