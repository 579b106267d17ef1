"""Which page of a TIFF is the picture, and what its channels are."""

import contextlib
import io
from collections.abc import Iterator
from functools import cache, partial

from PIL import Image

from scratchnet.data.container import LARGE, MAX_METADATA, SEVERAL, Container, UnusableImage
from scratchnet.data.orientation import UPRIGHT, from_xmp
from scratchnet.data.tiff import (
    BITS,
    COLOUR_MAP,
    COMPRESSION,
    COMPRESSIONS,
    DNG_VERSION,
    EXTRA_SAMPLES,
    ICC,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_BYTES,
    STRIPS,
    SUB_DIRECTORIES,
    TILE_BYTES,
    TILES,
    XMP,
    Directory,
    TiffError,
    directory,
    one_page,
    pages,
)
from scratchnet.data.tiff_strips import require_pixels
from scratchnet.terminal.wording import counted

PREVIEW = "a smaller preview stored beside it, passed over"
SMALL_PALETTE = (
    "a palette of values up to 255, as old programs write it, where up to 65,535 are expected: spread over them"
)
RAW = "a camera's raw file, whose only picture to be seen is a small preview: develop it into a TIFF or PNG with the camera's program"
DECODED = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}  # in every build of Pillow
OPTIONAL = {34925: "lzma", 50000: "zstd", 50001: "webp"}  # in some
UNPACKED = "save it without compression or with LZW, or as PNG"
WHITE_IS_ZERO, GREY, RGB, PALETTE = 0, 1, 2, 3
COLOURS = {WHITE_IS_ZERO: 1, GREY: 1, RGB: 3, PALETTE: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}
SPACES = {
    4: "a mask of transparency", 5: "CMYK or other printing inks", 8: "the colour space Lab", 9: "the colour space Lab",
    10: "the colour space Lab", 32803: "what a camera's sensor saw, before colours", 32844: "brightness as logarithms",
    32845: "brightness as logarithms", 34892: "what a camera's sensor saw",
}  # fmt: skip
NUMBERS = {2: "signed numbers", 3: "floating-point numbers", 5: "complex numbers", 6: "complex numbers"}


def parse(data: bytes) -> Container:
    """The page of a TIFF that is the picture, as a TIFF of its own.

    Raises UnusableImage, with what the file is and what to do, if it has several pictures, or channels that are not
    RGB.
    """
    try:
        found, more = pages(data)
        if not all(page.is_whole for page in found):  # what is missing may be the picture, and what is left its preview
            raise TiffError("it ends within a directory, or before one")
        page, remarks = _picture(found, more)
        return _contained(page, remarks)
    except TiffError as error:
        raise UnusableImage(f"truncated or damaged: {error}") from error


def _picture(found: list[Directory], more: bool) -> tuple[Directory, list[str]]:
    """The page that is the picture, and what was passed over for it."""
    whole = [page for page in found if not page.is_reduced and (page is found[0] or page.size != (0, 0))]
    below = any(_has_more_below(page) for page in found)
    if any(DNG_VERSION in page.tags for page in found) or (not whole and below):
        raise UnusableImage(RAW)
    whole = whole or found  # some programs mark a page as a smaller copy although there is nothing to be a copy of
    page = max(whole, key=lambda page: page.size)
    if more or not all(other is page or _is_thumbnail(other, page) for other in whole):
        raise UnusableImage(SEVERAL)
    return page, [PREVIEW] if len(found) > 1 or below else []


def _has_more_below(page: Directory) -> bool:
    """Whether a page leads to further ones that are in the file: smaller copies, or what a camera's sensor saw."""
    for offset in page.numbers(SUB_DIRECTORIES)[:1]:
        with contextlib.suppress(TiffError):
            directory(page.content, offset)
            return True
    return False


def _is_thumbnail(small: Directory, large: Directory) -> bool:
    """Whether a page that doesn't say so is clearly a smaller copy: at most half as wide and high, in the same proportions."""
    (w, h), (width, height) = small.size, large.size
    return 0 < 2 * w <= width and 0 < 2 * h <= height and abs(w * height - h * width) <= max(width, height)


def _contained(page: Directory, remarks: list[str]) -> Container:
    """The page as a TIFF of its own. Raises UnusableImage if a person must decide how to make it RGB."""
    compression, colour = page.numbers(COMPRESSION, 1)[0], page.numbers(PHOTOMETRIC, WHITE_IS_ZERO)[0]
    if compression not in DECODED and not (compression in OPTIONAL and _is_built_in(OPTIONAL[compression])):
        name = COMPRESSIONS.get(compression, f"method {compression}")
        slide = ", as slide scanners write it (SVS)" if compression in (33003, 33004, 33005) else ""
        raise UnusableImage(f"a TIFF compressed with {name}{slide}, which cannot be unpacked here: {UNPACKED}")
    if colour in SPACES:
        raise UnusableImage(f"a TIFF that stores {SPACES[colour]}; RGB is expected: convert it and save it as RGB")
    samples = page.numbers(SAMPLES, 3 if compression == 6 else 1)[0]
    widths = set(page.numbers(BITS, 1)[: max(samples, 1)])
    if len(widths) > 1:
        raise UnusableImage(f"channels of {' and '.join(map(str, sorted(widths)))} bits: save it with 8 bits each")
    bits = max(widths)
    if bits not in (1, 2, 4, 8, 12, 16, 32, 64):
        raise UnusableImage(f"{bits} bits a channel without gaps between them: save it with 16 bits")
    if samples > 1 and bits in (1, 2, 4, 12):
        raise UnusableImage(f"{bits} bits a channel in colours, which is not read: save it with 8 or 16 bits")
    form = next(iter(set(page.numbers(SAMPLE_FORMAT, 1)) - {1, 4}), 1)
    if form != 1:
        what = NUMBERS.get(form, f"numbers of an unknown form ({form})")
        raise UnusableImage(
            f"{bits} bits a channel, {what}: which one is black, and which one white? Save it with 8 or 16 bits, from 0 upwards"
        )
    require_pixels(page)
    changed: dict[int, tuple[int, ...]] = {SAMPLE_FORMAT: ()}  # "undefined" means the same, and Pillow doesn't know it
    dropped, apart = 0, page.numbers(PLANAR, 1)[0] == 2
    extra = samples - COLOURS.get(colour, samples)
    meanings = page.numbers(EXTRA_SAMPLES)[:1]
    if extra < 0 or (extra > 0 and not (extra == 1 and (meanings in ((1,), (2,)) or colour == RGB))):
        raise UnusableImage(_channels(samples, colour))
    if extra == 1 and meanings == (0,):
        remarks.append("a fourth channel, to which the file gives no meaning, dropped")
        # Transparency is a kind of channel that every version of Pillow reads.
        changed |= _channels_alone(page, samples, 0, 3) if apart else {EXTRA_SAMPLES: (2,)}
        samples, dropped = 3, 1
    if (
        apart and samples == 1
    ):  # a single channel cannot be stored separately, and Pillow would take it for a part of a pixel
        changed[PLANAR] = (1,)
    if colour == WHITE_IS_ZERO and bits > 8:  # which Pillow turns round in some files, and not in others
        changed[PHOTOMETRIC] = (GREY,)
    if colour == PALETTE and bits <= 8:
        table = page.numbers(COLOUR_MAP)
        if len(table) != 3 * 2**bits:
            raise TiffError(f"its palette has {len(table)} values, where {3 * 2**bits} are expected")
        if 0 < max(table) < 2**8:
            changed[COLOUR_MAP] = tuple(value * 257 for value in table)
            remarks.append(SMALL_PALETTE)
    orientation = page.numbers(ORIENTATION, UPRIGHT)[0]
    if orientation == UPRIGHT:
        orientation = from_xmp(page.bytes_of(XMP, MAX_METADATA))
    if page.tags.get(ICC, (0, 0, 0))[1] > MAX_METADATA:
        remarks.append(LARGE.format("colour profile"))
    return Container(
        one_page(page, changed),
        bits=bits,
        orientation=orientation,
        remarks=tuple(remarks),
        alpha_is_named=bool(meanings),
        drops_fourth=dropped == 1,
        white_is_zero=colour == WHITE_IS_ZERO,
        planes=partial(_planes, page, samples + dropped, samples) if bits > 8 and apart and samples > 1 else None,
    )


def _channels_alone(page: Directory, samples: int, first: int, end: int) -> dict[int, tuple[int, ...]]:
    """The tags of a TIFF that holds some of a page's channels, from `first` to before `end`, each of which has its own strips."""
    changed: dict[int, tuple[int, ...]] = {
        SAMPLES: (end - first,), BITS: page.numbers(BITS, 1)[:1] * (end - first), EXTRA_SAMPLES: (), SAMPLE_FORMAT: (),
    }  # fmt: skip
    for tag in (STRIPS, STRIP_BYTES, TILES, TILE_BYTES):
        if offsets := page.numbers(tag):
            each = len(offsets) // samples
            changed[tag] = offsets[first * each : end * each]
    return changed


def _planes(page: Directory, samples: int, used: int) -> Iterator[bytes]:
    """Each of the first `used` channels of a page as a TIFF in greyscale."""
    for channel in range(used):
        alone = _channels_alone(page, samples, channel, channel + 1)
        yield one_page(page, {**alone, PLANAR: (1,), PHOTOMETRIC: (GREY,)})


def _channels(samples: int, colour: int) -> str:
    """Why a file of so many channels is left out, and what to do."""
    said = {RGB: "of which it calls three red, green and blue", PALETTE: "of which one is a palette's"}
    what = said.get(colour, "which it does not call red, green and blue")
    number = counted(samples, "channel")
    return f"a TIFF of {number}, {what}: choose the channels to use, and save them as RGB or as greyscale"


@cache
def _is_built_in(method: str) -> bool:
    """Whether this Pillow can pack, and so unpack, TIFF in a way that not all can."""
    try:
        Image.new("L", (1, 1)).save(io.BytesIO(), "TIFF", compression=method)
    except Exception:  # whatever it raises, it cannot
        return False
    return True
