# %% [markdown]
# # 1 · What does a network see?
#
# **Question.** You see a round, purple cell. What does a program get?
#
# **You write** `standardise(train, images)`, which gives every channel mean 0 and standard deviation 1. **Time** 25
# minutes. **You need** Python, and arrays in NumPy: shapes, slices, `mean` and `std` along axes.
#
# **Where we are.** This is the first of fourteen lessons. At their end stands a convolutional network that you wrote
# yourself, and you will know how far to trust it. Everything happens on real images: single white blood cells of the
# C-NMC 2019 data set (Gupta & Gupta 2019), cut out on black. Some are leukaemic (acute lymphoblastic leukaemia, ALL),
# some are normal. Which is which? A student's report of 2019 asked that of a network (Richa 2019; `docs/report.md` says
# what is in it). It is **the report** of these lessons: they build its network, and find what goes wrong in it.

# %%
import numpy as np

from course import cells, judge, pictures

images, labels, subjects = cells(64)
print("images  ", images.shape, images.dtype)
print("labels  ", labels.shape, f"{np.sum(labels == 1)} leukaemic (1), {np.sum(labels == 0)} normal (0)")
print("subjects", subjects.shape, f"{len(np.unique(subjects))} people")

# %% [markdown]
# ## Numbers, and nothing else
#
# `images` has four axes: image, row, column, channel, or $(N, H, W, C)$. Channel 0 is red, 1 is green, 2 is blue. Each
# number is one byte, from 0 (dark) to 255 (bright). The crop on the right is what a program gets of that place in the
# green channel; red and blue are two more such grids.

# %%
cell = images[0]
crop = cell[20:26, 18:24, 1]
figure, axes = pictures.figure(columns=5, width=12, height=2.9)
pictures.image(axes[0], cell, "a leukaemic cell")
pictures.window(axes[0], 20, 18, 6, 6)
for channel, name in enumerate(("red", "green", "blue")):
    pictures.image(axes[1 + channel], cell[..., channel], f"its {name} channel")
pictures.numbers(axes[4], crop, "green, in the frame")
pictures.show(figure, "A cell, its red, green and blue channels, and 6 by 6 numbers of the green channel.")
print(crop)

# %% [markdown]
# No number knows that its neighbour is its neighbour, or that together they are round. Lesson 2 uses that they are
# neighbours. Before that, look at the numbers' size.

# %%
unit = images / 255  # from 0 to 1, as the report feeds them to its network
black = np.all(images == 0, axis=3).mean()
print(f"{black:.0%} of all pixels are black")
print("mean of each channel              ", unit.mean(axis=(0, 1, 2)).round(3))
print("standard deviation of each channel", unit.std(axis=(0, 1, 2)).round(3))
assert black > 0.75  # what the text below says of them
assert unit.std(axis=(0, 1, 2)).argmin() == 1

# %% [markdown]
# The images are mostly black, so the channels' means are near 0 and their deviations are small. The green channel
# varies least: purple things absorb green light. A network would have to find that out and make up for it with large
# **weights** (the numbers that it learns). We do it instead, once, before the training. For each channel $c$,
#
# $$ x'_{n,i,j,c} = \frac{x_{n,i,j,c} - \mu_c}{\sigma_c}, \qquad
# \mu_c = \operatorname{mean}_{n,i,j}\, x_{n,i,j,c}, \qquad \sigma_c = \operatorname{std}_{n,i,j}\, x_{n,i,j,c}. $$
#
# One thing is easy to get wrong: **where $\mu$ and $\sigma$ come from.** They are learnt from the images to train on,
# and then used for every other image as they are. The images to test on stand for patients who come tomorrow. Nobody
# knows their mean today.
#
# (LeCun, Bottou, Orr & Müller 1998, *Efficient BackProp*, section 4.3; Goodfellow, Bengio & Courville 2016, *Deep
# Learning*, section 12.2.1.)

# %% [markdown]
# ## Exercise: `standardise`


# %%
def standardise(train, images):
    """The images, each channel scaled so that the channel of the training images has mean 0 and standard deviation 1.

    train (N, H, W, C), images (M, H, W, C): bytes or floats. Returns (M, H, W, C) float64.
    """
    # BEGIN SOLUTION
    pixels = train.astype(np.float64)
    mean, deviation = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    return (images - mean) / deviation
    # END SOLUTION


judge("standardise", standardise)

# %% [markdown]
# ## What it does
#
# We train on 40 people, drawn at random, and look at the others. (Why at random? The names are text, and sorted: all
# that begin with H, which are the normal ones, stand at the end.)

# %%
people = np.random.default_rng(3).permutation(np.unique(subjects))
first = np.isin(subjects, people[:40])
train, others = standardise(images[first], images[first]), standardise(images[first], images[~first])
shares = labels[first].mean(), labels[~first].mean()
print(
    f"leukaemic: {shares[0]:.0%} of the {first.sum()} training images, {shares[1]:.0%} of the {np.sum(~first)} others"
)
print(
    "training images: mean",
    np.abs(train.mean(axis=(0, 1, 2))).round(9),
    "deviation",
    train.std(axis=(0, 1, 2)).round(9),
)
print("other people:    mean", others.mean(axis=(0, 1, 2)).round(3), "deviation", others.std(axis=(0, 1, 2)).round(3))
assert abs(shares[0] - shares[1]) < 0.02, "both groups have the same mix of classes"
assert np.abs(others.mean(axis=(0, 1, 2))).max() > 0.01, "standardise: first make the judge say right"

# %% [markdown]
# The others' mean isn't 0, and that is as it should be: they are other cells of other people, and we have not looked at
# them. The classes are not the reason, for both groups have the same share of leukaemic cells.
#
# How far apart are two cells, before and after? The distance between them is all that a network has to work with.

# %%
pairs = np.random.default_rng(0).integers(len(train), size=(200, 2))
for name, x in (("from 0 to 1 ", unit[first]), ("standardised", train)):
    distance = np.sqrt(np.mean((x[pairs[:, 0]] - x[pairs[:, 1]]) ** 2))
    print(f"{name}: two cells differ by {distance:.2f} in a typical number")

# %% [markdown]
# Lesson 8 shows what this does to the first steps of a training.
#
# ## Break it
#
# **In bytes.** Images are bytes, and a byte has no negative numbers. What is 30 − 50?

# %%
mean = images.mean(axis=(0, 1, 2))
wrapped = images - mean.astype(np.uint8)
print("30 - 50 in bytes:", np.array([30], np.uint8) - np.array([50], np.uint8))
figure, axes = pictures.figure(columns=3, width=9, height=3)
pictures.image(axes[0], cell, "the cell")
pictures.image(axes[1], wrapped[0], "minus the mean, in bytes")
pictures.gradient(axes[2], (cell - mean)[..., 1], "green, in floats", "difference")
pictures.show(figure, "The cell; the cell minus the mean in bytes, where black turned bright; and the same in floats.")
assert wrapped.min() >= 0
assert wrapped[0, 0, 0].min() > 200  # the black corner is bright now

# %% [markdown]
# No error, no warning: black has become nearly white, and the shapes are right. A network would train on that without a
# word. Most mistakes in this field are of that kind: nothing breaks, the result is only worse. So a judge looks at
# everything that you write here.
#
# **With an image's own statistics.** Take a cell and the same cell under half the light.

# %%
bright, dim = images[:1].astype(float), images[:1] * 0.5
own = np.abs(standardise(bright, bright) - standardise(dim, dim)).max()
train_statistics = np.abs(standardise(images, bright) - standardise(images, dim)).max()
print(
    f"largest difference between the two, in standard deviations: {own:.1e} by each image's own, "
    f"{train_statistics:.1f} by the training images'"
)
assert own < 1e-9 < train_statistics, "standardise: first make the judge say right"

# %% [markdown]
# By its own statistics each image looks the same: how bright it was is lost. That may be what you want, but it is
# another method, and it should be your choice and not your mistake. And with one image for a test, "the mean of the
# test images" would be the same mistake.
#
# ## What comes next
#
# A network gets a grid of numbers. Lesson 2 asks what it can do with numbers that are neighbours: *what is one
# convolution?*
#
# **Sources.** Gupta & Gupta 2019, *ALL Challenge dataset of ISBI 2019 (C-NMC 2019)*, The Cancer Imaging Archive, doi
# 10.7937/tcia.2019.dc64i46r. LeCun, Bottou, Orr & Müller 1998, *Efficient BackProp*, in *Neural Networks: Tricks of the
# Trade*, section 4.3. Goodfellow, Bengio & Courville 2016, *Deep Learning*, section 12.2.1. Richa 2019, the report.
