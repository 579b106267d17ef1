"""Images that have been decoded and scaled, and wait for their place in a shard.

Each file is read once, or twice if a window is to be measured first: decoded, hashed, scaled and compressed by a few threads.
The compressed pixels are put aside in one temporary file, so that memory stays bounded; the facts about them stay in memory.
"""

import warnings
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scratchnet.data import PackedImage, Remark, pack_image, symmetry
from scratchnet.data.images import UnusableImage, decode, decode_deep, preprocess
from scratchnet.data.prefetch import default_threads, in_order
from scratchnet.data.window import VALUES, Window
from scratchnet.prepare.duplicates import Picture, identify
from scratchnet.prepare.sources import SourceImage
from scratchnet.terminal.bar import Bar


@dataclass(frozen=True)
class Prepared:
    """One image, ready for a shard; its compressed pixels lie in the spool.

    picture: what its original pixels show. sums, squares: per channel, Σx and Σx² over the scaled pixels, exact integers.
    """

    source: SourceImage
    picture: Picture
    alterations: tuple[str, ...]
    checksum: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]
    offset: int = 0
    length: int = 0


def measured_window(images: Iterable[SourceImage], *, threads: int | None, quiet: bool) -> Window:
    """The window for images of more than 8 bits a channel: measured on all usable ones, whatever their side.

    The rule ignores labels. threads, quiet: as for `Spool`.
    """

    def counted(image: SourceImage) -> NDArray[np.int64]:
        try:
            return Window.counted(decode_deep(image.file))
        except UnusableImage:  # `fill` will say why
            return np.zeros(VALUES, np.int64)

    counts = np.zeros(VALUES, np.int64)
    bar = Bar(images, desc="Measuring the window", unit=" images", disable=True if quiet else None)
    with warnings.catch_warnings(), closing(in_order(counted, bar, threads or default_threads())) as results:
        warnings.simplefilter("ignore")
        for result in results:
            counts += result
    return Window.measured(counts)


class Spool:
    """The images in one temporary file, and how they were prepared.

    file: opened for reading and writing. preprocessing: as of `scratchnet.data.images`. threads: None for one a core, at
    most 8; the result does not depend on it. quiet: no progress bar.
    """

    def __init__(self, file: IO[bytes], preprocessing: dict[str, Any], *, threads: int | None, quiet: bool) -> None:
        self.preprocessing = preprocessing
        self.threads = threads or default_threads()
        self.quiet = quiet
        self._file = file
        self._window = Window.of(preprocessing)

    def fill(self, images: Iterable[SourceImage]) -> tuple[list[Prepared], list[Remark]]:
        """Decodes, scales, compresses and stores every image; the ones that cannot be used are returned as remarks."""
        prepared: list[Prepared] = []
        left_out: list[Remark] = []
        bar = Bar(images, desc="Reading images", unit=" images", disable=True if self.quiet else None)
        with warnings.catch_warnings(), closing(in_order(self._prepare, bar, self.threads)) as results:
            warnings.simplefilter("ignore")  # Pillow's warnings on odd metadata; images.py checks what matters
            for result in results:
                if isinstance(result, Remark):
                    left_out.append(result)
                else:
                    packed, image = result
                    prepared.append(replace(image, offset=self._file.tell(), length=len(packed.stored)))
                    self._file.write(packed.stored)
        return prepared, left_out

    def _prepare(self, image: SourceImage) -> tuple[PackedImage, Prepared] | Remark:
        """What one thread does with one file: the packed pixels and the facts about them, or why it is left out."""
        try:
            decoded = decode(image.file, self._window)
        except UnusableImage as reason:
            return Remark(image.path, str(reason))
        pixels = preprocess(decoded.image, self.preprocessing)
        packed = pack_image(pixels, image.label)
        counts = np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(
            3, 256
        )  # of each value in each channel
        value = np.arange(256, dtype=np.int64)
        sums, squares = (tuple(map(int, counts @ power)) for power in (value, value**2))
        return packed, Prepared(image, identify(decoded.image), decoded.alterations, packed.checksum, sums, squares)

    def packed(self, image: Prepared) -> PackedImage:
        """The compressed pixels of an image, back from the file."""
        self._file.seek(image.offset)
        return PackedImage(self._file.read(image.length), image.checksum)

    def turned(self, packed: PackedImage, label: int, which: int) -> PackedImage:
        """The same image under one symmetry of the square (`scratchnet.data.symmetry`), compressed anew."""
        if which == 0:
            return packed
        size = self.preprocessing["image_size"]
        pixels: NDArray[np.uint8] = np.frombuffer(zlib.decompress(packed.stored), np.uint8).reshape(1, size, size, 3)
        return pack_image(symmetry(pixels, which)[0], label)
