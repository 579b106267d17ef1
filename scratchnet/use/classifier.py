"""The network as an estimator: fit, predict, score, as scikit-learn has them."""

from __future__ import annotations

import contextlib
import inspect
import sys
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scratchnet.data import ArrayImages
from scratchnet.data.images import UnusableImage
from scratchnet.data.in_memory import is_picture, rgb_of, shape_hint
from scratchnet.errors import ConfigError, DataError, DtypeError, LabelError, OrderError, ShapeError
from scratchnet.nn.arguments import as_code
from scratchnet.reference import Array
from scratchnet.training.config import Config
from scratchnet.training.experiment import Training
from scratchnet.training.in_memory import fit_in_memory
from scratchnet.training.network import Maker, refuse_without_effect
from scratchnet.use.network import start
from scratchnet.use.predictor import Predictor

# The image's size is that of X; the others concern a run's folder, which does not exist here.
OF_RUNS = ("image_size", "train_evaluation", "checkpoint_minutes", "keep_every", "keep_last", "layers")
SETTINGS = {one.name: one for one in fields(Config) if one.name not in OF_RUNS}


class Classifier:
    """A network that learns from arrays, with the methods of a scikit-learn estimator.

    X (N, S, S, 3): images of one size, at least 32 × 32, red, green, blue; or a list of such Pillow images. uint8 from
    0 to 255 as files hold them; or floats from 0 to 1, which are rounded to those 256 steps. The network's own scaling
    (`pixels`) is measured on the X of `fit`, so there is nothing to scale, and nothing to leak from a test fold. y (N,): any
    classes, numbers or texts.

    After `fit`: `classes_`, the classes in order; `predictor_`, the Predictor, which reads files and can be saved;
    `losses_`, the mean training loss of each epoch, over its batches; `history_`, with what it came to on validation data,
    a dictionary for each epoch. The same settings, X and y give the same weights, to the bit.

    network: of your own, in place of `model`: a Sequential, whose layers are built anew in each `fit`, or a function that
    makes one and takes any of image_size, classes, channels, dropout and weight_init (None). validation_data, in `fit`: images and
    classes that are judged after each epoch, and not learnt from. With patience training ends early by them, and the weights
    are those of the best epoch (`best_metric`).

    It works in `sklearn.base.clone`, `cross_val_score`, `GridSearchCV` and pipelines; scikit-learn need not be
    installed. All images of one patient belong in one fold: give `cross_val_score` their `groups` and a `GroupKFold`;
    `fit` has no use for groups. Leave `n_jobs` at 1: the kernels use all cores as it is, and only one thread may start
    them. The first `fit` on a machine compiles the kernels, which takes a while.

    Raises ConfigError for a setting that does not exist or cannot work, the second in `fit`.

    >>> X = np.zeros((8, 32, 32, 3), np.uint8)
    >>> X[::2] = 200
    >>> y = np.array(["bright", "dark"] * 4)
    >>> classifier = Classifier(epochs=6, batch_size=4, warmup=0, dropout=0.0).fit(X, y)
    >>> classifier.score(X, y)
    1.0
    >>> classifier.predict(X[:2])
    array(['bright', 'dark'], dtype='<U6')

    verbose: whether to show a bar with the loss (False). The other settings, all by keyword, are those of train.py:
    """

    _estimator_type = "classifier"  # for scikit-learn before 1.6

    def __init__(self, *, network: Any = None, verbose: bool = False, **settings: Any) -> None:
        self.network, self.verbose = network, verbose
        for name, one in SETTINGS.items():
            setattr(self, name, settings.pop(name, one.default))
        _refuse_unknown(settings)

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, validation_data: tuple[ArrayLike, ArrayLike] | None = None
    ) -> Classifier:
        """Trains anew from the initial weights of the seed; returns itself. validation_data: another (X, y), of other subjects.

        Raises ShapeError, DtypeError or LabelError if X or y is invalid; NonFiniteError if training diverges.
        """
        images, labels = as_pixels(X), _as_classes(y)
        if labels.shape != (len(images),):
            raise ShapeError(
                f"expected y with a class for each of the {len(images)} images, got y of shape {labels.shape}"
            )
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise LabelError(f"y holds {len(classes)} class; a classifier needs at least two")
        settings = {"image_size": images.shape[1], **{name: getattr(self, name) for name in SETTINGS}}
        own = None if self.network is None else Maker(self.network)
        if own:
            changed = [n for n in ("model", "dropout", "weight_init") if settings[n] != SETTINGS[n].default]
            refuse_without_effect(name for name in changed if name not in own.takes)
        config = own.config(settings, len(classes)) if own else Config(**settings)
        if config.patience and validation_data is None:
            raise ConfigError("patience is for validation_data: give fit images and classes to judge each epoch by")
        names = [str(one) for one in classes]
        judged = None if validation_data is None else _judged(validation_data, images, names)
        training = Training(config, ArrayImages(images, numbers.astype(np.int64), names), validation=judged)
        start(training.network, config, names)
        self.history_ = fit_in_memory(training, "fitting", verbose=self.verbose)
        self.losses_ = [row["loss"] for row in self.history_]
        self.classes_ = classes
        about = training.about
        self.predictor_ = Predictor(training.network, names, training.scaling, about["preprocessing"], about=about)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probability of each of `classes_` for each image: (N, classes). Raises OrderError before `fit`."""
        if not self.__sklearn_is_fitted__():
            raise OrderError("the classifier has learnt nothing yet: call fit(X, y) first")
        images = as_pixels(X)
        if images.shape[1] != self.predictor_.image_size:
            raise ShapeError(
                f"fitted on images of {self.predictor_.image_size} pixels, got X of shape {images.shape}: "
                "predictor_.predict_proba takes any size"
            )
        return self.predictor_.probabilities(images)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each image, one of `classes_`: (N,)."""
        answers = self.predict_proba(X).argmax(axis=1)  # first: classes_ exists only after `fit`
        return np.asarray(self.classes_[answers])

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: the share of the images whose prediction is their class; each counts sample_weight (N,), or 1.

        Raises LabelError or ShapeError for a y that `fit` would refuse, ShapeError for weights of another number.
        """
        answers, labels = self.predict(X), _as_classes(y)
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        for name, given in (("y", labels), ("sample_weight", weights)):
            if given is not None and given.shape != answers.shape:
                raise ShapeError(f"expected {name} with one for each of the {len(answers)} images, got {given.shape}")
        return float(np.average(answers == labels, weights=weights))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All settings by name. deep has no effect, since no setting is an estimator."""
        return {"network": self.network, "verbose": self.verbose, **{name: getattr(self, name) for name in SETTINGS}}

    def set_params(self, **settings: Any) -> Classifier:
        """Changes settings, for the next `fit`; returns itself. Raises ConfigError for one that does not exist."""
        _refuse_unknown({name: value for name, value in settings.items() if name not in self.get_params()})
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = {name: value for name, value in self.get_params().items() if value != _DEFAULTS[name]}
        return f"Classifier({', '.join(f'{name}={as_code(value)}' for name, value in changed.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn from 1.6 on asks an estimator about itself; then it is installed, and need not be imported here."""
        tags = sys.modules["sklearn.utils"]
        return tags.Tags(
            estimator_type="classifier",
            target_tags=tags.TargetTags(required=True),
            classifier_tags=tags.ClassifierTags(),
            input_tags=tags.InputTags(two_d_array=False, three_d_array=False),
        )


def _judged(data: Any, images: Array, names: list[str]) -> ArrayImages:
    """The validation data as images with labels. Raises ShapeError or LabelError for others than those of the training."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ShapeError(f"validation_data is a pair, (X, y), got {type(data).__name__}")
    X, y = as_pixels(data[0]), _as_classes(data[1])
    if X.shape[1:] != images.shape[1:] or y.shape != (len(X),):
        raise ShapeError(
            f"validation_data: expected images of {images.shape[1:]}, each with a class, got {X.shape} and {y.shape}"
        )
    unknown = sorted({str(one) for one in y} - set(names))
    if unknown:
        raise LabelError(f"validation_data holds the class {unknown[0]!r}, which y does not: {', '.join(names)}")
    return ArrayImages(X, np.array([names.index(str(one)) for one in y], np.int64), names)


_DEFAULTS = {"network": None, "verbose": False, **{name: one.default for name, one in SETTINGS.items()}}
# What `help` shows: the settings are those of Config.
Classifier.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in _DEFAULTS.items()]
)
Classifier.__doc__ = (
    (Classifier.__doc__ or "").rstrip()
    + "\n\n"
    + "\n".join(f"    {name} ({one.default}): {one.metadata['help']}" for name, one in SETTINGS.items())
)


def as_pixels(X: ArrayLike) -> NDArray[np.uint8]:
    """X as (N, S, S, 3) uint8: itself, or floats from 0 to 1 rounded to the steps of a file, round(255 · x).

    Raises DtypeError for other numbers, ShapeError for other shapes or values.

    >>> as_pixels(np.full((1, 32, 32, 3), 0.2))[0, 0, 0]
    array([51, 51, 51], dtype=uint8)
    """
    images = _stacked(X)
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or images.shape[1] < 32:
        hint = shape_hint(images.shape, batch=True)
        raise ShapeError(f"X must hold square images (N, S, S, 3) with S at least 32, got shape {images.shape}{hint}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DtypeError(f"X must be of uint8 (0 to 255) or floats (0 to 1), got {images.dtype}: X.astype('uint8')")
    if not ((images >= 0) & (images <= 1)).all():
        raise ShapeError(
            f"X of floats must lie from 0 to 1, got {images.min():.4g} to {images.max():.4g}: "
            "divide by 255, or give uint8; the network scales by itself"
        )
    return np.round(images * 255).astype(np.uint8)


def _stacked(X: Any) -> NDArray[Any]:
    """X as one array. Raises ShapeError for images of several sizes, DataError for a picture without RGB, DtypeError for files."""
    if isinstance(X, list | tuple) and any(map(is_picture, X)):
        try:
            X = [np.asarray(rgb_of(one)) if is_picture(one) else one for one in X]
        except UnusableImage as reason:
            raise DataError(f"X holds an image that cannot be used: {reason}") from reason
    try:
        images = np.asarray(X)
    except ValueError as error:  # lists of several lengths
        raise ShapeError("X must hold images of one size (N, S, S, 3), got several: scale them to one first") from error
    if images.dtype.kind in "USO":
        raise DtypeError(
            "X must hold images of one size as numbers, (N, S, S, 3), got texts or objects: files are for train.py and for "
            "predictor_.predict_proba"
        )
    return images


def _as_classes(y: Any) -> NDArray[Any]:
    """y as an array of classes. Raises LabelError if they are of several types, or one is missing (NaN, None).

    >>> _as_classes(["hem", "all"])
    array(['hem', 'all'], dtype='<U3')
    """
    labels = y if isinstance(y, np.ndarray) else np.array(list(y) if hasattr(y, "__iter__") else y, object)
    if labels.dtype.kind == "O":
        kinds = sorted({type(one).__name__ for one in labels.ravel()})
        texts = [kind for kind in kinds if kind in ("str", "str_")]
        if "NoneType" in kinds or (texts and len(texts) < len(kinds)):
            raise LabelError(f"y must hold classes of one type, all numbers or all texts, got {', '.join(kinds)}")
        with contextlib.suppress(ValueError):  # lists of unequal lengths stay objects, and are refused below
            labels = np.array(labels.tolist())
    if labels.dtype.kind not in "biufUS":
        raise LabelError(f"y must hold numbers or texts, got {labels.dtype}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise LabelError("y holds a NaN or an infinity, which is not a class: leave those images out")
    return labels


def _refuse_unknown(settings: dict[str, Any]) -> None:
    for name in settings:
        raise ConfigError(
            f"Classifier has no setting {name!r}; its settings are network, verbose, {', '.join(SETTINGS)}"
        )
