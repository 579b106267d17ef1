"""Several networks as one: the mean of their probabilities; and `load`, for one or several."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import ConfigError
from scratchnet.measures.calibration import TINY
from scratchnet.use.predictor import Predictor

Where = str | os.PathLike[str]


class Ensemble(Predictor):
    """Networks that answer together: p = mean of their p, each with its own scaling and its own temperature.

    members: networks of the same classes, whose images are prepared alike. It does all that a Predictor does, but to be saved and
    explained: `network` and `about` are the first member's. The answer is the most probable class: a threshold belongs to one network.

    Networks that began from other random weights err on other images, and part of their errors cancels.
    Raises ConfigError, in one line, for members that disagree.
    Source: Lakshminarayanan, Pritzel & Blundell 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles".

    >>> from scratchnet.data.pixels import PixelScaling
    >>> from scratchnet.nn.models import MODELS
    >>> pair = [MODELS["report"](32), MODELS["report"](32)]
    >>> shapes = [network.build(seed=seed) for seed, network in enumerate(pair)]
    >>> both = Ensemble([Predictor(network, ("all", "hem"), PixelScaling("unit")) for network in pair])
    >>> images = np.zeros((1, 32, 32, 3), np.uint8)
    >>> bool(np.allclose(both.predict_proba(images), np.mean([one.predict_proba(images) for one in both.members], axis=0)))
    True
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        first = members[0]
        for other in members[1:]:
            for what in ("class_names", "image_size", "preprocessing"):
                ours, theirs = getattr(first, what), getattr(other, what)
                if ours != theirs:
                    raise ConfigError(
                        f"{other.source or 'a network'} has {what.replace('_', ' ')} {_short(theirs)}, {first.source or 'the first'} "
                        f"{_short(ours)}: networks that answer together have the same; leave one out"
                    )
        about, source = first.about, first.source
        super().__init__(
            first.network, first.class_names, first.scaling, first.preprocessing, about=about, source=source
        )
        self.members = tuple(members)
        self.calibration = None  # each member has its own

    def probabilities(self, pixels: NDArray[np.uint8], *, symmetries: bool | None = None) -> NDArray[np.float64]:
        """The mean of the members' probabilities, (N, classes). pixels, symmetries: as for a Predictor."""
        found: NDArray[np.float64] = np.mean(
            [one.probabilities(pixels, symmetries=symmetries) for one in self.members], axis=0
        )
        return found

    def logits(self, pixels: NDArray[np.uint8], *, symmetries: bool | None = None) -> NDArray[Any]:
        """Their logarithms, (N, classes) float64, which stand wherever logits do."""
        return np.log(np.maximum(self.probabilities(pixels, symmetries=symmetries), TINY))

    def far(self, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Whether an image is unlike those of any member's training, (N,)."""
        found: NDArray[np.bool_] = np.any([one.far(pixels) for one in self.members], axis=0)
        return found

    def save(self, path: Where) -> None:
        """Raises ConfigError: a file holds one network."""
        raise ConfigError(f"{path}: an ensemble is not saved: keep its runs, and load them together")


def load(
    path: Where | Sequence[Where], weights: str | None = None, *, raw: bool = False, layers: Iterable[Any] = ()
) -> Predictor:
    """The network of a run, or of a file of weights; of a list of them, the `Ensemble`.

    path, weights, layers: as for `Predictor.load`, whose errors it raises. raw: leave out what they learnt from validation images,
    temperature and threshold. Raises ConfigError for a network that is named twice, too.
    """
    several = isinstance(path, Iterable) and not isinstance(path, str | bytes | os.PathLike)
    paths: list[Any] = list(path) if several else [path]  # type: ignore[arg-type]
    if not paths:
        raise ConfigError("expected a run or several, got an empty list")
    members = [Predictor.load(one, weights, layers=layers) for one in paths]
    files = [one.source.resolve() for one in members if one.source is not None]
    for n, file in enumerate(files):
        if file in files[:n]:
            raise ConfigError(f"{paths[n]} is named twice, and its answer would count twice: leave one out")
    for one in members if raw else ():
        one.calibration = None
    return members[0] if len(members) == 1 else Ensemble(members)


def _short(value: Any) -> str:
    """A value in a message: names with commas, anything else as it is."""
    return ", ".join(value) if isinstance(value, tuple) else str(value)
