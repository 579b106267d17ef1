# %% [markdown]
# # 11 · Does *mine* learn real cells?
#
# **Question.** Ten lessons, a dozen functions. Do they make a network that learns to tell leukaemic cells from normal
# ones, and is it the same network that others have?
#
# **You write** `train_step(network, optimiser, images, labels)` and `accuracy(network, images, labels)`. **Time** 30
# minutes. **You need** lessons 7, 9 and 10.
#
# **Before.** Every function was judged alone. **Now** they work together. This is the first lesson that compiles the
# fast kernels: the first run takes some ten seconds more.

# %%
import time
from pathlib import Path

import numpy as np

import scratchnet as sn
from course import broken, cells, judge, pictures
from course.written import written
from scratchnet import reference, textbook

# %% [markdown]
# ## A step of training
#
# 1. Forward, in training: layers remember what they need, dropout throws its coins. 2. The loss of each image, and
# their **mean**. 3. The gradient of that mean at the logits, and backward. Each parameter's `.grad` is *written*:
# gradients of the last step are gone. 4. The optimiser moves the parameters.
#
# ## Exercise: `train_step`, `accuracy`
#
# Use `softmax_cross_entropy` and its gradient of `scratchnet.reference`; yours are the same.


# %%
def train_step(network, optimiser, images, labels):
    """One step of training; returns the mean loss of the batch before the step, a float.

    network: has forward(x, training=True) and backward(dlogits); optimiser: has step().
    """
    # BEGIN SOLUTION
    logits = network.forward(images, training=True)
    loss = reference.softmax_cross_entropy(logits, labels).mean()
    network.backward(reference.softmax_cross_entropy_gradient(logits, labels) / len(labels))
    optimiser.step()
    return float(loss)
    # END SOLUTION


judge("train_step", train_step)


# %%
def accuracy(network, images, labels):
    """The share of images whose largest logit is that of their label; the network answers as in use."""
    # BEGIN SOLUTION
    return float(np.mean(network.forward(images).argmax(axis=1) == labels))
    # END SOLUTION


judge("accuracy", accuracy)

# %% [markdown]
# ## Three networks with one beginning
#
# - **kernels**: a network of `scratchnet`'s fast layers, in float64.
# - **twin**: the same layers, names and weights, in the plain NumPy of `scratchnet.reference`.
# - **yours**: like the twin, but with every function of yours that its judge called right. They are looked for in the
#   lessons beside this one. What you have not written is the textbook's.

# %%
images, labels, subjects = cells(32)
names = np.random.default_rng(0).permutation(np.unique(subjects))
test = np.isin(subjects, names[:14])
x = (images - images[~test].mean(axis=(0, 1, 2))) / images[~test].std(axis=(0, 1, 2))

here = Path(__file__).parent if "__file__" in globals() else Path()
functions = written(here)
print("yours:", ", ".join(functions) or "nothing yet; all is the textbook's")


def networks():
    """A network of kernels, its twin of the textbook, and yours; all with the same weights."""
    layers = [sn.Conv2D(8, 5, stride=2), sn.ReLU(), sn.MaxPool2D(2), sn.Conv2D(16, 3), sn.ReLU(), sn.MaxPool2D(2)]
    fast = sn.Sequential([*layers, sn.Flatten(), sn.Dense(32), sn.ReLU(), sn.Dropout(0.3), sn.Dense(2)])
    fast.build((32, 32, 3), seed=0, dtype="float64")
    return {"kernels": fast, "twin": textbook.like(fast), "yours": textbook.like(fast, functions)}


def train(network, steps, adam, step=train_step):
    """The losses of so many steps, each of another 32 cells."""
    optimiser = adam(network.parameters(), 1e-3, l2=5e-4)
    rng, own = np.random.default_rng(1), np.flatnonzero(~test)
    losses = []
    for _ in range(steps):
        batch = rng.choice(own, 32, replace=False)
        losses.append(step(network, optimiser, x[batch], labels[batch]))
    return np.array(losses)


def adam_of_yours(parameters, learning_rate, l2):
    """The textbook's Adam over your functions."""
    return textbook.Adam(parameters, learning_rate, l2=l2, functions=functions)


made, losses, seconds = networks(), {}, {}
for name, adam in (("kernels", sn.Adam), ("twin", textbook.Adam), ("yours", adam_of_yours)):
    train(networks()[name], 1, adam)  # kernels are compiled here, if they have to be
    began = time.perf_counter()
    losses[name] = train(made[name], 120, adam)
    seconds[name] = time.perf_counter() - began
    right, constant = accuracy(made[name], x[test], labels[test]), max(labels[test].mean(), 1 - labels[test].mean())
    print(
        f"{name:<8} {1000 * seconds[name] / 120:6.1f} ms a step; loss {losses[name][0]:.4f} → {losses[name][-20:].mean():.4f}"
    )
    print(f"         cells of {len(names[:14])} other people: {right:.1%} right; one answer for all: {constant:.1%}")

apart = {name: np.abs(losses[name] - losses["twin"]) for name in ("yours", "kernels")}
print(f"the first five losses: yours and the twin's are {apart['yours'][:5].max():.0e} apart,", end=" ")
print(f"the kernels' and the twin's {apart['kernels'][:5].max():.0e}")
assert apart["yours"][:5].max() < 1e-12, "train_step: first make the judge say right"
assert apart["kernels"][:5].max() < 1e-9
assert losses["yours"][-20:].mean() < 0.8 * losses["yours"][:5].mean(), "train_step: first make the judge say right"

# %% [markdown]
# Yours is the network that others have. Here are the two curves, one upon the other:

# %%
figure, axes = pictures.figure(columns=2, width=12, height=4)
steps = np.arange(1, 121)
axes[0].plot(steps, losses["twin"], color=pictures.SKY, linewidth=6, label="the twin's")
axes[0].plot(steps, losses["yours"], color="black", linewidth=1.2, label="yours")
axes[0].axhline(np.log(2), color=pictures.GREY, linestyle=":", label="ln 2: knows nothing")
axes[0].set(xlabel="step", ylabel="mean loss of the batch")
axes[0].legend()
lines = {f"{name} and the twin": (steps, np.maximum(a, 1e-17)) for name, a in apart.items()}
pictures.curves(axes[1], lines, "step", "distance of the losses")
axes[1].set_yscale("log")
pictures.show(figure, "Left: your network's loss over its twin's. Right: how far the losses are apart, step by step.")

# %% [markdown]
# The right picture is a picture of rounding: the same sums, added in another order, differ in their last digits. Each
# step builds on the one before, so that in thousands of steps such a difference can grow; `docs/report.md` tells of a
# training whose fate was decided by it. So two programs are compared on *few* steps, from the same weights, in float64.
#
# ## Break it
#
# Three mistakes in `train_step` and `accuracy` that nobody would see from a curve alone. `train_step_adds_up` adds up
# the gradients of all steps; `train_step_of_the_sum` takes the gradient of the sum over the images, not of the mean.

# %%
for step in (train_step, broken.train_step_adds_up, broken.train_step_of_the_sum):
    network = networks()["kernels"]
    for parameter in network.parameters():
        parameter.grad[...] = 0
    found = train(network, 120, sn.Adam, step)
    size = np.sqrt(sum(np.sum(p.value**2) for p in network.parameters() if p.decay))
    print(f"{step.__name__:<21} loss of the last 20 steps {found[-20:].mean():.4f}, length of all weights {size:.3f}")
judge("train_step", broken.train_step_adds_up)
judge("train_step", broken.train_step_of_the_sum)

# %% [markdown]
# With the *sum*, gradients are 32 times as large. Adam forgives that, for it forgets how large gradients are (lesson
# 9). But the penalty is added to the gradient, so it counts 32 times less: the mistake silently turns L2 off. With
# plain gradient descent the same line would have blown the network up.
#
# **Test as in training.** Dropout throws coins in the test:

# %%
network = made["kernels"]
answers = [broken.accuracy_in_training(network, x[test], labels[test]) for _ in range(20)]
print(
    f"training=True: from {min(answers):.1%} to {max(answers):.1%} in 20 tests; as in use: {accuracy(network, x[test], labels[test]):.1%}"
)
assert len(set(answers)) > 1

# %% [markdown]
# ## What comes next
#
# You have an accuracy, on the cells of 14 people. How much is it worth, and would it hold for the next 14 people? *Whom
# did we test on?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 8.1, 11.4 and 11.5. LeCun, Bottou, Bengio
# & Haffner 1998, *Gradient-based learning applied to document recognition*, Proceedings of the IEEE 86(11).
# `docs/kernels.md`: how the kernels compute.
