"""Convolution with few multiplications: Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A on tiles of 8 × 8 inputs.

A filter of 5 × 5 taps makes 4 × 4 outputs from such a tile with 64 multiplications where the definition needs 400. The
sum over input channels may be taken before the way back, and then ⊙ becomes, for each of the 64 points, a matrix
product over channels:

    V = Bᵀ d B of every tile and input channel          (64, tiles, C)
    U = G g Gᵀ of every filter                          (64, C, F)
    M = V · U  point by point                           (64, tiles, F)
    Y = Aᵀ M A                                          of every tile and filter

The gradients are the adjoint of these lines, read from the last to the first:

    dM = A dY Aᵀ,   dU = Vᵀ · dM point by point,   dW = Gᵀ dU G

and the gradient of the inputs is a forward pass over dy with the filters turned by 180° (`filters.py`).

Every transform is the same few additions for all channels, which lie side by side in memory: it is done for a vector of
channels at a time (`transforms.py`; `toom_cook.py` derives the matrices). V and M of a whole batch would not fit in any
cache. Forward, a task takes a few tiles through all steps before it begins the next, and V and M never leave its core's
own cache. For the gradient of the filters, which sums over tiles, larger groups of tiles go through V, dM and dU.

Sizes: N images of H × W pixels, T taps along an axis, tiles of m × m outputs with m = 9 − T. Edges that fill no tile
are computed with zeros and cut off. `inputs` are those of a tile along an axis: 8, or n for an image of n × n pixels, n in WHOLE and
at most T, with as many outputs around the same pixels. Then the image is a tile, without zeros around it, and the 64 points
are 49, 25 or 9.
"""

import functools

import numpy as np

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.threads import thread_count
from scratchnet.kernels.machine.vectors import TILE_ROWS, lanes_of, panel_width
from scratchnet.kernels.matmul import SUMMED, tile_product
from scratchnet.kernels.winograd import gradient
from scratchnet.kernels.winograd.blocks import is_near, making_tiles, reading_tiles
from scratchnet.kernels.winograd.filters import BLOCK, transform_block, transformed_filters
from scratchnet.kernels.winograd.pooled import CUT, NOT_POOLED
from scratchnet.kernels.winograd.tiles import GAP, Tiling, inputs_of_tiles, outputs_of_tiles, places, shape_of_v
from scratchnet.kernels.winograd.toom_cook import TILE, outputs, points, reach


def forward(x, weight, bias, top, left, inputs, y):
    """Fills y (N, OH, OW, F) with the convolution of x (N, H, W, C), around which stand zeros; `reference.conv2d`."""
    _convolve(x, NOT_POOLED, weight, False, bias, top, left, inputs, y, NOT_POOLED)


def forward_pooled(x, weight, bias, top, left, inputs, y, winner):
    """Fills y (N, OH // 2, OW // 2, F) with the 2 × 2 max-pool after ReLU after the convolution, and winner, like y, uint8.

    It computes `reference.max_pool2d` of `reference.relu` of `reference.conv2d`; winner is what backward needs of it.
    """
    _convolve(x, NOT_POOLED, weight, False, bias, top, left, inputs, y, winner)


def backward_input(dy, winner, weight, top, left, inputs, dx):
    """Fills dx (N, H, W, C), the gradient of the inputs; dy that of y, or with `winner` that of the pooled y."""
    taps, _, channels, _ = weight.shape
    no_bias = np.zeros(channels, dy.dtype)
    _convolve(dy, winner, weight, True, no_bias, taps - 1 - top, taps - 1 - left, inputs, dx, NOT_POOLED)


def backward_weight(x, dy, winner, top, left, inputs, out_height, out_width, dweight, accumulate):
    """Writes dweight (T, T, C, F), the gradient of the filters, or adds to it; dy that of y, or with `winner` that of the pooled y."""
    taps = dweight.shape[0]
    tiling = _tiling(taps, inputs, out_height, out_width, top, left)
    total = len(x) * tiling.rows * tiling.columns
    rim = (taps - reach(taps, inputs)) // 2
    if rim and not accumulate:  # no pixel meets the taps there
        dweight[:rim] = dweight[-rim:] = dweight[:, :rim] = dweight[:, -rim:] = 0
    sums = gradient.in_tasks if gradient.is_small(dweight, inputs) else gradient.over_groups
    sums(x, dy, winner, tiling, total, dweight, accumulate)


def backward_bias(dy, winner):
    """The gradient of the bias, (F,): dy that of the pooled y."""
    filters = dy.shape[3]
    dy, winner = dy.reshape(-1, filters), winner.reshape(-1, filters)
    partial = np.empty((min(64, len(dy)), filters), dy.dtype)
    block_sums_of_winners(dy, winner, partial)
    return partial.sum(axis=0)


def _convolve(x, x_winner, weight, backward, bias, top, left, inputs, y, winner):
    """Fills y, and winner if it is pooled; x (N, H, W, C), or with x_winner what max-pooling has left of it."""
    taps, channels, filters = weight.shape[0], x.shape[3], bias.size
    windows = 2 if winner.size > 0 else 1
    tiling = _tiling(taps, inputs, windows * y.shape[1], windows * y.shape[2], top, left)
    total = len(x) * tiling.rows * tiling.columns
    every, products = -(-total // TILE_ROWS) * TILE_ROWS, points(inputs) ** 2
    tiles = min(making_tiles(channels, products, x.itemsize), every)
    u = v = np.empty((0, 0, 0, 0), x.dtype)
    if total > tiles:  # several groups would make the transformed filters anew: they are made once, and read
        u = transformed_filters(weight, inputs, backward)
        tiles = min(reading_tiles(channels, products, x.itemsize), every)
    groups = -(-total // tiles)
    columns = panel_width(x.dtype, filters)
    parts = max(1, min(-(-filters // columns), 4 * thread_count() // groups))
    convolve = functools.partial(convolve_kernel(taps), x, x_winner, tiling, weight, backward, u)
    if parts > 1 and is_near(channels, every, products, x.itemsize):
        v, places_in_v = empty(shape_of_v(channels, inputs, every, x.dtype), x.dtype), places(channels, every, x.dtype)
        convolve(v, False, places_in_v, bias[:0], TILE_ROWS, columns, 1, y, winner)  # no filters: V alone
        convolve(v, True, places_in_v, bias, tiles, columns, parts, y, winner)
    else:
        places_in_v = places(channels, tiles, x.dtype)
        convolve(v, False, places_in_v, bias, tiles, columns, parts, y, winner)


def _tiling(taps, inputs, out_height, out_width, top, left):
    """How outputs of this size are covered. A whole image is one tile, which begins where it does."""
    m = outputs(taps, inputs)
    if inputs < TILE:
        top = left = 0
    return Tiling(inputs, -(-out_height // m), -(-out_width // m), top, left)


@functools.cache
def convolve_kernel(taps):
    """The kernel of the forward pass for filters of taps × taps; compiled when it is first called."""

    @kernel
    def convolve_tiles(
        x, x_winner, tiling, weight, backward, u, v, v_is_made, places_in_v, bias, tiles, columns, parts, y, winner
    ):
        """V = Bᵀ d B, M = V · U, y = Aᵀ M A + bias, one group of tiles after another; computes `reference.conv2d`.

        x (N, H, W, C), weight (T, T, C, F), bias (F,), y (N, OH, OW, F). u (panels, 64, C and a gap, columns): the
        transformed filters, or empty, and then each task makes those it needs, BLOCK channels at a time. x_winner, winner:
        NOT_POOLED, or the corners of the windows where x, or y, is what max-pooling leaves. v (64, slices, all tiles and a gap,
        vector): memory for V, which may be made already, or empty, and then each task has its own for its tiles. A task is one
        group of `tiles` tiles and all panels of filters, or one of `parts` parts of the panels; what it makes stays in the core's
        own cache all the way. With an empty bias there are no filters: V is made, and nothing else.
        """
        panels = (bias.size + columns - 1) // columns
        channels, tiles_at = places_in_v
        vector = lanes_of(x)
        slices = (channels.size + vector - 1) // vector
        ready = u.size > 0
        block = channels.size if ready else BLOCK
        total = x.shape[0] * tiling.rows * tiling.columns
        side = points(tiling.inputs)
        every = side * side
        for task in prange((total + tiles - 1) // tiles * parts):
            rules = flush_denormals()
            begin, part = task // parts * tiles, task % parts
            count = min(tiles, total - begin)
            products = scratch(every * (tiles + GAP) * columns, y).reshape(every, tiles + GAP, columns)
            made = scratch(every * (BLOCK + GAP) * columns, y).reshape(every, BLOCK + GAP, columns)
            inputs, at = v, begin
            if v.size == 0:
                inputs = scratch(every * slices * (tiles + GAP) * vector, x).reshape(every, slices, tiles + GAP, vector)
                at = 0
            if not v_is_made:
                inputs_of_tiles(x, x_winner, tiling, taps, begin - at, at, at + count, inputs)
            for panel in range(part * panels // parts, (part + 1) * panels // parts):
                for first in range(0, channels.size, block):
                    last = min(channels.size, first + block)
                    filters = made
                    if ready:
                        filters = u[panel]
                    else:  # np.int64: for a constant Numba would compile the helper once more
                        transform_block(weight, backward, taps, tiling.inputs, panel, first, last, made, np.int64(0))
                    cols = channels[first:]
                    for point in range(every):
                        for row in range(0, count, TILE_ROWS):
                            tile_product(
                                inputs[point],
                                tiles_at,
                                at + row,
                                cols,
                                0,
                                last - first,
                                filters,
                                point,
                                first > 0,
                                products[point, row:],
                            )
                bias_here = bias[panel * columns : (panel + 1) * columns]
                for t in range(count):
                    # The point (1, 1): Aᵀ and A are all ones there, so that a bias added to it reaches every output alike.
                    reached = products[side + 1, t]
                    for f in range(bias_here.size):
                        reached[f] += bias_here[f]
                outputs_of_tiles(products, tiling, taps, panel, begin, count, y, winner)
            restore(rules)

    return convolve_tiles


@kernel
def block_sums_of_winners(dy, winner, partial):
    """`np.sum(block, axis=0)` of what ReLU has not cut off: partial[i] = Σ of the i-th block of rows of dy (M, F).

    The blocks are fixed, whatever the number of threads.
    """
    rows = dy.shape[0]
    blocks = partial.shape[0]
    for i in prange(blocks, 1 + SUMMED * blocks // dy.size):
        partial[i] = 0
        for row in range(i * rows // blocks, (i + 1) * rows // blocks):
            for f in range(dy.shape[1]):
                partial[i, f] += dy[row, f] if winner[row, f] < CUT else dy.dtype.type(0)
