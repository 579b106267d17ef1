# %% [markdown]
# # 4 · Which check catches which bug?
#
# **Question.** Wrong gradients don't crash, and networks learn with many of them. Which test would notice?
#
# **You write** `check(layer)`: is this layer's `backward` the gradient of its `forward`? **Time** 45 minutes. **You
# need** lesson 3.
#
# **Before.** You measured slopes and computed them. **Now** you write the test that every later gradient must pass.
# Your test is itself tested: the judge has fifteen broken layers for it, and this lesson shows you ten.

# %%
from types import SimpleNamespace

import numpy as np

from course import cells, judge, pictures
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
# They are the usual ones, and half of them are among the judge's fifteen too. Read them, and guess which of them your
# check will miss.


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


def conv_turned(x, weight, dy, stride):
    """The dx of filters that are turned around."""
    dx, _, _ = reference.conv2d_gradient(x, weight[::-1, ::-1], dy, stride)
    _, dweight, dbias = reference.conv2d_gradient(x, weight, dy, stride)
    return dx, dweight, dbias


def conv_exchanged(x, weight, dy, stride):
    """Rows and columns of dy are exchanged: a slip in an index, and the shapes allow it."""
    return reference.conv2d_gradient(x, weight, dy.swapaxes(1, 2), stride)


def conv_overwrites(x, weight, dy, stride):
    """= where += is meant: of all windows that hold a number, only the last is heard."""
    _, dweight, dbias = reference.conv2d_gradient(x, weight, dy, stride)
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape[1:3]):
        dx[:, i : i + weight.shape[0], j : j + weight.shape[1]] = np.einsum("nf,uvcf->nuvc", dy[:, i, j], weight)
    return dx, dweight, dbias


def conv_bias_inside(x, weight, bias, stride):
    """The bias is added to each product."""
    return reference.conv2d(x, weight, bias * np.prod(weight.shape[:3]), stride)


def conv_bias_inside_gradient(x, weight, dy, stride):
    """The right gradient of that wrong convolution."""
    dx, dweight, dbias = reference.conv2d_gradient(x, weight, dy, stride)
    return dx, dweight, dbias * np.prod(weight.shape[:3])


def pool_overwrites(x, dy, size, stride):
    """= where += is meant: a number that wins several windows hears only the last."""
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        part = x[n, i * stride : i * stride + size, j * stride : j * stride + size, c]
        u, v = np.unravel_index(part.argmax(), part.shape)
        dx[n, i * stride + u, j * stride + v, c] = dy[n, i, j, c]
    return dx


def pool_all_equals(x, dy, size, stride):
    """Among equals, each gets all of dy."""
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(dy.shape):
        rows, columns = slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
        part = x[n, rows, columns, c]
        dx[n, rows, columns, c] += (part == part.max()) * dy[n, i, j, c]
    return dx


broken = {
    "dense: db is a mean": dense(db_mean),
    "dense: dW transposed": dense(dw_transposed),
    "ReLU: changes dy in place": relu(in_place),
    "ReLU: 1 at x = 0": relu(one_at_zero),
    "convolution: dx with turned filters": conv(conv_turned),
    "convolution: dy's rows, columns exchanged": conv(conv_exchanged),
    "convolution: = for += in dx": conv(conv_overwrites),
    "convolution: bias inside, gradient fits": conv(conv_bias_inside_gradient, conv_bias_inside),
    "pooling: = for +=": pool(pool_overwrites),
    "pooling: to all equals": pool(pool_all_equals),
}
right = {"dense": dense(), "ReLU": relu(), "convolution": conv(), "pooling": pool()}

# %% [markdown]
# ## Exercise: `check`
#
# Let $r$ be random and $L = \sum r \odot \text{forward}(x)$, one number. Then $\partial L / \partial y = r$. So
# `backward(r)` must return $\partial L / \partial x$, and write $\partial L / \partial p$ for every parameter $p$.
# Measure some of these slopes as in lesson 3, and compare.
#
# One way: draw $x$ and $r$ at random, for three images, say. Call forward and backward, and keep copies of all
# gradients. Then, for x and each parameter: move one number by $+h$ and by $-h$, compute $L$ both times, put the number
# back, compare. Think about this:
#
# - Why must $r$ be random? Let the layer be a softmax and $r = 1$: what is $L$, whatever $x$ is?
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
# Four other checks stand beside yours. *The loss falls.* One number, with $dy = 1$ and a tolerance of 1 %. All numbers,
# with $dy = 1$. And the comparison with an independent **twin**, the textbook's operation, on whole numbers from −2 to
# 2, which are full of zeros and of equals.


# %%
def loss_falls(layer, twin):
    """Ten steps downhill on Σ y², in the parameters, or in x where there are none: does it end lower?"""
    x = np.random.default_rng(2).normal(size=(3, *layer.input_shape))
    kept = [p.value.copy() for p in layer.parameters()]
    losses = []
    for _ in range(10):
        y = layer.forward(x, training=True)
        losses.append(np.sum(y**2))
        dx = layer.backward(2 * y)
        for p in layer.parameters():
            p.value -= 1e-5 * p.grad
        if not kept:
            x = x - 1e-3 * dx
    for p, value in zip(layer.parameters(), kept, strict=True):
        p.value[...] = value
    return losses[-1] < losses[0]


def with_ones(layer, numbers, tolerance):
    """The difference quotient with dy = 1, for the first so many numbers of x and of each parameter."""
    x = np.random.default_rng(3).normal(size=(3, *layer.input_shape))
    dx = layer.backward(np.ones_like(layer.forward(x, training=True)))
    gradients = [np.array(dx)] + [p.grad.copy() for p in layer.parameters()]
    for value, gradient in zip([x, *(p.value for p in layer.parameters())], gradients, strict=True):
        for place in list(np.ndindex(value.shape))[:numbers]:
            kept, sums = value[place], []
            for h in (1e-5, -1e-5):
                value[place] = kept + h
                sums.append(layer.forward(x).sum())
            value[place] = kept
            measured = (sums[0] - sums[1]) / 2e-5
            if abs(measured - gradient[place]) > tolerance * max(1, abs(measured)):
                return False
    return True


def mine(layer):
    """What your check says; one that fails an assertion has said no."""
    try:
        return bool(check(layer))
    except AssertionError:
        return False


def same_as_twin(layer, twin):
    """Outputs and gradients equal the textbook's, on whole numbers."""
    rng = np.random.default_rng(4)
    x = rng.integers(-2, 3, size=(3, *layer.input_shape)).astype(float)
    y, expected = layer.forward(x, training=True), twin.forward(x, training=True)
    dy = rng.normal(size=y.shape)
    given = dy.copy()
    pairs = [(y, expected), (layer.backward(given), twin.backward(dy)), (given, dy)]
    pairs += [(p.grad, q.grad) for p, q in zip(layer.parameters(), twin.parameters(), strict=True)]
    return all(np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in pairs)


checks = {
    "the loss falls": loss_falls,
    "one number, dy = 1, 1 %": lambda layer, twin: with_ones(layer, 1, 1e-2),
    "all numbers, dy = 1": lambda layer, twin: with_ones(layer, None, 1e-6),
    "yours: random dy": lambda layer, twin: mine(layer),
    "twin, with equals": same_as_twin,
}
twins = {"dense": dense(), "ReLU": relu(), "convolution": conv(), "pooling": pool()}
caught = np.array(
    [[not c(layer, twins[name.split(":")[0]]) for c in checks.values()] for name, layer in broken.items()]
)
passed = np.array([[c(layer, twins[name]) for c in checks.values()] for name, layer in right.items()])
assert passed.all(), "check calls a right layer wrong: first make the judge say right"

figure, axes = pictures.figure(width=9, height=5.2)
pictures.matrix(axes[0], caught, list(broken), list(checks), "✓ caught   ✗ taken for right")
pictures.show(figure, "Ten bugs and five checks: which check catches which bug.")
for name, column in zip(checks, caught.T, strict=True):
    print(f"{name:<26} catches {column.sum():2} of {len(broken)}")

# %% [markdown]
# Read the picture column by column.
#
# - **The loss falls** with every one of these bugs. That a network learns says little about its gradients.
# - **$dy = 1$** can't see a $dy$ whose numbers got mixed up: they are all equal.
# - **Yours** can't see a layer that is *consistently* wrong: the gradient that fits a wrong forward is a gradient. Nor
#   can it see what happens at ties and at exact zeros, where there is no slope to measure.
# - **The twin** sees those, if it really is independent, if you have one, and if you feed it ties on purpose.
#
# So a good test has two halves: a difference quotient with random $dy$, and an independent implementation on awkward
# numbers. The judges of this course use both. `scratchnet.gradient_check` is a careful version of your `check`. Read it
# now, and compare.

# %%
missed = [name for name, found in zip(broken, caught[:, 3], strict=True) if not found]
print("your check does not see:", *missed, sep="\n  ")
assert len(missed) <= 3, "check misses what it can see: first make the judge say right"
assert caught[:, 4].all()
assert not caught[:, 0].any()
assert not caught[list(broken).index("convolution: dy's rows, columns exchanged"), 2]

# %% [markdown]
# ## Break it
#
# **A pooling whose windows don't overlap.** The same bug, `=` for `+=`, at size 2 and stride 2, as most networks have
# it:

# %%
for size, stride in ((2, 2), (3, 1)):
    said = mine(pool(pool_overwrites, size, stride))
    print(f"= for += at size {size}, stride {stride}: your check says {'right' if said else 'wrong'}")
assert mine(pool(pool_overwrites, 2, 2)), "check: first make the judge say right"
assert not mine(pool(pool_overwrites, 3, 1)), "check: first make the judge say right"

# %% [markdown]
# At 2 and 2 no number stands in two windows, so nothing is ever added. There the bug is no bug, and no check can see
# it. It shows the day somebody chooses another size. **Test the sizes that can go wrong, not those that are usual.**
#
# **On real cells** ties need not be made on purpose:

# %%
images, labels, subjects = cells(32)
parts = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(1, 2))[:, ::2, ::2]
ties = (parts == parts.max(axis=(-2, -1), keepdims=True)).sum(axis=(-2, -1)) > 1
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
