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
are computed with zeros and cut off.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import prange

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.threads import thread_count
from scratchnet.kernels.machine.vectors import TILE_ROWS, lanes, lanes_of, panel_width
from scratchnet.kernels.matmul import add_rows, tile_product, whole_tiles
from scratchnet.kernels.winograd.filters import filters_back, transformed_filters, turned
from scratchnet.kernels.winograd.pooled import CUT, NOT_POOLED
from scratchnet.kernels.winograd.tiles import (
    GAP,
    POINTS,
    Tiling,
    gradients_of_tiles,
    inputs_of_tiles,
    outputs_of_tiles,
)
from scratchnet.kernels.winograd.toom_cook import TILE, outputs

BLOCK_BYTES = 400 << 10  # of V and M of the tiles that a task takes through all steps: they stay in a core's own cache
MOST_TILES = 4 * TILE_ROWS  # in such a block
# The point (1, 1): Aᵀ and A are all ones there, so that a bias added to it reaches every output alike.
EVERYWHERE = TILE + 1
SMALL = 128 << 10  # bytes of dU: so few that many tasks may have one each, in the core's own cache beside V and dM
SLOTS = 32  # such tasks, whatever the number of threads
GROUP_BYTES = 6 << 20  # of V and dM: stays in the cache that the cores share


class Places(NamedTuple):
    """Where in one point of V each channel lies, and each tile: int64 offsets that are added."""

    channels: np.ndarray
    tiles: np.ndarray


def places(channels, tiles, dtype):
    """Of so many: V is cut into slices of one vector of channels; in a slice lie the tiles, in a tile the slice's channels."""
    vector = lanes(dtype)
    c = np.arange(channels)
    return Places(c // vector * (tiles + GAP) * vector + c % vector, np.arange(tiles) * vector)


def forward(x, weight, bias, top, left, y):
    """Fills y (N, OH, OW, F) with the convolution of x (N, H, W, C), around which stand zeros; `reference.conv2d`."""
    _convolve(x, NOT_POOLED, transformed_filters(weight), bias, weight.shape[0], top, left, y, NOT_POOLED)


def forward_pooled(x, weight, bias, top, left, y, winner):
    """Fills y (N, OH // 2, OW // 2, F) with the 2 × 2 max-pool after ReLU after the convolution, and winner, like y, uint8.

    It computes `reference.max_pool2d` of `reference.relu` of `reference.conv2d`; winner is what backward needs of it.
    """
    _convolve(x, NOT_POOLED, transformed_filters(weight), bias, weight.shape[0], top, left, y, winner)


def backward_input(dy, winner, weight, top, left, dx):
    """Fills dx (N, H, W, C), the gradient of the inputs; dy that of y, or with `winner` that of the pooled y."""
    taps, _, channels, _ = weight.shape
    u, no_bias = transformed_filters(turned(weight)), np.zeros(channels, dy.dtype)
    _convolve(dy, winner, u, no_bias, taps, taps - 1 - top, taps - 1 - left, dx, NOT_POOLED)


def backward_weight(x, dy, winner, top, left, out_height, out_width, dweight, accumulate):
    """Writes dweight (T, T, C, F), the gradient of the filters, or adds to it; dy that of y, or with `winner` that of the pooled y."""
    taps, _, channels, filters = dweight.shape
    m = outputs(taps)
    tiling = Tiling(-(-out_height // m), -(-out_width // m), top, left)
    total = len(x) * tiling.rows * tiling.columns
    du_shape = (-(-filters // panel_width(dy.dtype)), POINTS, channels + GAP, panel_width(dy.dtype))
    small = np.prod(du_shape) * dy.itemsize <= SMALL
    sums = _sums_in_tasks if small else _sums_over_groups
    filters_back(sums(x, dy, winner, tiling, total, taps, du_shape), dweight, accumulate)


def backward_bias(dy, winner):
    """The gradient of the bias, (F,): dy that of the pooled y."""
    filters = dy.shape[3]
    dy, winner = dy.reshape(-1, filters), winner.reshape(-1, filters)
    partial = np.empty((min(64, len(dy)), filters), dy.dtype)
    block_sums_of_winners(dy, winner, partial)
    return partial.sum(axis=0)


def _convolve(x, x_winner, u, bias, taps, top, left, y, winner):
    """Fills y, and winner if it is pooled; x (N, H, W, C), or with x_winner what max-pooling has left of it."""
    m = outputs(taps)
    step = m // 2 if winner.size > 0 else m
    tiling = Tiling(-(-y.shape[1] // step), -(-y.shape[2] // step), top, left)
    tiles = block_of_tiles(x.shape[3], x.dtype)
    blocks = -(-len(x) * tiling.rows * tiling.columns // tiles)
    parts = max(1, min(u.shape[0], 4 * thread_count() // blocks))
    convolve_kernel(taps)(x, x_winner, tiling, u, places(x.shape[3], tiles, x.dtype), bias, parts, y, winner)


def _sums_in_tasks(x, dy, winner, tiling, total, taps, du_shape):
    """dU where it is small: each task has one of its own, for its share of the tiles; then they are added up."""
    slots = min(SLOTS, total)
    v, dm = _v_and_dm(slots, MOST_TILES, x, dy)
    du = empty((slots, *du_shape), dy.dtype)
    channels, tiles = places(x.shape[3], MOST_TILES, x.dtype)
    du[:, :, :, channels.size :] = 0  # the gap is summed with the rest
    sums_kernel(taps)(x, dy, winner, NOT_POOLED, tiling, total, whole_tiles(channels), tiles, v, dm, du)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel
        return du.sum(axis=0)


def _sums_over_groups(x, dy, winner, tiling, total, taps, du_shape):
    """dU where it is large: groups of tiles go through V and dM and are added to the one dU."""
    most = min(total, backward_tiles(x.shape[3], dy.shape[3], dy.dtype))
    v, dm = _v_and_dm(1, most, x, dy)
    du = empty(du_shape, dy.dtype)
    channels, tiles = places(x.shape[3], most, x.dtype)
    for first in range(0, total, most):
        count = min(most, total - first)
        group_kernel(taps)(x, dy, winner, NOT_POOLED, tiling, first, count, v[0], dm[0])
        multiply_transposed(v[0], dm[0], whole_tiles(channels), tiles[:count], first > 0, du)
    return du


def _v_and_dm(slots, tiles, x, dy):
    """Memory: V (slots, 64, slices of channels, tiles and a gap, vector), dM (slots, panels, 64, tiles and a gap, panel width)."""
    vector, columns = lanes(dy.dtype), panel_width(dy.dtype)
    v = empty((slots, POINTS, -(-x.shape[3] // vector), tiles + GAP, vector), x.dtype)
    return v, empty((slots, -(-dy.shape[3] // columns), POINTS, tiles + GAP, columns), dy.dtype)


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


@functools.cache
def convolve_kernel(taps):
    """The kernel of the forward pass for filters of taps × taps; compiled when it is first called."""
    m = outputs(taps)

    @kernel
    def convolve_tiles(x, x_winner, tiling, u, at, bias, parts, y, winner):
        """V = Bᵀ d B, M = V · U, y = Aᵀ M A + bias, one block of tiles after another; computes `reference.conv2d`.

        x (N, H, W, C), u (panels, 64, C and a gap, panel width), bias (F,), y (N, OH, OW, F). x_winner, winner:
        NOT_POOLED, or the corners of the windows where x, or y, is what max-pooling leaves. at: the places of a block. A
        task is one block of tiles and all panels of filters, or one of `parts` parts of the panels; what it makes of its
        tiles stays in the core's own cache all the way.
        """
        panels, _, _, columns = u.shape
        channels, tiles_at = at
        tiles = tiles_at.size
        vector = lanes_of(y)
        slices = (x.shape[3] + vector - 1) // vector
        total = x.shape[0] * tiling.rows * tiling.columns
        for task in prange((total + tiles - 1) // tiles * parts):
            rules = flush_denormals()
            begin, part = task // parts * tiles, task % parts
            count = min(tiles, total - begin)
            v = scratch(POINTS * slices * (tiles + GAP) * vector, x).reshape(POINTS, slices, tiles + GAP, vector)
            products = scratch(POINTS * (tiles + GAP) * columns, y).reshape(POINTS, tiles + GAP, columns)
            inputs_of_tiles(x, x_winner, tiling, m, begin, 0, count, v)
            for panel in range(part * panels // parts, (part + 1) * panels // parts):
                for point in range(POINTS):
                    for row in range(0, tiles, TILE_ROWS):
                        tile_product(
                            v[point], tiles_at, row, channels, 0, channels.size, u[panel], point, products[point, row:]
                        )
                bias_here = bias[panel * columns : (panel + 1) * columns]
                for t in range(count):
                    reached = products[EVERYWHERE, t]
                    for f in range(bias_here.size):
                        reached[f] += bias_here[f]
                outputs_of_tiles(products, tiling, taps, m, panel, begin, count, y, winner)
            restore(rules)

    return convolve_tiles


@functools.cache
def sums_kernel(taps):
    """The kernel for a small dU of filters of taps × taps; compiled when it is first called."""
    m = outputs(taps)

    @kernel
    def sum_in_tasks(x, dy, winner, x_winner, tiling, total, channels, tiles, v, dm, du):
        """du[slot] = Vᵀ · dM over the slot's share of the tiles, block by block: V and dM never leave the core's own cache.

        x (N, H, W, C), dy (N, OH, OW, F), v (slots, 64, slices, tiles and a gap, vector), dm (slots, panels, 64, tiles and
        a gap, panel width), du (slots, panels, 64, C and a gap, panel width). channels, tiles: the places of a block. The
        sum of all du, brought back, is the dweight of `reference.conv2d_gradient`.
        """
        slots, panels, _, distance, _ = dm.shape
        for task in prange(slots):
            rules = flush_denormals()
            slot = np.int64(task)  # prange counts in uint64, which with int64 would make a float
            begin, end = slot * total // slots, (slot + 1) * total // slots
            for start in range(begin, end, distance - GAP):
                count = min(distance - GAP, end - start)
                inputs_of_tiles(x, x_winner, tiling, m, start, 0, count, v[slot])
                for panel in range(panels):
                    gradients_of_tiles(dy, winner, tiling, taps, m, panel, start, 0, count, dm[slot, panel])
                    for point in range(POINTS):
                        sums = du[slot, panel, point]
                        product_of_point(
                            v[slot, point], channels, tiles[:count], dm[slot, panel], point, start > begin, sums
                        )
            restore(rules)

    return sum_in_tasks


@functools.cache
def group_kernel(taps):
    """The kernel for V and dM of a group of tiles, for filters of taps × taps; compiled when it is first called."""
    m = outputs(taps)

    @kernel
    def transform_group(x, dy, winner, x_winner, tiling, first, count, v, dm):
        """V = Bᵀ d B and dM = A dY Aᵀ of `count` tiles from number `first` on: a step of `reference.conv2d_gradient`.

        x (N, H, W, C) → v (64, slices, tiles and a gap, vector): the channels are cut into slices of one vector.
        dy (N, OH, OW, F) → dm (panels, 64, tiles and a gap, panel width).
        """
        for task in prange((count + TILE - 1) // TILE):
            rules = flush_denormals()
            begin = np.int64(task) * TILE  # prange counts in uint64, which with int64 would make a float
            end = min(count, begin + TILE)
            inputs_of_tiles(x, x_winner, tiling, m, first, begin, end, v)
            for panel in range(dm.shape[0]):
                gradients_of_tiles(dy, winner, tiling, taps, m, panel, first, begin, end, dm[panel])
            restore(rules)

    return transform_group


@kernel
def multiply_transposed(v, dm, channels, tiles, add, du):
    """du = Vᵀ · dM point by point, or the same added to it: a step of `reference.conv2d_gradient`.

    v (64, …), dm (panels, 64, tiles and a gap, panel width), du (panels, 64, C and a gap, panel width). channels, tiles:
    their places in a point of v. A task owns the sums of one point and panel, and adds the tiles up in their order: the
    number of threads changes no bit.
    """
    panels, points, _, _ = dm.shape
    for task in prange(panels * points):
        rules = flush_denormals()
        point, panel = task // panels, task % panels
        product_of_point(v[point], channels, tiles, dm[panel], point, add, du[panel, point])
        restore(rules)


@helper
def product_of_point(v, channels, tiles, dm, point, add, du):
    """du = Vᵀ · dM of one point and panel of filters, or the same added to it; du (C and a gap, panel width).

    channels, tiles: where each channel, and each tile, lies in this point of V.
    """
    distance, columns = du.shape
    count = distance - GAP
    tile = scratch(TILE_ROWS * columns, du).reshape(TILE_ROWS, columns)
    for row in range(0, count, TILE_ROWS):
        tile_product(v, channels, row, tiles, 0, tiles.size, dm, point, tile)
        used = min(TILE_ROWS, count - row)
        if add:
            add_rows(tile, used, du[row:], 0)
        else:
            du[row : row + used] = tile[:used]


@kernel
def block_sums_of_winners(dy, winner, partial):
    """`np.sum(block, axis=0)` of what ReLU has not cut off: partial[i] = Σ of the i-th block of rows of dy (M, F).

    The blocks are fixed, whatever the number of threads.
    """
    rows = dy.shape[0]
    blocks = partial.shape[0]
    for i in prange(blocks):
        partial[i] = 0
        for row in range(i * rows // blocks, (i + 1) * rows // blocks):
            for f in range(dy.shape[1]):
                partial[i, f] += dy[row, f] if winner[row, f] < CUT else dy.dtype.type(0)
