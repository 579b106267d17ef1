# %% [markdown]
# # 12 · Whom did we test on?
#
# **Question.** "76 % right" of whom? Would another hospital see 76 % too?
#
# **You write** `split_subjects(labels, subjects, share, rng)` and `interval(correct, subjects, rng)`. **Time** 50
# minutes. **You need** lesson 1, and what a confidence interval is.
#
# **Before.** Your network learns real cells. **Now** we ask what its accuracy says. This lesson needs no network. The
# mistakes in it are the most expensive ones of the field, and no gradient check finds them.

# %%
import numpy as np

from course import broken, cells, judge, pictures

images, labels, subjects = cells(64)
people, counts = np.unique(subjects, return_counts=True)
print(f"{len(labels)} cells of {len(people)} people; the three with most cells have {np.sort(counts)[::-1][:3]}")

# %% [markdown]
# ## Labels by coin
#
# Cells of one person are alike: the same slide, the same stain, the same microscope. Can a program that only recognises
# *people* look as if it recognised leukaemia? Here is a clean experiment. We throw away the labels, and give each
# **person** a label by the toss of a coin. There is nothing to learn: on new people, nobody can be right in more than
# half of the cases.
#
# The program is as simple as can be. Each cell is described by six numbers, the mean and the deviation of each colour;
# a new cell gets the label of the most similar cell (nearest neighbour). Three ways to choose the cells to test on:
#
# - **people apart**: whole people are drawn;
# - **images at random**: a person's cells may stand on both sides;
# - **copies at random**: each image is copied first, as augmentation does, and then split.

# %%
features = np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1)
features = (features - features.mean(axis=0)) / features.std(axis=0)


def nearest(own, truth, asked):
    """The label of the nearest of own (M, K), whose labels are truth (M,), for each of asked (N, K)."""
    return truth[((asked[:, None] - own[None]) ** 2).sum(axis=2).argmin(axis=1)]


def balanced(answers, truth):
    """The mean of the two classes' shares of right answers: 50 % for anybody who knows nothing."""
    return np.mean([np.mean(answers[truth == k] == k) for k in (0, 1)])


def experiment(how, coins, rng):
    """Balanced accuracy of one coin toss and one split; None if the test lacks a class."""
    x, truth, who = features, coins[np.searchsorted(people, subjects)], subjects
    if how == "copies at random":
        x, truth, who = np.concatenate([x, x]), np.concatenate([truth, truth]), np.concatenate([who, who])
    drawn = np.isin(who, rng.permutation(people)[: len(people) // 5])
    test = drawn if how == "people apart" else rng.random(len(x)) < 0.2
    if len(set(truth[test])) < 2:
        return None
    return balanced(nearest(x[~test], truth[~test], x[test]), truth[test])


rng = np.random.default_rng(0)
found = {}
for how in ("people apart", "images at random", "copies at random"):
    tries = [experiment(how, rng.permutation(len(people)) % 2, rng) for _ in range(100)]
    found[how] = np.array([value for value in tries if value is not None])
    mean, error = found[how].mean(), found[how].std() / np.sqrt(len(found[how]))
    print(f"{how:<17} balanced accuracy {mean:.1%} ± {error:.1%}")

figure, axes = pictures.figure(width=9, height=3.6)
for row, values in enumerate(found.values()):
    height = row + np.random.default_rng(1).uniform(-0.2, 0.2, len(values))
    axes[0].plot(100 * values, height, "o", color=(pictures.BLUE, pictures.YELLOW, pictures.ORANGE)[row], alpha=0.5)
    axes[0].plot([100 * values.mean()] * 2, [row - 0.35, row + 0.35], color="black")
axes[0].axvline(50, color=pictures.GREY, linestyle=":")
axes[0].set_yticks(range(3), list(found))
axes[0].invert_yaxis()
axes[0].set(xlabel="balanced accuracy on labels by coin (%); 50 % is all there is", xlim=(20, 100))
pictures.show(
    figure, "100 experiments for each way to split. With labels by coin, only the split by people gives 50 %."
)
assert abs(found["people apart"].mean() - 0.5) < 0.03, "split_subjects: first make the judge say right"
assert found["images at random"].mean() > 0.55, "split_subjects: first make the judge say right"
assert found["copies at random"].mean() > 0.8, "split_subjects: first make the judge say right"

# %% [markdown]
# All of what is above 50 % is **leakage**: it comes from the split. In its section 2, the report augments its images
# and then splits them at random: that is the third kind.
#
# So whole people go to one side. Beside that we want both classes on both sides, about the wanted share of images, and
# another choice of people for another seed: the lucky split is a mistake too.
#
# ## Exercise: `split_subjects`
#
# One way: for each class, shuffle its people, and take one after the other while that brings the number of test images
# nearer to what is wanted. Leave at least one person of each class to train on.


# %%
def split_subjects(labels, subjects, share, rng):
    """True for the test side: whole subjects drawn by rng, both classes on both sides, about `share` of the images.

    labels (N,): 0 or 1, one for each subject; subjects (N,): names. Returns bool (N,).
    """
    # BEGIN SOLUTION
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        names, sizes = np.unique(subjects[labels == label], return_counts=True)
        wanted, taken = share * sizes.sum(), 0
        for number, i in enumerate(rng.permutation(len(names))):
            if number == len(names) - 1:
                break  # somebody must be left to train on
            if taken == 0 or abs(taken + sizes[i] - wanted) < abs(taken - wanted):
                test |= subjects == names[i]
                taken += sizes[i]
    return test
    # END SOLUTION


judge("split_subjects", split_subjects)

# %% [markdown]
# ## How sure?
#
# The real labels now, five splits, the same simple program:

# %%
correct = np.zeros(len(labels))
for seed in range(5):
    test = split_subjects(labels, subjects, 0.25, np.random.default_rng(seed))
    answers = nearest(features[~test], labels[~test], features[test])
    correct[test] = answers == labels[test]
    print(
        f"seed {seed}: {test.sum()} cells of {len(np.unique(subjects[test]))} people, {np.mean(answers == labels[test]):.1%} right"
    )

# %% [markdown]
# The same data, the same program, other people: that is how far it can be off. An interval should say so *from one
# test*. The usual formula for a share, $\hat p \pm 1.96 \sqrt{\hat p (1 - \hat p)/n}$, takes $n$ cells for $n$
# independent facts. They are not: 60 cells of 15 people may be nearer to 15 facts than to 60.
#
# The **bootstrap over subjects** imitates the study. Draw as many subjects as there are, **with replacement**, each
# with all of its cells, and compute the accuracy. Do so 1,000 times; the middle 95 % are the interval (Efron &
# Tibshirani 1993, section 13.3; Davison & Hinkley 1997, section 3.8).
#
# ## Exercise: `interval`


# %%
def interval(correct, subjects, rng):
    """(low, high): a 95 % interval of the accuracy, by the bootstrap over subjects.

    correct (N,): 1 where the answer was right, else 0; subjects (N,): whose cell it was. rng draws.
    """
    # BEGIN SOLUTION
    _, who = np.unique(subjects, return_inverse=True)
    right, size = np.bincount(who, correct), np.bincount(who)
    drawn = rng.integers(len(size), size=(1000, len(size)))
    low, high = np.quantile(right[drawn].sum(axis=1) / size[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)
    # END SOLUTION


judge("interval", interval)

# %% [markdown]
# ## Does the interval keep its promise?
#
# "95 %" is a promise: of 100 such intervals, 95 hold the truth. In a simulation the truth is known. Each study has 40
# people with 5 to 39 cells; each person's cells are right with a probability of their own, 80 % on average. Beside
# yours stands the bootstrap over *images* (`broken.interval_over_images`): as if each cell came from another person.


# %%
def study(rng):
    """(correct, subjects) of a simulated study whose true accuracy is 80 %."""
    chance, sizes = rng.beta(4, 1, 40), rng.integers(5, 40, 40)
    who = np.repeat(np.arange(40), sizes)
    return (rng.random(len(who)) < chance[who]).astype(float), who


figure, axes = pictures.figure(columns=2, width=12, height=4)
for ax, (name, method) in zip(
    axes, (("over people", interval), ("over images", broken.interval_over_images)), strict=True
):
    rng, held = np.random.default_rng(0), 0
    for number in range(60):
        low, high = method(*study(rng), rng)
        held += low <= 0.8 <= high
        colour = pictures.BLUE if low <= 0.8 <= high else pictures.ORANGE
        ax.plot([number, number], [100 * low, 100 * high], color=colour, linestyle="-" if low <= 0.8 <= high else ":")
    ax.axhline(80, color="black", linewidth=1)
    ax.set(xlabel="study", ylabel="95 % interval of the accuracy (%)", ylim=(62, 95))
    pictures.name(ax, f"bootstrap {name}: {held} of 60 hold the truth")
    print(f"bootstrap {name}: {held} of 60 intervals hold the truth")
    assert (held > 50) == (method is interval), "interval: first make the judge say right"
pictures.show(
    figure,
    "60 simulated studies: intervals over people hold the truth nearly always, intervals over images too rarely.",
)

test = split_subjects(labels, subjects, 0.25, np.random.default_rng(0))
right = (nearest(features[~test], labels[~test], features[test]) == labels[test]).astype(float)
for name, method in (("people", interval), ("images", broken.interval_over_images)):
    low, high = method(right, subjects[test], np.random.default_rng(0))
    print(f"real cells, seed 0: {right.mean():.1%} right; over {name} {low:.1%} to {high:.1%}")

# %% [markdown]
# ## Break it
#
# **Without replacement.** Draw all subjects, each once, in another order (`broken.interval_without_replacement`). What
# happens to the width?

# %%
low, high = broken.interval_without_replacement(right, subjects[test], np.random.default_rng(0))
print(f"from {low:.3f} to {high:.3f}")
judge("interval", broken.interval_without_replacement)
assert high - low < 1e-9

# %% [markdown]
# **Sort and cut.** The first quarter of the people by name (`broken.split_sorted_and_cut`):

# %%
cut = broken.split_sorted_and_cut(labels, subjects, 0.25, None)
print(f"test side: {cut.sum()} cells, {labels[cut].mean():.0%} leukaemic; of all cells {labels.mean():.0%} are")
judge("split_subjects", broken.split_sorted_and_cut)
assert labels[cut].mean() == 1

# %% [markdown]
# In this data set the names of healthy people begin with an H, and digits come before letters. So the test side has not
# a single normal cell: a program that always says "leukaemic" would be perfect.
#
# ## What comes next
#
# You know what the network is worth. Make it fast: *where do 25 multiplications go?*
#
# **Sources.** Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, chapter 13. Davison & Hinkley 1997,
# *Bootstrap Methods and their Application*, section 3.8. Kaufman, Rosset, Perlich & Stitelman 2012, *Leakage in data
# mining*, ACM TKDD 6(4). Goodfellow, Bengio & Courville 2016, *Deep Learning*, sections 5.3 and 5.4.
