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

and the gradient of the inputs is a forward pass over dy with the filters turned by 180° (`conv.py`).

Every transform is the same few additions for all channels, which lie side by side in memory: it is done for a vector of
channels at a time (`transforms.py`; `toom_cook.py` derives the matrices). V and M of a whole batch would not fit in any
cache. Forward, a task takes a few tiles through all steps before it begins the next, and V and M never leave its core's
own cache. For the gradient of the filters, which sums over tiles, larger groups of tiles go through V, dM and dU.

Sizes: N images of H × W pixels, T taps along an axis, tiles of m × m outputs with m = 9 − T. Edges that fill no tile
are computed with zeros and cut off.
"""

import functools
from types import SimpleNamespace

import numpy as np
from numba import prange

from scratchnet.kernels import toom_cook
from scratchnet.kernels.denormals import flush_denormals, restore
from scratchnet.kernels.jit import helper, kernel
from scratchnet.kernels.matmul import add_rows, tile_product, turn, whole_tiles
from scratchnet.kernels.memory import empty, scratch
from scratchnet.kernels.threads import thread_count
from scratchnet.kernels.tiles import (
    GAP,
    POINTS,
    copy_filters,
    gradients_of_tiles,
    inputs_of_tiles,
    outputs_of_tiles,
)
from scratchnet.kernels.toom_cook import TILE
from scratchnet.kernels.transforms import FROM_FILTERS, TO_FILTERS, transform_square
from scratchnet.kernels.vectors import TILE_ROWS, lanes, lanes_of, panel_width
from scratchnet.kernels.windows import CUT

BLOCK_BYTES = 400 << 10  # of V and M of the tiles that a task takes through all steps: they stay in a core's own cache
MOST_TILES = 4 * TILE_ROWS  # in such a block
# The point (1, 1): Aᵀ and A are all ones there, so that a bias added to it reaches every output alike.
EVERYWHERE = TILE + 1
SMALL = 128 << 10  # bytes of dU: so few that many tasks may have one each, in the core's own cache beside V and dM
SLOTS = 32  # such tasks, whatever the number of threads
GROUP_BYTES = 6 << 20  # of V and dM: stays in the cache that the cores share


@helper
def product_of_point(v, rows, cols, dm, point, add, du):
    """du = Vᵀ · dM of one point and panel of filters, or the same added to it; du (C and a gap, panel width)."""
    distance, columns = du.shape
    channels = distance - GAP
    tile = scratch(TILE_ROWS * columns, du).reshape(TILE_ROWS, columns)
    for row in range(0, channels, TILE_ROWS):
        tile_product(v, rows, row, cols, 0, cols.size, dm, point, tile)
        used = min(TILE_ROWS, channels - row)
        if add:
            add_rows(tile, used, du[row:], 0)
        else:
            du[row : row + used] = tile[:used]


@functools.cache
def kernels_for(taps):
    """The kernels for filters of taps × taps: compiled when they are first called."""
    m = toom_cook.outputs(taps)

    @kernel
    def transform_filters(weight, u):
        """u[panel, point, c] = G g Gᵀ: weight (T, T, C, F) → u (panels, 64, C and a gap, panel width), zero beyond the last filter."""
        panels, _, distance, columns = u.shape
        _, _, channels, filters = weight.shape
        vector = lanes_of(u)
        u_flat = u.reshape(-1)
        for task in prange(panels * channels):
            rules = flush_denormals()
            panel, c = task // channels, task % channels
            patch = scratch(taps * taps * columns, u)
            half = scratch(TILE * taps * vector, u)
            if panel * columns + columns <= filters:
                source, start, step = weight.reshape(-1), c * filters + panel * columns, channels * filters
            else:
                source, start, step = patch, 0, columns
                copy_filters(weight, c, panel * columns, patch, columns)
            for f in range(0, columns, vector):
                place = (panel * POINTS * distance + c) * columns + f
                transform_square(
                    TO_FILTERS, taps, source, start + f, taps * step, step, taps,
                    u_flat, place, TILE * distance * columns, distance * columns, half,
                )  # fmt: skip
            restore(rules)

    @kernel
    def transform_filters_back(du, dweight, accumulate):
        """dweight = Gᵀ dU G, or the same added to it: du like u → dweight (T, T, C, F)."""
        panels, points, distance, columns = du.shape
        side = points // TILE  # a loop over TILE itself the compiler would write out eight times
        channels = dweight.shape[2]
        vector = lanes_of(du)
        du_flat = du.reshape(-1)
        for task in prange(panels * channels):
            rules = flush_denormals()
            panel, c = task // channels, task % channels
            half = scratch(taps * TILE * vector, du)
            patch = scratch(taps * taps * columns, du)
            for f in range(0, columns, vector):
                start = (panel * POINTS * distance + c) * columns + f
                transform_square(
                    FROM_FILTERS, taps, du_flat, start, TILE * distance * columns, distance * columns, side,
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
            restore(rules)

    @kernel
    def convolve_tiles(x, x_winner, top, left, u, rows, cols, bias, down, across, parts, y, winner):
        """V = Bᵀ d B, M = V · U, y = Aᵀ M A + bias, one block of tiles after another.

        x (N, H, W, C), u (panels, 64, C and a gap, panel width), bias (F,), y (N, OH, OW, F). x_winner, winner: empty,
        or the corners of the windows where x, or y, is what max-pooling leaves. Images have down × across tiles, the
        first of them `top` rows above and `left` columns before the image. rows and cols: offsets of tiles and channels
        in a point of V. A task is one block of tiles and all panels of filters, or one of `parts` parts of the panels;
        what it makes of its tiles stays in the core's own cache all the way.
        """
        panels, _, _, columns = u.shape
        tiles = rows.size
        vector = lanes_of(y)
        slices = (x.shape[3] + vector - 1) // vector
        total = x.shape[0] * down * across
        for task in prange((total + tiles - 1) // tiles * parts):
            rules = flush_denormals()
            begin, part = task // parts * tiles, task % parts
            count = min(tiles, total - begin)
            v = scratch(POINTS * slices * (tiles + GAP) * vector, x).reshape(POINTS, slices, tiles + GAP, vector)
            products = scratch(POINTS * (tiles + GAP) * columns, y).reshape(POINTS, tiles + GAP, columns)
            inputs_of_tiles(x, x_winner, top, left, down, across, m, begin, 0, count, v)
            for panel in range(part * panels // parts, (part + 1) * panels // parts):
                for point in range(POINTS):
                    for row in range(0, tiles, TILE_ROWS):
                        tile_product(v[point], rows, row, cols, 0, cols.size, u[panel], point, products[point, row:])
                bias_here = bias[panel * columns : (panel + 1) * columns]
                for t in range(count):
                    reached = products[EVERYWHERE, t]
                    for f in range(bias_here.size):
                        reached[f] += bias_here[f]
                outputs_of_tiles(products, down, across, taps, m, panel, begin, count, y, winner)
            restore(rules)

    @kernel
    def transform_both(x, dy, winner, top, left, down, across, first, count, rows, cols, v, dm, du):
        """V = Bᵀ d B and dM = A dY Aᵀ of `count` tiles, the first of them number `first`; where du is given, also its sums.

        x (N, H, W, C) → v (slots, 64, slices, tiles and a gap, vector): the channels are cut into slices of one vector.
        dy (N, OH, OW, F) → dm (slots, panels, 64, tiles and a gap, panel width). There is one slot, which holds all
        tiles; or, with du (slots, panels, 64, C and a gap, panel width), one for each task, which takes its share of
        the tiles through it block by block and adds Vᵀ · dM up, so that V and dM never leave the core's own cache.
        """
        slots, panels, _, distance, _ = dm.shape
        summed = du.size > 0
        none = np.empty((0, 0, 0, 0), np.uint8)
        tasks = slots if summed else (count + TILE - 1) // TILE
        for parallel_task in prange(tasks):
            rules = flush_denormals()
            task = np.int64(parallel_task)  # prange counts in uint64, which with int64 would make a float
            if summed:
                slot, begin, end, step = task, task * count // slots, (task + 1) * count // slots, distance - GAP
            else:
                slot, begin, end, step = 0, task * TILE, min(count, task * TILE + TILE), TILE
            for start in range(begin, end, step):
                row = 0 if summed else start  # of v and dm, where the first of these tiles goes
                stop = row + min(step, end - start)
                tile = first + start - row
                inputs_of_tiles(x, none, top, left, down, across, m, tile, row, stop, v[slot])
                for panel in range(panels):
                    gradients_of_tiles(dy, winner, down, across, taps, m, panel, tile, row, stop, dm[slot, panel])
                    if summed:
                        for point in range(POINTS):
                            sums, here = du[slot, panel, point], cols[:stop]
                            product_of_point(v[slot, point], rows, here, dm[slot, panel], point, start > begin, sums)
            restore(rules)

    return SimpleNamespace(
        transform_filters=transform_filters, transform_filters_back=transform_filters_back,
        convolve_tiles=convolve_tiles, transform_both=transform_both,
    )  # fmt: skip


@kernel
def block_sums_of_winners(dy, winner, partial):
    """partial[i] = Σ of the i-th block of rows of dy (M, F), without those that ReLU cut off; the blocks are fixed."""
    rows = dy.shape[0]
    blocks = partial.shape[0]
    for i in prange(blocks):
        partial[i] = 0
        for row in range(i * rows // blocks, (i + 1) * rows // blocks):
            for f in range(dy.shape[1]):
                partial[i, f] += dy[row, f] if winner[row, f] < CUT else dy.dtype.type(0)


@kernel
def multiply_transposed(v, dm, rows, cols, add, du):
    """du = Vᵀ · dM point by point, or the same added to it.

    v (64, …), dm (panels, 64, tiles and a gap, panel width), du (panels, 64, C and a gap, panel width). rows and cols:
    offsets in v of channels and tiles. A task owns the sums of one point and panel, and adds the tiles up in their
    order: the number of threads changes no bit.
    """
    panels, points, _, _ = dm.shape
    for task in prange(panels * points):
        rules = flush_denormals()
        point, panel = task // panels, task % panels
        product_of_point(v[point], rows, cols, dm[panel], point, add, du[panel, point])
        restore(rules)


NO_POOLING = np.empty((0, 0, 0, 0), np.uint8)  # as `winner`: the array beside it was not pooled


def transformed_filters(weight):
    """U of filters (T, T, C, F), in the panels of the products: (panels, 64, C and a gap, panel width)."""
    taps, _, channels, filters = weight.shape
    columns = panel_width(weight.dtype)
    u = empty((-(-filters // columns), POINTS, channels + GAP, columns), weight.dtype)
    kernels_for(taps).transform_filters(weight, u)
    return u


def turned(weight):
    """The filters of the backward pass: turned by 180°, channel axes exchanged: (T, T, C, F) → (T, T, F, C)."""
    taps, _, channels, filters = weight.shape
    out = empty((taps, taps, filters, channels), weight.dtype)
    turn(weight.reshape(-1, channels, filters), out.reshape(-1, filters, channels))
    return out


def backward_tiles(channels, filters, dtype):
    """So many that V and dM fill a part of the shared cache, or, where dU is large, that reading it costs no more than they do."""
    bytes_per_tile = POINTS * (channels + filters) * np.dtype(dtype).itemsize
    return whole(max(GROUP_BYTES // bytes_per_tile, channels * filters // (channels + filters)), MOST_TILES)


def block_of_tiles(channels, dtype):
    """So many that V and one panel of M take BLOCK_BYTES; whole register tiles, one at least."""
    bytes_per_tile = POINTS * (whole(channels, lanes(dtype)) + panel_width(dtype)) * np.dtype(dtype).itemsize
    return min(MOST_TILES, max(1, BLOCK_BYTES // bytes_per_tile // TILE_ROWS) * TILE_ROWS)


def whole(count, size):
    """count rounded up to a multiple of size."""
    return -(-count // size) * size


def offsets(channels, tiles, dtype):
    """Where channels, and where tiles lie in one point of V: slices of channels, in them the tiles, in them the channels of the slice."""
    vector = lanes(dtype)
    c = np.arange(channels)
    return c // vector * (tiles + GAP) * vector + c % vector, np.arange(tiles) * vector


def convolve(x, x_winner, u, bias, taps, top, left, y, winner):
    """Fills y, and winner if it was pooled.

    u: transformed filters of taps × taps. Around x stand zeros, `top` rows above and `left` columns before it.
    """
    pooled = winner.size > 0
    kernels = kernels_for(taps)
    images, _, _, channels = x.shape
    m = toom_cook.outputs(taps)
    step = m // 2 if pooled else m
    down, across = -(-y.shape[1] // step), -(-y.shape[2] // step)
    tiles = block_of_tiles(channels, x.dtype)
    cols, rows = offsets(channels, tiles, x.dtype)
    blocks = -(-images * down * across // tiles)
    parts = max(1, min(u.shape[0], 4 * thread_count() // blocks))
    kernels.convolve_tiles(x, x_winner, top, left, u, rows, cols, bias, down, across, parts, y, winner)


def forward(x, u, bias, taps, top, left, out_height, out_width):
    """The convolution of x, surrounded by zeros, with filters that were transformed before."""
    y = empty((x.shape[0], out_height, out_width, bias.size), x.dtype)
    convolve(x, NO_POOLING, u, bias, taps, top, left, y, NO_POOLING)
    return y


def forward_pooled(x, u, bias, taps, top, left, out_height, out_width):
    """max-pool of 2 × 2 after ReLU after the convolution: (N, OH // 2, OW // 2, F), and `winner`, of the same shape, uint8."""
    shape = (x.shape[0], out_height // 2, out_width // 2, bias.size)
    y, winner = empty(shape, x.dtype), empty(shape, np.uint8)
    convolve(x, NO_POOLING, u, bias, taps, top, left, y, winner)
    return y, winner


def backward_input(dy, winner, u_turned, taps, top, left, height, width, channels):
    """The gradient of the inputs; dy that of y, or with `winner` that of the pooled y."""
    dx = empty((dy.shape[0], height, width, channels), dy.dtype)
    convolve(dy, winner, u_turned, np.zeros(channels, dy.dtype), taps, taps - 1 - top, taps - 1 - left, dx, NO_POOLING)
    return dx


def backward_weight(x, dy, winner, top, left, out_height, out_width, dweight, accumulate):
    """The gradient of the filters; dy that of y, or with `winner` that of the pooled y."""
    images, _, _, filters = dy.shape
    taps, _, channels, _ = dweight.shape
    m = toom_cook.outputs(taps)
    down, across = -(-out_height // m), -(-out_width // m)
    columns, vector = panel_width(dy.dtype), lanes(dy.dtype)
    panels = -(-filters // columns)
    total = images * down * across
    du_shape = (panels, POINTS, channels + GAP, columns)
    transform_both = kernels_for(taps).transform_both

    def arrays(slots, tiles):
        v = empty((slots, POINTS, -(-channels // vector), tiles + GAP, vector), x.dtype)
        return v, empty((slots, panels, POINTS, tiles + GAP, columns), dy.dtype)

    if np.prod(du_shape) * dy.itemsize <= SMALL:
        rows, cols = offsets(channels, MOST_TILES, x.dtype)
        slots = min(SLOTS, total)
        v, dm = arrays(slots, MOST_TILES)
        du = empty((slots, *du_shape), dy.dtype)
        du[:, :, :, channels:] = 0  # the gap is summed with the rest
        transform_both(x, dy, winner, top, left, down, across, 0, total, whole_tiles(rows), cols, v, dm, du)
        with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel
            du = du.sum(axis=0)
    else:
        tiles = min(total, backward_tiles(channels, filters, dy.dtype))
        rows, cols = offsets(channels, tiles, x.dtype)
        v, dm = arrays(1, tiles)
        du = empty(du_shape, dy.dtype)
        none = np.empty((0, 0, 0, 0, 0), dy.dtype)
        for first in range(0, total, tiles):
            count = min(tiles, total - first)
            transform_both(x, dy, winner, top, left, down, across, first, count, rows, cols, v, dm, none)
            multiply_transposed(v[0], dm[0], whole_tiles(rows), cols[:count], first > 0, du)
    kernels_for(taps).transform_filters_back(du, dweight, accumulate)


def backward_bias(dy, winner):
    """The gradient of the bias, (F,): dy that of the pooled y."""
    filters = dy.shape[3]
    dy, winner = dy.reshape(-1, filters), winner.reshape(-1, filters)
    partial = np.empty((min(64, len(dy)), filters), dy.dtype)
    block_sums_of_winners(dy, winner, partial)
    return partial.sum(axis=0)
