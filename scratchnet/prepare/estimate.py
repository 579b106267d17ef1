"""The result of a preparation, estimated before it is made: how many images, and how long it takes."""

import time
from collections import Counter
from dataclasses import dataclass

from scratchnet.data.images import UnusableImage, preprocessing, read_pixels
from scratchnet.data.prefetch import default_threads
from scratchnet.data.window import VALUES, Window
from scratchnet.errors import ConfigError
from scratchnet.prepare.augment import balanced_size
from scratchnet.prepare.settings import Settings
from scratchnet.prepare.sources import Found

TRIED = 12  # images that are decoded to see how long one takes


@dataclass(frozen=True)
class Estimate:
    """Images on the two sides, and seconds to prepare them; all of it approximate."""

    train: int
    test: int
    seconds: float


def estimate(found: Found, settings: Settings) -> Estimate:
    """For the splits `report` and `subject`, as if every file were a good image and no two were the same.

    Raises ConfigError for another split.
    """
    train, test = expected_sides(list(Counter(image.label for image in found.images).values()), settings)
    return Estimate(train, test, len(found.images) * _seconds_per_image(found, settings))


def expected_sides(sizes: list[int], settings: Settings) -> tuple[int, int]:
    """The numbers of images that train and that test, for classes of these sizes.

    >>> expected_sides([7272, 3389], Settings(split="report", augment_offline="report"))    # C-NMC's training folds
    (10845, 2711)
    >>> expected_sides([7272, 3389], Settings(split="subject", augment_offline="report"))
    (10844, 2132)
    """
    fraction = settings.test_fraction
    if fraction is None or settings.augment_offline == "symmetries" or settings.validation_fraction:
        raise ConfigError("only the splits report and subject can be foreseen, without symmetries and validation")

    def grown(sizes: list[int]) -> list[int]:
        return [balanced_size(sizes)] * len(sizes) if settings.augment_offline == "report" else sizes

    if settings.split == "report":  # which is augmented first, and then divided
        total = sum(grown(sizes))
        return round(total * (1 - fraction)), round(total * fraction)
    return sum(grown([round(size * (1 - fraction)) for size in sizes])), round(sum(sizes) * fraction)


def _seconds_per_image(found: Found, settings: Settings) -> float:
    """Seconds to decode and scale an image, measured on a few of them, as many at a time as there are threads."""
    window = Window(0, VALUES - 1) if settings.bits == 16 else None  # of the second one: it takes as long
    how = preprocessing(settings.image_size, fit=settings.fit, crop=settings.crop, window=window)
    step = max(1, len(found.images) // TRIED)
    tried = found.images[::step][:TRIED]
    began = time.perf_counter()
    for image in tried:
        try:
            read_pixels(image.file, how)
        except UnusableImage:  # which takes time too
            continue
    threads = settings.threads or default_threads()
    return (time.perf_counter() - began) / len(tried) / threads
