"""The exercises: what a student writes, lesson by lesson. Lessons, judges and wrong solutions all follow this table.

Axes as everywhere in scratchnet: images (N, H, W, C), filters (KH, KW, C, F), dense weights (in, out). No function changes
its arguments, unless its line says so. Where the signature is that of `scratchnet.reference`, the function can stand in
for the textbook's in a real network: `scratchnet.textbook.like(network, {"conv2d": conv2d})`.
"""

from typing import NamedTuple


class Exercise(NamedTuple):
    """A function that a student writes.

    name, signature: as it is defined. lesson: its number. does: what it returns. swaps: whether it can take its place in
    `scratchnet.textbook`, which has a function of the same name and signature.
    """

    name: str
    lesson: int
    signature: str
    does: str
    swaps: bool = False

    def __str__(self) -> str:
        return f"{self.name}{self.signature}"


_ALL = (
    Exercise(
        "standardise",
        1,
        "(train, images)",
        "The images (M, H, W, C), uint8, as float64: (images − mean) / deviation, each channel's mean and deviation taken "
        "over all pixels of train (N, H, W, C), uint8",
    ),
    Exercise(
        "conv2d",
        2,
        "(x, weight, bias, stride)",
        "y (N, OH, OW, F): the sum over each window of x times each filter, plus that filter's bias",
        swaps=True,
    ),
    Exercise(
        "slope",
        3,
        "(f, x, place)",
        "The slope of f, which makes a number of an array, at x along the one number x[place]: a float with 7 right digits; "
        "x float64, and afterwards what it was",
    ),
    Exercise("relu_gradient", 3, "(x, dy)", "dx = dy where x > 0, else 0", swaps=True),
    Exercise(
        "dense_gradient",
        3,
        "(x, weight, dy)",
        "(dx, dweight, dbias) of y = x · weight + bias, summed over the images",
        swaps=True,
    ),
    Exercise(
        "check",
        4,
        "(layer)",
        "True if layer.backward is the gradient of layer.forward, else False. The layer is one of scratchnet.textbook: "
        "forward(x) gives y, backward(dy) gives dx and writes .grad of each of parameters(), which have .name and .value; "
        "x (N, *layer.input_shape) float64, or of another height and width",
    ),
    Exercise(
        "conv2d_gradient",
        5,
        "(x, weight, dy, stride)",
        "(dx, dweight, dbias) of conv2d, summed over the images",
        swaps=True,
    ),
    Exercise(
        "max_pool2d",
        6,
        "(x, size, stride)",
        "y (N, OH, OW, C): the largest number of each window; rows and columns that fill no window are left out",
        swaps=True,
    ),
    Exercise(
        "max_pool2d_gradient",
        6,
        "(x, dy, size, stride)",
        "dx: each number of dy goes to the place that won its window, the first in reading order among equals",
        swaps=True,
    ),
    Exercise(
        "softmax_cross_entropy",
        7,
        "(logits, labels)",
        "−log of the probability of the right class, for each image: logits (N, K), labels (N,) → (N,)",
        swaps=True,
    ),
    Exercise(
        "softmax_cross_entropy_gradient",
        7,
        "(logits, labels)",
        "dlogits (N, K) of the sum of these over the images",
        swaps=True,
    ),
    Exercise(
        "xavier_uniform",
        8,
        "(rng, shape)",
        "Weights of the shape (KH, KW, C, F) or (in, out), uniform in ±√(6 / (fan_in + fan_out)), drawn from rng",
        swaps=True,
    ),
    Exercise(
        "adam",
        9,
        "(value, grad, mean, square, step, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0)",
        "(value, mean, square) after step number `step` ≥ 1, new arrays; l2 · value is added to the gradient",
        swaps=True,
    ),
    Exercise(
        "adam_step",
        9,
        "(parameters, state, learning_rate, l2)",
        "Nothing: moves every parameter's .value in place by adam, with its .grad, and with l2 where its .decay is true. "
        "state: a dict, empty before the first step, for all that must be remembered from one step to the next",
    ),
    Exercise(
        "dropout",
        10,
        "(x, rate, rng, training)",
        "(y, kept): kept has the shape of x and is True with probability 1 − rate, drawn anew from rng; y = x / (1 − rate) "
        "where kept, else 0. Without training: x itself, and True everywhere",
    ),
    Exercise(
        "train_step",
        11,
        "(network, optimiser, images, labels)",
        "The mean loss of the batch before the step, a float, after one step of training: network.forward(x, training=True), "
        "softmax_cross_entropy and its gradient, network.backward(dlogits), optimiser.step()",
    ),
    Exercise(
        "accuracy",
        11,
        "(network, images, labels)",
        "The share of images whose largest logit is that of their label, a float; the network answers as in use, not as in "
        "training",
    ),
    Exercise(
        "split_subjects",
        12,
        "(labels, subjects, share, rng)",
        "bool (N,), True for the test side: whole subjects drawn by rng, both classes on both sides, about `share` of the "
        "images; labels (N,) 0 or 1, one for each subject, subjects (N,) names",
    ),
    Exercise(
        "interval",
        12,
        "(correct, subjects, rng)",
        "(low, high), a 95 % interval of the accuracy, by the bootstrap over subjects: correct (N,) 0 or 1, subjects (N,)",
    ),
    Exercise(
        "im2col",
        13,
        "(x, size, stride)",
        "(N · OH · OW, KH · KW · C), a row for each window in the order (n, i, j), its numbers in the order (u, v, c), so "
        "that conv2d is im2col(x, (KH, KW), stride) @ weight.reshape(−1, F) + bias; an array of its own, no view of x",
    ),
    Exercise(
        "winograd_f23",
        13,
        "(d, g)",
        "The two sums y[i] = Σ g[u] · d[i + u] of four numbers d and three numbers g, with four multiplications of a "
        "number that comes from d by one that comes from g; works on fractions",
    ),
    Exercise(
        "winograd_f23_adjoint",
        13,
        "(dv)",
        "dd (4, 4), the gradient of the tile d, given that of v = Bᵀ · d · B, the input transform of F(2×2, 3×3), with "
        "Bᵀ = [[1, 0, −1, 0], [0, 1, 1, 0], [0, −1, 1, 0], [0, 1, 0, −1]]",
    ),
    Exercise(
        "combine",
        14,
        "(parts)",
        "The gradient of the mean loss over all images, from a list of (gradient of the mean loss over a worker's images, "
        "how many they are)",
    ),
)

EXERCISES = {exercise.name: exercise for exercise in _ALL}
"""Every exercise by its name, in the order of the lessons."""

LESSONS = tuple(range(1, 15))


def of_lesson(lesson: int) -> list[Exercise]:
    """The exercises of a lesson, in their order."""
    return [exercise for exercise in _ALL if exercise.lesson == lesson]
