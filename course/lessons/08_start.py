# %% [markdown]
# # 8 · Why does the report start so slowly?
#
# **Question.** The report's network on images of 32 × 32 ended with a loss of 0.69, which is ln 2: it learnt nothing.
# Its layers are right, its gradients are right. What is wrong?
#
# **You write** `xavier_uniform(rng, shape)`, the weights to begin with. **Time** 40 minutes. **You need** lessons 2, 3
# and 7; variances of sums.
#
# **Before.** You have every layer and every gradient. **Now** we put them together for the first time, with weights
# that nobody has trained yet, and look what comes out at the other end.

# %%
import math

import numpy as np

from course import cells, judge, pictures
from scratchnet import textbook

images, labels, subjects = cells(32)

# %% [markdown]
# ## How large should weights be at the start?
#
# One output of a layer is a sum of $n$ products, $y = \sum_{i=1}^{n} w_i x_i$. Let the weights be independent with mean
# 0 and variance $v$. Then
#
# $$ \operatorname{E}[y^2] = n \, v \, \operatorname{E}[x^2]. $$
#
# With $n v = 2$ the signal doubles its mean square in every layer; with $n v = 1/2$ it halves. Seven such layers make a
# factor of 128. To keep the signal we want $v = 1/\text{fan}_\text{in}$, where $\text{fan}_\text{in}$ is the number of
# inputs that an output sums over. The blame on its way back is a sum over the outputs that an input reaches, and wants
# $v = 1/\text{fan}_\text{out}$. Glorot & Bengio (2010) take the middle:
#
# $$ v = \frac{2}{\text{fan}_\text{in} + \text{fan}_\text{out}}, \qquad w \sim U(-a, a), \quad
#    a = \sqrt{\frac{6}{\text{fan}_\text{in} + \text{fan}_\text{out}}}, $$
#
# for a uniform distribution on $\pm a$ has variance $a^2/3$. What are the fans of a *convolution*? An output sums over
# $KH \cdot KW \cdot C$ inputs. An input is used at $KH \cdot KW$ places, for $F$ filters each.
#
# ## Exercise: `xavier_uniform`


# %%
def xavier_uniform(rng, shape):
    """Weights to begin with, uniform in ±√(6 / (fan_in + fan_out)), drawn from rng.

    rng: a NumPy generator. shape: (KH, KW, C, F) of a convolution, or (in, out) of a dense layer. Returns an array of it.
    """
    # BEGIN SOLUTION
    taps = math.prod(shape[:-2])  # KH · KW; 1 for a dense layer
    limit = math.sqrt(6 / (taps * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape)
    # END SOLUTION


judge("xavier_uniform", xavier_uniform)

# %% [markdown]
# ## The report's network before its first step
#
# Five convolutions of 32 to 512 filters, each followed by ReLU and pooling, two dense layers of 1024 with dropout, and
# one of 2. `scratchnet.textbook` has these layers over a **table of functions**. We put your function into that table.


# %%
def report(init):
    """The report's network for 32 × 32, with its weights drawn by init."""
    layers = []
    for filters in (32, 64, 128, 256, 512):
        layers += [textbook.Conv2D(filters, 5), textbook.ReLU(), textbook.MaxPool2D(2)]
    layers.append(textbook.Flatten())
    for _ in range(2):
        layers += [textbook.Dense(1024), textbook.ReLU(), textbook.Dropout(0.5)]
    network = textbook.Network([*layers, textbook.Dense(2)], functions={"xavier_uniform": init})
    network.build((32, 32, 3), seed=0, dtype="float32")
    return network


def he_uniform(rng, shape):
    """He et al. 2015: a variance of 2 / fan_in, for ReLU halves the mean square."""
    limit = math.sqrt(6 / math.prod(shape[:-1]))
    return rng.uniform(-limit, limit, shape)


chosen = np.random.default_rng(0).permutation(len(images))[:32]
unit = (images[chosen] / 255).astype(np.float32)
deviations = images.std(axis=(0, 1, 2))
standardised = ((images[chosen] - images.mean(axis=(0, 1, 2))) / deviations).astype(np.float32)

# %% [markdown]
# **It hardly tells two cells apart.** We send 32 cells through, and measure behind each layer with weights how much a
# typical number differs *from cell to cell*. At the end, only this difference tells leukaemic from normal.


# %%
def spreads(network, x):
    """Behind each layer with weights and its ReLU: how a typical number differs from cell to cell, {name: deviation}."""
    found = {"pixels": math.sqrt(x.var(axis=0).mean())}
    for layer, after in zip(network.layers, [*network.layers[1:], None], strict=True):
        x = layer.forward(x)
        if layer.parameters():
            seen = after.forward(x) if after is not None else x
            found[layer.name] = math.sqrt(seen.var(axis=0).mean())
    return found, x


recipes = {
    "the report's: Xavier, pixels 0 to 1": (xavier_uniform, unit),
    "Xavier, standardised pixels": (xavier_uniform, standardised),
    "He, standardised pixels": (he_uniform, standardised),
}
networks = {name: report(init) for name, (init, _) in recipes.items()}
lines, margin_spread = {}, {}
for name, (_, x) in recipes.items():
    found, logits = spreads(networks[name], x)
    margin = logits[:, 1] - logits[:, 0]
    margin_spread[name] = margin.std()
    lines[name] = (np.arange(len(found)), np.array(list(found.values())))
    print(f"{name:<36} difference of the two logits: mean {margin.mean():8.4f}, from cell to cell ±{margin.std():.4f}")
ours, better = margin_spread["the report's: Xavier, pixels 0 to 1"], margin_spread["Xavier, standardised pixels"]
print(f"standardised pixels make it {better / ours:.0f} times as large")
assert better > 4 * ours, "xavier_uniform: first make the judge say right"

# %% [markdown]
# Xavier keeps a signal through a *linear* layer. But each of the seven ReLUs throws away half of the mean square. He et
# al. (2015) put a 2 for that. And who begins with pixels whose deviation is 0.1 (lesson 1) arrives with a tenth.
#
# **The penalty outweighs the images.** The report adds $\frac{\lambda}{2} \sum w^2$ to its loss, $\lambda = 0.0005$, so
# that weights stay small. Its optimiser, Adam, moves each weight by about the same length whatever the size of its
# gradient (lesson 9). So what counts is *in how many weights* the pull of the penalty, $\lambda |w|$, is stronger than
# the push of the images. Those walk straight to zero.


# %%
def pulled_to_zero(network, x, truth, l2=5e-4):
    """For each layer: the share of its weights in which l2 · |w| exceeds the gradient of the images' mean loss."""
    loss = textbook.SoftmaxCrossEntropy()
    value = loss.forward(network.forward(x, training=True), truth)
    network.backward(loss.backward())
    weights = [p for p in network.parameters() if p.decay]
    return {p.name.removesuffix(".weight"): np.mean(l2 * np.abs(p.value) > np.abs(p.grad)) for p in weights}, value


pulled, first_losses = {}, {}
for name, (_, x) in recipes.items():
    pulled[name], first_losses[name] = pulled_to_zero(networks[name], x, labels[chosen])
    print(
        f"{name:<36} loss {first_losses[name]:.4f}; pulled to zero:", *(f"{k} {v:.0%}" for k, v in pulled[name].items())
    )

figure, axes = pictures.figure(columns=2, width=12, height=4.4)
pictures.curves(axes[0], lines, "", "difference from cell to cell", "what is left of the cells, layer by layer")
axes[0].set_yscale("log")
names = ["pixels", *pulled[name]]
axes[0].set_xticks(range(len(names)), names, rotation=45)
shares = {name: (np.arange(8), 100 * np.array(list(by_layer.values()))) for name, by_layer in pulled.items()}
pictures.curves(
    axes[1], shares, "", "weights pulled to zero (%)", "where the penalty is stronger than the cells", legend=False
)
axes[1].set_xticks(range(8), list(pulled[name]), rotation=45)
axes[1].set_ylim(0, 100)
pictures.show(
    figure, "Left: differences between cells fade from layer to layer. Right: share of weights pulled to zero."
)
report_pulled = pulled["the report's: Xavier, pixels 0 to 1"]
assert report_pulled["conv5"] > 0.6, "xavier_uniform: first make the judge say right"
assert report_pulled["dense2"] > 0.6, "xavier_uniform: first make the judge say right"
assert report_pulled["conv1"] > pulled["Xavier, standardised pixels"]["conv1"], (
    "xavier_uniform: first make the judge say right"
)
assert abs(first_losses["the report's: Xavier, pixels 0 to 1"] - math.log(2)) < 0.01, (
    "xavier_uniform: first make the judge say right"
)

# %% [markdown]
# Read both together. The report's network begins at ln 2, with two logits that are nearly the same for every cell, and
# most weights of its last convolution and of its dense layers are pulled to zero. Whether it gets away from there is a
# race between the cells and the penalty. How it ended on 3,200 malaria cells, and what one change does, is measured in
# `docs/report.md`, *What goes wrong with its recipe*. Standardised pixels, your first exercise, helped most.
#
# Why does conv5 stand out in all three? Count the weights that no cell reaches:

# %%
conv5 = next(p for p in networks["He, standardised pixels"].parameters() if p.name == "conv5.weight")
reached = np.any(conv5.grad != 0, axis=(2, 3))
print("places of conv5's 5 × 5 filters that get any gradient:\n", reached.astype(int))
assert reached.sum() == 9

# %% [markdown]
# Four poolings have made 2 × 2 numbers of 32 × 32. A 5 × 5 filter on 2 × 2 numbers meets them with its inner 3 × 3
# weights only; its other 16 never see anything but padding. They do nothing, and the penalty takes them away.
#
# ## Break it
#
# **Forget that a filter has 5 × 5 places.** And begin with **zeros**.


# %%
def without_taps(rng, shape):
    """The fans of a convolution without KH · KW."""
    limit = math.sqrt(6 / (shape[-2] + shape[-1]))
    return rng.uniform(-limit, limit, shape)


for name, init in (("fans without 5 × 5", without_taps), ("all weights zero", lambda rng, shape: np.zeros(shape))):
    network = report(init)
    share, value = pulled_to_zero(network, standardised, labels[chosen])
    silent = np.mean([not np.any(p.grad) for p in network.parameters() if p.decay])
    print(f"{name:<19} first loss {value:12.4f}; weights without any gradient in {silent:.0%} of the layers")
    if name == "all weights zero":
        assert abs(value - math.log(2)) < 1e-6
        assert silent == 1
    else:
        assert value > 10

# %% [markdown]
# Without the places, each of five convolutions multiplies the mean square by 25, and the first loss is that of a
# network that is very sure of nothing. With zeros nothing reaches the weights at all: every product has a factor 0, on
# the way there and on the way back. The biases of the last layer learn how common the classes are, and that is all that
# will ever be learnt. So weights must be *random*, to differ from each other, and of the *right size*, to let signals
# through.
#
# ## What comes next
#
# Three times this lesson spoke of Adam. What is it, and *how do weights move?*
#
# **Sources.** Glorot & Bengio 2010, *Understanding the difficulty of training deep feedforward neural networks*,
# AISTATS, equation 16. He, Zhang, Ren & Sun 2015, *Delving deep into rectifiers*, ICCV. Goodfellow, Bengio & Courville
# 2016, *Deep Learning*, section 8.4. Prince 2023, *Understanding Deep Learning*, section 7.5. Richa 2019, the report.
