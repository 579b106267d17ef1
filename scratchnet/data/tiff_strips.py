"""Whether all pixels of a page of a TIFF lie in the file: its strips or tiles, and what their decoder needs.

A page that is cut out has its directory appended to the file. A decoder that reads past the file's end would silently
take the directory for pixels, so no page may reach that far.
"""

from scratchnet.data.tiff import (
    BITS,
    COMPRESSION,
    JPEG_BYTES,
    JPEG_START,
    OF_PIXELS,
    PHOTOMETRIC,
    PLANAR,
    ROWS,
    SAMPLES,
    SIZES,
    STRIP_BYTES,
    STRIPS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TILES,
    Directory,
    TiffError,
)

NO_COMPRESSION, OLD_JPEG, YCBCR = 1, 6, 6
CUT = "its pixels reach beyond the end of the file"
FEW = "it has fewer strips or tiles of pixels than its size asks for"


def require_pixels(page: Directory) -> None:
    """Raises TiffError if the file is too short for the pixels that the page declares, or if some are missing."""
    end = len(page.content)
    for tag, (kind, count, offset) in page.tags.items():
        if tag in OF_PIXELS and offset + count * SIZES.get(kind, 1) > end:
            raise TiffError(f"the values of tag {tag} lie outside the file")
    start, length = page.numbers(JPEG_START, 0)[0], page.numbers(JPEG_BYTES, 0)[0]
    if start + length > end:
        raise TiffError(CUT)
    compression = page.numbers(COMPRESSION, 1)[0]
    if compression == OLD_JPEG and not page.numbers(STRIPS):  # one stream, which has tags of its own
        return
    offsets, sizes = _pieces(page)
    stored = page.numbers(TILE_BYTES if TILES in page.tags else STRIP_BYTES)
    # Without compression the size is known, and what the file says of it may be wrong, too little or too much.
    known = compression == NO_COMPRESSION and page.numbers(PHOTOMETRIC, 0)[0] != YCBCR
    if not known and (len(stored) < len(sizes) or not all(stored[: len(sizes)])):
        raise TiffError("it does not say how long its strips or tiles are")
    for offset, size in zip(offsets, sizes if known else stored[: len(sizes)], strict=False):
        if offset == 0:
            raise TiffError("a strip or tile of its pixels was never written")
        if offset + size > end:
            raise TiffError(CUT)


def _pieces(page: Directory) -> tuple[tuple[int, ...], list[int]]:
    """Where the strips or tiles of a page begin, and how many bytes each has without compression, for as many as it needs.

    Raises TiffError if it has fewer.
    """
    (width, height), apart = page.size, page.numbers(PLANAR, 1)[0] == 2
    samples = page.numbers(SAMPLES, 1)[0]
    bits = page.numbers(BITS, 1)[0] * (1 if apart else samples)
    copies = samples if apart else 1
    if TILES in page.tags:
        wide, high = page.numbers(TILE_WIDTH, 0)[0], page.numbers(TILE_HEIGHT, 0)[0]
        number = -(-width // wide) * -(-height // high) if wide and high else 0
    else:
        wide, high = width, min(page.numbers(ROWS, 2**32 - 1)[0], height)
        number = -(-height // high) if high else 0
    offsets = page.numbers(TILES if TILES in page.tags else STRIPS)
    if number == 0 or len(offsets) < number * copies:
        raise TiffError(FEW)
    rows = [high] * (number - 1) + [high if TILES in page.tags else height - high * (number - 1)]
    return offsets, [-(-wide * bits // 8) * n for n in rows] * copies
