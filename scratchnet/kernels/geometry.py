"""What is fixed about a convolution before there are images."""

from typing import NamedTuple


class Geometry(NamedTuple):
    """The geometry of a convolution: all of its arguments but the arrays."""

    input_shape: tuple[int, int, int]  # (H, W, C)
    output_shape: tuple[int, int, int]  # (OH, OW, F)
    kernel_size: tuple[int, int]  # (KH, KW)
    stride: int
    pads: tuple[int, int, int, int]  # zeros above, below, before and after the image
