# %% [markdown]
# # 4 · Which check catches which bug?
#
# **Question.** Wrong gradients don't crash, and networks learn with many of them. Which test would notice?
#
# **You write** `check(layer)`: is this layer's `backward` the gradient of its `forward`? **Time** 90 minutes. **You
# need** lessons 2 and 3.
#
# **Before.** You measured slopes and computed them. **Now** you write the test that every later gradient must pass.
# Your test is itself tested: the judge has fifteen broken layers for it, and this lesson shows you ten.

# %%
from types import SimpleNamespace

import numpy as np

from course import broken, cells, judge, other_checks, pictures
from scratchnet import reference

# %% [markdown]
# ## A layer
#
# A layer holds its parameters. `forward(x, training=True)` also remembers what `backward` needs; a forward without
# `training` only computes. `backward(dy)` returns `dx`, and writes the gradient of each parameter into its `grad`. The
# layers of `scratchnet` and of `scratchnet.textbook` work like this one.


# %%
class Layer:
    """An operation and its gradient, both of `scratchnet.reference` or broken, as a layer."""

    def __init__(self, forward, gradient, input_shape, shapes=(), **options):
        rng = np.random.default_rng(1)
        self.operation, self.gradient, self.input_shape, self.options = forward, gradient, input_shape, options
        self.held = [
            SimpleNamespace(name=name, value=0.5 * rng.normal(size=shape), grad=np.zeros(shape))
            for name, shape in zip(("weight", "bias"), shapes, strict=False)
        ]

    def parameters(self):
        """The weight and the bias, or nothing."""
        return self.held

    def forward(self, x, *, training=False):
        """y, for x (N, *input_shape); with training=True it keeps what backward needs."""
        if training:
            self.x = x
        return self.operation(x, *(p.value for p in self.held), **self.options)

    def backward(self, dy):
        """dx; the gradients of the parameters are written."""
        weight = [self.held[0].value] if self.held else []
        answer = self.gradient(self.x, *weight, dy, **self.options)
        dx, *grads = answer if isinstance(answer, tuple) else (answer,)
        for parameter, grad in zip(self.held, grads, strict=True):
            parameter.grad[...] = grad
        return dx


def dense(gradient=reference.dense_gradient, forward=reference.dense):
    """A dense layer, 4 numbers to 4."""
    return Layer(forward, gradient, (4,), [(4, 4), (4,)])


def conv(gradient=reference.conv2d_gradient, forward=reference.conv2d):
    """A convolution, 3 × 3 filters, 2 channels to 2."""
    return Layer(forward, gradient, (5, 5, 2), [(3, 3, 2, 2), (2,)], stride=1)


def pool(gradient=reference.max_pool2d_gradient, size=3, stride=1):
    """A max-pooling whose windows overlap."""
    return Layer(reference.max_pool2d, gradient, (6, 6, 2), size=size, stride=stride)


def relu(gradient=reference.relu_gradient):
    """ReLU."""
    return Layer(reference.relu, gradient, (4, 4, 2))


# %% [markdown]
# ## Ten bugs
#
# They are the usual ones, and half of them are among the judge's fifteen too. Guess which of them your check will miss.
#
# You need not understand the convolution and pooling ones yet: the gradient of a convolution is lesson 5, and
# max-pooling keeps the largest number of each window (lesson 6). They are imported; one line says what each does.


# %%
def db_mean(x, weight, dy):
    """The bias's gradient is averaged over the images, the weight's is summed."""
    return dy @ weight.T, x.T @ dy, dy.mean(axis=0)


def dw_transposed(x, weight, dy):
    """The shapes allow it, for the matrix is square."""
    return dy @ weight.T, dy.T @ x, dy.sum(axis=0)


def in_place(x, dy):
    """Writes into dy, which others may still need."""
    dy[x <= 0] = 0
    return dy


def one_at_zero(x, dy):
    """Says 1 at 0, where the textbook says 0."""
    return np.where(x >= 0, dy, 0)


mistaken = {
    "dense: db is a mean": dense(db_mean),
    "dense: dW transposed": dense(dw_transposed),
    "ReLU: changes dy in place": relu(in_place),
    "ReLU: 1 at x = 0": relu(one_at_zero),
    "convolution: dx with turned filters": conv(broken.conv_turned),
    "convolution: dy's rows, columns exchanged": conv(broken.conv_exchanged),
    "convolution: = for += in dx": conv(broken.conv_overwrites),
    "convolution: bias inside, gradient fits": conv(broken.conv_bias_inside_gradient, broken.conv_bias_inside),
    "pooling: = for +=": pool(broken.pool_overwrites),
    "pooling: to all equals": pool(broken.pool_all_equals),
}
right = {"dense": dense(), "ReLU": relu(), "convolution": conv(), "pooling": pool()}
for name, layer in mistaken.items():
    print(f"{name}\n    {layer.gradient.__doc__}")

# %% [markdown]
# ## Exercise: `check`
#
# Let $r$ be random and $L = \sum r \odot \text{forward}(x)$, one number ($\odot$: number by number). Then
# $\partial L / \partial y = r$. So
# `backward(r)` must return $\partial L / \partial x$, and write $\partial L / \partial p$ for every parameter $p$.
# Measure some of these slopes as in lesson 3, and compare.
#
# One way: draw $x$ and $r$ at random, for three images, say. Call forward and backward, and keep copies of all
# gradients. Then, for x and each parameter: move one number by $+h$ and by $-h$, compute $L$ both times, put the number
# back, compare. Think about this:
#
# - Why must $r$ be random? Let the layer's outputs always add up to 1 (softmax, lesson 7), and $r = 1$: what is $L$,
#   whatever $x$ is?
# - How many numbers do you compare, and how closely? How many good digits has the measurement?
# - What else may a layer do wrong? It can change the $dy$ that it is given: compare it before and after. It can add to
#   `grad` where it should write: that shows only if something stood in `grad` before.


# %%
def check(layer):
    """Whether layer.backward is the gradient of layer.forward, for x and every parameter: True or False.

    layer: has forward(x, training=True), backward(dy), parameters() with .name, .value and .grad, and input_shape.
    """
    # BEGIN SOLUTION
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, *layer.input_shape))
    r = rng.normal(size=layer.forward(x).shape)
    for parameter in layer.parameters():
        parameter.grad[...] = np.nan  # to be written, not to be added to
    x_before, r_before = x.copy(), r.copy()
    _ = layer.forward(x, training=True)
    dx = layer.backward(r)
    if not (np.array_equal(x, x_before) and np.array_equal(r, r_before)):
        return False
    pairs = [(x, np.array(dx))] + [(p.value, p.grad.copy()) for p in layer.parameters()]
    h = 1e-5
    for value, gradient in pairs:
        if gradient.shape != value.shape or not np.isfinite(gradient).all():
            return False
        usual = np.sqrt(np.mean(gradient**2))
        for flat in rng.permutation(value.size)[:60]:
            place = np.unravel_index(flat, value.shape)
            kept = value[place]
            value[place] = kept + h
            above = np.sum(r * layer.forward(x))
            value[place] = kept - h
            below = np.sum(r * layer.forward(x))
            value[place] = kept
            measured = (above - below) / (2 * h)
            if abs(measured - gradient[place]) > 1e-6 * max(abs(measured), usual):
                return False
    return True
    # END SOLUTION


judge("check", check)

# %% [markdown]
# ## Which check catches which bug?
#
# Four other checks stand beside yours (`course/other_checks.py`). *The loss falls.* One number, with $dy = 1$ and a
# tolerance of 1 %. All numbers, with $dy = 1$. And the comparison with an independent **twin**, the textbook's
# operation, on whole numbers from −2 to 2, which are full of zeros and of equals.


# %%
def mine(layer):
    """What your check says; one that fails an assertion has said no."""
    try:
        return bool(check(layer))
    except AssertionError:
        return False


checks = {
    "the loss falls": lambda layer, twin: other_checks.loss_falls(layer),
    "one number, dy = 1, 1 %": lambda layer, twin: other_checks.with_ones(layer, 1, 1e-2),
    "all numbers, dy = 1": lambda layer, twin: other_checks.with_ones(layer, None, 1e-6),
    "yours: random dy": lambda layer, twin: mine(layer),
    "twin, with equals": other_checks.same_as_twin,
}
twins = {"dense": dense(), "ReLU": relu(), "convolution": conv(), "pooling": pool()}
caught = np.array(
    [[not c(layer, twins[name.split(":")[0]]) for c in checks.values()] for name, layer in mistaken.items()]
)
passed = np.array([[c(layer, twins[name]) for c in checks.values()] for name, layer in right.items()])
assert passed.all(), "check calls a right layer wrong: first make the judge say right"

figure, axes = pictures.figure(width=9, height=5.2)
pictures.matrix(axes[0], caught, list(mistaken), list(checks), "✓ caught   ✗ taken for right")
pictures.show(figure, "Ten bugs and five checks: which check catches which bug.")
for name, column in zip(checks, caught.T, strict=True):
    print(f"{name:<26} catches {column.sum():2} of {len(mistaken)}")

# %% [markdown]
# Read the picture column by column.
#
# - **The loss falls** with every one of these bugs. That a network learns says little about its gradients. (Of layers
#   with parameters this check never uses dx; lesson 5 shows a network that does, and learns with a wrong one.)
# - **$dy = 1$** cannot see a $dy$ whose numbers got mixed up: they are all equal.
# - **Yours** cannot see a layer that is *consistently* wrong: the gradient that fits a wrong forward is a gradient. Nor
#   can it see what happens at ties and at exact zeros, where there is no slope to measure.
# - **The twin** sees those, if it really is independent, if you have one, and if you feed it ties on purpose.
#
# So a good test has two halves: a difference quotient with random $dy$, and an independent implementation on awkward
# numbers. The judges of this course use both. `scratchnet.gradient_check` is a careful version of your `check`. Read
# it, and compare (in a cell or a Python of your own; it needs Numba):
#
# ```python
# import inspect, scratchnet
# print(inspect.getsource(scratchnet.gradient_check))
# ```

# %%
missed = [name for name, found in zip(mistaken, caught[:, 3], strict=True) if not found]
print("your check does not see:", *missed, sep="\n  ")
assert len(missed) <= 3, "check misses what it can see: first make the judge say right"
assert caught[:, 4].all()
assert not caught[:, 0].any()
assert not caught[list(mistaken).index("convolution: dy's rows, columns exchanged"), 2]

# %% [markdown]
# ## Break it
#
# **A pooling whose windows don't overlap.** The same bug, `=` for `+=`, at size 2 and stride 2, as most networks have
# it:

# %%
for size, stride in ((2, 2), (3, 1)):
    said = mine(pool(broken.pool_overwrites, size, stride))
    print(f"= for += at size {size}, stride {stride}: your check says {'right' if said else 'wrong'}")
assert mine(pool(broken.pool_overwrites, 2, 2)), "check: first make the judge say right"
assert not mine(pool(broken.pool_overwrites, 3, 1)), "check: first make the judge say right"

# %% [markdown]
# At 2 and 2 no number stands in two windows, so nothing is ever added. There the bug is no bug, and no check can see
# it. It shows the day somebody chooses another size. **Test the sizes that can go wrong, not those that are usual.**
#
# **On real cells** ties need not be made on purpose:

# %%
images, labels, subjects = cells(32)
ones = np.ones((len(images), 16, 16, 3))
winners = broken.pool_all_equals(images, ones, 2, 2)  # 1 at each number that is the largest of its window
ties = reference.average_pool2d(winners, 2, 2) > 1 / 4  # a window has four
print(f"in {ties.mean():.0%} of the 2 × 2 windows of real cells, more than one number is the largest")
assert ties.mean() > 0.5

# %% [markdown]
# ## What comes next
#
# Now you can trust a gradient. So write the hardest one of the network: *how does blame reach pixels?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, section 11.5. Stanford CS231n, notes, *Neural
# Networks 3*, "Gradient checks". DeMillo, Lipton & Sayward 1978, *Hints on test data selection*, IEEE Computer 11(4):
# tests that are tested by wrong programs, "mutation testing".
