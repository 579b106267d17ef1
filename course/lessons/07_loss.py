# %% [markdown]
# # 7 · How wrong is it?
#
# **Question.** The network says 2.1 for "leukaemic" and 0.3 for "normal". How wrong is that? And how wrong is it to be
# *sure* of the wrong thing?
#
# **You write** `softmax_cross_entropy(logits, labels)` and its gradient. **Time** 35 minutes. **You need** lesson 3;
# `exp` and `log`.
#
# **Before.** Lessons 2 to 6 made all layers. **Now** their last numbers become one number, the loss, at which all blame
# begins.

# %%
import numpy as np

from course import cells, judge, pictures

# %% [markdown]
# ## From scores to probabilities to a loss
#
# The last layer gives a score for each class, the **logits** $z$. **Softmax** turns them into probabilities, and the
# **cross-entropy** is how surprised we are by the truth $l$:
#
# $$ p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}, \qquad L = -\log p_l = \log \textstyle\sum_j e^{z_j} - z_l. $$
#
# With two classes only their difference matters, the **gap** $g = z_l - z_{\text{other}}$, and $L = \log(1 + e^{-g})$.
#
# Two ways to compute this go wrong. Look before you write.

# %%
gap = np.linspace(-110, 110, 881)
with np.errstate(all="ignore"):
    z = np.stack([gap, np.zeros_like(gap)], axis=1).astype(np.float32)
    e = np.exp(z)
    p = e[:, 0] / e.sum(axis=1)
    naive, floored = -np.log(p), -np.log(p + np.float32(1e-7))
exact = np.logaddexp(0, -gap)
figure, axes = pictures.figure(columns=2, width=11, height=3.8)
pictures.curves(
    axes[0],
    {
        r"exact, $\log(1 + e^{-g})$": (gap, exact),
        "log of the softmax, float32": (gap, naive),
        "log(p + 1e-7), float32": (gap, floored),
    },
    "gap g: logit of the right class minus the other",
    "loss of one image",
)
axes[0].annotate("sure and wrong", (-60, 62), ha="left")
axes[0].annotate("sure and right", (108, 4), ha="right")
slopes = {"exact, p − 1": (gap, -1 / (1 + np.exp(gap))), "of log(p + 1e-7)": (gap[1:], np.diff(floored) / np.diff(gap))}
pictures.curves(axes[1], slopes, "gap g", "slope of the loss along g")
pictures.show(
    figure,
    "The loss over the gap of the logits, and its slope. A floor under p makes the slope vanish where it matters.",
)
print(f"at a gap of 0, which is chance: {np.log(2):.4f} = ln 2")

# %% [markdown]
# - Exact: sure and right costs nearly nothing, sure and wrong costs as much as the gap. The slope goes to −1: a push of
#   full strength.
# - $\log(p + 10^{-7})$ is found in many programs. It is flat where the network is sure and wrong. **No slope, no
#   learning.**
# - The plain formula overflows, and its curve ends: in float32, $e^{89}$ is infinite, in float64 $e^{710}$.
#
# What helps: subtract the largest logit of each row first. The probabilities stay the same, every $e^{z}$ is at most 1,
# and one of them is 1. And never take the log of a softmax, but write $\log p_l = z_l - \log \sum_j e^{z_j}$.
#
# (Goodfellow et al. 2016, sections 4.1 and 6.2.2; Bishop 2006, section 4.3.4.)
#
# ## Exercise: `softmax_cross_entropy`


# %%
def softmax_cross_entropy(logits, labels):
    """−log p of each image's label: logits (N, K), labels (N,) whole numbers from 0 to K − 1 → (N,)."""
    # BEGIN SOLUTION
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return log_sum - shifted[np.arange(len(labels)), labels]
    # END SOLUTION


judge("softmax_cross_entropy", softmax_cross_entropy)

# %% [markdown]
# ## Its gradient
#
# Derive it once by hand: $\partial L / \partial z_i = p_i - [i = l]$. Few results are as friendly. The blame is the
# probability that was given, minus the one that should have been. Here it is the gradient of the *sum* over the images;
# who wants that of the mean divides by $N$.
#
# ## Exercise: `softmax_cross_entropy_gradient`


# %%
def softmax_cross_entropy_gradient(logits, labels):
    """The gradient of the sum of the images' losses: p − (1 at the label), (N, K)."""
    # BEGIN SOLUTION
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    gradient = powers / powers.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient
    # END SOLUTION


judge("softmax_cross_entropy_gradient", softmax_cross_entropy_gradient)

# %% [markdown]
# ## The smallest network that learns
#
# One dense layer on the mean colours of real cells, one learning rate, gradient descent. Where does its loss begin?

# %%
images, labels, subjects = cells(32)
x = images.mean(axis=(1, 2))
x = (x - x.mean(axis=0)) / x.std(axis=0)
W, b = np.zeros((3, 2)), np.zeros(2)
losses = []
for _ in range(200):
    logits = x @ W + b
    losses.append(softmax_cross_entropy(logits, labels).mean())
    dlogits = softmax_cross_entropy_gradient(logits, labels) / len(labels)
    W, b = W - x.T @ dlogits, b - dlogits.sum(axis=0)
share = labels.mean()
constant = -(share * np.log(share) + (1 - share) * np.log(1 - share))
print(f"first loss {losses[0]:.4f} (ln 2 = {np.log(2):.4f}), last {losses[-1]:.4f}")
print(f"{share:.0%} are leukaemic; the best answer that is the same for all cells has a loss of {constant:.4f}")
assert abs(losses[0] - np.log(2)) < 1e-12, "softmax_cross_entropy: first make the judge say right"
assert losses[-1] < constant, "softmax_cross_entropy and its gradient: first make the judge say right"

# %% [markdown]
# Remember these two: **ln 2 = 0.693** is the loss of a network of two classes that knows nothing. A network that knows
# only how *common* each class is gets the other number. Whenever you see a loss that stays at one of them, you know
# what the network has learnt.
#
# ## Break it
#
# **The plain formula, with large logits.** And the sum instead of the mean, at the same learning rate.

# %%
large = np.array([[1000.0, 0.0], [0.0, 1000.0]])
with np.errstate(all="ignore"):
    plain = -np.log(np.exp(large) / np.exp(large).sum(axis=1, keepdims=True))[[0, 1], [1, 1]]
print("plain:", plain, " yours:", softmax_cross_entropy(large, np.array([1, 1])))
assert np.isnan(plain).any() or np.isinf(plain).any()

for name, divisor in (("mean", len(labels)), ("sum", 1)):
    W, b = np.zeros((3, 2)), np.zeros(2)
    for _ in range(50):
        dlogits = softmax_cross_entropy_gradient(x @ W + b, labels) / divisor
        W, b = W - x.T @ dlogits, b - dlogits.sum(axis=0)
    print(f"gradient of the {name}: loss after 50 steps {softmax_cross_entropy(x @ W + b, labels).mean():.3f}")
assert softmax_cross_entropy(x @ W + b, labels).mean() > 1, (
    "softmax_cross_entropy and its gradient: first make the judge say right"
)

# %% [markdown]
# One NaN in a loss makes every weight NaN one step later. And who forgets to divide by $N$ has a learning rate that is
# 246 times as large.
#
# **A floor under p.** A network that begins sure and wrong, once with the right gradient and once with that of
# $\log(p + 10^{-7})$:


# %%
def floored_gradient(logits, labels):
    """The gradient of −log(p + 1e-7): the right one, times p / (p + 1e-7)."""
    right = softmax_cross_entropy_gradient(logits, labels)
    p = right[np.arange(len(labels)), labels] + 1
    return right * (p / (p + 1e-7))[:, None]


for name, gradient in (("right", softmax_cross_entropy_gradient), ("floored", floored_gradient)):
    logits, truth = np.array([[30.0, 0.0]]), np.array([1])
    for _ in range(60):
        logits = logits - gradient(logits, truth)
    print(f"{name:<8} gap from -30 to {logits[0, 1] - logits[0, 0]:6.2f} in 60 steps")
assert logits[0, 1] - logits[0, 0] < -29, "softmax_cross_entropy_gradient: first make the judge say right"

# %% [markdown]
# ## What comes next
#
# Now everything is there: layers, loss, gradients. Yet the report's smallest network ended at a loss of 0.69. *Why does
# the report start so slowly?*
#
# **Sources.** Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 3.13, 4.1, 5.5 and 6.2.2. Bishop 2006,
# *Pattern Recognition and Machine Learning*, section 4.3. Prince 2023, *Understanding Deep Learning*, chapter 5.
