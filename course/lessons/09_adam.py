# %% [markdown]
# # 9 · How do weights move?
#
# **Question.** The gradient says in which direction. How far shall a weight go?
#
# **You write** `adam(value, grad, mean, square, step, …)`, one step of Adam, and `adam_step(parameters, state, …)`,
# which moves a whole network. **Time** 45 minutes. **You need** lessons 3 and 7.
#
# **Before.** Lesson 8 looked at a network before its first step. **Now** it takes steps.

# %%
import numpy as np

from course import cells, judge, pictures
from scratchnet import reference

# %% [markdown]
# ## A landscape made of real cells
#
# Two weights are enough to see it. Each cell is described by two numbers in the units that they happen to have: how
# many per cent of the image the cell fills, and its mean blue in tens of bytes. The score of "leukaemic" is
# $w_1 \cdot \text{size} + w_2 \cdot \text{blue}$, each less its mean, plus a constant for the classes' frequency. The
# loss of lesson 7, over all cells, is a landscape over $(w_1, w_2)$.

# %%
images, labels, subjects = cells(32)
inside = images.max(axis=3) > 0
size = 100 * inside.mean(axis=(1, 2))
blue = np.array([image[mask][:, 2].mean() / 10 for image, mask in zip(images, inside, strict=True)])
features = np.stack([size - size.mean(), blue - blue.mean()], axis=1)
constant = np.log(labels.mean() / (1 - labels.mean()))
print("standard deviations: size {:.1f}, blue {:.2f}".format(*features.std(axis=0)))


# %%
def loss(w):
    """The mean cross-entropy of the cells for the two weights w (2,)."""
    logits = np.stack([np.zeros(len(labels)), features @ w + constant], axis=1)
    return reference.softmax_cross_entropy(logits, labels).mean()


def gradient(w):
    """Its gradient, (2,)."""
    logits = np.stack([np.zeros(len(labels)), features @ w + constant], axis=1)
    return reference.softmax_cross_entropy_gradient(logits, labels)[:, 1] @ features / len(labels)


# %% [markdown]
# Size varies much more than blue, in these units. So the landscape is a long valley: steep along $w_1$, nearly flat
# along $w_2$. Gradient descent, $w \leftarrow w - \eta g$, has one rate $\eta$ for both. What is short enough for the
# steep direction is far too short for the flat one.
#
# **Momentum** (Polyak 1964) keeps a moving sum of gradients: what alternates cancels, what agrees adds up. **Adam**
# (Kingma & Ba 2015) keeps a moving mean of the gradient, and one of its square, and divides one by the root of the
# other, *for each weight by itself*:
#
# $$ m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad s \leftarrow \beta_2 s + (1 - \beta_2) g^2, $$
#
# $$ w \leftarrow w - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \varepsilon}. $$
#
# The denominators $1 - \beta^t$ make up for the start: $m$ and $s$ begin at 0, and after $t$ steps their weights add up
# to $1 - \beta^t$ only. $t$ counts from 1, for all weights alike.
#
# **L2.** A penalty $\frac{\lambda}{2} \sum w^2$ keeps weights small. Its gradient, $\lambda w$, is added to $g$ first
# of all. It is for weights, not for biases: a bias makes nothing steeper. (AdamW, Loshchilov & Hutter 2019, shrinks the
# weight instead, beside Adam. That is another method.)
#
# ## Exercise: `adam`
#
# Return new arrays; change none that you are given.


# %%
def adam(value, grad, mean, square, step, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, l2=0.0):
    """The new (value, mean, square) after step number `step`, which counts from 1.

    value, grad, mean, square: arrays of one shape. l2 · value is added to the gradient.
    """
    # BEGIN SOLUTION
    grad = grad + l2 * value
    mean = beta1 * mean + (1 - beta1) * grad
    square = beta2 * square + (1 - beta2) * grad**2
    unbiased_mean, unbiased_square = mean / (1 - beta1**step), square / (1 - beta2**step)
    return value - learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + epsilon), mean, square
    # END SOLUTION


judge("adam", adam)

# %% [markdown]
# ## Exercise: `adam_step`
#
# A network has many parameters, each with `.value`, `.grad` and `.decay` (true for weights, false for biases). Between
# two steps you must remember something for each of them, and the number of the step. `state` is a dictionary for that;
# it is empty at first and yours.


# %%
def adam_step(parameters, state, learning_rate, l2):
    """Moves every parameter's .value in place by Adam, with its .grad, and with l2 where its .decay is true.

    state: a dict, empty before the first step, for all that must be remembered. Returns nothing; changes no .grad.
    """
    # BEGIN SOLUTION
    state["step"] = state.get("step", 0) + 1
    beta1, beta2 = 0.9, 0.999
    for number, parameter in enumerate(parameters):
        mean, square = state.get(number, (0.0, 0.0))
        grad = parameter.grad + (l2 * parameter.value if parameter.decay else 0.0)
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        state[number] = mean, square
        unbiased_mean, unbiased_square = mean / (1 - beta1 ** state["step"]), square / (1 - beta2 ** state["step"])
        parameter.value -= learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + 1e-8)
    # END SOLUTION


judge("adam_step", adam_step)

# %% [markdown]
# ## Three ways down


# %%
def path(step, steps=100):
    """The points (steps + 1, 2) that `step` visits from (−0.2, 3); step(w, state) returns the next."""
    w, points, state = np.array([-0.2, 3.0]), [], {}
    for _ in range(steps):
        points.append(w)
        w = step(w, state)
    return np.array([*points, w])


def descent(w, state):
    """Gradient descent."""
    return w - 0.3 * gradient(w)


def momentum(w, state):
    """Gradient descent with momentum."""
    w, state["velocity"] = reference.sgd(w, gradient(w), state.get("velocity", np.zeros(2)), 0.3, 0.9)
    return w


def yours(w, state):
    """Your Adam."""
    state["step"] = state.get("step", 0) + 1
    zero = np.zeros(2)
    w, *state["moments"] = adam(w, gradient(w), *state.get("moments", (zero, zero)), state["step"], learning_rate=0.1)
    return w


ways = {"gradient descent": descent, "momentum": momentum, "Adam": yours}
paths = {name: path(step) for name, step in ways.items()}
figure, axes = pictures.figure(columns=2, width=12, height=4.6)
pictures.landscape(axes[0], loss, (-0.3, 0.9), (-1.5, 3.5))
for (name, points), colour in zip(paths.items(), (pictures.BLUE, pictures.ORANGE, pictures.GREEN), strict=True):
    axes[0].plot(*points.T, ".-", color=colour, markersize=4, linewidth=1, label=name)
axes[0].plot(*paths["Adam"][0], "ko", markersize=7)
axes[0].set(xlabel="weight of size", ylabel="weight of blue")
axes[0].legend(loc="lower left")
heights = {name: (np.arange(len(points)), np.array([loss(w) for w in points])) for name, points in paths.items()}
pictures.curves(axes[1], heights, "step", "loss")
axes[1].set_ylim(0.44, 0.9)
pictures.show(
    figure, "Left: paths of three optimisers down a valley made of real cells. Right: their loss, step by step."
)
for name, points in paths.items():
    print(f"{name:<17} loss after 10 steps {loss(points[10]):.4f}, after 100 {loss(points[-1]):.4f}")
assert loss(paths["Adam"][-1]) < loss(paths["gradient descent"][-1]), "adam: first make the judge say right"

# %% [markdown]
# ## Break it
#
# **Without the correction for the start.** How long is the very first step?

# %%
for scale in (1000.0, 1.0, 0.001):
    g = np.array([scale])
    right, _, _ = adam(np.zeros(1), g, np.zeros(1), np.zeros(1), 1, learning_rate=0.001)
    without = -0.001 * (0.1 * g) / (np.sqrt(0.001 * g**2) + 1e-8)
    print(f"gradient {scale:8g}: first step {abs(right[0]):.6f}, without the correction {abs(without[0]):.6f}")
    assert abs(abs(right[0]) - 0.001) < 1e-7, "adam: first make the judge say right"
    assert 3 < abs(without[0] / right[0]) < 3.2, "adam: first make the judge say right"

# %% [markdown]
# Without it, the first step is three times as long as it should be. And look at the column before: **whatever the size
# of the gradient, the step is 0.001.** Adam forgets how large gradients are.
#
# That makes L2 strange. A weight that the images don't care about gets the gradient $\lambda w$ and nothing else. It is
# tiny, but Adam does not know that:


# %%
def ride(l2, decay):
    """A weight of 0.03 that no image pushes: 30 steps with L2 in the gradient, or with AdamW's decay."""
    w, m, s = np.array([0.03]), np.zeros(1), np.zeros(1)
    for step in range(1, 31):
        w, m, s = reference.adam(w, np.zeros(1), m, s, step, l2=l2, decay=decay)
    return w[0]


print(f"from 0.03 in 30 steps: {ride(5e-4, 0):.5f} with L2 in the gradient, {ride(0, 5e-4):.5f} with decay beside Adam")
assert ride(5e-4, 0) < 0.01
assert ride(0, 5e-4) > 0.029

# %% [markdown]
# With plain gradient descent the weight would lose one part in two million at each step. In Adam it walks to zero at
# full speed. This is the second half of the answer to lesson 8: its dense weights of 1024 × 1024 begin with a deviation
# of $\sqrt{2 / 2048} \approx 0.03$, and most of them are pulled.
#
# **L2 on biases too.** Try it in `adam_step` and ask the judge.


# %%
def on_biases(parameters, state, learning_rate, l2):
    """L2 on everything."""
    kept = [p.decay for p in parameters]
    for p in parameters:
        p.decay = True
    adam_step(parameters, state, learning_rate, l2)
    for p, decay in zip(parameters, kept, strict=True):
        p.decay = decay


judge("adam_step", on_biases)

# %% [markdown]
# ## What comes next
#
# The network learns now. With few cells it soon knows them by heart. *Why leave features out?*
#
# **Sources.** Kingma & Ba 2015, *Adam: a method for stochastic optimization*, ICLR, algorithm 1. Loshchilov & Hutter
# 2019, *Decoupled weight decay regularization*, ICLR. Polyak 1964, *Some methods of speeding up the convergence of
# iteration methods*. Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 7.1, 8.3 and 8.5. Prince 2023,
# *Understanding Deep Learning*, chapter 6.
