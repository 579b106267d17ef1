# %% [markdown]
# # 5 · How does blame reach pixels?
#
# **Question.** The network was wrong, and we know by how much each *output* of a convolution should change. Which
# pixels, which weights were to blame?
#
# **You write** `conv2d_gradient(x, weight, dy, stride)`. **Time** 60 minutes. **You need** lessons 2 and 3.
#
# **Before.** Lesson 4 showed how to find out whether a gradient is right. **Now** comes the gradient for which you need
# that.

# %%
from pathlib import Path

import numpy as np

from course import broken, cells, judge, pictures
from course.right.first_steps import check_by_numbers
from course.written import written
from scratchnet import reference, textbook

images, labels, subjects = cells(64)

# %% [markdown]
# ## One output, one stamp
#
# Look at one output: $y_{ij} = b + \sum_{uv} x_{is+u,\,js+v}\, w_{uv}$. Each $x$ in its window was multiplied by a
# weight. So if the output is told "$dy_{ij}$", it tells each $x$ in its window "$dy_{ij}$ times your weight": it
# **stamps the filter, times $dy_{ij}$, onto its window**. Windows overlap, and where stamps overlap they **add up**:
#
# $$ dx_{n,\,is+u,\,js+v,\,c} \mathrel{+}= \sum_f dy_{n,i,j,f}\, w_{u,v,c,f}
#    \quad \text{for all } i, j, u, v. $$

# %%
weight = np.array([[0.0, 1.0, 0.0], [2.0, 4.0, 1.0], [0.0, 3.0, 0.0]])
dy = np.zeros((1, 5, 5, 1))
stamps = {(0, 0): 1.0, (1, 3): 1.0, (2, 2): -1.0, (4, 1): 2.0}
for place, value in stamps.items():
    dy[0, *place, 0] = value


def dx_of(dy):
    """dx of a 7 × 7 image, for the filter above."""
    return reference.conv2d_gradient(np.zeros((1, 7, 7, 1)), weight[:, :, None, None], dy, 1)[0][0, :, :, 0]


figure, axes = pictures.figure(columns=4, width=12, height=3.3)
pictures.numbers(axes[0], dy[0, :, :, 0], "dy: what the outputs are told", signed=True)
pictures.numbers(axes[1], weight, "the filter", signed=True)
first = np.zeros_like(dy)
first[0, 1, 3, 0] = 1
pictures.numbers(axes[2], dx_of(first), "one stamp, of dy[1, 3]", signed=True)
pictures.window(axes[2], 1, 3, 3, 3)
pictures.numbers(axes[3], dx_of(dy), "dx: the sum of all four", signed=True)
for (i, j), colour in zip(stamps, (pictures.BLUE, pictures.ORANGE, pictures.GREEN, pictures.PINK), strict=True):
    pictures.window(axes[3], i, j, 3, 3, colour)
pictures.show(figure, "Each output stamps the filter, times its dy, onto its window of dx. Overlapping stamps add up.")

# %% [markdown]
# Now ask one pixel instead. It lies in several windows, and with stride 1 the output at $(i, j)$ reached it by the
# weight $(u, v)$ = pixel − $(i, j)$. So it collects $dy$ from around itself with the filter **turned by 180°**. The
# turned filter that some books begin with is the same sum, seen from the other side.
#
# **The weight** $w_{uvcf}$ was used at every place of every image, always as a factor of an $x$. It collects from all
# of them. So does the bias, whose factor was 1:
#
# $$ dw_{u,v,c,f} = \sum_{n,i,j} dy_{n,i,j,f}\; x_{n,\,is+u,\,js+v,\,c}, \qquad db_f = \sum_{n,i,j} dy_{n,i,j,f}. $$
#
# No mean anywhere: if a loss is the mean over images, the $1/N$ is in $dy$ already.
#
# (Goodfellow et al. 2016, section 9.5; Dumoulin & Visin 2016, chapter 4; LeCun et al. 1989.)
#
# ## Exercise: `conv2d_gradient`
#
# Hint: loop over the filter's places $(u, v)$, as the formulas do. With `rows, columns = dy.shape[1:3]`, all the $x$
# that meet the weight $(u, v)$ are the slice `x[:, u : u + (rows - 1) * stride + 1 : stride, …]` (and alike for the
# columns), of the shape of `dy` but for the channels. For one $(u, v)$, the same slice of `dx` gets
# `dy @ weight[u, v].T` (`@` works on the last axis), and `dweight[u, v]` is a sum over n, i, j:
# `np.einsum('nijc,nijf->cf', …)`. More loops in their place are fine here too.


# %%
def conv2d_gradient(x, weight, dy, stride):
    """The gradients (dx, dweight, dbias) of conv2d(x, weight, bias, stride), summed over the images.

    x (N, H, W, C), weight (KH, KW, C, F), dy (N, H', W', F). Each gradient has the shape of what it is the gradient of.
    """
    # BEGIN SOLUTION
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    high, wide = dy.shape[1:3]
    for u, v in np.ndindex(weight.shape[:2]):
        down = slice(u, u + (high - 1) * stride + 1, stride)
        across = slice(v, v + (wide - 1) * stride + 1, stride)
        dx[:, down, across] += dy @ weight[u, v].T
        dweight[u, v] = np.tensordot(x[:, down, across], dy, axes=([0, 1, 2], [0, 1, 2]))
    return dx, dweight, dy.sum(axis=(0, 1, 2))
    # END SOLUTION


judge("conv2d_gradient", conv2d_gradient)

# %% [markdown]
# The judge has the right answer beside yours. Who writes a layer that is new has none, but has a **check**: lesson 4's.
# It is looked for in the lessons beside this one; if it is not written yet, the course's own is taken.

# %%
here = Path(__file__).parent if "__file__" in globals() else Path()
checked = written(here, ["check"]).get("check", check_by_numbers)
for name, gradient in (("yours", conv2d_gradient), ("= for +=", broken.conv_overwrites)):
    layer = textbook.Conv2D(2, 3, padding="valid", functions={"conv2d_gradient": gradient})
    layer.build((5, 4, 2), np.random.default_rng(0))
    print(f"a convolution that goes back by {name}: check says {checked(layer)}")
    assert checked(layer) == (gradient is conv2d_gradient), "conv2d_gradient: first make the judge say right"

# %% [markdown]
# ## Which pixels does a filter look at?
#
# Let a filter answer to vertical edges (lesson 2), and let the "loss" be the sum of the squares of its answers on
# one cell. Then $dx$ says how each pixel would have to change to make that sum larger. A **gradient heat map** of a
# whole network is made in just this way: $dx$ goes back through all layers to the pixels (Simonyan, Vedaldi & Zisserman
# 2014).

# %%
x = images[:1, :, :, 1:2] / 255
edge = np.array([[-1.0, 0.0, 1.0]] * 3)[:, :, None, None]
y = reference.conv2d(x, edge, np.zeros(1), 1)
dx, dweight, dbias = conv2d_gradient(x, edge, 2 * y, 1)
figure, axes = pictures.figure(columns=3, width=10, height=3.2)
pictures.image(axes[0], images[0], "a cell")
pictures.gradient(axes[1], y[0, :, :, 0], "answers to edges", "y")
pictures.gradient(axes[2], dx[0, :, :, 0], "blame at the pixels", "dx")
pictures.show(figure, "A cell, an edge filter's answers, and the gradient of the sum of their squares at each pixel.")

lower = np.sum(reference.conv2d(x - 0.01 * dx, edge, np.zeros(1), 1) ** 2)
print(f"sum of squares {np.sum(y**2):.3f}; after a small step against dx {lower:.3f}")
print(f"the black corner: |dx| is at most {np.abs(dx[0, :8, :8]).max():.1f}")
assert lower < np.sum(y**2), "conv2d_gradient: first make the judge say right"

# %% [markdown]
# The left and right outline is to blame, hardly its top and bottom, for the filter sees vertical edges; each edge shows
# twice, once for each column of the filter that is not 0. The cell's inside is hardly to blame, the black corner not at
# all.
#
# ## Break it
#
# **`=` for `+=`.** `broken.conv_overwrites` goes back with `dx[…] = …` where `dx[…] += …` is meant: of all stamps on a
# pixel only the last stays. What is left of $dx$? And does a network notice?


# %%
def training(gradient, steps=40):
    """The losses of two convolutions that learn to tell the classes by the mean of one map: a network in ten lines."""
    rng = np.random.default_rng(0)
    some = images[::4, ::2, ::2] / 255
    target = labels[::4] * 2.0 - 1
    first, second = 2 * rng.normal(size=(5, 5, 3, 4)) / 5, rng.normal(size=(5, 5, 4, 1)) / 5
    losses = []
    for _ in range(steps):
        h = reference.relu(reference.conv2d(some, first, np.zeros(4), 2))
        y = reference.conv2d(h, second, np.zeros(1), 2)
        away = y.mean(axis=(1, 2, 3)) - target
        losses.append(np.mean(away**2))
        dy = np.broadcast_to((2 * away / len(away))[:, None, None, None], y.shape) / y[0].size
        dh, dsecond, _ = gradient(h, second, dy, 2)
        _, dfirst, _ = reference.conv2d_gradient(some, first, reference.relu_gradient(h, dh), 2)
        first, second = first - 0.5 * dfirst, second - 0.5 * dsecond
    return np.array(losses)


wrong = broken.conv_overwrites(x, edge, 2 * y, 1)[0]
share, size = np.mean(~np.isclose(wrong, dx)), np.abs(wrong).max() / np.abs(dx).max()
print(f"{share:.0%} of dx are wrong; its largest number is {size:.2f} times the right one's")
runs = {"right": training(conv2d_gradient), "= for +=": training(broken.conv_overwrites)}
for name, losses in runs.items():
    print(f"{name:<8} loss {losses[0]:.3f}, mean of the last ten {losses[-10:].mean():.3f}")
figure, axes = pictures.figure(width=6, height=3.3)
pictures.curves(axes[0], {k: (np.arange(len(v)), v) for k, v in runs.items()}, "step", "mean squared error")
pictures.show(figure, "The loss falls with the right gradient, and with the wrong one too.")
assert runs["= for +="][-10:].mean() < 0.9 * runs["= for +="][0], "conv2d_gradient: first make the judge say right"
assert runs["right"][-10:].mean() < runs["= for +="][-10:].mean(), "conv2d_gradient: first make the judge say right"

# %% [markdown]
# It learns too, but restlessly, and less. Who sees the orange curve alone may blame the length of the steps (the
# **learning rate**, lesson 9).
#
# ## What comes next
#
# Convolutions are linear: two in a row are one convolution with a larger filter. So ReLU and pooling stand between
# them. Pooling asks in each window: *who won?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 6.5 and 9.5. LeCun et al. 1989,
# *Backpropagation applied to handwritten zip code recognition*, Neural Computation 1(4). Dumoulin & Visin 2016, *A
# guide to convolution arithmetic for deep learning*, arXiv:1603.07285, chapter 4. Simonyan, Vedaldi & Zisserman 2014,
# *Deep inside convolutional networks*, ICLR workshop.
