"""The measures: by hand, and beside scikit-learn on random answers with ties and missing classes."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet.errors import LabelError, ShapeError
from scratchnet.measures import metrics
from scratchnet.training import Evaluation

NAN = np.nan


@st.composite
def answers(draw, classes=None):
    """Labels, and probabilities of a few values only, so that scores are tied and classes missing."""
    count = draw(st.integers(1, 30))
    classes = classes or draw(st.integers(2, 4))
    labels = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)))
    cells = draw(st.lists(st.integers(0, 4), min_size=count * classes, max_size=count * classes))
    weights = np.array(cells, float).reshape(count, classes) + 0.25
    return labels, weights / weights.sum(axis=1, keepdims=True)


@given(case=answers())
def test_confusion_and_its_measures_agree_with_scikit_learn(case):
    theirs = pytest.importorskip("sklearn.metrics")
    labels, probabilities = case
    classes = probabilities.shape[1]
    predictions = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(labels, predictions, classes)
    np.testing.assert_array_equal(confusion, theirs.confusion_matrix(labels, predictions, labels=range(classes)))
    options = {"labels": range(classes), "average": None, "zero_division": NAN}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class without images, which we call NaN too
        for ours, other in (
            (metrics.accuracy(confusion), theirs.accuracy_score(labels, predictions)),
            (metrics.balanced_accuracy(confusion), theirs.balanced_accuracy_score(labels, predictions)),
            (metrics.precision(confusion), theirs.precision_score(labels, predictions, **options)),
            (metrics.recall(confusion), theirs.recall_score(labels, predictions, **options)),
            (metrics.f1(confusion), theirs.f1_score(labels, predictions, **options)),
            (metrics.macro_f1(confusion), theirs.f1_score(labels, predictions, average="macro")),
            (metrics.weighted_f1(confusion), theirs.f1_score(labels, predictions, average="weighted")),
        ):
            np.testing.assert_allclose(ours, other, rtol=1e-12)


@given(case=answers(classes=2))
def test_roc_agrees_with_scikit_learn(case):
    theirs = pytest.importorskip("sklearn.metrics")
    labels, probabilities = case
    score = probabilities[:, 1]
    if len(np.unique(labels)) < 2:
        assert np.isnan(metrics.roc_auc(labels, score))
        return
    np.testing.assert_allclose(metrics.roc_auc(labels, score), theirs.roc_auc_score(labels, score), rtol=1e-12)
    curve = metrics.roc_curve(labels == 1, score)
    for ours, other in zip(curve, theirs.roc_curve(labels, score, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-12)
    np.testing.assert_allclose(
        np.trapezoid(curve.true_positive_rate, curve.false_positive_rate), metrics.roc_auc(labels, score), atol=1e-12
    )


def test_average_precision_agrees_with_scikit_learn(rng):
    theirs = pytest.importorskip("sklearn.metrics")
    positive, score, weights = rng.random(200) < 0.3, rng.random(200).round(1), rng.integers(0, 3, (4, 200))
    assert metrics.average_precision(positive, score) == pytest.approx(theirs.average_precision_score(positive, score))
    for ours, one in zip(metrics.average_precision(positive, score, weights), weights, strict=True):
        assert ours == pytest.approx(theirs.average_precision_score(positive, score, sample_weight=one))
    precision, recall, _ = theirs.precision_recall_curve(positive, score)
    curve = metrics.precision_recall_curve(positive, score)
    np.testing.assert_allclose(curve.recall[1:], recall[-2::-1])
    np.testing.assert_allclose(curve.precision[1:], precision[-2::-1])


@given(case=answers())
def test_log_loss_agrees_with_scikit_learn(case):
    theirs = pytest.importorskip("sklearn.metrics")
    labels, probabilities = case
    expected = theirs.log_loss(labels, probabilities, labels=range(probabilities.shape[1]))
    np.testing.assert_allclose(metrics.log_loss(labels, probabilities), expected, rtol=1e-12)


@given(case=answers(), data=st.data())
def test_a_weight_counts_an_image_so_many_times(case, data):
    """What the bootstrap rests on: weights are repetitions, and each row of weights is measured for itself."""
    labels, probabilities = case
    classes, count = probabilities.shape[1], len(labels)
    rows = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=count, max_size=count), min_size=1, max_size=3))
    predictions = probabilities.argmax(axis=1)
    stacked = metrics.confusion_matrix(labels, predictions, classes, rows)
    areas = metrics.roc_auc(labels == 0, probabilities[:, 0], rows)
    losses = metrics.log_loss(labels, probabilities, rows)
    for row, confusion, area, loss in zip(rows, stacked, areas, losses, strict=True):
        which = np.repeat(np.arange(count), row)
        np.testing.assert_array_equal(confusion, metrics.confusion_matrix(labels[which], predictions[which], classes))
        if len(which):
            np.testing.assert_allclose(area, metrics.roc_auc(labels[which] == 0, probabilities[which, 0]), rtol=1e-9)
            np.testing.assert_allclose(loss, metrics.log_loss(labels[which], probabilities[which]), rtol=1e-9)
        else:
            assert np.isnan(area)
            assert np.isnan(loss)


def test_the_precision_recall_curve_by_hand():
    """A hit, a false alarm, then one of each at the same score; the first point repeats the precision of the second."""
    curve = metrics.precision_recall_curve([1, 0, 0, 1], [0.9, 0.8, 0.4, 0.4])
    np.testing.assert_array_equal(curve.recall, [0, 0.5, 0.5, 1])
    np.testing.assert_array_equal(curve.precision, [1, 1, 0.5, 0.5])
    np.testing.assert_array_equal(curve.threshold, [np.inf, 0.9, 0.8, 0.4])


def test_by_hand():
    confusion = [[6, 2], [1, 1]]  # TP 6, FN 2, FP 1, TN 1 for the first class
    np.testing.assert_allclose(metrics.recall(confusion), [6 / 8, 1 / 2])
    np.testing.assert_allclose(metrics.precision(confusion), [6 / 7, 1 / 3])
    np.testing.assert_allclose(metrics.f1(confusion), [12 / 15, 2 / 5])
    np.testing.assert_allclose(metrics.balanced_accuracy(confusion), (6 / 8 + 1 / 2) / 2)
    np.testing.assert_allclose(metrics.weighted_f1(confusion), (8 * 12 / 15 + 2 * 2 / 5) / 10)


def test_a_stack_of_matrices_is_measured_one_by_one(rng):
    stack = rng.integers(0, 5, (4, 3, 3))
    for measure in (
        metrics.accuracy,
        metrics.balanced_accuracy,
        metrics.precision,
        metrics.recall,
        metrics.weighted_f1,
    ):
        np.testing.assert_array_equal(measure(stack), np.stack([measure(one) for one in stack]))


def test_what_does_not_exist_is_nan():
    np.testing.assert_array_equal(metrics.precision([[3, 0], [1, 0]]), [0.75, NAN])
    np.testing.assert_array_equal(metrics.recall([[3, 1], [0, 0]]), [0.75, NAN])
    assert np.isnan(metrics.f1([[3, 0, 0], [1, 0, 0], [0, 0, 0]])[2])
    assert np.isnan(metrics.accuracy(np.zeros((2, 2))))
    assert np.isnan(metrics.roc_auc([1, 1], [0.2, 0.3]))
    assert np.isfinite(metrics.log_loss([0], [[0.0, 1.0]]))


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [0.0, 1.0], [[0, 1]], ["all", "hem"]])
def test_wrong_classes_are_refused(labels):
    for refused, what in (
        (lambda: metrics.confusion_matrix(labels, [0, 1], 2), "labels"),
        (lambda: metrics.confusion_matrix([0, 1], labels, 2), "predictions"),
        (lambda: metrics.image_losses(labels, [[0.5, 0.5]] * 2), "labels"),
    ):
        with pytest.raises(LabelError, match=rf"^{what} must be \(N,\) integers from 0 to 1, got "):
            refused()


def test_losses_of_float32_are_taken_in_float64():
    p = np.array([[0.1, 0.9]], np.float32)
    assert metrics.image_losses([0], p)[0] == -np.log(np.float64(p[0, 0]))


def test_matrices_scores_and_weights_of_float32_are_taken_in_float64(rng):
    counts = rng.random((20, 3, 3)).astype(np.float32)
    for measure in (metrics.accuracy, metrics.recall, metrics.precision, metrics.f1, metrics.weighted_f1):
        np.testing.assert_array_equal(measure(counts), measure(counts.astype(np.float64)))
    labels, score = rng.integers(0, 2, 50), rng.random(50).astype(np.float32)
    probabilities, weights = np.stack([1 - score, score], axis=1), rng.random((2, 50)).astype(np.float32)
    for measure in (
        lambda weights: metrics.confusion_matrix(labels, (score > 0.5).astype(int), 2, weights),
        lambda weights: metrics.roc_auc(labels, score, weights),
        lambda weights: metrics.average_precision(labels, score, weights),
        lambda weights: metrics.log_loss(labels, probabilities, weights),
    ):
        np.testing.assert_array_equal(measure(weights), measure(weights.astype(np.float64)))
    assert metrics.roc_auc([0, 1], np.array([-100, 100], np.int8)) == 1  # their difference, 200, is no int8


def test_lengths_must_agree():
    with pytest.raises(ShapeError, match="prediction for each"):
        metrics.confusion_matrix([0, 1], [0], 2)
    with pytest.raises(ShapeError, match="one score for each"):
        metrics.roc_auc([0, 1], [0.5])
    with pytest.raises(ShapeError, match="at least one"):
        metrics.roc_curve([], [])


def test_an_evaluation_uses_them(rng):
    logits, labels = rng.normal(size=(50, 3)).astype("float32"), rng.integers(0, 2, 50)
    evaluation = Evaluation(1.0, logits, labels)
    assert evaluation.confusion().dtype == np.int64
    assert evaluation.accuracy == np.mean(logits.argmax(axis=1) == labels)
    np.testing.assert_allclose(evaluation.probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(evaluation.probabilities.argmax(axis=1), evaluation.predictions)
