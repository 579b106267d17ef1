"""Training on images in memory, by the loop of a run but without its folder: nothing is written, Ctrl-C ends it as usual."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from scratchnet.data import Batches, PixelScaling
from scratchnet.errors import DtypeError, ShapeError
from scratchnet.nn.losses import SoftmaxCrossEntropy, checked_labels
from scratchnet.nn.optimizers import Optimizer
from scratchnet.nn.schedules import Schedule
from scratchnet.nn.sequential import Sequential
from scratchnet.terminal.bar import Bar
from scratchnet.training.checkpoint import Arrays, Progress
from scratchnet.training.config import Config
from scratchnet.training.display import Display, Item
from scratchnet.training.divergence import message_of_divergence
from scratchnet.training.experiment import Data, Trained
from scratchnet.training.interrupt import Interrupt
from scratchnet.training.loop import fit
from scratchnet.training.saving import Saver
from scratchnet.training.trainer import Trainer


def fit_in_memory(training: Trained, what: str, *, verbose: bool) -> list[dict[str, float]]:
    """Trains to the last epoch, or until patience ends; with patience, the network then has the weights of its best epoch.

    what: is going on, for the bar, which is shown if verbose. Returns a row for each epoch: its number, learning rate, mean
    training loss over the batches ("loss"), and what it came to on the validation side.
    """
    progress, kept = Progress(), Kept(training)
    with Rows(training.config.epochs, what, verbose=verbose) as rows:
        fit(training, kept, progress, rows, interrupt=Undisturbed())
    training.network.forget()
    if kept.best is not None:
        training.network.load_state_dict(kept.best)
    return rows.rows


class Kept(Saver):
    """In place of a run's files: keeps the best weights, if training may end early."""

    def __init__(self, training: Trained) -> None:
        self.training, self.failed, self.epoch = training, False, 0
        self.best: Arrays | None = None

    def begin(self) -> None:
        """Nothing to do."""

    def save_if_due(self) -> None:
        """Nothing to do."""

    def save(self, *, best: dict[str, Any] | None = None, last: bool = False) -> None:
        """Keeps the weights of an epoch that is the best so far."""
        self.epoch += 1
        if best is not None and self.training.config.patience:
            self.best = self.training.network.state_dict()

    def trouble(self, error: Exception) -> str:
        """What to tell whoever called, in the words of Python."""
        return message_of_divergence(
            self.training, self.epoch, error, lambda name, value: f"{name.replace('-', '_')}={value}"
        )


class Rows(Display):
    """In place of the lines of a run: a bar, if it is wanted, and the rows to return."""

    def __init__(self, epochs: int, what: str, *, verbose: bool) -> None:
        self.rows: list[dict[str, float]] = []
        self._bar, self._loss = Bar(total=epochs, desc=what, unit=" epochs", disable=not verbose), 0.0

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def start_epoch(self, epoch: int) -> None:
        """Nothing to do."""

    def step(self, images: int, seconds: float, loss: float) -> None:
        """Notes the mean loss of the epoch so far."""
        self._loss = loss

    def evaluating(self, batches: Iterable[Item], side: str, positions: int = 1) -> Iterator[Item]:
        """The batches as they are."""
        return iter(batches)

    def epoch_line(self, row: dict[str, Any], timing: dict[str, float], best: bool) -> None:
        """Keeps the row of an epoch."""
        self.rows.append({"epoch": row["epoch"], "loss": self._loss, **row})
        judged = f", validation {row['validation_accuracy']:.1%}" if "validation_accuracy" in row else ""
        self._bar.set_postfix_str(f"loss {self._loss:.3f}{judged}", refresh=False)
        self._bar.update()

    def say(self, line: str) -> None:
        """Nothing: who calls from Python gets rows and errors."""

    def close(self) -> None:
        """Nothing to do: the bar is closed outside the loop."""


class Undisturbed(Interrupt):
    """In place of a run's way to stop: Ctrl-C raises KeyboardInterrupt at once."""

    def __enter__(self) -> Interrupt:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class AsGiven(PixelScaling):
    """In place of a scaling: the numbers as they were given."""

    def apply(self, images: NDArray[Any], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """The images."""
        return images


class Numbers:
    """An ImageSet of numbers for a network, in memory, which are kept and not copied.

    images (N, *input_shape) of the network's dtype. Raises ShapeError, DtypeError or LabelError for what does not fit it.
    """

    def __init__(self, network: Sequential, images: NDArray[Any], labels: ArrayLike) -> None:
        self.images = as_input(network, images)
        self.labels = checked_labels(np.asarray(labels), len(images), (network.output_shape or (0,))[0])
        self.image_shape: Any = images.shape[1:]
        self.shard_sizes: tuple[int, ...] = (len(images),)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: ArrayLike) -> NDArray[Any]:
        """The images with these numbers, in this order."""
        return self.images[np.asarray(indices)]

    def keep(self, numbers: NDArray[np.int64]) -> bool:
        """They are in memory."""
        return True


def as_input(network: Sequential, images: Any) -> NDArray[Any]:
    """Images for a network, (N, *input_shape) of its dtype. Raises DtypeError or ShapeError for anything else."""
    expected = f"expected (N, {', '.join(map(str, network.input_shape or ()))}) of {network.dtype}"
    if not isinstance(images, np.ndarray) or images.dtype != network.dtype:
        came = getattr(images, "dtype", type(images).__name__)
        hint = "(images / 255)" if came == np.uint8 else "np.asarray(images)"
        raise DtypeError(f"images of {came}, {expected}: {hint}.astype('{network.dtype}')")
    if images.shape[1:] != network.input_shape or len(images) == 0:
        raise ShapeError(f"images of shape {images.shape}, {expected}, with N at least 1")
    return images


class OnNumbers(Trained):
    """A network that is built already, its optimiser and images in memory: what the loop needs of an experiment.

    validation: images and labels that are judged after each epoch. config: epochs, batch_size, patience, best_metric, seed.
    """

    def __init__(
        self,
        network: Sequential,
        config: Config,
        optimizer: Optimizer,
        train: tuple[NDArray[Any], ArrayLike],
        validation: tuple[NDArray[Any], ArrayLike] | None,
    ) -> None:
        self.network, self.config = network, config
        given = {"train": train} | ({"validation": validation} if validation is not None else {})
        self.sides = {side: Numbers(network, *pair) for side, pair in given.items()}
        self.train_set = self.sides["train"]
        schedule = Schedule("constant", peak=optimizer.learning_rate, warmup=0, total=1)
        self.trainer = Trainer(network, SoftmaxCrossEntropy(), optimizer, schedule)
        sizes = {"train": config.batch_size, "validation": self.trainer.evaluation_batch}
        how: dict[str, Any] = {"seed": config.seed, "dtype": config.dtype}
        made = {
            side: Batches(numbers, sizes[side], AsGiven("unit"), shuffle=side == "train", **how)
            for side, numbers in self.sides.items()
        }
        self.data = Data(train=made.pop("train"), checks=made)
