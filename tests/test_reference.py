"""The textbook itself: its sums beside loops over their indices, its gradients beside difference quotients, the rest by hand."""

import math

import numpy as np
import pytest

from scratchnet import random, reference

LN2 = math.log(2)
RNG = np.random.default_rng(0)
# Two images, two channels, three filters; taller than wide or wider than tall, so that no two sizes are equal by chance.
X, FILTERS, BIAS = RNG.normal(size=(2, 5, 7, 2)), RNG.normal(size=(2, 3, 2, 3)), RNG.normal(size=3)
SLICES = FILTERS[..., 0]  # of one filter: what a depthwise convolution has
LOGITS, LABELS, WEIGHTS = RNG.normal(size=(4, 3)), np.array([2, 0, 1, 2]), np.array([0.5, 2, 3])
KEPT = RNG.random((4, 3)) < 0.5


def own_batch_norm(x, gamma, beta, epsilon):
    return reference.batch_norm(x, gamma, beta, *reference.batch_moments(x), epsilon)


def own_batch_norm_gradient(x, gamma, _, dy, epsilon):
    return reference.batch_norm_gradient(x, gamma, dy, epsilon)


def cross_entropy_gradient(logits, dy, *options):
    return dy[:, None] * reference.softmax_cross_entropy_gradient(logits, LABELS, *options)


# name: (operation, its gradient, the arguments that it has gradients for, the others); and which of the former the gradient takes
OPERATIONS = {
    "pad": (reference.pad, reference.pad_gradient, [X], (1, 2, 3, 4), []),
    "pad on two sides": (reference.pad, reference.pad_gradient, [X], (0, 2, 3, 0), []),
    **{
        f"{name}, stride {stride}": (operation, gradient, arguments, (*others, stride), needed)
        for stride in (1, 2)
        for name, operation, gradient, arguments, others, needed in (
            ("conv2d", reference.conv2d, reference.conv2d_gradient, [X, FILTERS, BIAS], (), [0, 1]),
            ("depthwise_conv2d", reference.depthwise_conv2d, reference.depthwise_conv2d_gradient, [X, SLICES, BIAS[:2]], (), [0, 1]),
            ("max_pool2d", reference.max_pool2d, reference.max_pool2d_gradient, [X], (3,), [0]),
            ("average_pool2d", reference.average_pool2d, reference.average_pool2d_gradient, [X], (3,), [0]),
        )
    },
    "global_average_pool2d": (reference.global_average_pool2d, reference.global_average_pool2d_gradient, [X], (), [0]),
    "dense": (reference.dense, reference.dense_gradient, [LOGITS, X[0, 0, :3], BIAS[:2]], (), [0, 1]),
    "relu": (reference.relu, reference.relu_gradient, [LOGITS], (), [0]),
    "leaky_relu": (reference.leaky_relu, reference.leaky_relu_gradient, [LOGITS], (0.25,), [0]),
    "sigmoid": (reference.sigmoid, reference.sigmoid_gradient, [LOGITS], (), [0]),
    "tanh": (reference.tanh, reference.tanh_gradient, [LOGITS], (), [0]),
    "batch_norm": (own_batch_norm, own_batch_norm_gradient, [X, BIAS[:2], BIAS[1:]], (0.25,), [0, 1, 2]),
    "dropout": (reference.dropout, reference.dropout_gradient, [LOGITS], (KEPT, 0.25), []),
    "mean_squared_error": (
        reference.mean_squared_error,
        lambda y, dy, targets: dy[:, None, None] * reference.mean_squared_error_gradient(y, targets),
        [X[..., 0]], (X[..., 1],), [0],
    ),
    **{
        f"softmax_cross_entropy {name}": (
            lambda logits, *options: reference.softmax_cross_entropy(logits, LABELS, *options),
            cross_entropy_gradient, [LOGITS], options, [0],
        )
        for name, options in {"plain": (), "weighted": (WEIGHTS,), "smooth": (None, 0.25), "focused": (WEIGHTS, 0.0, 1.5)}.items()
    },
}  # fmt: skip


def test_no_gradient_is_missing():
    there = {name for name in vars(reference) if name.endswith("_gradient")}
    assert {f"{name.replace(',', ' ').split()[0]}_gradient" for name in OPERATIONS} == there


def gradients(operation, arguments, others, needed, gradient):
    """dy, drawn, and the gradients that the textbook answers with."""
    y = operation(*arguments, *others)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)
    found = gradient(*(arguments[i] for i in needed), dy, *others)
    return dy, found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_gradient_is_the_difference_quotient(name):
    """(L(x + h) − L(x − h)) / 2h with L = Σ y · dy, h = 1e-5: off by h², and by the rounding of L, 1e-16 · L / h."""
    operation, gradient, arguments, others, needed = OPERATIONS[name]
    dy, found = gradients(operation, arguments, others, needed, gradient)
    assert len(found) == len(arguments)
    for which, answer in enumerate(found):
        expected = np.empty_like(arguments[which])
        for place in np.ndindex(expected.shape):
            moved = [argument.copy() for argument in arguments]
            moved[which][place] += 1e-5
            above = (operation(*moved, *others) * dy).sum()
            moved[which][place] -= 2e-5
            expected[place] = (above - (operation(*moved, *others) * dy).sum()) / 2e-5
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", OPERATIONS)
def test_float32_stays_float32(name):
    operation, gradient, arguments, others, needed = OPERATIONS[name]
    single = [argument.astype(np.float32) for argument in arguments]
    others = [
        one.astype(np.float32) if isinstance(one, np.ndarray) and one.dtype == np.float64 else one for one in others
    ]
    _, found = gradients(operation, single, others, needed, gradient)
    assert {operation(*single, *others).dtype, *(one.dtype for one in found)} == {np.dtype("float32")}


def windows(x, height, width, stride):
    """(n, i, j, window) for each place of a window."""
    for n in range(len(x)):
        for i in range((x.shape[1] - height) // stride + 1):
            for j in range((x.shape[2] - width) // stride + 1):
                yield n, i, j, x[n, i * stride : i * stride + height, j * stride : j * stride + width]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows_are_summed_as_the_equations_say(stride):
    conv, depthwise = (
        reference.conv2d(X, FILTERS, BIAS, stride),
        reference.depthwise_conv2d(X, SLICES, BIAS[:2], stride),
    )
    places = list(windows(X, 2, 3, stride))
    assert conv.shape == (2, (5 - 2) // stride + 1, (7 - 3) // stride + 1, 3)
    assert conv[..., 0].size == len(places)
    assert conv.flags.c_contiguous
    assert depthwise.flags.c_contiguous
    for n, i, j, window in places:
        np.testing.assert_allclose(conv[n, i, j], (window[..., None] * FILTERS).sum((0, 1, 2)) + BIAS, atol=1e-12)
        np.testing.assert_allclose(depthwise[n, i, j], (window * SLICES).sum((0, 1)) + BIAS[:2], atol=1e-12)
    largest, mean = reference.max_pool2d(X, 2, stride), reference.average_pool2d(X, 2, stride)
    for n, i, j, window in windows(X, 2, 2, stride):
        np.testing.assert_array_equal(largest[n, i, j], window.max((0, 1)))
        np.testing.assert_allclose(mean[n, i, j], window.mean((0, 1)), atol=1e-12)
    np.testing.assert_allclose(reference.global_average_pool2d(X)[1, 0], X[1, :, :, 0].sum() / 35, atol=1e-12)


def test_a_border_of_zeros():
    y = reference.pad(np.ones((1, 1, 1, 2)), 1, 0, 2, 0)
    np.testing.assert_array_equal(y[..., 0], [[[0, 0, 0], [0, 0, 1]]])
    assert y.shape == (1, 2, 3, 2)


def test_of_equals_the_first_in_reading_order_wins():
    x = np.array([[3.0, 1, 1], [3, 3, 1]])[None, ..., None]
    dx = reference.max_pool2d_gradient(x, np.array([[[[5.0], [7]]]]), 2, 1)
    np.testing.assert_array_equal(dx[0, ..., 0], [[5, 0, 0], [0, 7, 0]])


def test_activations_by_hand():
    x = np.array([-LN2, 0.0, LN2])
    np.testing.assert_array_equal(reference.relu(x), [0, 0, LN2])
    np.testing.assert_array_equal(reference.relu_gradient(x, np.array([5.0, 6, 7])), [0, 0, 7])
    np.testing.assert_array_equal(reference.leaky_relu(x, 0.5), [-LN2 / 2, 0, LN2])
    np.testing.assert_array_equal(reference.leaky_relu_gradient(x, np.array([5.0, 6, 7]), 0.5), [2.5, 3, 7])
    np.testing.assert_allclose(reference.sigmoid(x), [1 / 3, 1 / 2, 2 / 3], rtol=1e-15)
    np.testing.assert_array_equal(
        reference.sigmoid(np.array([-800.0, 800])), [0, 1]
    )  # and no overflow, which is a warning
    np.testing.assert_allclose(reference.tanh(x), [-3 / 5, 0, 3 / 5], rtol=1e-15)  # (2 − 1/2) / (2 + 1/2)


def test_batch_norm_by_hand():
    """Channel 0 holds 1, 5: mean 3, variance 4. Channel 1 holds 2, 2: variance 0, and epsilon alone stands under the root."""
    x = np.array([[1.0, 2], [5, 2]]).reshape(2, 1, 1, 2)
    mean, variance = reference.batch_moments(x)
    np.testing.assert_array_equal([mean, variance], [[3, 2], [4, 0]])
    y = reference.batch_norm(x, np.array([6.0, 1]), np.array([1.0, 9]), mean, variance, 5.0)
    np.testing.assert_allclose(y[:, 0, 0, 0], [1 - 6 * 2 / 3, 1 + 6 * 2 / 3], rtol=1e-15)
    np.testing.assert_array_equal(y[:, 0, 0, 1], [9, 9])


def test_dropout_draws_as_splitmix64_is_published():
    """The first numbers of the generator that begins with 0: they are the draws of a key 0, one for each feature."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    draws = [(number >> 11) / 2**53 for number in published]
    keys = np.array([0, int(random.GOLDEN_GAMMA)], np.uint64)  # the second key is one number ahead
    for rate in (0.0, 0.5, *draws):  # a draw equal to the rate stays
        kept = reference.dropout_kept(keys, 4, rate)
        assert kept[0].tolist() == [draw >= rate for draw in draws]
        assert kept[1, :3].tolist() == kept[0, 1:].tolist()
    np.testing.assert_array_equal(reference.dropout(np.array([3.0, 3]), np.array([True, False]), 0.25), [4, 0])


def test_an_image_is_turned_and_enlarged():
    """Rows and columns of 0 to 3, middle 3/2: what stands at p comes from 3/2 + (p − 3/2) / zoom, in steps of 1/32."""
    image = np.add.outer(320.0 * np.arange(4), 32 * np.arange(4))[..., None] * [1, 2]
    np.testing.assert_array_equal(reference.warped(image, 0, 1), image)
    np.testing.assert_array_equal(reference.warped(image, 90, 1), np.rot90(image))
    np.testing.assert_array_equal(reference.warped(image, 180, 1), image[::-1, ::-1])

    def ramp(*places):
        return np.add.outer(320 * np.array(places), 32 * np.array(places))

    np.testing.assert_array_equal(reference.warped(image, 0, 2)[..., 0], ramp(3 / 4, 5 / 4, 7 / 4, 9 / 4))
    np.testing.assert_array_equal(reference.warped(image, 0, 1 / 2)[..., 0], ramp(0, 1 / 2, 5 / 2, 3))  # kept inside
    # 3/2 − 3/2 / 1.7 = 0.6176 and 3/2 − 1/2 / 1.7 = 1.2059: 20/32 and 39/32, and as far from the other end
    np.testing.assert_array_equal(reference.warped(image, 0, 1.7)[..., 0], ramp(20 / 32, 39 / 32, 57 / 32, 76 / 32))


def test_a_half_is_rounded_up():
    """Enlarged to the double, two pixels 1/4 and 3/4 of the way from the one to the other."""
    image = np.array([[0.0, 2], [0, 2]])[..., None]
    np.testing.assert_array_equal(reference.warped(image, 0, 2)[..., 0], [[1, 2], [1, 2]])


def test_stains_by_hand():
    """Stain 0 absorbs red and green, stain 1 green, stain 2 blue; an amount ln 2 halves the light, which is (pixel + 1) / 256.

    The pixel 127, 63, 63: light 1/2, 1/4, 1/4, amounts ln 2 · (1, 1, 2). Scaled by 2, 1, 1/2 and shifted by ln 2 · (0, 2, 1):
    ln 2 · (2, 3, 2), light 1/4, 1/32, 1/4. The pixel 255, 0, 255: amounts ln 2 · (0, 8, 0), then ln 2 · (0, 10, 1).
    """
    stains = np.array([[1.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    image = np.array([[[127.0, 63, 63], [0, 0, 0], [255, 0, 255]]])
    found = reference.restained(image, stains, np.array([2, 1, 0.5]), LN2 * np.array([0, 2, 1]))
    expected = [[[63, 7, 63], [0, 0, 0], [255, 0, 127]]]  # black stays black; 256 / 1024 − 1 is below 0
    np.testing.assert_array_equal(found, expected)
    bright = reference.restained(image, stains, np.zeros(3), np.array([-1.0, 0.001, 0.001]))
    expected = [[[255, 255, 255], [0, 0, 0], [255, 255, 255]]]  # 256 · exp(−0.001) − 1 = 254.7
    np.testing.assert_array_equal(bright, expected)


@pytest.mark.parametrize(("shape", "fans"), [((5, 3, 2, 7), 5 * 3 * 2 + 5 * 3 * 7), ((20, 10), 30)])
def test_xavier_reaches_as_far_as_the_paper_says(shape, fans):
    limit = math.sqrt(6 / fans)
    found = reference.xavier_uniform(np.random.default_rng(0), shape)
    np.testing.assert_allclose(found, np.random.default_rng(0).uniform(-limit, limit, shape), rtol=1e-15)


def test_softmax_by_hand():
    logits = np.log([[1.0, 3, 4], [2, 1, 1]])
    np.testing.assert_allclose(reference.softmax(logits), [[1 / 8, 3 / 8, 1 / 2], [1 / 2, 1 / 4, 1 / 4]], rtol=1e-15)
    np.testing.assert_allclose(
        reference.log_softmax(logits), np.log([[1 / 8, 3 / 8, 1 / 2], [1 / 2, 1 / 4, 1 / 4]]), rtol=1e-15
    )
    assert reference.softmax(logits.astype(np.float32)).dtype == np.float64
    assert reference.log_softmax(logits.astype(np.float32)).dtype == np.float32
    far = np.array([[0.0, 2000]])  # exp(2000) overflows, exp(−2000) is 0
    np.testing.assert_array_equal(reference.log_softmax(far), [[-2000, 0]])
    np.testing.assert_array_equal(reference.log_mean_softmax(np.stack([far, far])), [[-2000, 0]])


def test_the_mean_over_views_by_hand():
    views = np.log([[[1.0, 3], [1, 1]], [[3, 1], [1, 3]], [[1, 1], [1, 0.5]]])
    np.testing.assert_allclose(
        np.exp(reference.log_mean_softmax(views)), [[1 / 2, 1 / 2], [17 / 36, 19 / 36]], rtol=1e-14
    )


def test_losses_by_hand():
    """The probabilities are 1/8, 3/8, 1/2 and 1/2, 1/4, 1/4; the labels' are 3/8 and 1/2."""
    logits, labels = np.log([[1.0, 3, 4], [2, 1, 1]]), np.array([1, 0])
    plain = np.array([math.log(8 / 3), LN2])
    others = np.array([(3 * LN2 + math.log(8 / 3) + LN2) / 3, 5 * LN2 / 3])  # the mean of −log p
    for expected, *options in (
        (plain,),
        (plain * [5, 7], np.array([7.0, 5, 3])),
        (0.75 * plain + 0.25 * others, None, 0.25),
        (plain * [25 / 64, 1 / 4], None, 0.0, 2.0),
        (plain * [5 * 25 / 64, 7 / 4], np.array([7.0, 5, 3]), 0.0, 2.0),
    ):
        np.testing.assert_allclose(reference.softmax_cross_entropy(logits, labels, *options), expected, rtol=1e-14)


def test_what_is_right_already_has_no_focused_gradient():
    """p = 1 to the last bit: the fraction log p / (1 − p) would be 0 / 0."""
    found = reference.softmax_cross_entropy_gradient(np.array([[0.0, 2000]]), np.array([1]), focus=0.5)
    np.testing.assert_array_equal(found, [[0, 0]])


def test_mean_squared_error_by_hand():
    y, targets = np.array([[[1.0, 2]], [[3, 5]]]), np.array([[[0.0, 0]], [[1, 5]]])
    np.testing.assert_array_equal(reference.mean_squared_error(y, targets), [5 / 2, 2])
    np.testing.assert_array_equal(reference.mean_squared_error_gradient(y, targets), [[[1, 2]], [[2, 0]]])


def test_a_step_of_adam_by_hand():
    """g = 1 + 2/2 = 2, mean (3 + 2) / 2, square (3 · 5 + 2²) / 4; at step 2 they are divided by 1 − (1/2)² and 1 − (3/4)²."""
    start = {"value": 2.0, "grad": 1.0, "mean": 3.0, "square": 5.0, "step": 2}
    found = reference.adam(**start, learning_rate=1 / 2, beta1=1 / 2, beta2=3 / 4, epsilon=1 / 4, l2=1 / 2, decay=1 / 4)
    moved = (5 / 2 / (3 / 4)) / (math.sqrt(19 / 4 / (7 / 16)) + 1 / 4)
    np.testing.assert_allclose(found, [2 - (2 / 4 + moved) / 2, 5 / 2, 19 / 4], rtol=1e-15)


def test_adam_unless_told_otherwise():
    """The paper's numbers: 0.001, 0.9, 0.999, 1e-8; neither l2 nor decay."""
    found = reference.adam(value=2.0, grad=1e-4, mean=0.0, square=0.0, step=1)
    np.testing.assert_allclose(found, [2 - 1e-3 * 1e-4 / (1e-4 + 1e-8), 1e-5, 1e-11], rtol=1e-12)


def test_a_step_of_sgd_by_hand():
    np.testing.assert_array_equal(reference.sgd(2.0, 1.0, 4.0, 1 / 2, 1 / 4, 1 / 2), [2 - 3 / 2, 4 / 4 + 1 + 2 / 2])
    np.testing.assert_array_equal(reference.sgd(2.0, 1.0, 4.0, 1 / 2, 1 / 4), [2 - 2 / 2, 4 / 4 + 1])
