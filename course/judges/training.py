"""Lesson 11: a step of training, and the accuracy."""

from typing import Any

import numpy as np

from course.diagnose import both
from course.judges.comparison import Function, as_float, differ, generator, suspected, tried
from course.judges.loss import GRADIENT
from scratchnet import reference as ref
from scratchnet import textbook


class _Watched:
    """A network, and its optimiser, that note what is asked of them."""

    def __init__(self, seed: int) -> None:
        layers = [
            textbook.Conv2D(3, 3),
            textbook.ReLU(),
            textbook.MaxPool2D(2),
            textbook.Flatten(),
            textbook.Dropout(0.4),
        ]
        self.network = textbook.Network([*layers, textbook.Dense(2)])
        self.network.build((6, 6, 2), seed=seed)
        self.optimiser = textbook.Adam(self.network.parameters(), 0.05)
        self.forwards: list[bool] = []
        self.logits: Any = None
        self.dlogits: list[Any] = []
        self.calls: list[str] = []
        self.added = False

    def forward(self, x: Any, *, training: bool = False) -> Any:
        """The network's, noted."""
        self.forwards.append(training)
        self.calls.append("forward")
        self.logits = self.network.forward(x, training=training)
        return self.logits.copy()

    def backward(self, dy: Any, *, need_dx: bool = True, accumulate: bool = False) -> Any:
        """The network's, noted."""
        self.added |= accumulate
        self.calls.append("backward")
        self.dlogits.append(np.array(dy, np.float64))
        if True not in self.forwards:
            return None  # the network would raise; the judge says it in its own words
        return self.network.backward(dy, need_dx=need_dx, accumulate=accumulate)

    def step(self) -> None:
        """The optimiser's, noted."""
        self.calls.append("step")
        self.optimiser.step()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["network"], name)


def _batch(seed: int, step: int) -> tuple[Any, Any]:
    rng = generator(seed, 11, step)
    return rng.normal(size=(6 - step % 2, 6, 6, 2)), rng.integers(2, size=6 - step % 2)


def _case(images: Any) -> str:
    return f"images {'×'.join(map(str, images.shape))}, labels {len(images)}, logits {len(images)}×2"


def train_step(mine: Function, seed: int) -> str:
    """Five steps with dropout: the losses are those of the textbook to 1e-12. What was called says which mistake it is."""
    watched, twin = _Watched(seed), _Watched(seed)
    for step in range(5):
        images, labels = _batch(seed, step)
        given = images.copy(), labels.copy()
        watched.calls.clear()
        watched.forwards.clear()
        watched.dlogits.clear()
        with tried(f"step {step + 1}, {_case(images)}"):
            answer = mine(watched, watched, *given)
        if not np.array_equal(given[0], images) or not np.array_equal(given[1], labels):
            return "changes its arguments in place: images or labels are no longer what they were"
        logits = twin.forward(images, training=True)
        right = float(ref.softmax_cross_entropy(logits, labels).mean())
        dlogits = ref.softmax_cross_entropy_gradient(logits, labels) / len(labels)
        complaint = _called(watched, dlogits, labels)
        if complaint:
            return complaint
        if answer is None:
            return "returned nothing: return the loss"
        loss = as_float(answer)
        if loss is None or not abs(loss - right) <= 1e-12 * max(1.0, abs(right)):
            return f"step {step + 1}: the loss{_loss(answer, loss, right, len(labels))}"
        twin.backward(dlogits)
        twin.step()
    return ""


def _called(watched: _Watched, dlogits: Any, labels: Any) -> str:
    """What the calls of one step lack."""
    images = len(labels)
    calls = watched.calls
    for name in ("forward", "backward", "step"):
        if name not in calls:
            return f"{'optimiser.step' if name == 'step' else f'network.{name}'} is never called"
    if watched.forwards[0] is not True:
        return "network.forward needs training=True: without it, dropout leaves nothing out, and backward has nothing to go by"
    if watched.added:
        return "the gradients of the steps are added up: call backward without accumulate"
    if calls.index("step") < calls.index("backward"):
        return "the optimiser moves before backward has made the gradients"
    if extra := [name for name in ("forward", "backward", "step") if calls.count(name) > 1]:
        return f"{extra[0]} is called {calls.count(extra[0])} times in one step, expected once"
    found = differ(watched.dlogits[0], dlogits, "dlogits", images=images)
    # GRADIENT's mistakes are in the gradient of the sum.
    sums = images * watched.dlogits[0], images * dlogits
    known = suspected(GRADIENT, (watched.logits, labels), *sums) if found else ""
    return f"dlogits: {known}" if known else found


def _loss(answer: Any, loss: float | None, right: float, images: int) -> str:
    if loss is None:
        return f": returned {type(answer).__name__} of shape {np.shape(answer)}, expected one number, the mean"
    if abs(loss - images * right) < 1e-9:
        return f" is the sum over the images, expected the mean: {both(loss, right)}"
    return f" is {both(loss, right)}, that of before the step"


def accuracy(mine: Function, seed: int) -> str:
    """The share, on batches of several sizes, of a network with dropout that must answer as in use."""
    for case, images in enumerate((10, 7, 1)):
        watched = _Watched(seed)
        rng = generator(seed, 11, 50, case)
        x, labels = rng.normal(size=(images, 6, 6, 2)), rng.integers(2, size=images)
        right_side = watched.network.forward(x).argmax(axis=1)
        if images > 1:
            labels[:2] = right_side[:2]  # more right than wrong, so that the share and its rest differ
            labels[2:] = np.where(np.arange(images - 2) < images // 3, 1 - right_side[2:], right_side[2:])
        right = float((right_side == labels).mean())
        with tried(_case(x)):
            found = as_float(mine(watched, x.copy(), labels.copy()))
        if any(watched.forwards):
            return "training=True while testing: dropout leaves features out; call network.forward(x)"
        if "backward" in watched.calls or "step" in watched.calls:
            return "the network is trained on what it is tested on: no backward, no step"
        if found is None:
            return "must return one number, the share that is right"
        if abs(found - right) > 1e-9:
            return f"{_share(found, right, images)}{both(found, right)}; for {images} images"
    return ""


def _share(found: float, right: float, images: int) -> str:
    if abs(found - images * right) < 1e-9:
        return "the number of images that are right, and not their share: "
    if abs(found - 100 * right) < 1e-6:
        return "in per cent: "
    if abs(found - (1 - right)) < 1e-9:
        return "the share that is wrong: "
    return ""
