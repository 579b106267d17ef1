"""A trained network in use: images in, probabilities out, scaled and fitted as the training was."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scratchnet.data.batches import slices
from scratchnet.data.class_labels import class_labels_of
from scratchnet.data.familiar import CAUTION, Familiar
from scratchnet.data.images import UnusableImage, preprocess, preprocessing, read_pixels
from scratchnet.data.in_memory import rgb_of, shape_hint
from scratchnet.data.pixels import PixelScaling
from scratchnet.data.prefetch import default_threads, in_order
from scratchnet.data.window import Window
from scratchnet.errors import ConfigError, DataError, DtypeError, ScratchnetError, ShapeError
from scratchnet.measures.calibration import Calibration
from scratchnet.measures.observations import decided
from scratchnet.nn.description import by_name
from scratchnet.nn.sequential import Sequential
from scratchnet.reference import softmax
from scratchnet.storage.files import as_path, writing
from scratchnet.training.averaging import logits_of
from scratchnet.training.checkpoint import load_checkpoint, read_about, save_checkpoint
from scratchnet.training.config import Config
from scratchnet.training.network import network_to_fill
from scratchnet.training.run import Run
from scratchnet.training.trainer import evaluation_batch_size

WEIGHTS = ("last", "best")
ALONE = "network"  # in what a file says of itself: it holds a network alone, see scratchnet.use.network
Picture = str | os.PathLike[str] | NDArray[np.uint8] | NDArray[np.uint16] | Image.Image


@dataclass(frozen=True)
class Prediction:
    """The result for one file. probabilities (classes,): None if it could not be read; `problem` then says why. answer: the
    number of the class that it is called.

    caution: a reason to doubt them although the file could be read, such as an image unlike those of the training.
    """

    path: Path
    probabilities: NDArray[np.float64] | None
    problem: str | None = None
    caution: str | None = None
    answer: int = -1


class Predictor:
    """A network with all that is needed to use it: class names, pixel scaling, and how a file becomes an image.

    network: built. class_names: the text for each output. scaling: of the training. how: `preprocessing`, how a file
    became (S, S, 3) pixels, as the manifest records it; without it a file is padded to a square in the network's size.
    about: what its checkpoint says of it; needed to `save` it again. source: the file that it came from.
    class_labels: what people are shown in place of a class's name, if it has such a label. familiar: what the
    training images looked like; None for weights without that information. calibration: what was learnt from validation images,
    which `probabilities` and `predict` use; None, or set to None, leaves both raw.

    A Predictor is usually made by `load`; by hand:

    >>> from scratchnet.nn.models import report
    >>> network = report(32)
    >>> _ = network.build(seed=0)
    >>> predictor = Predictor(network, ("all", "hem"), PixelScaling("unit"))
    >>> p = predictor.predict_proba(np.zeros((5, 450, 450, 3), np.uint8))
    >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
    ((5, 2), True)
    """

    def __init__(
        self,
        network: Sequential,
        class_names: Iterable[str],
        scaling: PixelScaling,
        how: dict[str, Any] | None = None,
        *,
        about: dict[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        assert network.input_shape is not None
        self.network, self.scaling, self.source = network, scaling, source
        self.class_names = tuple(map(str, class_names))
        self.image_size = network.input_shape[0]
        self.preprocessing = how or preprocessing(self.image_size)
        self.about = about or {}
        self.class_labels = class_labels_of(self.about)
        self.familiar = Familiar.from_about(self.about)
        self.calibration = Calibration.from_about(self.about)
        self.batch_size = evaluation_batch_size(network)  # as in training's evaluation, so that the bits are the same
        self.symmetries = self.about.get("config", {}).get("test_symmetries") == "average"

    def __repr__(self) -> str:
        size, where = self.image_size, f" from {self.source}" if self.source else ""
        model = self.about.get("config", {}).get("model", "a network of its own")
        return f"<{type(self).__name__}{where}: {model}, images of {size} × {size} pixels, classes {', '.join(self.class_names)}>"

    @classmethod
    def load(cls, path: str | os.PathLike[str], weights: str | None = None, *, layers: Iterable[Any] = ()) -> Predictor:
        """The network of a run, or of a weights or checkpoint file.

        path: a run's folder, or a file. weights: of a run, "last" (weights.h5, or, where training has not ended, the
        newest checkpoint; the default) or "best" (best.h5). layers: the classes of layers of the user's own that the network
        has. `source` names the file that was taken.

        Raises DataError, naming the file, if there is nothing to load or it is damaged; ConfigError for another word,
        or for any if path is a file.
        """
        file = weights_file(as_path(path, "a run, or of a file of weights"), weights)
        checkpoint, own = load_checkpoint(file), by_name(layers)
        about = checkpoint.about
        if ALONE in about:
            raise DataError(
                f"{file}: a network alone, as net.save writes it, without classes and pixel scaling: "
                f"read it in Python, scratchnet.load({str(file)!r})"
            )
        try:
            holds = sum(array.size for array in checkpoint.weights.values())
            network = network_of(about, weights=holds, own=own)
            network.load_state_dict(checkpoint.weights)
            scaling = PixelScaling.from_dict(about["pixel_scaling"])
            if about["preprocessing"]["image_size"] != about["config"]["image_size"]:
                raise ConfigError(f"its images are prepared in {about['preprocessing']['image_size']} pixels")
            return cls(network, about["class_names"], scaling, about["preprocessing"], about=about, source=file)
        except (KeyError, TypeError, ValueError, ScratchnetError) as error:
            what = f"its description lacks {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{file}: not the weights of a network that this version can build: {what}. Use the version that wrote it."
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file of weights that `load` reads back. Raises ConfigError for a network that has no configuration,
        DataError where no such file can be written."""
        if "config" not in self.about:
            raise ConfigError(f"{path}: a network of your own making has no configuration to be saved with its weights")
        with writing(path) as file:
            save_checkpoint(file, self.network.state_dict(), self.about)

    def logits(self, pixels: NDArray[np.uint8], *, symmetries: bool | None = None) -> NDArray[Any]:
        """The network's output, (N, classes), for prepared images: (N, S, S, 3) uint8 of its own size.

        symmetries: whether each image is shown in all eight positions, `averaged_logits`; by default as in training's
        evaluation (`test_symmetries`), whose bits are reproduced, since batches are cut alike.
        """
        average = self.symmetries if symmetries is None else symmetries
        logits = [
            logits_of(self.network, self.scaling.apply(pixels[part], self.network.dtype), symmetries=average)
            for part in slices(len(pixels), self.batch_size)
        ]
        return np.concatenate(logits) if logits else np.empty((0, len(self.class_names)), self.network.dtype)

    def probabilities(self, pixels: NDArray[np.uint8], *, symmetries: bool | None = None) -> NDArray[np.float64]:
        """p = softmax(logits), (N, classes) float64, for prepared images, (N, S, S, 3) uint8. symmetries: see `logits`.

        If the network has a `calibration`, p = softmax(logits / T); with it set to None, to the bit what training writes into
        predictions.csv.
        """
        p = softmax(self.logits(pixels, symmetries=symmetries))
        found = self.calibration_for(symmetries)
        return found.apply(p) if found else p

    def calibration_for(self, symmetries: bool | None = None) -> Calibration | None:
        """The calibration, if it holds for such answers: it is of averages over the eight positions, or of single ones."""
        average = self.symmetries if symmetries is None else symmetries
        return self.calibration if self.calibration and self.calibration.symmetries == average else None

    def decide(self, probabilities: NDArray[np.float64], *, symmetries: bool | None = None) -> NDArray[np.int64]:
        """The class that images with these probabilities are called, (N,): the most probable one, or what the threshold says."""
        found = self.calibration_for(symmetries) or Calibration()
        return decided(probabilities, self.class_names, found.positive, found.threshold)

    def predict_proba(self, images: Iterable[Picture], *, symmetries: bool | None = None) -> NDArray[np.float64]:
        """The probability of each class, (N, classes) float64.

        images: an array (N, H, W, 3) uint8, or any iterable of files, Pillow images and arrays (H, W, 3) uint8, which is read a
        batch at a time. Arrays in the network's own size are taken as prepared; everything else is prepared as the training
        images were. A network of images of more than 8 bits a channel (--bits 16) takes uint16. symmetries: see `logits`.

        Raises DataError for a file that cannot be used (`stream` goes on instead), DtypeError for other than uint8.
        """
        parts = [self.probabilities(batch, symmetries=symmetries) for batch in self._prepared(images)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.class_names)))

    def predict(self, images: Iterable[Picture], *, symmetries: bool | None = None) -> NDArray[np.str_]:
        """The name of the class that each image is called, (N,): see `decide`. images: as in `predict_proba`."""
        chances = self.predict_proba(images, symmetries=symmetries)
        return np.array(self.class_names)[self.decide(chances, symmetries=symmetries)]

    def unlike_training(self, images: Iterable[Picture]) -> NDArray[np.bool_]:
        """Whether each image is unlike those of the training, (N,), so that the answers to it mean little.

        It compares colours and brightness, not what is shown: `scratchnet.data.familiar`. False for all if the
        weights do not know what the training images looked like. images, and what is raised: as in `predict_proba`.
        """
        parts = [self.far(batch) for batch in self._prepared(images)]
        return np.concatenate(parts) if parts else np.empty(0, bool)

    def _prepared(self, images: Iterable[Picture]) -> Iterator[NDArray[np.uint8]]:
        """The images in batches, as the network gets them."""
        self._check_iterable(images)
        rest = iter(images)
        while batch := [self.pixels(image) for image in islice(rest, self.batch_size)]:
            yield np.stack(batch)

    def far(self, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """`unlike_training` for images that are prepared, (N, S, S, 3) uint8."""
        return np.zeros(len(pixels), bool) if self.familiar is None else self.familiar.distances(pixels) > 1

    def stream(
        self, files: Iterable[str | os.PathLike[str]], *, symmetries: bool | None = None
    ) -> Iterator[Prediction]:
        """A Prediction for each file, in order, also for unusable ones; in bounded memory, however many there are.

        A few threads decode the next files while the network computes. Raises ShapeError for one file instead of several.
        """
        self._check_iterable(files)
        return self._stream(map(Path, files), symmetries)

    def _stream(self, files: Iterator[Path], symmetries: bool | None) -> Iterator[Prediction]:
        decoded = self._decode_ahead(files)
        while batch := list(islice(decoded, self.batch_size)):
            good = [pixels for _, pixels in batch if not isinstance(pixels, str)]
            together = np.stack(good) if good else None
            chances = iter(() if together is None else self.probabilities(together, symmetries=symmetries))
            far = iter(() if together is None else self.far(together))
            for path, pixels in batch:
                if isinstance(pixels, str):
                    yield Prediction(path, None, pixels)
                else:
                    one = next(chances)
                    answer = int(self.decide(one[None], symmetries=symmetries)[0])
                    yield Prediction(path, one, caution=CAUTION if next(far) else None, answer=answer)

    def _decode_ahead(self, files: Iterator[Path]) -> Iterator[tuple[Path, NDArray[np.uint8] | str]]:
        """Each file with its pixels, or with the reason why it cannot be used."""

        def read(file: Path) -> tuple[Path, NDArray[np.uint8] | str]:
            try:
                return file, self._decoded(file)
            except UnusableImage as reason:
                return file, str(reason)

        threads = default_threads()
        return in_order(read, files, threads, ahead=max(self.batch_size, 2 * threads), name="scratchnet-decoder")

    def pixels(self, image: Picture) -> NDArray[np.uint8]:
        """One image as the network gets it, (S, S, 3) uint8. Raises as `predict_proba` does."""
        if isinstance(image, str | os.PathLike):
            try:
                return self._decoded(Path(image))
            except UnusableImage as reason:
                raise DataError(f"{image}: {reason}") from reason
        window = Window.of(self.preprocessing)
        if isinstance(image, Image.Image):
            if window:
                raise DtypeError(
                    "the network was trained on images of more than 8 bits a channel (--bits 16), which a Pillow image cannot "
                    "hold: give the file, or an array of uint16"
                )
            try:
                return preprocess(rgb_of(image), self.preprocessing)
            except UnusableImage as reason:
                raise DataError(f"an image that cannot be used: {reason}") from reason
        dtypes = (np.uint8, np.uint16) if window else (np.uint8,)
        if not isinstance(image, np.ndarray) or image.dtype not in dtypes:
            came = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            expected = "uint16" if window else "uint8 from 0 to 255"
            raise DtypeError(
                f"an image is a file, a Pillow image, or an array of {expected} as it was stored, got {came}"
            )
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            hint = shape_hint(image.shape, batch=False)
            raise ShapeError(f"an image is an array (H, W, 3), red, green, blue, got {image.shape}{hint}")
        stored: NDArray[Any] = image
        if stored.dtype == np.uint8 and stored.shape[:2] == (self.image_size, self.image_size):
            return stored
        if window and stored.dtype == np.uint8:
            raise DtypeError(
                "the network was trained on images of more than 8 bits a channel (--bits 16): an array is of uint16 as it was "
                f"stored, or prepared, {self.image_size} × {self.image_size}; got uint8 of shape {stored.shape}"
            )
        return preprocess(Image.fromarray(window.apply(stored) if window else stored), self.preprocessing)

    def _decoded(self, file: Path) -> NDArray[np.uint8]:
        return read_pixels(file, self.preprocessing)

    @staticmethod
    def _check_iterable(images: Any) -> None:
        """One image instead of many is the likeliest mistake."""
        if isinstance(images, Image.Image):
            raise ShapeError("expected several images, got one picture: put it into a list")
        if not isinstance(images, Iterable):
            raise DtypeError(f"expected an array of images or a list of files, got {type(images).__name__}")
        if isinstance(images, str | os.PathLike):
            raise ShapeError(f"expected several images, got the one file {str(images)!r}: put it into a list")
        if (
            isinstance(images, np.ndarray)
            and images.dtype.kind not in "OUS"
            and (images.ndim != 4 or images.shape[3] != 3)
        ):
            raise ShapeError(f"expected images (N, H, W, 3), got {images.shape}{shape_hint(images.shape, batch=True)}")


def weights_file(path: Path, weights: str | None = None) -> Path:
    """The file of weights that `Predictor.load` takes for a run's folder; a file is taken as it is.

    "last" is weights.h5, or the newest checkpoint where training has not ended or has gone on since.
    Raises DataError if there is none, ConfigError if `weights` is neither "last" nor "best", or chooses from a file.
    """
    if weights not in (None, *WEIGHTS):
        raise ConfigError(f"weights are one of {', '.join(WEIGHTS)}, got {weights!r}")
    if not os.path.exists(path):  # Path's own raises an OSError for a name that is too long
        raise DataError(f"{path}: there is no such run or file")
    if not path.is_dir():
        if weights is not None:
            raise ConfigError(f"{path} is one file of weights, not a run's folder: leave out the choice of {weights!r}")
        return path  # load_checkpoint says what is wrong with it
    run = Run(path)
    if weights == "best":
        if not run.best_path.is_file():
            raise DataError(f"{path} has no best.h5; take the last weights instead")
        return run.best_path
    checkpoints = run.checkpoints()
    if run.weights_path.is_file() and not (checkpoints and _is_further(checkpoints[0], run.weights_path)):
        return run.weights_path
    if not checkpoints:
        raise DataError(
            f"{path} holds no weights: give the folder of a run that has saved something, or a file of weights"
        )
    return checkpoints[0]


def _is_further(checkpoint: Path, ended: Path) -> bool:
    """Whether a run that had ended has been resumed since, with more epochs, and has come further."""
    progress, epoch = read_about(checkpoint)[1], read_about(ended)[0].get("epoch")
    return progress is not None and isinstance(epoch, int) and (progress.epoch, progress.batches_done) > (epoch, 0)


def network_of(
    about: dict[str, Any], *, weights: int | None = None, own: Mapping[str, Any] | None = None
) -> Sequential:
    """The network that a checkpoint describes, built, with weights that are still to be loaded: see `network_to_fill`."""
    return network_to_fill(Config.from_dict(about["config"]), len(about["class_names"]), weights, own)
