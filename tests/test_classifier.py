"""The estimator: train.py's own training on arrays, and scikit-learn's manners where that is installed."""

import inspect
import warnings

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.data import Dataset
from scratchnet.data.image_set import ArrayImages, channel_statistics
from scratchnet.errors import ConfigError, DtypeError, LabelError, NonFiniteError, OrderError, ShapeError
from scratchnet.training import load_checkpoint
from scratchnet.training.config import Config
from tests.small_data import random_images

pytestmark = pytest.mark.usefixtures("small_model")

QUICK = {"epochs": 3, "batch_size": 8, "warmup": 0, "dropout": 0.0, "learning_rate": 0.003}


@pytest.fixture(scope="module")
def spots():
    """Dark cells and bright ones: X, y, and a subject for each four."""
    rng = np.random.default_rng(5)
    y = np.array(["dark", "light"])[np.arange(24) % 2]
    X = rng.integers(0, 60, (24, 32, 32, 3), dtype=np.uint8)
    X[y == "light"] += 150
    return X, y, np.arange(24) // 4


@pytest.mark.whole_model
def test_the_weights_of_train_py(trained_run):
    """To the bit: the same images in the same order, the same settings."""
    with Dataset(trained_run.data, "train") as dataset:
        X = dataset.read(np.arange(len(dataset)))
        y = np.array(dataset.class_names)[dataset.labels]
        assert channel_statistics(X) == (dataset.channel_mean, dataset.channel_std)
    classifier = sn.Classifier(epochs=2, batch_size=48, micro_batch=32).fit(X, y)
    stored = load_checkpoint(trained_run.folder / "weights.h5")
    for name, value in classifier.predictor_.network.state_dict().items():
        assert value.tobytes() == stored.weights[name].tobytes(), name
    assert classifier.predictor_.about["pixel_scaling"] == stored.about["pixel_scaling"]
    np.testing.assert_array_equal(classifier.predict_proba(X), sn.load(trained_run.folder).predict_proba(X))


@pytest.mark.whole_model
def test_it_learns_and_answers_in_y_s_words(spots, tmp_path):
    X, y, _ = spots
    quick = QUICK | {"learning_rate": 0.0003}
    classifier = sn.Classifier(**quick)
    assert classifier.fit(X, y) is classifier
    assert classifier.classes_.tolist() == ["dark", "light"]
    assert classifier.score(X, y) == 1
    assert classifier.losses_[-1] < classifier.losses_[0]
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert classifier.predict(X).tolist() == classifier.classes_[p.argmax(axis=1)].tolist()
    assert classifier.predict(X[:0]).shape == (0,)
    classifier.predictor_.save(tmp_path / "spots.h5")
    np.testing.assert_array_equal(sn.load(tmp_path / "spots.h5").predict_proba(X), p)
    # Classes that are numbers stay numbers, in whatever order they come.
    numbers = np.where(y == "dark", 7, 3)
    again = sn.Classifier(**quick).fit(X, numbers)
    assert again.classes_.tolist() == [3, 7]
    assert again.predict(X).tolist() == numbers.tolist()


def test_the_seed_decides(spots):
    X, y, _ = spots
    first, second, third = (sn.Classifier(**QUICK, seed=seed).fit(X, y).predict_proba(X) for seed in (1, 1, 2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != third.tobytes()


def test_the_loss_that_was_asked_for(spots):
    X, y, _ = spots
    judged = {"validation_data": (X[:4], y[:4])}
    plain, smoothed, focused = (
        sn.Classifier(**QUICK, **option).fit(X, y, **judged) for option in ({}, {"label_smoothing": 0.3}, {"focus": 2})
    )
    assert smoothed.losses_[-1] > plain.losses_[-1] > focused.losses_[-1]
    assert smoothed.predict_proba(X).max() < plain.predict_proba(X).max()
    for one in (plain, smoothed, focused):
        right = one.predict_proba(X[:4])[np.arange(4), np.searchsorted(one.classes_, y[:4])]
        assert one.history_[-1]["validation_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)


def test_weighted_score(spots):
    X, y, _ = spots
    classifier = sn.Classifier(**QUICK).fit(X, y)
    given = np.where(np.arange(24) < 6, "nothing", classifier.predict(X))
    assert classifier.score(X, given) == pytest.approx(0.75)
    weights = np.where(np.arange(24) < 6, 3.0, 1.0)
    assert classifier.score(X, given, sample_weight=weights) == pytest.approx(18 / 36)
    with pytest.raises(ShapeError, match="sample_weight"):
        classifier.score(X, y, weights[:3])
    with pytest.raises(ShapeError, match="expected y"):
        classifier.score(X, y[:3])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, np.nan, 1], "NaN"),
        (["a", "b", np.nan, "a"], "one type, .* got float, str"),
        (["a", 1, "b", 2], "one type, .* got int, str"),
        (["a", None, "b", "a"], "NoneType"),
        (np.array(["a", None, "b", "a"], object), "NoneType"),
        (np.array([0, 1, 0, np.nan], object), "NaN"),
        ([[0], [1, 2], [0], [1]], "numbers or texts"),
        (np.zeros(4, complex), "numbers or texts, got complex128"),
    ],
)
def test_a_y_that_is_no_list_of_classes(y, message):
    with pytest.raises(LabelError, match=message) as raised:
        sn.Classifier(**QUICK).fit(random_images(4, 32), y)
    assert "\n" not in str(raised.value)


def test_floats_are_the_same_images(spots):
    X, y, _ = spots
    classifier = sn.Classifier(**QUICK).fit(X / 255, y)
    assert classifier.predict_proba(X).tobytes() == classifier.predict_proba((X / 255).astype("float32")).tobytes()
    assert classifier.predict_proba(X).tobytes() == sn.Classifier(**QUICK).fit(X, y).predict_proba(X).tobytes()


def test_every_setting_is_config_s(spots):
    X, y, _ = spots
    settings = {"model": "report-wide", "pixels": "unit", "augment": "none", "optimizer": "sgd", "dtype": "float64"}
    about = sn.Classifier(**QUICK | settings | {"epochs": 1}).fit(X, y).predictor_.about
    for name, value in (settings | {"batch_size": 8, "image_size": 32}).items():
        assert about["config"][name] == value
    assert Config(**about["config"])
    signature = inspect.signature(sn.Classifier)
    assert signature.parameters["epochs"].default == Config().epochs
    assert "epochs (30): passes over the training images" in inspect.getdoc(sn.Classifier)


def test_the_bar_is_shown_when_asked(spots, capsys):
    X, y, _ = spots
    sn.Classifier(**QUICK | {"epochs": 1}).fit(X, y)
    assert capsys.readouterr() == ("", "")
    sn.Classifier(**QUICK | {"epochs": 1}, verbose=True).fit(X, y)
    assert "loss" in capsys.readouterr().err


def test_settings_are_read_and_changed():
    classifier = sn.Classifier(epochs=5)
    assert classifier.get_params()["epochs"] == 5
    assert classifier.set_params(seed=9) is classifier
    assert repr(classifier) == "Classifier(epochs=5, seed=9)"
    for wrong in (
        lambda: sn.Classifier(epoch=3),
        lambda: classifier.set_params(epoch=3),
        lambda: sn.Classifier(image_size=64),
    ):
        with pytest.raises(
            ConfigError, match=r"no setting '(epoch|image_size)'; its settings are network, verbose, model"
        ):
            wrong()


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (random_images(4, 31), [0, 1, 0, 1], ShapeError, "S at least 32"),
        (np.zeros((4, 3, 32, 32), np.uint8), [0, 1, 0, 1], ShapeError, r"\(N, S, S, 3\)"),
        (random_images(4, 32).astype("float32"), [0, 1, 0, 1], ShapeError, "from 0 to 1, got 0 to 255"),
        (np.full((4, 32, 32, 3), np.nan), [0, 1, 0, 1], ShapeError, "from 0 to 1, got nan"),
        (random_images(4, 32).astype("int64"), [0, 1, 0, 1], DtypeError, "got int64"),
        (random_images(4, 32), [0, 1, 0], ShapeError, r"each of the 4 images, got y of shape \(3,\)"),
        (random_images(4, 32), [1, 1, 1, 1], LabelError, "1 class"),
        (random_images(4, 32)[:0], [], LabelError, "0 class"),
    ],
)
def test_what_cannot_be_learnt(X, y, error, message):
    with pytest.raises(error, match=message):
        sn.Classifier(**QUICK).fit(X, y)


def test_what_cannot_be_predicted(spots):
    X, y, _ = spots
    with pytest.raises(OrderError, match="fit"):
        sn.Classifier().predict(X)
    with pytest.raises(ConfigError, match="epochs"):
        sn.Classifier(epochs=0).fit(X, y)
    classifier = sn.Classifier(**QUICK | {"epochs": 1}).fit(X, y)
    with pytest.raises(ShapeError, match="fitted on images of 32 pixels"):
        classifier.predict(random_images(2, 64))


def test_images_in_memory_are_checked():
    for images, labels in (
        (random_images(2, 8), np.zeros(3, int)),
        (np.zeros((2, 8, 9, 3), np.uint8), np.zeros(2, int)),
    ):
        with pytest.raises(ShapeError):
            ArrayImages(images, labels, ("a", "b"))
    with pytest.raises(DtypeError):
        ArrayImages(np.zeros((2, 8, 8, 3)), np.zeros(2, int), ("a", "b"))


# scikit-learn


def test_clone():
    base = pytest.importorskip("sklearn.base")
    classifier = sn.Classifier(epochs=4, seed=2, verbose=False)
    copy = base.clone(classifier)
    assert copy is not classifier
    assert copy.get_params() == classifier.get_params()
    assert base.is_classifier(classifier)
    assert not hasattr(copy, "predictor_")


def test_cross_validation_with_groups(spots):
    """Balanced folds of whole subjects; every fold begins from a clone."""
    selection = pytest.importorskip("sklearn.model_selection")
    X, y, groups = spots
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = selection.cross_val_score(sn.Classifier(**QUICK), X, y, groups=groups, cv=selection.GroupKFold(3))
        p = selection.cross_val_predict(
            sn.Classifier(**QUICK), X, y, groups=groups, cv=selection.GroupKFold(2), method="predict_proba"
        )
    assert scores.tolist() == [1, 1, 1]
    assert (np.array(["dark", "light"])[p.argmax(axis=1)] == y).all()
    by_name = selection.cross_val_score(
        sn.Classifier(**QUICK), X, y, groups=groups, cv=selection.GroupKFold(2), scoring="balanced_accuracy"
    )
    assert by_name.tolist() == [1, 1]


def test_a_search_and_a_pipeline(spots):
    selection, pipeline = pytest.importorskip("sklearn.model_selection"), pytest.importorskip("sklearn.pipeline")
    X, y, _ = spots
    steps = pipeline.make_pipeline(sn.Classifier(**QUICK))
    search = selection.GridSearchCV(steps, {"classifier__seed": [0, 1]}, cv=2).fit(X, y)
    assert search.best_score_ == 1
    assert search.predict(X).tolist() == y.tolist()


def test_a_rate_that_is_far_too_high_is_said_with_what_to_try(spots):
    """As train.py says it, in the words of the class."""
    X, y, _ = spots
    with pytest.raises(NonFiniteError) as caught:
        sn.Classifier(**QUICK | {"learning_rate": 1e9}).fit(X, y)
    said = str(caught.value)
    assert said.startswith("training has diverged in epoch 1, after 1 step: ")
    assert said.endswith("Next time, try learning_rate=0.0003.")
