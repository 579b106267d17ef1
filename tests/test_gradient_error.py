"""What the check of a layer's gradients says and carries when it refuses, and what it cannot check."""

import pickle

import numpy as np
import pytest

from scratchnet import Dense, GradientError, ReLU, gradient_check
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, ShapeError
from tests.mistakes import Function, Own, gradient_of_another_shape, mistake, nan_in_a_gradient, no_bias, one_wrong_sign


def in_place(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (Function(np.square, lambda x, dy: None), GradientError, "backward returned None: it must return dx"),
        (Function(in_place, lambda x, dy: 2 * dy), GradientError, "the layer changes x in place"),
        (Function(lambda x: None, lambda x, dy: dy), DtypeError, "forward returned None"),
        (Function(lambda x: x.astype("float32"), lambda x, dy: dy), DtypeError, "forward returned float32"),
        (Function(lambda x: x * np.inf, lambda x, dy: dy), NonFiniteError, "forward made a NaN or an infinity"),
        (ReLU, ConfigError, r"ReLU is a class: write ReLU\(\)"),
        ("relu", ConfigError, "'relu' is not a layer: it has no forward and no backward"),
    ],
)
def test_a_layer_that_cannot_be_checked(layer, error, message):
    with pytest.raises(error, match=message):
        gradient_check(layer, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1.0]], DtypeError, "x must be a NumPy array, got list"),
        (np.array([[1.0, np.nan]]), NonFiniteError, r"x holds nan at \(0, 1\)"),
        (np.zeros((0, 3)), ShapeError, r"with a number in it, got shape \(0, 3\)"),
        (np.array(1.0), ShapeError, r"got shape \(\)"),
    ],
)
def test_an_x_that_cannot_be_checked(x, error, message):
    with pytest.raises(error, match=message):
        gradient_check(Own(), x)


@pytest.mark.parametrize("samples", [1, 0, -3, 2.5, None])
def test_too_few_samples(samples):
    with pytest.raises(ConfigError, match="samples must be a whole number from 2 up"):
        gradient_check(ReLU(), np.ones((2, 3)), samples=samples)


def test_float32_is_refused(rng):
    x = rng.normal(size=(2, 4))
    with pytest.raises(
        DtypeError, match=r"gradient_check needs float64, got an x of float32: convert with x.astype\('float64'\)"
    ):
        gradient_check(Dense(3), x.astype("float32"))
    layer = Dense(3, name="dense1")
    layer.build((4,), dtype="float32")
    with pytest.raises(
        DtypeError, match=r"gradient_check needs float64, dense1.weight is float32: build with dtype='float64'"
    ):
        gradient_check(layer, x)


def test_the_error_carries_what_its_message_says(rng):
    x = rng.normal(size=(2, 3))
    with pytest.raises(GradientError) as refused:
        gradient_check(mistake(one_wrong_sign), x)
    error = refused.value
    assert (error.name, error.place) == ("weight", (1, 2))
    assert error.backward == pytest.approx(-error.quotient, rel=1e-6)
    assert f"backward says {error.backward:.9g}, the difference quotient {error.quotient:.9g}" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.name, again.place, again.quotient) == (str(error), "weight", (1, 2), error.quotient)


def test_a_direction_has_no_place(rng):
    """One wrong number of 200 of which 40 are tried: the random direction finds it, and cannot say where it is."""
    with pytest.raises(GradientError) as refused:
        gradient_check(
            Function(np.square, lambda x, dy: np.where(np.arange(x.size) == 77, 0, 2 * x * dy)),
            rng.normal(size=(1, 200)),
        )
    assert refused.value.name == "x"
    assert refused.value.place is None
    assert str(refused.value).startswith("x in a random direction: backward says")
    assert refused.value.backward != refused.value.quotient


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (no_bias, "bias"),
        (nan_in_a_gradient, "weight"),
        (gradient_of_another_shape, "weight"),
        (lambda layer, dx: dx[:, :2], "x"),
    ],
)
def test_the_error_names_the_array(change, name, rng):
    with pytest.raises(GradientError) as refused:
        gradient_check(mistake(change), rng.normal(size=(2, 3)))
    assert refused.value.name == name


@pytest.mark.parametrize("tolerance", [np.nan, 0, 1, 2, np.inf, -1e-6, "a", None, True])
def test_a_tolerance_that_would_accept_anything_or_nothing_is_refused(tolerance, rng):
    with pytest.raises(ConfigError, match="tolerance must be a number above 0 and below 1"):
        gradient_check(Own(), rng.normal(size=(2, 3)), tolerance=tolerance)


@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_a_seed_that_is_not_one_is_refused(seed, rng):
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        gradient_check(Own(), rng.normal(size=(2, 3)), seed=seed)


def test_a_forward_that_answers_differently_each_time_is_named(rng):
    class Random(Own):
        def forward(self, x, *, training):
            return super().forward(x, training=training) + rng.normal()

    with pytest.raises(GradientError, match="two different results for one x"):
        gradient_check(Random(), rng.normal(size=(2, 3)))


@pytest.mark.parametrize(
    ("dx", "message"),
    [
        (lambda x: [[1.0], [1.0, 2.0]], "dx that is not an array"),
        (lambda x: x.astype(np.float32), "gradient of x is float32, its value float64"),
        (lambda x: x + 0j, "gradient of x is complex128"),
    ],
)
def test_a_dx_that_is_no_array_of_float64_is_named(dx, message, rng):
    layer = mistake(lambda layer, right: dx(right))
    with pytest.raises(GradientError, match=message):
        gradient_check(layer, rng.normal(size=(2, 3)))
