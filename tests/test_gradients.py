"""Every backward pass is the derivative of its forward pass, in the kernels of training, and the check sees errors."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import scratchnet as sn
from scratchnet import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GradientError,
    MaxPool2D,
    Parameter,
    ReLU,
    Sequential,
    gradient_check,
)
from scratchnet.errors import ConfigError, DtypeError, NonFiniteError, ShapeError

few = settings(max_examples=20)
seeds = st.integers(0, 2**32 - 1)


def inputs(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def distinct(seed, *shape):
    """Numbers at least 0.01 apart and none of them zero: no maximum is a tie, no difference quotient crosses a kink."""
    numbers = np.arange(np.prod(shape)) * 0.01 + 0.005
    numbers -= numbers[len(numbers) // 2] - 0.005
    return np.random.default_rng(seed).permutation(numbers).reshape(shape)


@few
@given(
    seeds,
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["same", "valid", 0, 1, 2]),
)
def test_convolution(seed, height, width, kernel_height, kernel_width, stride, padding):
    border = 2 * padding if isinstance(padding, int) else 0
    assume(padding == "same" or (height + border >= kernel_height and width + border >= kernel_width))
    layer = Conv2D(3, (kernel_height, kernel_width), stride=stride, padding=padding)
    assert gradient_check(layer, inputs(seed, 2, height, width, 2), samples=15).max_error < 1e-6


@few
@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_pooling(seed, pool_size, stride, more_rows, more_columns):
    x = distinct(seed, 2, pool_size + more_rows, pool_size + more_columns, 2)
    assert gradient_check(MaxPool2D(pool_size, stride), x).max_error < 1e-6


@few
@given(seeds, st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))
def test_dense(seed, images, features, units):
    assert gradient_check(Dense(units), inputs(seed, images, features)).max_error < 1e-6


@few
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_relu_and_flatten(seed, shape):
    assert gradient_check(ReLU(), distinct(seed, 3, *shape)).max_error < 1e-6
    assert gradient_check(Flatten(), inputs(seed, 3, *shape)).max_error < 1e-6


@few
@given(seeds, st.sampled_from([0, 0.1, 0.5, 0.9]))
def test_dropout_with_its_mask_held_fixed(seed, rate):
    assert gradient_check(Dropout(rate, seed=5), inputs(seed, 3, 4, 2)).max_error < 1e-6


@few
@given(seeds, st.sampled_from(["he_uniform", "he_normal", "xavier_uniform", "xavier_normal"]))
def test_the_whole_small_network(seed, weight_init):
    network = Sequential([
        Conv2D(3, 3, weight_init=weight_init), ReLU(), MaxPool2D(2),
        Conv2D(4, 2, stride=2, padding=1), ReLU(), MaxPool2D(2, 1),
        Flatten(), Dense(6), ReLU(), Dropout(0.5), Dense(2),
    ])  # fmt: skip
    network.build((9, 8, 2), seed=seed % 1000, dtype="float64")
    for parameter in network.parameters():
        if not parameter.decay:
            parameter.value += 0.1  # biases of zero leave a dead patch of ReLUs exactly on the kink
    result = gradient_check(network, inputs(seed, 3, 9, 8, 2), samples=8)
    assert result.max_error < 1e-6
    assert set(result.errors) == {"x", *(p.name for p in network.parameters())}


def test_the_network_with_its_loss(rng):
    """dloss/dx and dloss/dweight through everything, against the difference quotient of the loss itself."""
    network, loss, labels = Sequential([Dense(5), ReLU(), Dense(3)]), sn.SoftmaxCrossEntropy(), np.array([0, 2, 1, 1])
    network.build((4,), seed=1, dtype="float64")
    x = rng.normal(size=(4, 4))
    loss.forward(network.forward(x, training=True), labels)
    gradients = {"x": (x, network.backward(loss.backward()))} | {
        p.name: (p.value, p.grad.copy()) for p in network.parameters()
    }
    h = 1e-6
    for name, (value, gradient) in gradients.items():
        for place in np.ndindex(value.shape):
            kept = value[place]
            value[place] = kept + h
            above = loss.forward(network.forward(x), labels)
            value[place] = kept - h
            below = loss.forward(network.forward(x), labels)
            value[place] = kept
            assert gradient[place] == pytest.approx((above - below) / (2 * h), abs=1e-8), (name, place)


# The check checked: a layer of a student's own, which inherits from nothing, and its possible mistakes.


class Own:
    """y = x² · W + b, with a list of parameters as an attribute."""

    def __init__(self, mistake=lambda layer, dx: dx):
        rng = np.random.default_rng(0)
        self.weight = Parameter("weight", rng.normal(size=(3, 3)), decay=True)
        self.bias = Parameter("bias", rng.normal(size=3), decay=False)
        self.parameters = [self.weight, self.bias]
        self.mistake = mistake

    def forward(self, x, *, training):
        self.x = x.copy()
        return x**2 @ self.weight.value + self.bias.value

    def backward(self, dy, *, need_dx=True):
        self.weight.grad[:] = (self.x**2).T @ dy
        self.bias.grad[:] = dy.sum(axis=0)
        return self.mistake(self, dy @ self.weight.value.T * 2 * self.x)


def mistake(change):
    """A layer whose gradients are right until `change` has been at them."""

    def applied(layer, dx):
        changed = change(layer, dx)
        return dx if changed is None else changed

    return Own(applied)


def one_wrong_sign(layer, dx):
    layer.weight.grad[1, 2] *= -1


def one_wrong_sign_in_dx(layer, dx):
    dx[1, 1] *= -1


def transposed(layer, dx):
    layer.weight.grad[:] = layer.weight.grad.T.copy()


def no_bias(layer, dx):
    layer.bias.grad[:] = 0


def scaled_by_a_hundred_thousandth(layer, dx):
    layer.weight.grad *= 1 + 1e-5


def mean_for_sum(layer, dx):
    layer.bias.grad /= len(dx)


def nan_in_a_gradient(layer, dx):
    layer.weight.grad[0, 0] = np.nan


def gradient_of_another_shape(layer, dx):
    layer.weight.grad = layer.weight.grad[:2]


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


class Function:
    """y = f(x), with the derivative of a student."""

    def __init__(self, f, derivative):
        self.f, self.derivative = f, derivative

    def forward(self, x, *, training):
        self.x = x.copy()
        return self.f(x)

    def backward(self, dy, *, need_dx=True):
        return self.derivative(self.x, dy)


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
