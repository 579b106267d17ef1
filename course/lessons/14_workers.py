# %% [markdown]
# # 14 · Two workers, one gradient?
#
# **Question.** Two computers share a batch. Each has the gradient of *its* cells. What is the gradient of all?
#
# **You write** `combine(parts)`. **Time** 25 minutes. **You need** lessons 3 and 7.
#
# **Before.** One worker is as fast as it can be. **Now** there are several. The lesson is short. The mistake in it is
# an old one: in 2024 a much-used library still divided by the wrong number when a batch came in parts.

# %%
import numpy as np

from course import broken, cells, judge, pictures
from scratchnet import reference

images, labels, subjects = cells(32)

# %% [markdown]
# ## Parts of a batch
#
# The loss of a batch is the mean over its $N$ images, and so is its gradient: $g = \frac{1}{N} \sum_n g_n$. A worker
# that has $N_k$ of the images knows the mean over *its* images, $g^{(k)} = \frac{1}{N_k} \sum_{n \in k} g_n$. How do
# these give $g$?
#
# 246 cells do not divide evenly. Nor does any data set, at the end of an epoch. Here are three workers with 100, 100
# and 46 cells, and a dense layer on six numbers of each cell.

# %%
features = np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1)
features = (features - features.mean(axis=0)) / features.std(axis=0)
weight = np.random.default_rng(0).normal(size=(6, 2))


def mean_gradient(chosen):
    """The gradient (6, 2) of the mean loss of the chosen images at `weight`."""
    dlogits = reference.softmax_cross_entropy_gradient(features[chosen] @ weight, labels[chosen])
    return features[chosen].T @ dlogits / len(chosen)


workers = np.split(np.arange(len(labels)), [100, 200])
parts = [(mean_gradient(chosen), len(chosen)) for chosen in workers]
whole = mean_gradient(np.arange(len(labels)))
for number, (gradient, count) in enumerate(parts, 1):
    print(
        f"worker {number}: {count} cells, {labels[workers[number - 1]].mean():.0%} leukaemic, first row {gradient[0].round(3)}"
    )
print("all: first row", whole[0].round(3))

# %% [markdown]
# ## Exercise: `combine`


# %%
def combine(parts):
    """The gradient of the mean loss over all images.

    parts: a list of (gradient of the mean loss over a worker's images, how many images they are).
    """
    # BEGIN SOLUTION
    total = sum(count for _, count in parts)
    return sum(gradient * (count / total) for gradient, count in parts)
    # END SOLUTION


judge("combine", combine)

# %% [markdown]
# ## What each worker brings
#
# For each of six weights: the share that each worker brings, one upon the other, and the whole.

# %%
figure, axes = pictures.figure(columns=2, width=12, height=4)
names = ["red", "green", "blue", "±red", "±green", "±blue"]
places = np.arange(6)
above, below = np.zeros(6), np.zeros(6)
for number, ((gradient, count), colour) in enumerate(
    zip(parts, (pictures.BLUE, pictures.YELLOW, pictures.GREEN), strict=True), 1
):
    share = combine([(gradient[:, 0], count), (np.zeros(6), len(labels) - count)])  # as if the others brought nothing
    start = np.where(share > 0, above, below)
    axes[0].bar(places, share, 0.6, bottom=start, color=colour, label=f"worker {number}: {count} cells")
    above, below = above + np.maximum(share, 0), below + np.minimum(share, 0)
axes[0].plot(places, whole[:, 0], "k_", markersize=32, markeredgewidth=3, label="one worker, all cells")
axes[0].axhline(0, color=pictures.GREY, linewidth=0.8)
axes[0].set_xticks(places, names)
axes[0].set(xlabel="weight of a cell's mean colour, or its deviation ±", ylabel="gradient", ylim=(None, 0.34))
axes[0].legend(fontsize=9, loc="upper left", ncols=2, markerscale=0.5)

sizes = np.arange(1, 124)
errors = {"mean of means": [], "yours": []}
for size in sizes:
    two = [np.arange(size), np.arange(size, len(labels))]
    pair = [(mean_gradient(chosen), len(chosen)) for chosen in two]
    length = np.linalg.norm(whole)
    errors["mean of means"].append(np.linalg.norm(np.mean([g for g, _ in pair], axis=0) - whole) / length)
    errors["yours"].append(max(np.linalg.norm(combine(pair) - whole) / length, 1e-17))
pictures.curves(
    axes[1],
    {k: (sizes, np.array(v)) for k, v in errors.items()},
    "cells of the smaller of two workers",
    "error, relative",
)
axes[1].set_yscale("log")
pictures.show(
    figure,
    "Left: the workers' shares add up to the gradient of all. Right: the error of a mean of means, by unevenness.",
)
assert max(errors["yours"]) < 1e-12, "combine: first make the judge say right"
assert errors["mean of means"][0] > 0.1
assert np.abs(combine(parts) - whole).max() < 1e-12, "combine: first make the judge say right"

# %% [markdown]
# The mean of means is right only where both workers have as many cells. With one cell against 245 it follows that
# single cell with half of its weight.
#
# ## Equal, but to the bit?
#
# Addition of floats is not associative: $(a + b) + c$ and $a + (b + c)$ may differ in their last bit. The workers' sum
# has other brackets than one worker's.

# %%
small = features.astype(np.float32)
x, dlogits = small, reference.softmax_cross_entropy_gradient(small @ weight.astype(np.float32), labels)
one = x.T @ dlogits
several = {
    count: sum(x[i].T @ dlogits[i] for i in np.array_split(np.arange(len(labels)), count)) for count in (2, 3, 4, 8)
}
for count, gradient in several.items():
    print(
        f"{count} workers, float32: {np.mean(gradient != one):.0%} of the numbers differ, at most by {np.abs(gradient - one).max():.0e}"
    )
    assert np.allclose(gradient, one, rtol=1e-3, atol=1e-3)
a, b, c = 0.1, 0.2, 0.3
print("(0.1 + 0.2) + 0.3 == 0.1 + (0.2 + 0.3):", (a + b) + c == a + (b + c))
assert (a + b) + c != a + (b + c)

# %% [markdown]
# So training with two workers and with three may end with other weights, unless somebody takes care of the order.
# `scratchnet` adds in fixed blocks, in a fixed order: the same seed gives the same bits on one thread, on two and on
# three (`docs/reliability.md`).
#
# ## Break it
#
# Three ways to combine that are often seen: the mean of the workers' means; their sum, so that the learning rate grows
# with the number of workers; and without the last, smaller part, so that all are even.

# %%
for function in (broken.combine_mean_of_means, broken.combine_sum_of_means, broken.combine_without_the_rest):
    error = np.linalg.norm(function(parts) - whole) / np.linalg.norm(whole)
    even = [(mean_gradient(i), len(i)) for i in np.split(np.arange(len(labels)), 3)]
    error_even = np.linalg.norm(function(even) - whole) / np.linalg.norm(whole)
    print(f"{function.__name__:<24} error {error:4.0%} with 100, 100 and 46 cells, {error_even:4.0%} with 82 each")
    judge("combine", function)
    assert error > 0.01
    assert (error_even < 1e-12) == (function is not broken.combine_sum_of_means)

# %% [markdown]
# Two of them are exactly right as long as all parts are even, and that is what they were tested with. It is the lesson
# of the whole course once more: **test with numbers that can show a difference.**
#
# ## What comes next
#
# This was the last lesson. You have written a convolutional network, every layer and every gradient, the tests that
# hold it up, and the statistics that say what it is worth. Read now how it is done at full speed:
# `scratchnet/reference.py` beside `scratchnet/kernels/`, with `docs/kernels.md`. Train it on images of your own:
# `python train.py --data FOLDER`.
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 8.1.3 and 12.1.3. Dean et al. 2012, *Large
# scale distributed deep networks*, NeurIPS. Goyal et al. 2017, *Accurate, large minibatch SGD*, arXiv:1706.02677,
# section 3. Goldberg 1991, *What every computer scientist should know about floating-point arithmetic*, ACM Computing
# Surveys 23(1).
