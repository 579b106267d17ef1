# %% [markdown]
# # 2 · What is one convolution?
#
# **Question.** What can a program say about a place in an image, if it looks only at the neighbours of that place?
#
# **You write** `conv2d(x, weight, bias, stride)`. **Time** 35 minutes. **You need** lesson 1, and sums over several
# indices.
#
# **Before.** An image is a grid of numbers, $(H, W, C)$. **Now** we slide a small grid of weights over it.

# %%
import numpy as np

from course import cells, judge, pictures
from scratchnet import reference

images, labels, subjects = cells(64)
green = images[0, :, :, 1] / 255

# %% [markdown]
# ## One window, one number
#
# Take a window of 3 × 3 numbers and a **filter** of 3 × 3 weights. Multiply number by number, add up, and add a
# **bias**. The answer is large where the window looks like the filter. The filter below subtracts the left column from
# the right one, so it answers to an edge that is brighter on its right.

# %%
crop = images[0, 18:25, 16:23, 1].astype(float)
edge = np.array([[-1.0, 0.0, 1.0]] * 3)
row, column = 2, 2
window = crop[row : row + 3, column : column + 3]
answers = reference.conv2d(crop[None, :, :, None], edge[:, :, None, None], np.zeros(1), stride=1)[0, :, :, 0]

figure, axes = pictures.figure(columns=4, width=12, height=3.4)
pictures.numbers(axes[0], crop, "green channel, 7 × 7")
pictures.window(axes[0], row, column, 3, 3)
pictures.numbers(axes[1], edge, "the filter, 3 × 3", signed=True)
pictures.numbers(axes[2], window * edge, "window × filter", signed=True)
pictures.numbers(axes[3], answers, "all sums, 5 × 5", signed=True)
pictures.window(axes[3], row, column, 1, 1)
pictures.show(figure, "A window of a cell's green channel, the filter, their products, and the sums at all places.")
print(f"sum of the nine products: {np.sum(window * edge):.0f}; framed in the right grid: {answers[row, column]:.0f}")
assert answers[row, column] == np.sum(window * edge)

# %% [markdown]
# The window moves one step to the right and gives the next number. A 7 × 7 image has 5 × 5 windows of 3 × 3. If the
# window moves $s$ steps at a time, the **stride**, a side of length $H$ has
#
# $$ H' = \left\lfloor \frac{H - KH}{s} \right\rfloor + 1 $$
#
# windows. With all channels $c$ of the image and several filters $f$:
#
# $$ y_{n,i,j,f} = b_f + \sum_{u=0}^{KH-1} \sum_{v=0}^{KW-1} \sum_{c}
#    x_{n,\; i s + u,\; j s + v,\; c} \; w_{u,v,c,f}. $$
#
# A filter sees **all** channels at once, and has one bias. Images are $(N, H, W, C)$, filters $(KH, KW, C, F)$, and the
# answer is $(N, H', W', F)$. A **layer** is one such step of a network: what comes out of it, a number for each filter,
# goes into the next one as its channels.
#
# (Mathematicians turn the filter by 180° first, and call our sum a *cross-correlation*. In this field both are called
# convolution: Goodfellow, Bengio & Courville 2016, section 9.1. On sizes: Dumoulin & Visin 2016.)

# %% [markdown]
# ## Exercise: `conv2d`
#
# Loops are fine: clear first, fast later (lesson 13). Begin with the output's shape.


# %%
def conv2d(x, weight, bias, stride):
    """y[n, i, j, f] = bias[f] + Σ over u, v, c of x[n, i·stride + u, j·stride + v, c] · weight[u, v, c, f].

    x (N, H, W, C), weight (KH, KW, C, F), bias (F,), stride a whole number from 1 up. Returns (N, H', W', F).
    """
    # BEGIN SOLUTION
    height, width, _, filters = weight.shape
    rows, columns = (x.shape[1] - height) // stride + 1, (x.shape[2] - width) // stride + 1
    y = np.zeros((len(x), rows, columns, filters))
    for i, j in np.ndindex(rows, columns):
        top, left = i * stride, j * stride
        part = x[:, top : top + height, left : left + width]  # (N, KH, KW, C)
        y[:, i, j] = np.tensordot(part, weight, axes=3) + bias
    return y
    # END SOLUTION


judge("conv2d", conv2d)

# %% [markdown]
# ## Three filters look at a cell
#
# The cell gets a border of zeros first (**padding**), so that the answer has the cell's size.

# %%
filters = np.zeros((3, 3, 1, 3))
filters[..., 0, 0] = edge
filters[..., 0, 1] = edge.T
filters[..., 0, 2] = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
maps = conv2d(reference.pad(green[None, :, :, None], 1, 1, 1, 1), filters, np.zeros(3), 1)[0]
figure, axes = pictures.figure(columns=4, width=12, height=2.8)
pictures.image(axes[0], green, "green channel")
for f, title in enumerate(("left to right", "top to bottom", "a number against its neighbours")):
    pictures.gradient(axes[1 + f], maps[..., f], title, "answer")
pictures.show(
    figure, "A cell and what three filters answer at each place: vertical edges, horizontal edges, fine detail."
)
print("from", green.shape, "to", maps.shape)

# %% [markdown]
# Nobody will choose filters by hand in the end: the network learns them (lessons 3 to 9). What it cannot learn is that
# a pattern means the same wherever it stands. That is built in: **the same weights at every place**. How much is saved
# by that?

# %%
shared = 5 * 5 * 3 * 32 + 32
free = (32 * 32 * 3) * (32 * 32 * 32)
print(f"32 filters of 5 × 5 on a 32 × 32 image: {shared:,} weights with biases")
print(
    f"the same outputs, each with weights of its own to every pixel: {free:,} weights, {free // shared:,} times as many"
)

# %% [markdown]
# ## Break it
#
# **Turn the filter around**, as a mathematician would. What happens to the edges?

# %%
turned = conv2d(reference.pad(green[None, :, :, None], 1, 1, 1, 1), filters[::-1, ::-1], np.zeros(3), 1)[0]
for f, title in enumerate(("left to right", "top to bottom", "against neighbours")):
    opposite, same = np.allclose(turned[..., f], -maps[..., f]), np.allclose(turned[..., f], maps[..., f])
    print(f"{title:<20} times -1: {opposite}, unchanged: {same}")
assert np.allclose(turned[..., 0], -maps[..., 0]), "conv2d: first make the judge say right"
assert np.allclose(turned[..., 2], maps[..., 2]), "conv2d: first make the judge say right"

# %% [markdown]
# Bright and dark sides are exchanged, or nothing changes at all, if the filter is symmetric. A network that *learns*
# its filters would learn turned ones and be as good. One that *loads* weights from elsewhere would be wrong. So a test
# with one symmetric filter proves little. The judge uses random ones.
#
# **Add the bias inside the sum.** One misplaced bracket does it.


# %%
def bias_inside(x, weight, bias, stride):
    """One bias for each product, where one for each sum is meant."""
    taps = weight.shape[0] * weight.shape[1] * weight.shape[2]
    return conv2d(x, weight, bias * taps, stride)


x, weight = images[:1, 16:32, 16:32] / 255, np.random.default_rng(0).normal(size=(5, 5, 3, 2))
for bias in (np.zeros(2), np.array([0.1, 0.2])):
    difference = bias_inside(x, weight, bias, 1) - conv2d(x, weight, bias, 1)
    print(f"bias {bias}: off by {difference[0, 0, 0].round(6)}")
assert np.allclose(difference[0, 0, 0], (5 * 5 * 3 - 1) * bias), "conv2d: first make the judge say right"

# %% [markdown]
# With a bias of zero, at which most networks begin, nothing is wrong. A test that uses zeros would never see it.
# **Test with numbers that can show a difference**: random, not zero, not one, not square, not symmetric.
#
# ## What comes next
#
# The weights shall be learnt. For that we must know what each of them does to the result: *what is a slope?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 9.1 and 9.2. Dumoulin & Visin 2016, *A
# guide to convolution arithmetic for deep learning*, arXiv:1603.07285. LeCun, Bottou, Bengio & Haffner 1998,
# *Gradient-based learning applied to document recognition*, Proceedings of the IEEE 86(11).
