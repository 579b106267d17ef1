# %% [markdown]
# # 13 · Where do 25 multiplications go?
#
# **Question.** A 5 × 5 filter costs 25 multiplications for each channel at each place. How can a convolution be made
# fast, and can it do with fewer?
#
# **You write** `im2col(x, size, stride)`, `winograd_f23(d, g)` and `winograd_f23_adjoint(dv)`. **Time** 60 minutes.
# **You need** lessons 2 and 5, matrix products. The lesson compiles three small kernels of its own with Numba.
#
# **Before.** Your network is right, and slow. **Now** we look at where the time goes, and then at an old idea that
# makes arithmetic itself cheaper.

# %%
import time
from fractions import Fraction

import numba
import numpy as np

from course import broken, cells, judge, pictures
from scratchnet import reference

images, labels, subjects = cells(32)

# %% [markdown]
# ## First: a convolution is a matrix product
#
# Write each window of the image as a **row** of numbers. Write each filter as a **column**. Then all sums of lesson 2
# are one product:
#
# $$ y = \text{im2col}(x) \cdot W + b, \qquad (N H' W',\; KH\,KW\,C) \cdot (KH\,KW\,C,\; F). $$
#
# No multiplication is saved. But matrix products are what computers do best, and all tricks for them apply. The price
# is memory: each number stands in up to 25 rows.
#
# ## Exercise: `im2col`
#
# Rows in the order $(n, i, j)$; numbers in a row in the order $(u, v, c)$, as in `weight.reshape(-1, F)`. Return an
# array of its own. (A *view* on x is quicker to make, and whoever writes into it changes the image.)


# %%
def im2col(x, size, stride):
    """The windows of x as rows: x (N, H, W, C), size (KH, KW) → (N · H' · W', KH · KW · C), an array of its own."""
    # BEGIN SOLUTION
    height, width = size
    rows, columns = (x.shape[1] - height) // stride + 1, (x.shape[2] - width) // stride + 1
    y = np.empty((len(x), rows, columns, height, width, x.shape[3]), x.dtype)
    for u, v in np.ndindex(height, width):
        y[:, :, :, u, v] = x[:, u : u + (rows - 1) * stride + 1 : stride, v : v + (columns - 1) * stride + 1 : stride]
    return y.reshape(len(x) * rows * columns, -1)
    # END SOLUTION


judge("im2col", im2col)

# %% [markdown]
# ## Second: a product that stays in registers
#
# The same product three times, in Numba, so that nothing hides the loops. `dots` is the definition. `rows` exchanges
# two loops, so that memory is walked in order and eight or sixteen numbers are multiplied by one instruction. `tile`
# loads four numbers of `b` and uses each for four rows of `a`, while it stands in a **register**: sixteen
# multiplications for each four numbers loaded.


# %%
@numba.njit
def dots(a, b, c):
    """c = a · b, one dot product after the other."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = np.float32(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total


@numba.njit
def rows(a, b, c):
    """c = a · b, in the order in which memory lies."""
    for i in range(a.shape[0]):
        c[i] = 0
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


@numba.njit
def tile(a, b, c):
    """c = a · b, by tiles of 4 × 4 numbers of a; the sides of a are multiples of 4."""
    for i in range(0, a.shape[0], 4):
        c[i : i + 4] = 0
        for k in range(0, a.shape[1], 4):
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            for j in range(b.shape[1]):
                b0, b1, b2, b3 = b[k, j], b[k + 1, j], b[k + 2, j], b[k + 3, j]
                c[i, j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c[i + 1, j] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c[i + 2, j] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c[i + 3, j] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


rng = np.random.default_rng(0)
x = np.repeat((images[:4] / 255).astype(np.float32), 8, axis=3)  # 24 channels, as in the middle of a network
weight = rng.normal(size=(5, 5, 24, 64)).astype(np.float32)
a, b = im2col(x, (5, 5), 1), weight.reshape(-1, 64)
right = reference.conv2d(x, weight, np.zeros(64, np.float32), 1).reshape(-1, 64)
print(f"x has {x.size:,} numbers, im2col {a.size:,}: {a.size / x.size:.0f} times as many")


def best_of(function, times=3):
    """The shortest of so many runs, in seconds."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


speeds = {}
c = np.empty_like(right)
for kernel in (dots, rows, tile):
    kernel(a, b, c)  # compiled here
    assert np.abs(c - right).max() < 1e-4 * np.abs(right).max()
    speeds[kernel.__name__] = 2 * a.size * 64 / best_of(lambda kernel=kernel: kernel(a, b, c)) / 1e9
speeds["NumPy: a @ b"] = 2 * a.size * 64 / best_of(lambda: a @ b) / 1e9
for name, speed in speeds.items():
    print(f"{name:<13} {speed:6.1f} thousand million operations a second (GFLOP/s)")

# %% [markdown]
# Same arithmetic, same answer: only the order differs, and with it how often a number travels between memory and
# arithmetic. NumPy's product is written by people who have done nothing else for years, on all cores of the machine.
# (Goto & van de Geijn 2008.)
#
# ## Third: fewer multiplications
#
# Two neighbouring outputs of a filter of three weights need six multiplications: $y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2$
# and $y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2$. **Four are enough** (Winograd 1980):
#
# $$ m_1 = (d_0 - d_2)\, g_0, \quad m_2 = (d_1 + d_2)\, \tfrac{g_0 + g_1 + g_2}{2}, \quad
#    m_3 = (d_2 - d_1)\, \tfrac{g_0 - g_1 + g_2}{2}, \quad m_4 = (d_1 - d_3)\, g_2. $$
#
# Write $m_1 + m_2 + m_3$ out, and see $y_0$ appear. Find $y_1$ yourself. The sums of $g$ are computed once for a
# filter, not at each place, so they are free. This is $F(2, 3)$: two outputs, three weights.
#
# ## Exercise: `winograd_f23`
#
# The judge counts your multiplications, and calculates with fractions: there is no rounding to hide behind.


# %%
def winograd_f23(d, g):
    """The two sums y[i] = Σ g[u] · d[i + u] of four numbers d and three numbers g, with four multiplications."""
    # BEGIN SOLUTION
    m1 = (d[0] - d[2]) * g[0]
    m2 = (d[1] + d[2]) * ((g[0] + g[1] + g[2]) / 2)
    m3 = (d[2] - d[1]) * ((g[0] - g[1] + g[2]) / 2)
    m4 = (d[1] - d[3]) * g[2]
    return [m1 + m2 + m3, m2 - m3 - m4]
    # END SOLUTION


judge("winograd_f23", winograd_f23)

# %% [markdown]
# On a row of a real cell, exactly:

# %%
row = [Fraction(int(value)) for value in images[0, 16, 10:18, 1]]
g = [Fraction(-1), Fraction(0), Fraction(1)]
fast = [y for i in range(0, 6, 2) for y in winograd_f23(row[i : i + 4], g)]
slow = [sum(g[u] * row[i + u] for u in range(3)) for i in range(6)]
print("row ", *row)
print("fast", *fast)
print("slow", *slow)
assert fast == slow, "winograd_f23: first make the judge say right"

# %% [markdown]
# ## In two dimensions
#
# Do the same along rows and along columns. With matrices, for a tile $d$ of $4 \times 4$ numbers and a filter $g$ of
# $3 \times 3$:
#
# $$ Y = A^\top \big[ (G g G^\top) \odot (B^\top d B) \big] A. $$
#
# $\odot$ multiplies number by number: $4 \cdot 4 = 16$ multiplications for $2 \cdot 2$ outputs, where $36$ were. In
# general $F(m \times m, r \times r)$ takes $(m + r - 1)^2$ for $m^2$ outputs (Lavin & Gray 2016). So the question of
# this lesson has an answer:

# %%
B = np.array([[1.0, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]])
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A = np.array([[1.0, 0], [1, 1], [1, -1], [0, -1]])
d, g = images[0, 10:14, 10:14, 1] / 255, rng.normal(size=(3, 3))
Y = A.T @ ((G @ g @ G.T) * (B.T @ d @ B)) @ A
expected = reference.conv2d(d[None, :, :, None], g[:, :, None, None], np.zeros(1), 1)[0, :, :, 0]
print(f"largest difference to the convolution: {np.abs(Y - expected).max():.0e}")
assert np.abs(Y - expected).max() < 1e-12

m = np.arange(1, 9)
needed = {f"{r} × {r} filter": (m, (m + r - 1) ** 2 / m**2) for r in (3, 5)}
figure, axes = pictures.figure(columns=2, width=12, height=4)
pictures.curves(axes[0], needed, "outputs along one side of a tile, m", "multiplications for each output and channel")
axes[0].plot([4], [4], "ko", markersize=7)
axes[0].annotate("scratchnet: tiles of 8 × 8, m = 4: 4 for 25", (4, 4), (4.3, 9), arrowprops={"arrowstyle": "->"})
axes[0].set_ylim(0, 26)
pictures.bars(axes[1], speeds, "the same product, GFLOP/s", "{:.1f}")
pictures.show(
    figure, "Left: multiplications for each output fall with the tile. Right: speed of one product in four ways."
)
print(f"5 × 5 with m = 4: {(4 + 5 - 1) ** 2 / 4**2:.0f} multiplications instead of 25")

# %% [markdown]
# Why not larger tiles still? The transforms $B^\top d B$ take time too, their numbers grow, and so do rounding errors:
# `docs/kernels.md` says how large they are, and `docs/measurements.md` how large with larger tiles. *Where do 25
# multiplications go?* Into additions, which are done once for all filters.
#
# ## The way back: an adjoint
#
# A network must send blame through $v = B^\top d B$. This is a *linear* map $f$, and the gradient of a linear map is
# its **adjoint** $f^\top$, the map for which
#
# $$ \langle f(d), v \rangle = \langle d, f^\top(v) \rangle \quad \text{for all } d, v, \qquad
#    \langle a, b \rangle = \textstyle\sum a \odot b. $$
#
# For $f(d) = M d$ it is $M^\top v$. For a map from both sides, transpose both sides. It is not the inverse: nothing is
# undone, blame is passed on. This equation is also the best test there is for a linear map: random $d$ and $v$, two
# numbers that must be equal.
#
# ## Exercise: `winograd_f23_adjoint`


# %%
def winograd_f23_adjoint(dv):
    """dd (4, 4), the gradient of the tile d, given that of v = Bᵀ · d · B, with
    Bᵀ = [[1, 0, −1, 0], [0, 1, 1, 0], [0, −1, 1, 0], [0, 1, 0, −1]].
    """
    # BEGIN SOLUTION
    b = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]).T
    return b @ dv @ b.T
    # END SOLUTION


judge("winograd_f23_adjoint", winograd_f23_adjoint)

# %%
d, v = rng.normal(size=(2, 4, 4))
left, right_side = np.sum((B.T @ d @ B) * v), np.sum(d * winograd_f23_adjoint(v))
print(f"<f(d), v> = {left:.12f}\n<d, f^T(v)> = {right_side:.12f}")
assert abs(left - right_side) < 1e-12, "winograd_f23_adjoint: first make the judge say right"

# %% [markdown]
# ## Break it
#
# **The inverse for the adjoint.** And the same map again, and one side only:

# %%
inverse = np.linalg.inv(B)
wrong = {
    "inverse": lambda v: inverse.T @ v @ inverse,
    "same again": lambda v: B.T @ v @ B,
    "one side": lambda v: B @ v,
}
for name, function in wrong.items():
    print(f"{name:<11} <d, f^T(v)> = {np.sum(d * function(v)):9.4f}, expected {left:.4f}")
    assert abs(np.sum(d * function(v)) - left) > 1e-3
judge("winograd_f23_adjoint", wrong["inverse"])

# %% [markdown]
# **Without the halves** of $m_2$ and $m_3$ (`broken.winograd_f23_without_halves`).

# %%
constant = [Fraction(7)] * 4
print(
    "on a constant row with the edge filter:",
    *broken.winograd_f23_without_halves(constant, [-1, 0, 1]),
    "as it should be",
)
judge("winograd_f23", broken.winograd_f23_without_halves)
assert broken.winograd_f23_without_halves(constant, [-1, 0, 1]) == [0, 0]

# %% [markdown]
# Where the image is constant and the filter looks for edges, the wrong answer is right. Most of our images are
# constant: black.
#
# ## What comes next
#
# One worker is fast now. A cluster has many, and each sees other cells. *Two workers, one gradient?*
#
# **Sources.** Winograd 1980, *Arithmetic Complexity of Computations*, SIAM. Lavin & Gray 2016, *Fast algorithms for
# convolutional neural networks*, CVPR. Chellapilla, Puri & Simard 2006, *High performance convolutional neural networks
# for document processing*, IWFHR (im2col). Goto & van de Geijn 2008, *Anatomy of high-performance matrix
# multiplication*, ACM TOMS 34(3). Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 9.8 and 12.1.
