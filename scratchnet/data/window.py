"""Images of 10 to 16 bits a channel → 8 bits: one window for a whole set, measured once and kept with the weights.

Microscope cameras use a part of what 16 bits can hold, 4,096 of 65,536 values or fewer, and a file does not say which. A window
for each image would make all equally bright, and brightness is a part of what is seen; so there is one for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scratchnet.errors import DataError

VALUES = 2**16
BLOCK = 2**20  # values looked up at a time: NumPy makes eight bytes of each for that
CLIPPED = (
    10_000  # of so many pixels, one at most lies below the window, and one above: defects of a sensor don't stretch it
)


@dataclass(frozen=True)
class Window:
    """low becomes 0, high becomes 255, and what lies outside becomes the nearer of the two.

    y = ⌊255 · (x − low) / (high − low) + ½⌋  for low ≤ x ≤ high, in whole numbers: every machine finds the same pixels.

    >>> Window(100, 610).apply(np.array([0, 100, 101, 355, 610, 4000], np.uint16))
    array([  0,   0,   1, 128, 255, 255], dtype=uint8)
    """

    low: int
    high: int

    def apply(self, values: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Scales an array of any shape, uint16, to uint8 of the same shape."""
        x = np.arange(VALUES, dtype=np.int64).clip(self.low, self.high) - self.low
        span = self.high - self.low
        table = ((2 * 255 * x + span) // (2 * span)).astype(np.uint8)
        scaled = np.empty(values.shape, np.uint8)
        flat, given = scaled.reshape(-1), values.reshape(-1)
        for start in range(0, values.size, BLOCK):
            flat[start : start + BLOCK] = table[given[start : start + BLOCK]]
        return scaled

    def to_dict(self) -> dict[str, int]:
        """As `scratchnet.data.images.preprocessing` keeps it: {"low": …, "high": …}."""
        return {"low": self.low, "high": self.high}

    @classmethod
    def of(cls, how: Mapping[str, Any]) -> Window | None:
        """The window of a preprocessing; None if its images have 8 bits. Raises DataError for an invalid one."""
        stored = how.get("window")
        if stored is None:
            return None
        low, high = (stored.get("low"), stored.get("high")) if isinstance(stored, dict) else (None, None)
        if type(low) is not int or type(high) is not int or not 0 <= low < high < VALUES:
            raise DataError(
                f"images were scaled by an invalid window {stored!r}: expected low and high, from 0 to 65535. "
                "Prepare the images again with --bits 16 and train"
            )
        return cls(low, high)

    @staticmethod
    def counted(values: NDArray[np.uint16]) -> NDArray[np.int64]:
        """How many times each value occurs in an array of any shape: (65536,)."""
        counts, given = np.zeros(VALUES, np.int64), values.reshape(-1)
        for start in range(0, values.size, BLOCK):
            counts += np.bincount(given[start : start + BLOCK], minlength=VALUES)
        return counts

    @classmethod
    def measured(cls, counts: NDArray[np.int64]) -> Window:
        """The window of a set of images: the narrowest that has one of 10,000 pixels at most on either side.

        counts (65536,): how many pixels have each value, in all channels together, as of `counted`.

        >>> counts = np.zeros(VALUES, np.int64)
        >>> counts[100:4000], counts[65535] = 10, 3             # three pixels of 39,003 are defective
        >>> Window.measured(counts)
        Window(low=100, high=3999)
        """
        allowed = int(counts.sum()) // CLIPPED
        up_to, from_on = counts.cumsum(), counts[::-1].cumsum()[::-1]
        low = int(np.searchsorted(up_to, allowed, side="right"))
        high = VALUES - 1 - int(np.searchsorted(from_on[::-1], allowed, side="right"))
        if not low < high:  # nearly all pixels have one value
            present = np.flatnonzero(counts)
            low, high = (int(present[0]), int(present[-1])) if len(present) else (0, VALUES - 1)
        low = min(low, VALUES - 2)
        return cls(low, max(high, low + 1))
