"""Softmax cross-entropy, from the logits; and the mean squared error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet import MeanSquaredError, SoftmaxCrossEntropy, reference
from scratchnet.errors import ConfigError, DtypeError, LabelError, NonFiniteError, OrderError, ShapeError
from scratchnet.nn.losses import balanced_class_weights


def test_no_opinion_costs_ln_of_the_classes():
    loss = SoftmaxCrossEntropy()
    assert loss.forward(np.zeros((2, 5)), np.array([0, 4])) == pytest.approx(math.log(5), rel=1e-15)
    np.testing.assert_allclose(loss.backward(), [[-0.4, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, -0.4]], rtol=1e-14)


def test_known_probabilities():
    """Logits ln 1, ln 3 and ln 4 stand for 1/8, 3/8 and 4/8."""
    loss = SoftmaxCrossEntropy()
    logits = np.log([[1.0, 3.0, 4.0]])
    assert loss.forward(logits, np.array([1])) == pytest.approx(math.log(8 / 3))
    np.testing.assert_allclose(loss.backward(), [[1 / 8, 3 / 8 - 1, 4 / 8]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits_do_not_overflow(dtype):
    loss = SoftmaxCrossEntropy()
    logits = np.array([[1e30, -1e30], [5000, 4999], [-5000, -5000]], dtype)
    value = loss.forward(logits, np.array([0, 1, 0]))
    assert value == pytest.approx((0 + math.log(1 + math.e) + math.log(2)) / 3)
    gradient = loss.backward()
    assert gradient.dtype == dtype
    assert np.isfinite(gradient).all()


def test_a_confident_mistake_costs_the_gap():
    assert SoftmaxCrossEntropy().forward(np.array([[1000.0, 0.0]]), np.array([1])) == 1000


def slopes_of(loss, y, targets, h):
    """The difference quotient for each number of y."""
    found = np.empty_like(y)
    for place in np.ndindex(y.shape):
        step = np.zeros_like(y)
        step[place] = h
        found[place] = (loss.forward(y + step, targets) - loss.forward(y - step, targets)) / (2 * h)
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_gradient_is_the_difference_quotient(seed, images, classes, weighted):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(images, classes)), rng.integers(classes, size=images)
    loss = SoftmaxCrossEntropy(rng.uniform(0, 3, size=classes) if weighted else None)
    quotient = slopes_of(loss, logits, labels, h=1e-5)
    loss.forward(logits, labels)
    np.testing.assert_allclose(loss.backward(), quotient, atol=1e-9)
    np.testing.assert_allclose(loss.backward().sum(axis=1), 0, atol=1e-15)


@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 1.0]])
def test_parts_of_a_batch_add_up(rng, weights):
    logits, labels, loss = rng.normal(size=(7, 3)), rng.integers(3, size=7), SoftmaxCrossEntropy(weights)
    whole_loss = loss.forward(logits, labels)
    whole_gradient = loss.backward()
    parts, total = [], 0.0
    for part in (slice(0, 4), slice(4, 7)):
        total += loss.forward(logits[part], labels[part]) * len(labels[part])
        parts.append(loss.backward(batch_size=7))
    assert total / 7 == pytest.approx(whole_loss, rel=1e-14)
    np.testing.assert_allclose(np.concatenate(parts), whole_gradient, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_labels_of_any_integer_type(dtype):
    assert SoftmaxCrossEntropy().forward(np.zeros((2, 2), "float32"), np.array([0, 1], dtype)) == pytest.approx(
        math.log(2)
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], r"label 2 of image 2 is out of range: 2 outputs are for labels 0 to 1"),
        ([0, -1, 0], r"label -1 of image 1 is out of range"),
        ([0.0, 1.0, 0.0], r"labels must be integers, got float64: convert with labels.astype\('int64'\)"),
        ([True, False, True], r"labels must be integers, got bool"),
        ([0, 1], r"labels must have the shape \(3,\), one for each image, got \(2,\)$"),
        ([[1, 0], [0, 1], [1, 0]], r"got \(3, 2\): labels.argmax\(axis=1\)"),
        ([[0], [1], [0]], r"labels must have the shape \(3,\), one for each image, got \(3, 1\)$"),
    ],
)
def test_labels_that_cannot_be(labels, message):
    with pytest.raises(LabelError, match=message):
        SoftmaxCrossEntropy().forward(np.zeros((3, 2)), np.array(labels))


@pytest.mark.parametrize("shape", [(3,), (0, 2), (3, 2, 1)])
def test_logits_of_another_shape(shape):
    with pytest.raises(ShapeError, match=r"logits must be \(N, classes\) with N at least 1"):
        SoftmaxCrossEntropy().forward(np.zeros(shape), np.zeros(shape[0], int))


@pytest.mark.parametrize(
    ("logits", "came"),
    [
        ([[0.0, 1.0]], "list"),
        (None, "NoneType"),
        (np.zeros((1, 2), int), "int64"),
        (np.zeros((1, 2), "float16"), "float16"),
    ],
)
def test_logits_of_another_kind(logits, came):
    with pytest.raises(DtypeError, match=f"logits must be an array of float32 or float64, got {came}"):
        SoftmaxCrossEntropy().forward(logits, np.array([0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers(bad):
    remedy = "lower the learning rate, or look at the input's scaling"
    with pytest.raises(NonFiniteError, match=f"^SoftmaxCrossEntropy: the logits hold a NaN or an infinity: {remedy}$"):
        SoftmaxCrossEntropy().forward(np.array([[0, bad]]), np.array([0]))


def test_backward_before_forward():
    with pytest.raises(OrderError, match=r"backward needs a forward\(logits, labels\)"):
        SoftmaxCrossEntropy().backward()


def test_weights_by_their_formula():
    """An image of class 1 counts 3, one of class 0 counts 1/2; the sum is divided by the two images, not by 3.5."""
    loss = SoftmaxCrossEntropy([0.5, 3.0])
    assert loss.forward(np.zeros((2, 2)), np.array([0, 1])) == pytest.approx((0.5 + 3) * math.log(2) / 2)
    np.testing.assert_allclose(loss.backward(), [[-0.125, 0.125], [0.75, -0.75]])


def test_a_weight_of_two_is_an_image_seen_twice(rng):
    """... but for the N that the sum is divided by; a weight of 0 is an image not seen."""
    logits, labels = rng.normal(size=(5, 3)), np.array([0, 1, 2, 1, 0])
    weighted, plain = SoftmaxCrossEntropy([1, 2, 0]), SoftmaxCrossEntropy()
    seen = np.array([0, 1, 1, 3, 3, 4])
    assert weighted.forward(logits, labels) * 5 == pytest.approx(plain.forward(logits[seen], labels[seen]) * 6)


def test_weights_of_one_change_no_bit(rng):
    logits, labels = rng.normal(size=(6, 2)).astype("float32"), rng.integers(2, size=6)
    weighted, plain = SoftmaxCrossEntropy([1, 1]), SoftmaxCrossEntropy()
    assert weighted.forward(logits, labels) == plain.forward(logits, labels)
    np.testing.assert_array_equal(weighted.backward(), plain.backward())
    assert weighted.backward().dtype == np.float32


def test_weights_keep_the_dtype_of_the_logits(rng):
    loss = SoftmaxCrossEntropy([0.3, 1.7])
    loss.forward(rng.normal(size=(6, 2)).astype("float32"), rng.integers(2, size=6))
    assert loss.backward().dtype == np.float32


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_balanced_weights_give_each_class_the_same_say(labels):
    weights = balanced_class_weights(labels, classes=5)
    counts = np.bincount(labels, minlength=5)
    say = (weights * counts)[counts > 0]
    np.testing.assert_allclose(say, say[0])
    assert say.sum() == pytest.approx(len(labels))  # a mean of 1 over the images
    assert (weights[counts == 0] == 0).all()


def test_balanced_weights_as_scikit_learn_has_them(rng):
    class_weight = pytest.importorskip("sklearn.utils.class_weight", reason="scikit-learn is not installed")
    labels = rng.choice(3, p=[0.7, 0.2, 0.1], size=200)
    expected = class_weight.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_class_weights(labels, 3), expected, rtol=1e-14)


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, np.nan], [[1.0, 1.0]], 1.0, "balanced", [1.0, None, "x"]])
def test_weights_that_cannot_be(weights):
    with pytest.raises(ConfigError, match="class weights must be a row of finite numbers of at least 0, got"):
        SoftmaxCrossEntropy(weights)


def test_as_many_weights_as_classes():
    with pytest.raises(ShapeError, match="3 class weights for logits of 2 classes: give one weight for each output"):
        SoftmaxCrossEntropy([1, 1, 1]).forward(np.zeros((1, 2)), np.array([0]))


@pytest.mark.parametrize("labels", [[0, 3], [0.5], [[0], [1]]])
def test_balanced_weights_of_labels_that_cannot_be(labels):
    with pytest.raises(LabelError):
        balanced_class_weights(labels, 3)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["float32", "float64"]), st.sampled_from([1, 100, 1e6]))
def test_the_mean_of_probabilities(seed, dtype, scale):
    logits = (scale * np.random.default_rng(seed).normal(size=(8, 5, 3))).astype(dtype)
    mean = reference.log_mean_softmax(logits)
    assert mean.dtype == dtype
    assert np.isfinite(mean).all()
    expected = np.mean([np.exp(reference.log_softmax(one.astype("float64"))) for one in logits], axis=0)
    np.testing.assert_allclose(np.exp(mean), expected, atol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"label_smoothing": 1.0}, {"focus": 2}, {"focus": 0.5}, {"focus": 1}]
)
@pytest.mark.parametrize("weights", [None, [0.5, 1, 2]])
def test_gradients_of_the_cross_entropy(rng, options, weights):
    loss, labels = SoftmaxCrossEntropy(weights, **options), np.array([0, 2, 1, 1])
    logits = rng.normal(0, 2, size=(4, 3))
    loss.forward(logits, labels)
    gradient = loss.backward()
    np.testing.assert_allclose(slopes_of(loss, logits, labels, h=1e-6), gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_certain_image_has_no_focus_and_no_nan(dtype):
    for focus in (0.5, 1, 2):
        loss = SoftmaxCrossEntropy(focus=focus)
        assert loss.forward(np.array([[1000, 0], [-1000, 0]], dtype), np.array([0, 0])) == 500
        np.testing.assert_array_equal(loss.backward(), np.array([[0, 0], [-0.5, 0.5]], dtype))


def test_by_default_the_loss_is_what_it_was(rng):
    logits, labels = rng.normal(size=(5, 3)).astype("float32"), rng.integers(3, size=5)
    one, other = SoftmaxCrossEntropy(), SoftmaxCrossEntropy(label_smoothing=0.0, focus=0)
    assert one.forward(logits, labels) == other.forward(logits, labels)
    expected = np.exp(reference.log_softmax(logits))
    expected[np.arange(5), labels] -= 1
    assert (expected / np.float32(5)).tobytes() == other.backward().tobytes() == (one.backward()).tobytes()


def test_mean_squared_error(rng):
    loss, y, targets = MeanSquaredError(), rng.normal(size=(4, 3, 2)), rng.integers(5, size=(4, 3, 2))
    assert loss.forward(y, targets) == pytest.approx(((y - targets) ** 2).mean())
    gradient = loss.backward()
    np.testing.assert_allclose(slopes_of(loss, y, targets, h=1e-6), gradient, rtol=1e-6, atol=1e-9)
    loss.forward(y, targets)
    np.testing.assert_allclose(loss.backward(8), gradient / 2, rtol=1e-12)


def test_the_mean_over_a_batch_is_taken_in_float64():
    logits, labels = np.array([[0, 0], [10, 0]], "float32"), np.array([0, 0])
    first, second = map(float, reference.softmax_cross_entropy(logits, labels))
    exact, rounded = (first + second) / 2, float(np.float32(first + second) / 2)
    assert SoftmaxCrossEntropy().forward(logits, labels) == exact != rounded


def test_the_squared_error_belongs_to_each_image_and_keeps_the_dtype():
    np.testing.assert_array_equal(
        reference.mean_squared_error(np.array([[1.0, 2], [3, 5]]), np.zeros((2, 2))), [2.5, 17]
    )
    loss, y = MeanSquaredError(), np.array([[1], [1e-4]], "float32")
    assert loss.forward(y, np.zeros(y.shape)) == pytest.approx((1 + 1e-8) / 2, abs=1e-12)  # in float32 it would be 1/2
    assert loss.backward().dtype == np.float32
    assert loss.forward(y[:1], np.zeros((1, 1))) == 1
    np.testing.assert_array_equal(loss.backward(), [[2]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SoftmaxCrossEntropy(label_smoothing=2), ConfigError, "label_smoothing must be from 0 to 1 .* got 2"),
        (lambda: SoftmaxCrossEntropy(focus=-1), ConfigError, "focus at least 0, got 0.0 and -1"),
        (lambda: SoftmaxCrossEntropy(focus=True), ConfigError, "got 0.0 and True"),
        (lambda: SoftmaxCrossEntropy(label_smoothing=0.1, focus=2), ConfigError, "set one of them to 0"),
        (
            lambda: MeanSquaredError().forward([1.0], [1.0]),
            DtypeError,
            "y must be an array of float32 or float64, got list",
        ),
        (lambda: MeanSquaredError().forward(np.ones(2, int), np.ones(2)), DtypeError, "got int64"),
        (lambda: MeanSquaredError().forward(np.ones((0, 2)), np.ones((0, 2))), ShapeError, "with N at least 1"),
        (
            lambda: MeanSquaredError().forward(np.array([np.inf]), np.ones(1)),
            NonFiniteError,
            "MeanSquaredError: y holds",
        ),
        (lambda: MeanSquaredError().forward(np.ones(2), ["a", "b"]), DtypeError, "targets must be real numbers"),
        (lambda: MeanSquaredError().forward(np.ones((2, 1)), np.ones(2)), ShapeError, r"got \(2, 1\) and \(2,\)"),
        (lambda: MeanSquaredError().forward(np.ones(2), np.array([1, np.nan])), NonFiniteError, "targets holds a NaN"),
        (
            lambda: MeanSquaredError().backward(),
            OrderError,
            r"MeanSquaredError: backward needs a forward\(y, targets\)",
        ),
    ],
)
def test_losses_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()
