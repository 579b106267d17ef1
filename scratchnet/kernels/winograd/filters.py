"""The transformed filters U = G g Gᵀ, in the panels of the products, and the way back of their gradient: dW = Gᵀ dU G.

Both go by blocks: the filters of one panel for a few input channels. The 64 points of a block lie side by side in a core's own
cache, so that a product can use them right after they are made and before they are sent back.
"""

import functools

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.registers import copy_numbers
from scratchnet.kernels.machine.vectors import TILE_ROWS, lanes_of, panel_width
from scratchnet.kernels.matmul import add_rows
from scratchnet.kernels.transpose import transpose_square
from scratchnet.kernels.winograd.tiles import GAP
from scratchnet.kernels.winograd.toom_cook import points, reach
from scratchnet.kernels.winograd.transforms import FROM_FILTERS, TO_FILTERS, transform_square

BLOCK = 4 * TILE_ROWS  # channels in a block: 64 points × 32 channels × 32 filters in float32 are 256 KB


def transformed_filters(weight, inputs, backward):
    """U of filters (T, T, C, F), in the panels of the products: (panels, points, C and a gap, panel width).

    backward: of the filters of the backward pass, whose channels are the F here.
    """
    taps, _, channels, filters = weight.shape
    if backward:
        channels, filters = filters, channels
    columns = panel_width(weight.dtype, filters)
    u = empty((-(-filters // columns), points(inputs) ** 2, channels + GAP, columns), weight.dtype)
    transform_kernel(taps)(weight, inputs, backward, u)
    return u


@helper
def copy_filters(weight, first_channel, first_filter, met, patch, rows, columns):
    """patch (met, met, rows and a gap, columns), flat: the filters from first_filter on, their taps in the middle; zeros beyond the last.

    Its rows are channels, from first_channel on. What is read of a tap are short runs, pages apart. One tap after the other, and
    with nothing else to do, the processor waits for many of them at once.
    """
    taps, _, channels, filters = weight.shape
    rim, used = (taps - met) // 2, min(columns, filters - first_filter)
    weight_flat = weight.reshape(-1)
    if used < columns:
        patch[:] = 0
    for tap in range(met * met):
        in_filter = (rim + tap // met) * taps + rim + tap % met
        start = (in_filter * channels + first_channel) * filters + first_filter
        place = tap * (rows + GAP) * columns
        for _ in range(rows):
            copy_numbers(weight_flat, start, patch, place, used)
            start += filters
            place += columns


@helper
def turn_filters(weight, first_channel, first_filter, met, patch, rows, columns):
    """patch (met, met, rows and a gap, columns), flat: the filters of the backward pass, turned by 180° and with channel axes exchanged.

    Its rows are the filters of weight (T, T, C, F) from first_filter on, its columns the channels from first_channel on; zeros
    beyond the last of either.
    """
    taps, _, channels, filters = weight.shape
    side, rim = lanes_of(weight), (taps - met) // 2
    weight_flat = weight.reshape(-1)
    whole = first_channel + columns <= channels and first_filter + rows <= filters and rows % side == 0
    for tap in range(met * met):
        turned = (taps - 1 - rim - tap // met) * taps + taps - 1 - rim - tap % met
        start = (turned * channels + first_channel) * filters + first_filter
        place = tap * (rows + GAP) * columns
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
def transform_block(weight, backward, taps, inputs, panel, first, last, u, place):
    """u[point, place + c − first] = G g Gᵀ of the panel's filters for channels c from `first` to last − 1.

    weight (T, T, C, F), u (points, rows, panel width); zero beyond the last filter. backward: the filters of the backward pass are
    meant, which are turned by 180° and whose channels are the F here.
    """
    _, distance, columns = u.shape
    vector = lanes_of(u)
    side, met = points(inputs), reach(taps, inputs)
    u_flat = u.reshape(-1)
    rows = last - first
    step = (rows + GAP) * columns
    patch = scratch(met * met * step, u)
    half = scratch(side * met * vector, u)
    if backward:
        turn_filters(weight, panel * columns, first, met, patch, rows, columns)
    else:
        copy_filters(weight, first, panel * columns, met, patch, rows, columns)
    for c in range(rows):
        for f in range(0, columns, vector):
            transform_square(
                TO_FILTERS, taps, inputs, patch, c * columns + f, met * step, step, met,
                u_flat, (place + c) * columns + f, side * distance * columns, distance * columns, half,
            )  # fmt: skip


@helper
def transform_block_back(du, taps, inputs, panel, first, last, dweight, accumulate):
    """dweight = Gᵀ dU G of the panel's filters for channels from `first` to last − 1, or the same added to it.

    du (points, rows, panel width): its row 0 is channel `first`. dweight (T, T, C, F).
    """
    _, distance, columns = du.shape
    _, _, channels, filters = dweight.shape
    vector = lanes_of(du)
    side, met = points(inputs), reach(taps, inputs)
    rim = (taps - met) // 2
    du_flat, dweight_flat, dweight_rows = du.reshape(-1), dweight.reshape(-1), dweight.reshape(-1, filters)
    rows, first_filter = last - first, panel * columns
    used = min(columns, filters - first_filter)
    half = scratch(met * side * vector, du)
    step = (rows + GAP) * columns
    patch = scratch(met * met * step, du)
    for c in range(rows):
        for f in range(0, columns, vector):
            transform_square(
                FROM_FILTERS, taps, inputs, du_flat, c * columns + f, side * distance * columns, distance * columns, side,
                patch, c * columns + f, met * step, step, half,
            )  # fmt: skip
    for tap in range(met * met):
        in_filter = (rim + tap // met) * taps + rim + tap % met
        row, place = in_filter * channels + first, tap * step
        if accumulate:
            add_rows(
                patch[place : place + rows * columns].reshape(rows, columns), rows, dweight_rows[row:], first_filter
            )
        else:
            for c in range(rows):
                copy_numbers(patch, place + c * columns, dweight_flat, (row + c) * filters + first_filter, used)


@functools.cache
def transform_kernel(taps):
    """The kernel for filters of taps × taps; compiled when it is first called."""

    @kernel
    def transform_filters(weight, inputs, backward, u):
        """u[panel, point, c] = G g Gᵀ, a step of `reference.conv2d`: weight (T, T, C, F) → u (panels, 64, C and a gap, panel width)."""
        channels = weight.shape[3] if backward else weight.shape[2]
        blocks = (channels + BLOCK - 1) // BLOCK
        for task in prange(u.shape[0] * blocks):
            rules = flush_denormals()
            panel, first = task // blocks, task % blocks * BLOCK
            transform_block(weight, backward, taps, inputs, panel, first, min(channels, first + BLOCK), u[panel], first)
            restore(rules)

    return transform_filters
