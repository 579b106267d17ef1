"""One small network worked by hand, to the last digit.

Two images of 3×3 pixels → convolution, two filters of 2×2, no padding → 2×2 → ReLU → pooling 2×2 → 1×1 → two features →
dense, two classes.

    image A    image B    filter 1   filter 2   dense weight (rows: features, columns: classes)
    1 0 2      0 1 0      1  0        0  1      1  0
    0 3 1      2 0 1      0  1       −1  0      1  2
    2 1 0      0 1 1      bias −1    bias 1     bias 0 1

Forward. Filter 1 adds a pixel and the one to its lower right; filter 2 takes the lower one from the right one.

    A, filter 1                 A, filter 2                 B, filter 1                 B, filter 2
    1+3−1 = 3   0+1−1 = 0       0−0+1 = 1   2−3+1 = 0       0+0−1 = −1  1+1−1 = 1       1−2+1 = 0   0−0+1 = 1
    0+1−1 = 0   3+0−1 = 2       3−2+1 = 2   1−1+1 = 1       2+1−1 = 2   0+1−1 = 0       0−0+1 = 1   1−1+1 = 1

ReLU turns the −1 into 0. Pooling: A gives (3, 2), won by the upper left and the lower left place; B gives (2, 1),
won by the lower left and, the first of three equals, the upper right place.
Dense: A gives 3·1 + 2·1 + 0 = 5 and 3·0 + 2·2 + 1 = 5; B gives 2 + 1 = 3 and 0 + 2 + 1 = 3. Equal logits: both
probabilities are 1/2, the loss is ln 2.

Backward, both labels 1. dlogits = (p − onehot) / 2 = (1/4, −1/4) for each image.
Dense: dweight = Σ features · dlogits, first row (3 + 2)/4, −(3 + 2)/4, second row (2 + 1)/4, −(2 + 1)/4;
dbias = (1/2, −1/2); dfeatures = (1·1/4 − 0·1/4, 1·1/4 − 2·1/4) = (1/4, −1/4) for each image.
Pooling and ReLU hand each to its winner. Convolution: dweight is 1/4 for filter 1, −1/4 for filter 2, times the sum of
the winning patches of A and B:

    filter 1:  1 0 + 2 0 = 3 0      filter 2:  0 3 + 1 0 = 1 3      dbias = (1/4 + 1/4, −1/4 − 1/4)
               0 3   0 1   0 4                 2 1   0 1   2 2

dx: each filter times its gradient, put where its winning patch lies:

    A:  1/4   0          0      B:  0    0    −1/4
        0     1/4 − 1/4  0          1/4  1/4  0
        1/4   0          0          0    1/4  0
"""

import math

import numpy as np
import pytest

from scratchnet import SGD, Adam, Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential, SoftmaxCrossEntropy

IMAGES = np.array([[[1, 0, 2], [0, 3, 1], [2, 1, 0]], [[0, 1, 0], [2, 0, 1], [0, 1, 1]]], "float64")[..., None]
LABELS = np.array([1, 1])


def filters(first, second):
    """Two filters of 2×2 as an array (KH, KW, C, F)."""
    return np.stack([np.array(first, "float64"), np.array(second, "float64")], axis=-1)[:, :, None, :]


@pytest.fixture
def network():
    network = Sequential([Conv2D(2, 2, padding="valid"), ReLU(), MaxPool2D(2), Flatten(), Dense(2)])
    network.build((3, 3, 1), dtype="float64")
    network.load_state_dict({
        "conv1.weight": filters([[1, 0], [0, 1]], [[0, 1], [-1, 0]]),
        "conv1.bias": np.array([-1.0, 1]),
        "dense1.weight": np.array([[1.0, 0], [1, 2]]),
        "dense1.bias": np.array([0.0, 1]),
    })  # fmt: skip
    return network


def run(network):
    loss = SoftmaxCrossEntropy()
    value = loss.forward(network.forward(IMAGES, training=True), LABELS)
    return value, network.backward(loss.backward())


def test_forward(network):
    conv, relu, pool, flatten, dense = network.layers
    y = conv.forward(IMAGES)
    np.testing.assert_array_equal(y[..., 0], [[[3, 0], [0, 2]], [[-1, 1], [2, 0]]])
    np.testing.assert_array_equal(y[..., 1], [[[1, 0], [2, 1]], [[0, 1], [1, 1]]])
    y = relu.forward(y)
    np.testing.assert_array_equal(y[1, ..., 0], [[0, 1], [2, 0]])
    features = flatten.forward(pool.forward(y))
    np.testing.assert_array_equal(features, [[3, 2], [2, 1]])
    np.testing.assert_array_equal(dense.forward(features), [[5, 5], [3, 3]])


def test_loss(network):
    assert run(network)[0] == math.log(2)


def test_backward(network):
    _, dx = run(network)
    gradients = {p.name: p.grad for p in network.parameters()}
    np.testing.assert_array_equal(gradients["dense1.weight"], [[5 / 4, -5 / 4], [3 / 4, -3 / 4]])
    np.testing.assert_array_equal(gradients["dense1.bias"], [1 / 2, -1 / 2])
    np.testing.assert_array_equal(
        gradients["conv1.weight"], filters([[3 / 4, 0], [0, 1]], [[-1 / 4, -3 / 4], [-1 / 2, -1 / 2]])
    )
    np.testing.assert_array_equal(gradients["conv1.bias"], [1 / 2, -1 / 2])
    np.testing.assert_array_equal(dx[0, ..., 0], [[1 / 4, 0, 0], [0, 0, 0], [1 / 4, 0, 0]])
    np.testing.assert_array_equal(dx[1, ..., 0], [[0, 0, -1 / 4], [1 / 4, 1 / 4, 0], [0, 1 / 4, 0]])


def test_one_step_of_sgd(network):
    """learning rate 1/2, l2 1/2: g = grad + weight/2 for weights, g = grad for biases, and each goes down by g/2.

    conv1.weight: g = (5/4 0 | 0 3/2) and (−1/4 −1/4 | −1 −1/2);  dense1.weight: g = (7/4 −5/4 | 5/4 1/4).
    """
    run(network)
    SGD(network.parameters(), learning_rate=1 / 2, l2=1 / 2).step()
    state = network.state_dict()
    np.testing.assert_array_equal(
        state["conv1.weight"], filters([[3 / 8, 0], [0, 1 / 4]], [[1 / 8, 9 / 8], [-1 / 2, 1 / 4]])
    )
    np.testing.assert_array_equal(state["conv1.bias"], [-5 / 4, 5 / 4])
    np.testing.assert_array_equal(state["dense1.weight"], [[1 / 8, 5 / 8], [3 / 8, 15 / 8]])
    np.testing.assert_array_equal(state["dense1.bias"], [-1 / 4, 5 / 4])


def test_one_step_of_adam(network):
    """At the first step the corrected moments are g and g²: each number moves by 1/2 · g / (|g| + ε).

    ε = 1/4, g as for SGD:


    g     1/4   1/2   1     5/4    3/2   7/4
    step  1/4   1/3   2/5   5/12   3/7   7/16
    """
    run(network)
    Adam(network.parameters(), learning_rate=1 / 2, l2=1 / 2, beta1=1 / 2, beta2=3 / 4, epsilon=1 / 4).step()
    state = network.state_dict()
    expected = {
        "conv1.weight": filters([[7 / 12, 0], [0, 4 / 7]], [[1 / 4, 5 / 4], [-3 / 5, 1 / 3]]),
        "conv1.bias": [-4 / 3, 4 / 3],
        "dense1.weight": [[9 / 16, 5 / 12], [7 / 12, 7 / 4]],
        "dense1.bias": [-1 / 3, 4 / 3],
    }
    for (
        name,
        value,
    ) in expected.items():  # thirds and sevenths have no last digit: 1e-15 is about the last bit of a float64 near 1
        np.testing.assert_allclose(state[name], value, rtol=0, atol=1e-15)
