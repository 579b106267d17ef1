# %% [markdown]
# # 6 · Who won?
#
# **Question.** A network shrinks its maps by keeping the largest number of each window. How does blame find its way
# back?
#
# **You write** `max_pool2d(x, size, stride)` and `max_pool2d_gradient(x, dy, size, stride)`. **Time** 40 minutes. **You
# need** lesson 3; the slices of lesson 5 help.
#
# **Before.** In a convolution every number of a window is to blame for the output. **Now** one number alone is: the
# winner.

# %%
import numpy as np

from course import broken, cells, judge, pictures

images, labels, subjects = cells(32)

# %% [markdown]
# ## Max-pooling
#
# $$ y_{n,i,j,c} = \max_{0 \le u,v < k}\; x_{n,\,is+u,\,js+v,\,c} $$
#
# with windows of $k \times k$, the **size**, that move $s$ steps, the **stride**. Channels stay apart. After a
# convolution a large number says: here is what the filter looks for, its **feature**. If the feature moves by a pixel,
# the maximum often stays what it was. Most networks take $k = s = 2$: then windows touch, and each
# number is in one window. With $k > s$ they overlap, and a number can win several times (Krizhevsky, Sutskever & Hinton
# 2012 took $k = 3$, $s = 2$). Rows and columns at the end that fill no window are left out.
#
# ## Exercise: `max_pool2d`


# %%
def max_pool2d(x, size, stride):
    """The largest number of each window: x (N, H, W, C) → (N, H', W', C), H' = (H − size) // stride + 1."""
    # BEGIN SOLUTION
    rows, columns = (x.shape[1] - size) // stride + 1, (x.shape[2] - size) // stride + 1
    y = np.empty((len(x), rows, columns, x.shape[3]), x.dtype)
    for i, j in np.ndindex(rows, columns):
        y[:, i, j] = x[:, i * stride : i * stride + size, j * stride : j * stride + size].max(axis=(1, 2))
    return y
    # END SOLUTION


judge("max_pool2d", max_pool2d)

# %% [markdown]
# ## The way back
#
# A small change of the winner changes $y$ by as much. A small change of any other number changes nothing. So
# $dy_{nijc}$ goes to the winner, all of it, and the others get 0. A number that wins several
# windows gets **the sum**.
#
# And if two are equal? There is no slope then (lesson 3: a kink). Somebody must decide, and everybody must decide
# alike, or two programs will never agree. Here **the first in reading order** wins, row by row.
#
# ## Exercise: `max_pool2d_gradient`


# %%
def max_pool2d_gradient(x, dy, size, stride):
    """dx: each number of dy goes to the place that won its window, the first in reading order among equals.

    x (N, H, W, C), dy (N, H', W', C). Returns (N, H, W, C). Neither is changed.
    """
    # BEGIN SOLUTION
    dx = np.zeros_like(x)
    images, channels = np.indices((len(x), x.shape[3]))
    for i, j in np.ndindex(dy.shape[1:3]):
        part = x[:, i * stride : i * stride + size, j * stride : j * stride + size]  # (N, size, size, C)
        first = part.reshape(len(x), size * size, -1).argmax(axis=1)  # (N, C)
        np.add.at(dx, (images, i * stride + first // size, j * stride + first % size, channels), dy[:, i, j])
    return dx
    # END SOLUTION


judge("max_pool2d_gradient", max_pool2d_gradient)

# %% [markdown]
# ## The winners of a cell
#
# With $dy = 1$ everywhere, $dx$ counts how many windows each pixel won.

# %%
cell = images[:1, 4:28, 4:28, 1:2] / 255
figure, axes = pictures.figure(columns=3, width=12, height=4.2)
pictures.image(axes[0], images[0, 4:28, 4:28], "a cell, 24 × 24")
for ax, (size, stride) in zip(axes[1:], ((2, 2), (3, 1)), strict=True):
    ones = np.ones_like(max_pool2d(cell, size, stride))
    wins = max_pool2d_gradient(cell, ones, size, stride)
    pictures.winners(ax, 2 * cell[0, :, :, 0], wins[0, :, :, 0], f"green × 2: size {size}, stride {stride}")
    print(
        f"size {size}, stride {stride}: {ones.size} windows, {np.sum(wins > 0)} winners, the best won {wins.max():.0f}"
    )
    assert wins.sum() == ones.size, (
        "max_pool2d_gradient: first make the judge say right"
    )  # nothing is lost on the way back
pictures.show(figure, "Who won: each dot is a pixel that won a window; larger dots won several.")

# %% [markdown]
# Where the image is black all are equal, and the first of each window wins: the regular grid outside of the cell.
# Inside, bright pixels win, and with overlap some win many times.
#
# How often does the choice among equals matter on real cells?

# %%
x = images / 255
dy = np.ones_like(max_pool2d(x, 2, 2))
last = max_pool2d_gradient(x[:, ::-1, ::-1], dy, 2, 2)[:, ::-1, ::-1]  # who wins if the last of equals does
first = max_pool2d_gradient(x, dy, 2, 2)
moved = np.sum(np.abs(first - last)) / 2 / dy.size
print(f"first or last of equals: another winner in {moved:.0%} of all 2 × 2 windows of the sample")
assert moved > 0.5, "max_pool2d_gradient: first make the judge say right"

# %% [markdown]
# After a convolution with random weights, ties are rarer inside the cell, but black stays black: a constant in, a
# constant out.
#
# ## Break it
#
# **`=` for `+=`,** the favourite. In `broken.pool_overwrites` a number that won several windows hears only the last of
# them. It passes many a test:

# %%
some = x[:4, 8:24, 8:24]
for size, stride in ((2, 2), (3, 2), (3, 1)):
    dy = np.random.default_rng(0).normal(size=max_pool2d(some, size, stride).shape)
    right, wrong = max_pool2d_gradient(some, dy, size, stride), broken.pool_overwrites(some, dy, size, stride)
    print(f"size {size}, stride {stride}: {np.mean(wrong != right):4.0%} of dx are wrong")
    assert np.array_equal(wrong, right) == (size == stride), "max_pool2d_gradient: first make the judge say right"

# %% [markdown]
# With size 2 and stride 2 it is exactly right. The bug has stood in a released library (issue 205 of FluxML/NNlib.jl).
# What does our judge say?

# %%
judge("max_pool2d_gradient", broken.pool_overwrites)

# %% [markdown]
# **All equals win.** In `broken.pool_all_equals` each of them gets all of dy. Now the mean of the blame grows, and
# grows most where nothing is to be seen.

# %%
dy = np.ones_like(max_pool2d(x, 2, 2))
black = (images == 0).all(axis=3)
right, wrong = max_pool2d_gradient(x, dy, 2, 2), broken.pool_all_equals(x, dy, 2, 2)
on_black = wrong[black].sum() / right[black].sum()
print(f"blame sent: {wrong.sum() / right.sum():.1f} times as much; on black pixels {on_black:.1f} times")
assert wrong[black].sum() > 3 * right[black].sum(), "max_pool2d_gradient: first make the judge say right"

# %% [markdown]
# ## What comes next
#
# Convolution, ReLU, pooling and dense layers: that is the whole network. At its end stand two numbers for each image.
# *How wrong are they?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, section 9.3. Krizhevsky, Sutskever & Hinton 2012,
# *ImageNet classification with deep convolutional neural networks*, NeurIPS, section 3.4 (overlapping pooling). Prince
# 2023, *Understanding Deep Learning*, chapter 10. Stanford CS231n, notes, *Convolutional Networks*.
