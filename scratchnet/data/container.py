"""A file taken apart: its pixels as a decoder is to get them, and what is known about them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_METADATA = 2**20  # bytes of a colour profile or another text beside the pixels; the summary lists larger ones
LARGE = f"a {{}} of more than {MAX_METADATA >> 20} MiB, not read"
SEVERAL = "several frames or pages: save the one to use as a file of its own"


class UnusableImage(Exception):  # noqa: N818 - not anyone's mistake; the message is the reason to list
    """This file cannot be used; the message says why, in words for the summary."""


@dataclass(frozen=True)
class Container:
    """What is in a file.

    content: the file without its metadata, which could trouble a decoder.
    bits: of each channel. orientation: 1 … 8, how the camera was held. remarks: what was passed over, for the summary.
    alpha_is_named: False if a fourth channel may be padding, because the file doesn't say that it means
    transparency, or some programs write padding so; if it is 0 everywhere, it counts as padding. drops_fourth:
    whether to drop the fourth channel, which the content calls transparency, whatever it holds. white_is_zero: the
    numbers of a grey image run from white to black. colours: the size of the palette; 0 where that is not known.
    planes: for more than 8 bits a channel stored separately: one file for each channel.
    """

    content: bytes
    bits: int = 8
    orientation: int = 1
    remarks: tuple[str, ...] = ()
    alpha_is_named: bool = True
    drops_fourth: bool = False
    white_is_zero: bool = False
    colours: int = 0
    planes: Callable[[], Iterator[bytes]] | None = None
