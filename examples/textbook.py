"""The report's network in miniature, trained by the textbook alone: all its arithmetic is in `scratchnet/reference.py`.

Is a cell leukaemic or normal? Five convolutions, two hidden layers (in the report of 32 to 512 filters and 1024 units,
with dropout), Xavier's weights, softmax cross-entropy, Adam with L2. Run `python examples/textbook.py`: a few seconds.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from scratchnet import reference as ref

CONVS = dict(conv1=(5, 5, 3, 4), conv2=(5, 5, 4, 8), conv3=(5, 5, 8, 16), conv4=(5, 5, 16, 32), conv5=(5, 5, 32, 64))
HIDDEN, OUTPUT = dict(dense1=(64, 32), dense2=(32, 32)), dict(dense3=(32, 2))


def cells(folds):
    """Images (N, 32, 32, 3) from 0 to 1, and labels (N,): 1 for a leukaemic cell, 0 for a normal one."""
    files = sorted((Path(__file__).parents[1] / "scratchnet" / "prepare" / "sample").glob(f"{folds}/*/*.webp"))
    images = [Image.open(file).resize((32, 32), Image.Resampling.BOX) for file in files]
    return np.stack(images) / 255, np.array([int(file.parent.name == "all") for file in files])


def gradients(p, x, labels):
    """The logits (N, 2) of images x, their mean loss, and its gradient for each of p, {layer: [weight, bias]}."""
    tape, g = [], {}
    for name in CONVS:  # forward: the tape keeps the input of each operation
        tape.append(x := ref.pad(x, 2, 2, 2, 2))
        tape.append(x := ref.conv2d(x, *p[name], stride=1))
        tape.append(x := ref.relu(x))
        x = ref.max_pool2d(x, size=2, stride=2)
    tape.append(x := x.reshape(len(x), -1))
    for name in HIDDEN:
        tape.append(x := ref.dense(x, *p[name]))
        tape.append(x := ref.relu(x))
    logits = ref.dense(x, *p["dense3"])
    dy = ref.softmax_cross_entropy_gradient(logits, labels) / len(labels)  # backward: the tape is played from its end
    dy, *g["dense3"] = ref.dense_gradient(tape.pop(), p["dense3"][0], dy)
    for name in reversed(HIDDEN):
        dy = ref.relu_gradient(tape.pop(), dy)
        dy, *g[name] = ref.dense_gradient(tape.pop(), p[name][0], dy)
    dy = dy.reshape(len(dy), 1, 1, -1)
    for name in reversed(CONVS):
        dy = ref.max_pool2d_gradient(tape.pop(), dy, size=2, stride=2)
        dy = ref.relu_gradient(tape.pop(), dy)
        dy, *g[name] = ref.conv2d_gradient(tape.pop(), p[name][0], dy, stride=1)
        dy = ref.pad_gradient(dy, 2, 2, 2, 2)
    return logits, ref.softmax_cross_entropy(logits, labels).mean(), g


def train(p, x, labels, steps, rng):
    """Moves the parameters in p step by step, each by another batch of 32 images, and yields the loss of each step."""
    moments = {name: [(0, 0), (0, 0)] for name in p}
    for step in range(1, steps + 1):
        batch = rng.choice(len(x), 32, replace=False)
        _, loss, g = gradients(p, x[batch], labels[batch])
        for name in p:
            for i, l2 in enumerate([5e-4, 0]):  # L2 on the weight, none on the bias
                p[name][i], *moments[name][i] = ref.adam(p[name][i], g[name][i], *moments[name][i], step, l2=l2)
        yield loss


if __name__ == "__main__":
    (x, labels), (others, truth), rng = cells("fold_[01]"), cells("fold_2"), np.random.default_rng(0)
    p = {name: [ref.xavier_uniform(rng, s), np.zeros(s[-1])] for name, s in (CONVS | HIDDEN | OUTPUT).items()}
    for step, loss in enumerate(train(p, x, labels, 99, rng), 1):
        print(f"step {step:3}  loss {loss:.4f}", end="\n" if step % 3 == 0 else "     ")
    right = gradients(p, others, truth)[0].argmax(axis=1) == truth
    print(f"of the cells of other patients {right.mean():.1%} right; one answer for all: {truth.mean():.1%}")
