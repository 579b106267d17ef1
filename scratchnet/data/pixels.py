"""From bytes to the numbers a network sees."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from scratchnet.errors import ConfigError, DtypeError, ShapeError


@dataclass(frozen=True)
class PixelScaling:
    """How pixels 0 … 255 become numbers. It is stored with the weights, so that prediction scales as training did.

    kind "unit":          y = x / 255                       in [0, 1]
    kind "standardised":  y = (x / 255 − mean) / std        per channel; over the training pixels y has mean 0, variance 1

    mean, std: one number a channel, in [0, 1], measured on the training pixels; unused, and empty, for "unit".
    Raises ConfigError if the kind is unknown, or mean and std are missing, of unequal length, not finite, or std ≤ 0.

    >>> PixelScaling("unit").apply(np.array([[[[0, 51, 255]]]], np.uint8), "float64")
    array([[[[0. , 0.2, 1. ]]]])
    """

    kind: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("unit", "standardised"):
            raise ConfigError(f"unknown pixel scaling {self.kind!r}: choose 'unit' or 'standardised'")
        if self.kind == "unit":
            if self.mean or self.std:
                raise ConfigError("pixel scaling 'unit' takes no mean and no std; 'standardised' does")
        elif not self.mean or len(self.mean) != len(self.std):
            raise ConfigError(
                f"pixel scaling 'standardised' needs mean and std for each channel, got {self.mean} and {self.std}"
            )
        elif not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise ConfigError(
                f"pixel scaling needs finite means and positive deviations, got mean {self.mean}, std {self.std}"
            )

    @classmethod
    def measured(cls, kind: str, channel_mean: tuple[float, ...], channel_std: tuple[float, ...]) -> "PixelScaling":
        """The scaling of that kind for a dataset with these training statistics.

        A channel that never varies has std 0 and is only shifted: its std counts as 1.
        """
        if kind != "standardised":
            return cls(kind)
        return cls(kind, tuple(channel_mean), tuple(std if std > 0 else 1.0 for std in channel_std))

    def apply(self, images: NDArray[np.uint8], dtype: DTypeLike = "float32") -> NDArray[Any]:
        """Scales images (N, H, W, C) uint8 to a new array of the same shape and the given floating dtype.

        float32 is computed in float32 throughout. Raises DtypeError if the images are not uint8, ShapeError if they are
        not a batch, or their channels do not match mean and std.
        """
        if images.dtype != np.uint8:
            raise DtypeError(f"pixels are scaled from uint8, 0 to 255; got {images.dtype}: were they scaled already?")
        if images.ndim != 4 or (self.mean and images.shape[3] != len(self.mean)):
            raise ShapeError(f"expected images (N, H, W, {len(self.mean) or 'C'}), got {images.shape}")
        number = np.dtype(dtype).type
        scaled = np.divide(images, number(255), dtype=dtype, order="C")
        if self.kind == "standardised":
            # Row by row: NumPy is three times as slow when it repeats an array of three numbers.
            width, channels = images.shape[2:]
            rows = scaled.reshape(-1, width * channels)
            rows -= np.tile(np.array(self.mean, dtype), width)
            rows /= np.tile(np.array(self.std, dtype), width)
        return scaled

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: {"kind": …, "mean": […], "std": […]}."""
        return {"kind": self.kind, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "PixelScaling":
        """The inverse of `to_dict`. Raises ConfigError if something is missing, unknown or not a number."""
        try:
            return cls(stored["kind"], tuple(map(float, stored["mean"])), tuple(map(float, stored["std"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a pixel scaling: {stored!r}; expected kind, mean and std") from error
