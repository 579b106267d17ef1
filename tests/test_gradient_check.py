"""The check of a layer's gradients sees every mistake, in layers as a student writes them, and accepts what is right."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import Conv2D, Dense, Flatten, GradientError, MaxPool2D, Parameter, ReLU, Sequential, gradient_check
from tests.mistakes import (
    Function,
    Own,
    gradient_of_another_shape,
    mean_for_sum,
    mistake,
    nan_in_a_gradient,
    no_bias,
    one_wrong_sign,
    one_wrong_sign_in_dx,
    scaled_by_a_hundred_thousandth,
    transposed,
)

MISTAKES = [
    (one_wrong_sign, r"^weight\[1, 2\]: backward says .*, the difference quotient"),
    (one_wrong_sign_in_dx, r"^x\[1, 1\]: backward says"),
    (transposed, r"^weight\["),
    (no_bias, r"^bias\[\d\]: backward says 0, the difference quotient"),
    (scaled_by_a_hundred_thousandth, r"^weight\[.*allowed 1e-06"),
    (lambda layer, dx: dx * (1 + 1e-5), r"^x\[.*allowed 1e-06"),
    (mean_for_sum, r"^bias\["),
    (nan_in_a_gradient, "the gradient of weight holds a NaN or an infinity"),
    (gradient_of_another_shape, r"the gradient of weight has shape \(2, 3\), its value \(3, 3\)"),
    (lambda layer, dx: dx[:, :2], r"the gradient of x has shape \(2, 2\), its value \(2, 3\)"),
    (lambda layer, dx: dx / layer.x, r"^x\["),
]


def test_a_layer_of_ones_own_passes(rng):
    result = gradient_check(Own(), rng.normal(size=(2, 3)))
    assert result.max_error < 1e-6
    assert result.checked == {"x": 6, "weight": 9, "bias": 3}
    assert "weight" in str(result)


@pytest.mark.parametrize(
    ("change", "message"), MISTAKES, ids=[getattr(change, "__name__", "dx") for change, _ in MISTAKES]
)
def test_a_mistake_is_found(change, message, rng):
    with pytest.raises(GradientError, match=message):
        gradient_check(mistake(change), rng.normal(size=(2, 3)))


def test_a_mistake_inside_a_network_is_found(rng):
    network = Sequential([Dense(3), mistake(one_wrong_sign), ReLU(), Dense(2)])
    own = network.layers[1]
    own.build = lambda input_shape, rng, dtype: input_shape
    with pytest.raises(GradientError, match=r"^own1\.weight\[1, 2\]"):
        gradient_check(network, rng.normal(size=(4, 5)))


def test_a_gradient_that_is_added_instead_of_written_is_found(rng):
    """`grad +=` is right in the first step, and wrong in every other: the gradients of all batches would add up."""

    class Adds(Own):
        def backward(self, dy, *, need_dx=True):
            self.weight.grad += (self.x**2).T @ dy
            self.bias.grad += dy.sum(axis=0)
            return dy @ self.weight.value.T * 2 * self.x

    with pytest.raises(GradientError, match=r"weight"):
        gradient_check(Adds(), rng.normal(size=(2, 3)))


def test_two_parameters_of_one_name_are_both_checked(rng):
    def both_called_weight(layer, dx):
        layer.weight.grad *= 2

    layer = mistake(both_called_weight)
    layer.bias.name = "weight"
    with pytest.raises(sn.ScratchnetError, match="weight"):
        gradient_check(layer, rng.normal(size=(2, 3)))


def test_one_wrong_number_among_thousands_is_found(rng):
    """A slip at a border or a corner touches few numbers: a sample of 40 would nearly always miss it."""

    class Wide(Own):
        def __init__(self):
            super().__init__()
            self.parameters = []

        def forward(self, x, *, training):
            self.x = x.copy()
            return x**2

        def backward(self, dy, *, need_dx=True):
            dx = 2 * self.x * dy
            dx[0, 1234] *= -1
            return dx

    with pytest.raises(GradientError, match="x"):
        gradient_check(Wide(), rng.normal(size=(2, 3000)))


def test_a_gradient_that_is_zero_but_for_rounding_passes(rng):
    """A bias before a layer that takes the mean away, as batch normalisation does, has the gradient zero."""

    class Centred:
        parameters = ()

        def build(self, input_shape, rng=None, dtype="float64"):
            return input_shape

        def forward(self, x, *, training):
            return x - x.mean(axis=0)

        def backward(self, dy, *, need_dx=True):
            return dy - dy.mean(axis=0)

    assert gradient_check(Sequential([Dense(3), Centred()]), rng.normal(size=(5, 4))).max_error < 1e-6


@pytest.mark.parametrize("big", [1e6, 1e8, 1e10, 1e12, 1e16])
@pytest.mark.parametrize("factor", [0, 1, 3])
def test_large_outputs_hide_no_wrong_slope(big, factor, rng):
    layer = Function(lambda x: big + x**2, lambda x, dy: factor * x * dy)
    with pytest.raises(GradientError, match="backward says" if big < 1e10 else "backward says|cannot tell"):
        gradient_check(layer, rng.normal(size=(2, 3)))


@pytest.mark.parametrize("big", [1e10, 1e12, 1e16])
def test_outputs_too_large_for_an_answer_are_said_to_be(big, rng):
    layer = Function(lambda x: big + x**2, lambda x, dy: 2 * x * dy)
    with pytest.raises(
        GradientError, match=r"this check cannot tell: outputs as large as 1e\+1.*: scale or centre them"
    ):
        gradient_check(layer, rng.normal(size=(2, 3)))


def test_a_step_function_has_the_gradient_zero(rng):
    assert gradient_check(Function(np.sign, lambda x, dy: 0 * x), rng.normal(size=(2, 3))).max_error == 0


@pytest.mark.parametrize(
    ("layer", "x"), [(ReLU(), np.zeros((2, 3))), (MaxPool2D(2), np.ones((1, 4, 4, 1)))], ids=["ReLU", "MaxPool2D"]
)
def test_a_kink_is_named(layer, x):
    with pytest.raises(GradientError, match=r"or x lies on a kink \(ReLU at 0, equal values in a pool\)"):
        gradient_check(layer, x)


def test_a_wrong_slope_is_no_kink(rng):
    with pytest.raises(GradientError) as refused:
        gradient_check(mistake(one_wrong_sign), rng.normal(size=(2, 3)))
    assert "kink" not in str(refused.value)


def test_large_arrays_are_sampled_with_their_ends(rng):
    layer = Dense(50)
    result = gradient_check(layer, rng.normal(size=(2, 30)), samples=10)
    assert 8 <= result.checked["dense.weight"] <= 10

    def last_is_wrong(layer, dx):
        layer.weight.grad[2, 2] += 1

    with pytest.raises(GradientError, match="weight"):
        gradient_check(mistake(last_is_wrong), rng.normal(size=(2, 3)), samples=4)


def test_values_are_left_as_they_were(rng):
    network = Sequential([Conv2D(2, 3), ReLU(), Flatten(), Dense(2)])
    network.build((4, 4, 1), seed=0, dtype="float64")
    before, x = network.state_dict(), rng.normal(size=(2, 4, 4, 1))
    kept = x.copy()
    gradient_check(network, x)
    np.testing.assert_array_equal(x, kept)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def changes_dy(x, dy):
    dy *= 2 * x
    return dy


class Careless:
    """y = x · w, whose backward does one thing that it must not do."""

    def __init__(self, touch):
        self.weight = Parameter("scale", np.array([1.0, 2.0, 3.0]), decay=True)
        self.parameters = [self.weight]
        self.touch = touch

    def forward(self, x, *, training):
        self.x = x
        return x * self.weight.value

    def backward(self, dy, *, need_dx=True):
        dx = dy * self.weight.value
        self.weight.grad[:] = (self.x * dy).sum(axis=0)
        self.touch(self, dy)
        return dx


@pytest.mark.parametrize(
    ("touch", "name", "message"),
    [
        (lambda layer, dy: dy.fill(0), None, r"backward changes dy in place.*dy\.copy\(\)"),
        (lambda layer, dy: dy.sort(axis=0), None, "backward changes dy in place"),
        (lambda layer, dy: layer.x.__iadd__(1), "x", r"backward changes x in place.*x\.copy\(\)"),
        (lambda layer, dy: layer.weight.value.__isub__(0.1), "scale", "backward changes scale in place"),
    ],
    ids=["dy zeroed", "dy sorted", "x", "a parameter"],
)
def test_backward_leaves_alone_what_it_was_given(touch, name, message, rng):
    with pytest.raises(GradientError, match=message) as refused:
        gradient_check(Careless(touch), rng.normal(size=(4, 3)))
    assert (refused.value.name, refused.value.place, refused.value.backward, refused.value.quotient) == (
        name,
        *[None] * 3,
    )
    assert gradient_check(Careless(lambda layer, dy: None), rng.normal(size=(4, 3))).max_error < 1e-6


def test_a_right_gradient_written_into_dy_is_refused(rng):
    """In a network dy is another layer's: the sum of a skip connection would be wrong."""
    with pytest.raises(GradientError, match="backward changes dy in place"):
        gradient_check(Function(np.square, changes_dy), rng.normal(size=(2, 3)))


def test_dy_itself_may_be_returned(rng):
    assert gradient_check(Function(lambda x: x + 1, lambda x, dy: dy), rng.normal(size=(2, 3))).max_error < 1e-6


class Plain:
    """y = x³ as in a first lesson: forward takes x, backward takes dy."""

    def __init__(self, factor=3):
        self.factor = factor

    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return self.factor * self.x**2 * dy


class TakesAnything(Plain):
    def forward(self, x, **options):
        assert options == {"training": True}
        return super().forward(x)


class TrainingSecond(Plain):
    def forward(self, x, training=False):
        assert training
        return super().forward(x)


@pytest.mark.parametrize("kind", [Plain, TakesAnything, TrainingSecond])
def test_forward_may_do_without_training(kind, rng):
    assert gradient_check(kind(), rng.normal(size=(2, 3))).max_error < 1e-6
    with pytest.raises(GradientError, match="backward says"):
        gradient_check(kind(2), rng.normal(size=(2, 3)))


def test_a_mistake_inside_forward_is_not_hidden(rng):
    """A TypeError of the layer's own is no reason to call it another way."""

    class Broken(Plain):
        def forward(self, x):
            return len(1)

    with pytest.raises(TypeError, match="has no len"):
        gradient_check(Broken(), rng.normal(size=(2, 3)))
