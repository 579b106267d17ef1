"""An experiment: a configuration and a folder of shards, turned into data, network and trainer."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.data import Augmentation, Batch, Batches, Dataset, ImageSet, PixelScaling, read_manifest
from scratchnet.data.class_labels import KEY
from scratchnet.data.familiar import KEY as FAMILIAR
from scratchnet.data.familiar import Familiar
from scratchnet.data.image_set import SomeImages
from scratchnet.errors import ConfigError, DataError
from scratchnet.kernels.machine.vectors import TILE_ROWS, TILE_VECTORS, VECTOR_BYTES
from scratchnet.measures.calibration import KEY as CALIBRATION
from scratchnet.measures.calibration import Calibration, fitted_temperature
from scratchnet.measures.evaluation import Evaluation
from scratchnet.nn.base import Parameter
from scratchnet.nn.losses import SoftmaxCrossEntropy, balanced_class_weights
from scratchnet.nn.optimizers import SGD, Adam, Optimizer
from scratchnet.nn.schedules import Schedule
from scratchnet.nn.sequential import Sequential
from scratchnet.random import generator
from scratchnet.ranks import ALONE, Alone
from scratchnet.ranks.together import Together
from scratchnet.training.checkpoint import Checkpoint, Progress
from scratchnet.training.config import Config
from scratchnet.training.network import make_network
from scratchnet.training.origin import PREPARED_FROM
from scratchnet.training.selection import TRAIN_SAMPLE, choosing_side
from scratchnet.training.shared.dealt import Rounds, Shares
from scratchnet.training.shared.slices import learning
from scratchnet.training.shared.trainer import SharedTrainer
from scratchnet.training.trainer import Trainer, micro_batch_size
from scratchnet.version import __version__

SIDES = ("train", "validation", "test")  # the second only where the preparation has set one aside
SAMPLE = 1000  # training images that are evaluated under "sample", or as many as there are on the side beside them
SAME_DATA = ("dataset_id", "class_names", "pixel_scaling", "preprocessing")  # what a resumed run must find as it was


@dataclass(frozen=True)
class Data:
    """The batches that a run draws on.

    train: shuffled and augmented. checks: the sides that are evaluated after each epoch, each image as it is: the training
    side as `train_evaluation` says, "train", "train_sample" or not at all; "validation" if there is one; and "test".
    """

    train: Batches
    checks: dict[str, Batches]


class Trained:
    """What the loop trains: a network with its trainer, and the images to learn from and to be judged on.

    sides: the images by name, "train" and those of `data.checks`.
    """

    config: Config
    network: Sequential
    trainer: Trainer
    data: Data
    sides: Mapping[str, Any]
    train_set: Any
    ranks: Alone = ALONE

    def evaluate(self, side: str, watch: Callable[[Iterable[Batch]], Iterable[Batch]] = iter) -> Evaluation:
        """How the network does on one of the sides, judged as the configuration says.

        test_symmetries averages over the symmetries of images that the network was not trained on; for the training
        images that would take longer than the training. watch: goes over the batches, and may stop it.
        """
        return self.trainer.evaluate(watch(self.data.checks[side].epoch(0)), symmetries=self.positions(side) > 1)

    def positions(self, side: str) -> int:
        """In how many positions each image of a side is shown in an evaluation: 8 where its answers are averaged, or 1."""
        return 8 if self.config.test_symmetries == "average" and not side.startswith("train") else 1

    def calibration(self, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
        """What else a file of the weights that gave these evaluations says of itself: nothing, where no file is written."""
        return {}


class Training(Trained):
    """What a configuration asks for, built on the images to learn from: everything but files.

    validation: images that are judged after each epoch. scaling: measured on `train_set`. train_batches: shuffled and
    augmented. network, trainer: ready for the first step, with the weights of the seed. about: what every file of weights
    says of itself. ranks: who trains together. choose_cut: for a new run whose `micro_batch` is 0, it becomes a rank's part
    of the batch where several train, and what fits into memory where layers observe the images of a micro-batch together.
    """

    def __init__(
        self,
        config: Config,
        train_set: ImageSet,
        ranks: Alone = ALONE,
        *,
        choose_cut: bool = False,
        validation: ImageSet | None = None,
    ) -> None:
        self.ranks, self.train_set = ranks, train_set
        self.scaling = PixelScaling.measured(config.pixels, train_set.channel_mean, train_set.channel_std)
        self.network = make_network(config, len(train_set.class_names))
        if config.freeze:
            self.network.freeze(*filter(None, (name.strip() for name in config.freeze.split(","))))
        if choose_cut and not config.micro_batch and (ranks.size > 1 or self.network.observers()):
            # What a batch is cut into decides the last bits, so it becomes part of the configuration.
            leaf = min(micro_batch_size(self.network), -(-config.batch_size // ranks.size))
            config = replace(config, micro_batch=leaf)
        self.config = config
        augment = Augmentation(
            config.augment, config.brightness, config.angle, config.zoom, config.stain, config.contrast
        )
        whole = Batches(
            train_set,
            config.batch_size,
            self.scaling,
            shuffle=True,
            augment=augment,
            seed=config.seed,
            dtype=config.dtype,
        )
        self.train_batches = (
            whole if ranks.size == 1 else Shares(whole, config.micro_batch or micro_batch_size(self.network), ranks)
        )
        weights = None
        if config.class_weights == "balanced":
            weights = balanced_class_weights(train_set.labels, len(train_set.class_names))
        steps = len(self.train_batches)
        self.trainer = make_trainer(config, self.network, steps, class_weights=weights, ranks=ranks)
        others = {"validation": validation} if validation is not None else {}
        self.sides = {"train": train_set, **others}
        self.data = Data(self.train_batches, {name: self._to_evaluate(side) for name, side in others.items()})
        familiar = None
        with contextlib.suppress(DataError):  # a damaged image, which training will name when it reads it
            familiar = Familiar.measured(train_set) if ranks.first else None
        self.about: dict[str, Any] = {
            "config": asdict(config),
            "class_names": list(train_set.class_names),
            "pixel_scaling": self.scaling.to_dict(),
            "preprocessing": train_set.preprocessing,
            "dataset_id": train_set.dataset_id,
            **({FAMILIAR: familiar.to_dict()} if familiar else {}),
            "versions": {
                "scratchnet": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "numba", "h5py")},
            },
            # What else the last bits of sums depend on.
            "arithmetic": {
                "vector_bytes": VECTOR_BYTES,
                "register_tile": f"{TILE_ROWS} × {TILE_VECTORS}",
                "SCRATCHNET_CONV": os.environ.get("SCRATCHNET_CONV", ""),
            },
        }

    def _to_evaluate(self, side: ImageSet) -> Batches:
        """A side's images as they are, in batches of their own; of several ranks, this one's part of each round."""
        size, config = self.trainer.evaluation_batch, self.config
        whole = Batches(side, size, self.scaling, shuffle=False, seed=config.seed, dtype=config.dtype)
        return whole if self.ranks.size == 1 else Rounds(whole, size, self.ranks)


class Experiment(Training):
    """Everything that a configuration asks for, built on the shards in `folder`.

    sides: the datasets by name, "train", "validation" if there is one, and "test". data: their batches, scaled as the
    configuration says. about: with the command that began it, the data, `class_labels`, what people are shown in place
    of a class's name, and `prepared_from`, the images and options that the shards were made of, as `Origin` has them.

    Raises ConfigError if the shards hold images of another size, DataError if they cannot be read.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        *,
        command: str = "",
        class_labels: Mapping[str, str] | None = None,
        prepared_from: Mapping[str, Any] | None = None,
        ranks: Alone = ALONE,
        choose_cut: bool = False,
    ) -> None:
        self.folder = folder
        there = read_manifest(folder).splits
        sides = {name: Dataset(folder, name) for name in SIDES if name in there or name != "validation"}
        self.train_set, self.test_set = sides["train"], sides["test"]
        size = self.train_set.image_shape[0]
        if size != config.image_size:
            raise ConfigError(
                f"{folder} holds images of {size}×{size} pixels, image_size is {config.image_size}: "
                "leave out --image-size, or prepare the images again"
            )
        super().__init__(config, self.train_set, ranks, choose_cut=choose_cut)
        self.sides = sides
        self.data = Data(
            train=self.train_batches,
            checks={name: self._to_evaluate(side) for name, side in self._checked().items()},
        )
        self.about |= {"command": command, "data": str(folder.resolve()), "facts": self._facts()}
        self.about |= {"evaluated": {name: len(batches.dataset) for name, batches in self.data.checks.items()}}
        self.about |= {
            KEY: dict(class_labels or {}),
            PREPARED_FROM: dict(prepared_from) if isinstance(prepared_from, Mapping) else {},
        }

    def _checked(self) -> dict[str, ImageSet]:
        """The images that are evaluated after each epoch, by the side's name in the metrics."""
        checked: dict[str, ImageSet] = {**self.sides}
        how, images = self.config.train_evaluation, len(self.train_set)
        count = max(SAMPLE, len(self.sides[choosing_side(self.sides)]))
        if how == "full" or (how == "sample" and images <= count):
            return checked
        del checked["train"]
        if how == "none":
            return checked
        drawn = generator(self.config.seed, "train_evaluation").choice(images, count, replace=False)
        return {TRAIN_SAMPLE: SomeImages(self.train_set, np.sort(drawn)), **checked}

    def _facts(self) -> dict[str, Any]:
        """What should be known of the data after it is gone: the counts, and how far its test can be trusted."""
        manifest = self.train_set.manifest
        return {
            "class_counts": {name: list(manifest.splits[name].images_per_class) for name in self.sides},
            "subjects_known": manifest.subjects_known,
            "shared_subjects": len(self.shared_subjects()),
            "copies_in_training": manifest.preparation.get("test_images_with_a_copy_in_training"),
            "split": manifest.preparation.get("split"),
            "sample": bool(manifest.preparation.get("sample")),
        }

    def evaluated_images(self) -> int:
        """Images that go through the network in the evaluation after each epoch; one in eight positions counts as eight."""
        return sum(self.positions(side) * len(batches.dataset) for side, batches in self.data.checks.items())

    def shared_subjects(self) -> set[str]:
        """The subjects that stand on both sides, train and test."""
        return set(self.train_set.subjects) & set(self.test_set.subjects)

    def calibration(self, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
        """For a file of the weights that gave these evaluations: their temperature by the validation side; empty without one."""
        if (found := evaluations.get("validation")) is None:
            return {}
        side = self.sides["validation"]
        subjects = len(set(side.subjects)) if side.manifest.subjects_known else None
        temperature = fitted_temperature(found.labels, found.probabilities)
        averaged = self.positions("validation") > 1
        return {CALIBRATION: Calibration(temperature, len(side), subjects, averaged).to_dict()}

    def restore(self, checkpoint: Checkpoint) -> Progress:
        """Brings network and optimiser to where the checkpoint left them; returns how far the run had come.

        Raises DataError if the checkpoint belongs to other data, naming each difference, or cannot be resumed.
        """
        different = [
            f"its {name} was {recorded!r}, now it is {self.about[name]!r}"
            for name in SAME_DATA
            if (recorded := checkpoint.about.get(name)) != self.about[name]
        ]
        if different:
            raise DataError(
                f"{self.folder} is not the data that this run was trained on: {'; '.join(different)}. "
                "Give the shards it was trained on with --data, or start a new run"
            )
        if checkpoint.optimizer is None or checkpoint.progress is None:
            raise DataError("the checkpoint holds weights alone, from which a run cannot go on")
        self.trainer.load_state(checkpoint.weights, checkpoint.optimizer)
        return checkpoint.progress

    def other_arithmetic(self, checkpoint: Checkpoint) -> list[str]:
        """What has changed since and may change the last bits of a resumed run, though nothing visible."""
        return [
            f"{name} {before or 'unset'} → {now or 'unset'}"
            for part in ("versions", "arithmetic")
            for name, now in self.about[part].items()
            if name != "h5py" and (before := checkpoint.about.get(part, {}).get(name, now)) != now
        ]


def make_trainer(
    config: Config,
    network: Sequential,
    steps_per_epoch: int,
    class_weights: NDArray[np.float64] | None = None,
    ranks: Alone = ALONE,
) -> Trainer:
    """Loss, optimiser and schedule as the configuration says, around a network that has been built.

    class_weights (classes,): of the loss; None if all images count the same. ranks: who trains it together.
    """
    steps: dict[str, Any] = {}
    if config.schedule == "step":
        steps = {"every": config.step_epochs * steps_per_epoch, "factor": config.step_factor}
    total = config.epochs * steps_per_epoch
    loss = SoftmaxCrossEntropy(class_weights, label_smoothing=config.label_smoothing, focus=config.focus)
    schedule = Schedule(config.schedule, peak=config.learning_rate, warmup=config.warmup, total=total, **steps)
    if not isinstance(ranks, Together):
        optimizer, micro_batch = make_optimizer(config, learning(network)), config.micro_batch
        return Trainer(network, loss, optimizer, schedule, micro_batch=micro_batch, clip_norm=config.clip_norm)
    return SharedTrainer(
        network,
        loss,
        partial(make_optimizer, config),
        schedule,
        micro_batch=config.micro_batch or micro_batch_size(network),
        clip_norm=config.clip_norm,
        ranks=ranks,
    )


def make_optimizer(config: Config, parameters: list[Parameter]) -> Optimizer:
    """The optimiser that the configuration names, for these parameters."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return SGD(parameters, rate, momentum=config.beta1, l2=decay)
    if config.optimizer == "adamw":
        return Adam(parameters, rate, beta1=config.beta1, beta2=config.beta2, weight_decay=decay)
    return Adam(parameters, rate, beta1=config.beta1, beta2=config.beta2, l2=decay)
