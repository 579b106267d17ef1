# %% [markdown]
# # 3 · What is a slope?
#
# **Question.** If this weight grows a little, by how much does the result grow? And how do I know that my answer is
# right?
#
# **You write** `slope(f, x, place)`, which measures a slope, then `relu_gradient` and `dense_gradient`, which compute
# slopes. **Time** 60 minutes. **You need** lesson 1, derivatives, the chain rule, matrix products.
#
# **Before.** A convolution has weights, and nobody wants to choose them by hand. **Now** we ask what each weight does
# to the result. Training (lesson 9) will be nothing but: change each weight a little, in the direction that lowers the
# **loss**, the one number that says how wrong the network is.

# %%
import numpy as np

from course import broken, cells, judge, pictures

# %% [markdown]
# ## Measuring
#
# The slope of $f$ at $x$ is what a secant's slope becomes when its two points move together. There are two secants to
# choose from:
#
# $$ \text{forward } \frac{f(x+h) - f(x)}{h} = f'(x) + \tfrac{h}{2} f''(x) + \dots \qquad
#    \text{central } \frac{f(x+h) - f(x-h)}{2h} = f'(x) + \tfrac{h^2}{6} f'''(x) + \dots $$
#
# The central one costs one more call of $f$, and its error falls with $h^2$. So take $h$ as small as possible? Look.

# %%
f, at, exact = np.exp, 1.0, np.exp(1.0)
steps = np.logspace(-15, 0, 61)
forward = np.array([(f(at + h) - f(at)) / h for h in steps])
central = np.array([(f(at + h) - f(at - h)) / (2 * h) for h in steps])
errors = {"forward": np.abs(forward / exact - 1) + 1e-17, "central": np.abs(central / exact - 1) + 1e-17}

figure, axes = pictures.figure(columns=2, width=11, height=4)
x = np.linspace(-0.2, 2.2, 100)
axes[0].plot(x, f(x), color="black", label=r"$f(x) = e^x$")
for h, colour in ((1.0, pictures.YELLOW), (0.5, pictures.SKY)):
    quotient = (f(at + h) - f(at - h)) / (2 * h)
    ends = np.array([at - h, at + h])
    axes[0].plot(ends, f(ends), "o-", color=colour, label=f"secant, h = {h}: slope {quotient:.3f}")
axes[0].plot(x, f(at) + exact * (x - at), "--", color=pictures.ORANGE, label=f"tangent: slope {exact:.3f}")
axes[0].set(xlabel="x", ylabel="f(x)", ylim=(-1, 9))
axes[0].legend()
pictures.curves(axes[1], {k: (steps, v) for k, v in errors.items()}, "step h", "relative error of the slope")
axes[1].set(xscale="log", yscale="log")
pictures.show(
    figure, "Left: secants turn into the tangent. Right: the slope's error against the step; both have a lowest point."
)
for name, error in errors.items():
    print(f"{name}: smallest error {error.min():.0e} near h = {steps[error.argmin()]:.0e}")
assert errors["central"].min() < errors["forward"].min()

# %% [markdown]
# Look at the right panel. At its right end, $h$ is too large: the secant is not yet the tangent. At its left end, $h$
# is too small: the two values of $f$ agree in nearly all their 16 digits, and the difference of two nearly equal
# numbers has few digits left. The rounding error grows like $\varepsilon / h$ with $\varepsilon \approx 10^{-16}$, the
# relative rounding error of a float64. For the central quotient it balances $h^2$ near
# $h \approx \varepsilon^{1/3} \approx 10^{-5}$. The forward quotient's error falls only with $h$; it is balanced where
# $\varepsilon / h = h$, near $h \approx \sqrt{\varepsilon} \approx 10^{-8}$, and is there still over a hundred times
# the central one's.
#
# (Goodfellow et al. 2016, section 11.5; CS231n's notes, *Neural Networks Part 3*, "Gradient checks".)
#
# ## Exercise: `slope`
#
# $f$ takes an array and gives a number. `place` is an index, such as `(2, 0)`. Leave `x` as you found it.


# %%
def slope(f, x, place):
    """The slope of f at x along the one number x[place], by the central difference quotient.

    f: makes a number of an array. x: float64, afterwards what it was. place: an index of x. Returns a float.
    """
    # BEGIN SOLUTION
    h = 1e-5 * max(1.0, abs(float(x[place])))
    above, below = x.copy(), x.copy()
    above[place] += h
    below[place] -= h
    return float((f(above) - f(below)) / (above[place] - below[place]))
    # END SOLUTION


judge("slope", slope)

# %% [markdown]
# ## Computing
#
# Measuring costs two runs of the network *for each weight*. The report's network has millions. The chain rule gets all
# slopes for about the price of two runs. Let $L$ be the loss, one number. Each operation $y = g(x)$ is told
# $dy = \partial L / \partial y$, and answers with $dx = \partial L / \partial x$. That is all that **backpropagation**
# is.
#
# **ReLU** is $y = \max(x, 0)$. Where $x > 0$ it passes on what it is told; elsewhere nothing. At 0 itself there is no
# slope; we say 0.
#
# **A dense layer** is $y = x W + b$, with one image in each row of $x$. Write one number out:
# $y_{nk} = \sum_i x_{ni} W_{ik} + b_k$. So $W_{ik}$ is met by every image $n$, and its slope is a sum over them:
#
# $$ \frac{\partial L}{\partial W_{ik}} = \sum_n \frac{\partial L}{\partial y_{nk}}
#    \frac{\partial y_{nk}}{\partial W_{ik}} = \sum_n dy_{nk}\, x_{ni}, $$
#
# which is row $i$, column $k$ of $x^\top dy$. In the same way $x_{ni}$ is met by every output $k$, and $b_k$ by every
# image:
#
# $$ dx = dy\, W^\top, \qquad dW = x^\top dy, \qquad db_k = \sum_n dy_{nk}. $$
#
# You need not remember where the $\top$ stands. The shapes allow one order only, unless the matrix is square.
#
# (Rumelhart, Hinton & Williams 1986; Goodfellow et al. 2016, section 6.5; CS231n's notes, *Backpropagation,
# Intuitions*.)
#
# ## Exercise: `relu_gradient`, `dense_gradient`


# %%
def relu_gradient(x, dy):
    """dx = dy where x > 0, else 0. x and dy have one shape; neither is changed."""
    # BEGIN SOLUTION
    return dy * (x > 0)
    # END SOLUTION


judge("relu_gradient", relu_gradient)


# %%
def dense_gradient(x, weight, dy):
    """The gradients (dx, dweight, dbias) of y = x · weight + bias.

    x (N, in), weight (in, out), dy (N, out). Returns (N, in), (in, out), (out,).
    """
    # BEGIN SOLUTION
    return dy @ weight.T, x.T @ dy, dy.sum(axis=0)
    # END SOLUTION


judge("dense_gradient", dense_gradient)

# %% [markdown]
# ## The two agree
#
# Now on cells: their mean red, green and blue go through a small network,
# $L = \sum \big(\text{relu}(xW + b) - \text{label}\big)^2$. Your `slope` measures what your gradients compute.

# %%
images, labels, subjects = cells(32)
rng = np.random.default_rng(0)
x = images.mean(axis=(1, 2))
x = (x - x.mean(axis=0)) / x.std(axis=0)
W, b = rng.normal(size=(3, 4)), 0.1 * rng.normal(size=4)
target = labels[:, None].astype(float)


def loss(W):
    """The sum of the squared distances from the label, as a function of the weights."""
    return np.sum((np.maximum(x @ W + b, 0) - target) ** 2)


before = x @ W + b
# The square's slope is 2 (relu − label); then back through relu.
dy = relu_gradient(before, 2 * (np.maximum(before, 0) - target))
dx, dW, db = dense_gradient(x, W, dy)
measured = np.array([[slope(loss, W, (i, k)) for k in range(4)] for i in range(3)])
print("computed\n", dW.round(4), "\nmeasured\n", measured.round(4))
error = np.abs(dW - measured).max() / np.abs(dW).max()
print(f"largest relative difference {error:.0e}")
assert error < 1e-4, "slope, relu_gradient, dense_gradient: first make the judge say right"

# %% [markdown]
# ## Break it
#
# **A step that is too small.** What does the measurement say with $h = 10^{-15}$? And one-sided, with $h = 10^{-5}$?

# %%
for text, h, low in (
    ("central, h = 1e-05", 1e-5, 1),
    ("forward, h = 1e-05", 1e-5, 0),
    ("central, h = 1e-15", 1e-15, 1),
):
    value = broken.slope_with(loss, W, (0, 0), h, low)
    print(f"{text}: {value:12.6f}, relative error {abs(value / dW[0, 0] - 1):.0e}")
assert abs(value / dW[0, 0] - 1) > 1e-3  # the last one

# %% [markdown]
# With the tiny step, a correct gradient would be called wrong. With the one-sided step the measurement
# has fewer digits, and one would have to be generous with the tolerance. A generous tolerance lets small mistakes pass.
#
# **A measurement on a kink.** ReLU has two slopes at 0, and the central quotient takes the mean of them.


# %%
zero = np.zeros(1)
print(
    f"measured {slope(lambda v: np.maximum(v, 0).sum(), zero, (0,)):.1f}, computed {relu_gradient(zero, np.ones(1))[0]:.1f}"
)

# %% [markdown]
# Neither is wrong. A check must keep away from kinks, or know of them. Real images are full of exact zeros: lesson 1
# counted the black.
#
# ## What comes next
#
# You have a measurement and a computation. You could check anything now, but with which numbers, and how closely?
# *Which check catches which bug?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 4.3, 6.5 and 11.5. Rumelhart, Hinton &
# Williams 1986, *Learning representations by back-propagating errors*, Nature 323. Stanford CS231n, course notes,
# *Optimization-2* and *Neural Networks 3*. Glorot, Bordes & Bengio 2011, *Deep sparse rectifier neural networks*,
# AISTATS (ReLU).
