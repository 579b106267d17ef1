"""The transformed filters U = G g Gᵀ, in the panels of the products, and the way back of their gradient: dW = Gᵀ dU G.

Both go by blocks: the filters of one panel for a few input channels. The 64 points of a block lie side by side in a core's own
cache, so that a product can use them right after they are made and before they are sent back.
"""

import functools

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.vectors import TILE_ROWS, lanes_of, panel_width
from scratchnet.kernels.transpose import transpose_square
from scratchnet.kernels.winograd.tiles import GAP, POINTS
from scratchnet.kernels.winograd.toom_cook import TILE
from scratchnet.kernels.winograd.transforms import FROM_FILTERS, TO_FILTERS, transform_square

BLOCK = 4 * TILE_ROWS  # channels in a block: 64 points × 32 channels × 32 filters in float32 are 256 KB


def transformed_filters(weight, backward):
    """U of filters (T, T, C, F), in the panels of the products: (panels, 64, C and a gap, panel width).

    backward: of the filters of the backward pass, whose channels are the F here.
    """
    taps, _, channels, filters = weight.shape
    if backward:
        channels, filters = filters, channels
    columns = panel_width(weight.dtype, filters)
    u = empty((-(-filters // columns), POINTS, channels + GAP, columns), weight.dtype)
    transform_kernel(taps)(weight, backward, u)
    return u


@helper
def copy_filters(weight, c, first, patch, columns):
    """patch (taps, columns), flat: the filters from `first` on for input channel c; zeros beyond the last."""
    taps, _, _, filters = weight.shape
    used = min(columns, filters - first)
    patch[:] = 0
    for tap in range(taps * taps):
        here, place = weight[tap // taps, tap % taps, c, first : first + used], patch[tap * columns :]
        for f in range(used):
            place[f] = here[f]


@helper
def turn_filters(weight, first_channel, first_filter, patch, rows, columns):
    """patch (taps, rows, columns), flat: the filters of the backward pass, turned by 180° and with the channel axes exchanged.

    Its rows are the filters of weight (T, T, C, F) from first_filter on, its columns the channels from first_channel on; zeros
    beyond the last of either.
    """
    taps, _, channels, filters = weight.shape
    side = lanes_of(weight)
    weight_flat = weight.reshape(-1)
    whole = first_channel + columns <= channels and first_filter + rows <= filters and rows % side == 0
    for tap in range(taps * taps):
        start = ((taps * taps - 1 - tap) * channels + first_channel) * filters + first_filter
        place = tap * rows * columns
        if whole:
            for c in range(0, columns, side):
                for f in range(0, rows, side):
                    transpose_square(
                        weight_flat, start + c * filters + f, filters, patch, place + f * columns + c, columns
                    )
        else:
            patch[place : place + rows * columns] = 0
            for c in range(min(columns, channels - first_channel)):
                for f in range(min(rows, filters - first_filter)):
                    patch[place + f * columns + c] = weight_flat[start + c * filters + f]


@helper
def transform_block(weight, backward, taps, panel, first, last, u, place):
    """u[point, place + c − first] = G g Gᵀ of the panel's filters for channels c from `first` to last − 1.

    weight (T, T, C, F), u (64, rows, panel width); zero beyond the last filter. backward: the filters of the backward pass are
    meant, which are turned by 180° and whose channels are the F here.
    """
    _, distance, columns = u.shape
    _, _, channels, filters = weight.shape
    vector = lanes_of(u)
    u_flat = u.reshape(-1)
    rows = last - first if backward else 1
    patch = scratch(taps * taps * rows * columns, u)
    half = scratch(TILE * taps * vector, u)
    if backward:
        turn_filters(weight, panel * columns, first, patch, rows, columns)
    for c in range(first, last):
        if backward:
            source, start, step = patch, (c - first) * columns, rows * columns
        elif panel * columns + columns <= filters:
            source, start, step = weight.reshape(-1), c * filters + panel * columns, channels * filters
        else:
            source, start, step = patch, 0, columns
            copy_filters(weight, c, panel * columns, patch, columns)
        for f in range(0, columns, vector):
            target = (place + c - first) * columns + f
            transform_square(
                TO_FILTERS, taps, source, start + f, taps * step, step, taps,
                u_flat, target, TILE * distance * columns, distance * columns, half,
            )  # fmt: skip


@helper
def transform_block_back(du, taps, panel, first, last, dweight, accumulate):
    """dweight = Gᵀ dU G of the panel's filters for channels from `first` to last − 1, or the same added to it.

    du (64, rows, panel width): its row 0 is channel `first`. dweight (T, T, C, F).
    """
    points, distance, columns = du.shape
    side = points // TILE  # a loop over TILE itself the compiler would write out eight times
    vector = lanes_of(du)
    du_flat = du.reshape(-1)
    half = scratch(taps * TILE * vector, du)
    patch = scratch(taps * taps * columns, du)
    for c in range(first, last):
        for f in range(0, columns, vector):
            transform_square(
                FROM_FILTERS, taps, du_flat, (c - first) * columns + f, TILE * distance * columns, distance * columns, side,
                patch, f, taps * columns, columns, half,
            )  # fmt: skip
        for tap in range(taps * taps):
            gradient = dweight[tap // taps, tap % taps, c, panel * columns : (panel + 1) * columns]
            if accumulate:
                for f in range(gradient.size):
                    gradient[f] += patch[tap * columns + f]
            else:
                for f in range(gradient.size):
                    gradient[f] = patch[tap * columns + f]


@functools.cache
def transform_kernel(taps):
    """The kernel for filters of taps × taps; compiled when it is first called."""

    @kernel
    def transform_filters(weight, backward, u):
        """u[panel, point, c] = G g Gᵀ, a step of `reference.conv2d`: weight (T, T, C, F) → u (panels, 64, C and a gap, panel width)."""
        channels = weight.shape[3] if backward else weight.shape[2]
        blocks = (channels + BLOCK - 1) // BLOCK
        for task in prange(u.shape[0] * blocks):
            rules = flush_denormals()
            panel, first = task // blocks, task % blocks * BLOCK
            transform_block(weight, backward, taps, panel, first, min(channels, first + BLOCK), u[panel], first)
            restore(rules)

    return transform_filters
