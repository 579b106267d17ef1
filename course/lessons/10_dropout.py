# %% [markdown]
# # 10 · Why leave features out?
#
# **Question.** A network with more weights than cells learns every cell by heart. Dropout throws away half of its
# features in each step, at random. Why should that help, and does it help here?
#
# **You write** `dropout(x, rate, rng, training)`. **Time** 30 minutes. **You need** lessons 3 and 9; mean and variance.
#
# **Before.** The network learns. **Now** it learns too much.

# %%
import numpy as np

from course import broken, cells, judge, pictures
from scratchnet import reference

images, labels, subjects = cells(16)

# %% [markdown]
# ## A coin for each feature of each image
#
# In training, each feature of each image is kept with probability $1 - q$, and left out otherwise; $q$ is the **rate**.
# The next step throws new coins. No feature can rely on another one being there (Srivastava et al. 2014).
#
# In use, nothing is left out: the answer should not depend on coins. But then each sum has $1/(1-q)$ times as many
# terms as in training. So what is kept is made larger **in training**:
#
# $$ y = \frac{x \odot k}{1 - q}, \quad k \sim \text{Bernoulli}(1 - q), \qquad
#    \operatorname{E}[y] = \frac{(1 - q)\, x + q \cdot 0}{1 - q} = x. $$
#
# The way back has the same mask: $dx = dy \odot k / (1 - q)$.
#
# (Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014; Goodfellow et al. 2016, section 7.12.)
#
# ## Exercise: `dropout`


# %%
def dropout(x, rate, rng, training):
    """(y, kept): features left out with probability `rate`, drawn anew from rng; those that stay are x / (1 − rate).

    x: an array; kept: bool, of its shape. Without training, x itself, and True everywhere.
    """
    # BEGIN SOLUTION
    if not training:
        return x, np.ones(x.shape, bool)
    kept = rng.random(x.shape) >= rate
    return np.where(kept, x / (1 - rate), 0), kept
    # END SOLUTION


judge("dropout", dropout)

# %% [markdown]
# ## A small network that learns by heart
#
# One hidden layer of 128 features on images of 16 × 16, some 99,000 weights; cells of 40 people to train on, those of
# 14 others for the test. With rate 0, and with rate 0.5.

# %%
names = np.random.default_rng(0).permutation(np.unique(subjects))
test = np.isin(subjects, names[:14])
x = images.reshape(len(images), -1).astype(float)
x = (x - x[~test].mean(axis=0)) / (x[~test].std(axis=0) + 10)  # + 10: the corners are nearly always black


def train(rate, steps=300, seed=0, drop=dropout):
    """The parameters, and the losses (training, other people) every 20 steps."""
    rng, coins = np.random.default_rng(seed), np.random.default_rng(seed + 100)
    W1, W2 = reference.xavier_uniform(rng, (x.shape[1], 128)), reference.xavier_uniform(rng, (128, 2))
    values = [W1, np.zeros(128), W2, np.zeros(2)]
    moments = [(np.zeros_like(v), np.zeros_like(v)) for v in values]
    own, truth = x[~test], labels[~test]
    losses = []
    for step in range(1, steps + 1):
        batch = rng.integers(len(own), size=32)
        before = reference.dense(own[batch], *values[:2])
        hidden, kept = drop(reference.relu(before), rate, coins, True)
        dlogits = reference.softmax_cross_entropy_gradient(reference.dense(hidden, *values[2:]), truth[batch]) / 32
        dhidden, dW2, db2 = reference.dense_gradient(hidden, values[2], dlogits)
        dbefore = reference.relu_gradient(before, dhidden * kept / (1 - rate))
        _, dW1, db1 = reference.dense_gradient(own[batch], values[0], dbefore)
        for i, grad in enumerate((dW1, db1, dW2, db2)):
            values[i], *moments[i] = reference.adam(values[i], grad, *moments[i], step)
        if step % 20 == 0:
            losses.append([reference.softmax_cross_entropy(f(values, x[s]), labels[s]).mean() for s in (~test, test)])
    return values, np.array(losses)


def f(values, x):
    """The logits, with nothing left out."""
    return reference.dense(reference.relu(reference.dense(x, *values[:2])), *values[2:])


runs = {rate: train(rate) for rate in (0.0, 0.5)}
for rate, (values, losses) in runs.items():
    right = (f(values, x[test]).argmax(axis=1) == labels[test]).mean()
    print(
        f"rate {rate}: loss on its own cells {losses[-1, 0]:.3f}, on other people's {losses[-1, 1]:.3f}; {right:.0%} right"
    )
print(f"always the same answer: {labels[test].mean():.0%} right")
assert runs[0.0][1][-1, 0] < 0.1, "dropout: first make the judge say right"
assert all(losses[-1, 1] > losses[:, 1].min() + 0.1 for _, losses in runs.values()), (
    "dropout: first make the judge say right"
)
assert runs[0.5][1][-1, 0] > runs[0.0][1][-1, 0], "dropout: first make the judge say right"
assert min(losses[-1, 1] for _, losses in runs.values()) > 0.4, "dropout: first make the judge say right"

# %% [markdown]
# Both know their own cells by heart, and the loss on other people's cells grows in the meantime. That is
# **overfitting**. Dropout slows down the learning by heart. Whether it helps on *other people* is another question, and
# these few cells do not say yes: compare the lines above. A method that "prevents overfitting" on paper must be
# measured on your data. With 14 people for a test the measurement is rough; lesson 12 says how rough.
#
# ## Where the coins fall
#
# The mask of a batch, and what the network says of *one* cell under 2,000 masks.

# %%
values, _ = runs[0.5]
person = np.flatnonzero(test)[0]
hidden = reference.relu(reference.dense(x[person : person + 1], *values[:2]))
many, kept = dropout(np.repeat(hidden, 2000, axis=0), 0.5, np.random.default_rng(1), True)


def gap(h):
    """Logit of leukaemic minus normal."""
    z = reference.dense(h, *values[2:])
    return z[:, 1] - z[:, 0]


gaps, answer = gap(many), gap(hidden)[0]
figure, axes = pictures.figure(columns=2, width=12, height=4)
axes[0].imshow(kept[:32, :64], cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
axes[0].set(xlabel="feature", ylabel="image")
pictures.name(axes[0], "masks at rate 0.5: kept (blue) or left out")
axes[1].hist(gaps, bins=50, color=pictures.SKY)
axes[1].axvline(answer, color="black", label=f"nothing left out: {answer:.2f}")
axes[1].axvline(gaps.mean(), color=pictures.ORANGE, linestyle="--", label=f"mean over the masks: {gaps.mean():.2f}")
axes[1].set(xlabel="logit of leukaemic minus normal, one cell", ylabel="masks")
axes[1].legend()
pictures.show(
    figure, "Left: masks. Right: one cell's answers under 2,000 masks; their mean is the answer without dropout."
)
error = gaps.std() / np.sqrt(len(gaps))
print(f"2,000 masks: {gaps.mean():.3f} ± {error:.3f}; nothing left out: {answer:.3f}")
assert abs(gaps.mean() - answer) < 5 * error, "dropout: first make the judge say right"

# %% [markdown]
# Each mask is another, thinner network. All share their weights, and in use you ask all at once: behind the last hidden
# layer, the answer without dropout is exactly the mean over all masks. That is why dropout is called a cheap ensemble.
#
# ## Break it
#
# **Forget to divide by $1 - q$.** So does `broken.dropout_unscaled`.

# %%
weak = gap(broken.dropout_unscaled(np.repeat(hidden, 2000, axis=0), 0.5, np.random.default_rng(1), True)[0]).mean()
bias = values[3][1] - values[3][0]
print(
    f"mean over the masks without the division: {weak:.2f}, in use {answer:.2f}: {(answer - bias) / (weak - bias):.1f} times"
)
judge("dropout", broken.dropout_unscaled)

# %% [markdown]
# In use the network is twice as sure as it ever was in training. The most likely class stays the same, so the accuracy
# doesn't show it; the probabilities are wrong.
#
# **Throw the coins once,** for all images and all steps (`broken.dropout_of_one_coin`). The features that are left out
# once are left out for ever:

# %%
values, losses = train(0.5, drop=broken.dropout_of_one_coin)
start = reference.xavier_uniform(np.random.default_rng(0), (x.shape[1], 128))
print(f"hidden features whose weights never moved: {np.mean(np.all(values[0] == start, axis=0)):.0%}")
judge("dropout", broken.dropout_of_one_coin)
assert np.mean(np.all(values[0] == start, axis=0)) > 0.3

# %% [markdown]
# In use they are there again, with the random weights of the first day, and nobody has ever looked at what they do.
#
# ## What comes next
#
# All pieces are yours. Put them into one network, and let it learn: *does mine learn real cells?*
#
# **Sources.** Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, *Dropout: a simple way to prevent neural
# networks from overfitting*, Journal of Machine Learning Research 15. Goodfellow, Bengio & Courville 2016, *Deep
# Learning*, sections 5.2 and 7.12. Prince 2023, *Understanding Deep Learning*, chapter 9.
