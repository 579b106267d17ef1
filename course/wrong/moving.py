"""Wrong solutions of lessons 9, 10 and 11."""

from typing import Any

import numpy as np

from course.wrong.solution import Wrong
from scratchnet import reference as ref


def _adam(kind: str) -> Any:
    def adam(value: Any, grad: Any, mean: Any, square: Any, step: int, learning_rate: float = 1e-3, beta1: float = 0.9,
             beta2: float = 0.999, epsilon: float = 1e-8, l2: float = 0.0) -> Any:  # fmt: skip
        g = grad if kind in ("decoupled", "no l2") else grad + l2 * value
        if kind == "changes grad":
            grad += l2 * value
        if kind == "changes the moments":
            mean *= beta1
            mean += (1 - beta1) * g
            m = mean
        else:
            m = beta1 * mean + (1 - beta1) * g
        v = beta2 * square + (1 - beta2) * (g if kind == "not squared" else g**2)
        if kind == "betas exchanged":
            m, v = beta2 * mean + (1 - beta2) * g, beta1 * square + (1 - beta1) * g**2
        t = step + 1 if kind == "one step late" else step
        mh, vh = (m, v) if kind == "no correction" else (m / (1 - beta1**t), v / (1 - beta2**t))
        fixed = {
            "epsilon 0.001": 1e-3,
            "epsilon 1e-7": 1e-7,
            "epsilon 1e-8 always": 1e-8,
            "no epsilon": 0.0,
            "epsilon 0.002": 2e-3,
        }
        epsilon = fixed.get(kind, epsilon)
        change = mh / np.sqrt(vh + epsilon) if kind == "epsilon inside" else mh / (np.sqrt(vh) + epsilon)
        if kind == "epsilon before":
            change = mh / ((np.sqrt(v) + epsilon) / np.sqrt(1 - beta2**t))
        change = mh / (vh + epsilon) if kind == "no root" else change
        new = value + learning_rate * change if kind == "uphill" else value - learning_rate * change
        if kind == "decoupled":
            new = new - learning_rate * l2 * value
        if kind == "value alone":
            return new
        return (new, mh, vh) if kind == "corrected moments" else (new, m, v)

    return adam


_MEMORY: dict[Any, Any] = {}


def _adam_step(kind: str) -> Any:
    def adam_step(parameters: Any, state: Any, learning_rate: float, l2: float) -> None:
        memory = _MEMORY if kind == "global" else state
        memory.setdefault("t", 0)
        memory["t"] += 1
        if kind == "crashes":
            np.stack([p.value for p in parameters])
        for i, p in enumerate(parameters):
            if kind == "t for each" and i:
                memory["t"] += 1
            key = "moments" if kind == "shared" else p.name
            t = 1 if kind == "t is 1" else memory["t"]
            zeros = np.zeros_like(p.value), np.zeros_like(p.value)
            mean, square = memory.get(key, zeros) if kind != "forgets" else zeros
            if mean.shape != p.value.shape:
                mean, square = zeros
            decay = l2 if p.decay or kind == "l2 on biases" else 0.0
            decay = 0.0 if kind == "no l2" else decay
            if kind == "changes grad":
                p.grad += decay * p.value
                decay = 0.0
            own = _adam(kind.removeprefix("own: ")) if kind.startswith("own: ") else ref.adam
            new, mean, square = own(p.value, p.grad, mean, square, t, learning_rate, l2=decay)
            memory[key] = mean, square
            if kind == "moves a copy":
                value = p.value.copy()
                value[...] = new
            else:
                p.value[...] = new

    return adam_step


def _once_for_all(x: Any, rate: float, rng: Any, training: bool, memory: dict[Any, Any] = {}) -> Any:  # noqa: B006
    if not training:
        return x, np.ones(x.shape, bool)
    kept = memory.setdefault((x.shape, rate), rng.random(x.shape) >= rate)
    return np.where(kept, x / (1 - rate), 0), kept


def _dropout(kind: str) -> Any:
    def dropout(x: Any, rate: float, rng: Any, training: bool) -> Any:
        if not training and kind != "also at test":
            return (x * (1 - rate) if kind == "classic" else x), np.full(x.shape, kind != "kept at test")
        kept = rng.random(x.shape) < rate if kind == "exchanged" else rng.random(x.shape) >= rate
        if kind == "one for all images":
            kept = np.broadcast_to(kept[:1], x.shape)
        if kind == "whole images":
            kept = np.broadcast_to(rng.random((len(x), 1)) >= rate, x.shape)
        if kind == "global":
            kept = np.random.default_rng().random(x.shape) >= rate
        if kind == "counted":
            kept = rng.permutation(np.arange(x.size) >= round(rate * x.size)).reshape(x.shape)
        if kind == "counted in each image":
            order = rng.random((len(x), x[0].size)).argsort(axis=1).argsort(axis=1)
            kept = (order >= round(rate * x[0].size)).reshape(x.shape)
        if kind == "counted at each place":
            kept = rng.random(x.shape).argsort(axis=0).argsort(axis=0) >= round(rate * len(x))
        if kind == "whole channels":
            kept = np.broadcast_to(rng.random((len(x), *[1] * (x.ndim - 2), x.shape[-1])) >= rate, x.shape)
        if kind == "two axes":
            kept = rng.random((x.shape[0], x.shape[1])) >= rate
        if kind == "in place":
            x[~kept] = 0
        y = np.where(kept, x if kind in ("unscaled", "classic") else x / (1 - rate), 0)
        if kind == "scaled twice":
            y = y / (1 - rate)
        return y if kind == "y alone" else (y, ~kept if kind == "dropped" else kept * 1.0 if kind == "floats" else kept)

    return dropout


def _train_step(kind: str) -> Any:
    def train_step(network: Any, optimiser: Any, images: Any, labels: Any) -> Any:
        logits = network.forward(images, training=kind != "not training")
        if kind == "crashes":
            return logits[labels, :, 0]
        each = ref.softmax_cross_entropy(logits, labels)
        dlogits = ref.softmax_cross_entropy_gradient(logits, labels) / len(labels)
        dlogits = {
            "not divided": dlogits * len(labels),
            "uphill": -dlogits,
            "p": ref.softmax(logits) / len(labels),
        }.get(kind, dlogits)
        if kind == "step first":
            optimiser.step()
        if kind != "no backward":
            network.backward(dlogits, accumulate=kind == "added up")
        if kind == "twice":
            network.backward(dlogits)
        if kind not in ("no step", "step first"):
            optimiser.step()
        if kind == "loss after":
            return ref.softmax_cross_entropy(network.forward(images), labels).mean()
        if kind == "two forwards":
            return ref.softmax_cross_entropy(network.forward(images, training=True), labels).mean()
        return {"sum": each.sum(), "each": each, "nothing": None, "accuracy": (logits.argmax(1) == labels).mean()}.get(
            kind, each.mean()
        )

    return train_step


def _accuracy(kind: str) -> Any:
    def accuracy(network: Any, images: Any, labels: Any) -> Any:
        logits = network.forward(images, training=kind in ("training", "trains"))
        if kind == "trains":
            network.backward(ref.softmax_cross_entropy_gradient(logits, labels))
        right = logits.argmax(axis=1) == labels
        if kind == "axis 0":
            right = logits.argmax(axis=0) == labels
        return {"count": right.sum(), "per cent": 100 * right.mean(), "errors": 1 - right.mean(), "each": right}.get(
            kind, right.mean()
        )

    return accuracy


WRONG = (
    *(
        Wrong("adam", kind, line, _adam(kind))
        for kind, line in {
            "no correction": "not divided by 1 − βᵗ",
            "one step late": "one too large",
            "epsilon inside": "ε stands under the root",
            "epsilon before": "ε is added before v is divided",
            "epsilon 0.001": "ε is 0.001, expected `epsilon`",
            "epsilon 1e-7": "ε is 1e-07, expected `epsilon`",
            "epsilon 1e-8 always": "ε is 1e-08, expected `epsilon`",
            "epsilon 0.002": "value: ",
            "no epsilon": "ε is missing",
            "no root": "divided by v and not by its root",
            "uphill": "uphill",
            "decoupled": "as AdamW does",
            "no l2": "l2 is missing",
            "corrected moments": "corrected moments are returned",
            "changes grad": "changes its arguments in place: grad",
            "changes the moments": "changes its arguments in place: mean",
            "not squared": "not squared in the second moment",
            "betas exchanged": "have changed places",
            "value alone": "expected (value, mean, square)",
        }.items()
    ),
    *(
        Wrong("adam_step", kind, line, _adam_step(kind))
        for kind, line in {
            "l2 on biases": "a bias has none",
            "t for each": "counted for each parameter",
            "t is 1": "is 1 again",
            "shared": "forgotten from step to step, or shared",
            "forgets": "forgotten from step to step, or shared",
            "own: no correction": "not divided by 1 − βᵗ",
            "own: epsilon inside": "ε stands under the root",
            "own: epsilon before": "ε is added before v is divided",
            "own: epsilon 0.001": "ε is 0.001, expected 1e-8",
            "own: epsilon 1e-7": "ε is 1e-07, expected 1e-8",
            "own: decoupled": "as AdamW does",
            "own: not squared": "not squared in the second moment",
            "crashes": "; for step 1, parameters conv1.weight 3×2×2×3",
            "no l2": "l2 is missing",
            "changes grad": "changes the gradient",
            "moves a copy": "does not move",
            "global": "`state` is empty",
        }.items()
    ),
    *(
        Wrong("dropout", kind, line, _dropout(kind))
        for kind, line in {
            "unscaled": "0.7 times the right one",
            "classic": "without training y must be x itself",
            "also at test": "without training nothing is left out",
            "exchanged": "rate is the share that is left out",
            "one for all images": "one mask for all images",
            "counted": "stay of each batch does not vary as with coins",
            "counted in each image": "stay of each image does not vary as with coins",
            "counted at each place": "stay at each place does not vary as with coins",
            "whole channels": "left out together along axis 1",
            "two axes": "for x 300×5×4×3",
            "whole images": "an image is left out whole",
            "global": "draw it from rng",
            "in place": "changes its arguments in place",
            "scaled twice": "1.42857 times the right one",
            "y alone": "must return (y, kept)",
            "dropped": "the wrong way round",
            "kept at test": "kept must be True everywhere",
            "floats": "expected bool",
        }.items()
    ),
    Wrong("dropout", "the same mask in every step", "the same mask in every step", _once_for_all),
    *(
        Wrong("train_step", kind, line, _train_step(kind))
        for kind, line in {
            "added up": "the gradients of the steps are added up",
            "not divided": "not divided by the number of images?",
            "not training": "needs training=True",
            "no backward": "network.backward is never called",
            "no step": "optimiser.step is never called",
            "step first": "before backward has made the gradients",
            "twice": "backward is called 2 times",
            "two forwards": "forward is called 2 times",
            "uphill": "the right one with the other sign",
            "p": "p alone: the 1 at the label is not taken away",
            "crashes": "for step 1, images 6×6×6×2, labels 6, logits 6×2",
            "sum": "the sum over the images",
            "each": "expected one number",
            "nothing": "return the loss",
            "loss after": "forward is called 2 times",
            "accuracy": "the loss is",
        }.items()
    ),
    *(
        Wrong("accuracy", kind, line, _accuracy(kind))
        for kind, line in {
            "training": "training=True while testing",
            "trains": "training=True while testing",
            "count": "the number of images that are right",
            "per cent": "in per cent",
            "errors": "the share that is wrong",
            "each": "must return one number",
            "axis 0": "for images 10×6×6×2, labels 10, logits 10×2",
        }.items()
    ),
)
