"""The gradient of the filters: dM = A dY Aᵀ, dU = Vᵀ · dM point by point, dW = Gᵀ dU G; a sum over all tiles.

Where dU is small, each task has one of its own, and takes its share of the tiles through V and dM to it: nothing leaves the
core's cache before the end, when the sums of all tasks are added up. Where dU is large, V and dM of a group of tiles are
made first; then each task sums up a part of dU over them. Where one group is all, the task brings it back to dW at once.
"""

import functools

import numpy as np

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.vectors import TILE_ROWS, panel_width
from scratchnet.kernels.matmul import tile_product, whole_tiles
from scratchnet.kernels.winograd.blocks import group_tiles, slot_tiles
from scratchnet.kernels.winograd.filters import BLOCK, transform_block_back
from scratchnet.kernels.winograd.pooled import NOT_POOLED
from scratchnet.kernels.winograd.tiles import GAP, gradients_of_tiles, inputs_of_tiles, places, shape_of_v
from scratchnet.kernels.winograd.toom_cook import TILE, points

# The order of the sums, and so their last bits, hang on these: they are the same on every machine.
SMALL = 640 << 10  # bytes of dU, so few that it stays in a core's own cache beside V and dM
SLOTS = 32  # tasks with a dU of their own, at most
SHARE = 256  # tiles that are worth a dU


def in_tasks(x, dy, winner, tiling, total, dweight, accumulate):
    """Where dU is small: each task has one of its own, for its share of the tiles; then they are added up."""
    taps, _, channels, filters = dweight.shape
    slots = max(1, min(SLOTS, total // SHARE))
    tiles = slot_tiles(channels, filters, points(tiling.inputs) ** 2, dy.itemsize)
    v, dm = _v_and_dm(slots, tiling.inputs, tiles, dweight)
    du = empty((slots, *_blocks_of_du(dweight, tiling.inputs)), dy.dtype)
    channels_at, tiles_at = places(channels, tiles, x.dtype)
    rows = whole_tiles(channels_at)
    tiles_kernel(taps)(x, dy, winner, NOT_POOLED, tiling, 0, total, tiles, rows, tiles_at, v, dm, du)
    back_kernel(taps)(du, tiling.inputs, dweight, accumulate)


def over_groups(x, dy, winner, tiling, total, dweight, accumulate):
    """Where dU is large: groups of tiles go through V and dM and are added to the one dU."""
    taps, _, channels, filters = dweight.shape
    tiles, near = group_tiles(channels, filters, points(tiling.inputs) ** 2, dy.itemsize)
    groups = max(1, round(total / tiles))  # of one size, so that the last is not a few tiles that cost as much as many
    most = min(total, -(-total // groups // TILE) * TILE)
    v, dm = _v_and_dm(1, tiling.inputs, most, dweight)
    du = empty(_blocks_of_du(dweight, tiling.inputs), dy.dtype) if groups > 1 else np.empty((0,) * 5, dy.dtype)
    channels_at, tiles_at = places(channels, most, x.dtype)
    rows, no_du = whole_tiles(channels_at), np.empty((0,) * 6, dy.dtype)
    by_block = near or groups == 1
    for first in range(0, total, most):
        count = min(most, total - first)
        tiles_kernel(taps)(x, dy, winner, NOT_POOLED, tiling, first, count, TILE, rows, tiles_at, v, dm, no_du)
        last = first + count == total
        multiply_kernel(taps)(
            v[0], dm[0], rows, tiles_at[:count], tiling.inputs, by_block, first > 0, last, du, dweight, accumulate
        )
    if not by_block:
        back_kernel(taps)(du.reshape(1, *du.shape), tiling.inputs, dweight, accumulate)


def after_v_and_dm(dweight):
    """The kernels that follow V and dM, on no tiles: for a process that compiles them while another one compiles what comes before.

    dweight (T, T, C, F) is overwritten.
    """
    taps, _, channels, _ = dweight.shape
    v, dm = _v_and_dm(1, TILE, 0, dweight)
    du = empty((1, *_blocks_of_du(dweight, TILE)), dweight.dtype)
    channels_at, no_tiles = places(channels, 0, dweight.dtype)
    multiply_kernel(taps)(
        v[0], dm[0], whole_tiles(channels_at), no_tiles, TILE, True, False, True, du[0], dweight, False
    )
    back_kernel(taps)(du, TILE, dweight, False)


def is_small(dweight, inputs):
    """Whether its dU is."""
    taps = dweight.shape[0]
    return dweight.nbytes // taps**2 * points(inputs) ** 2 <= SMALL


def _blocks_of_du(dweight, inputs):
    """The shape of dU, cut into blocks: (panels, blocks, 64, channels of a block and a gap, panel width)."""
    _, _, channels, filters = dweight.shape
    columns = panel_width(dweight.dtype, filters)
    rows = min(BLOCK, -(-channels // TILE_ROWS) * TILE_ROWS) + GAP
    return -(-filters // columns), -(-channels // BLOCK), points(inputs) ** 2, rows, columns


def _v_and_dm(slots, inputs, tiles, dweight):
    """Memory: V (slots, 64, slices of channels, tiles and a gap, vector), dM (slots, panels, 64, tiles and a gap, panel width)."""
    _, _, channels, filters = dweight.shape
    dtype, columns = dweight.dtype, panel_width(dweight.dtype, filters)
    v = empty((slots, *shape_of_v(channels, inputs, tiles, dtype)), dtype)
    return v, empty((slots, -(-filters // columns), points(inputs) ** 2, tiles + GAP, columns), dtype)


@functools.cache
def tiles_kernel(taps):
    """The kernel for V and dM, and for a dU of each task's own, of filters of taps × taps; compiled when it is first called."""

    @kernel
    def transform_tiles(x, dy, winner, x_winner, tiling, first, count, step, channels, tiles, v, dm, du):
        """V = Bᵀ d B and dM = A dY Aᵀ of `count` tiles from number `first` on: steps of `reference.conv2d_gradient`.

        x (N, H, W, C), dy (N, OH, OW, F). With an empty du, V and dM of all of them: v (1, 64, slices, tiles and a gap,
        vector), dm (1, panels, 64, tiles and a gap, panel width), a task for each `step` tiles. Else du (slots, panels, blocks,
        64, rows, panel width) = Vᵀ · dM over each slot's share of the tiles, `step` of them at a time, and v and dm hold as many
        for each slot, which never leave the core's own cache. channels, tiles: their positions in a point of v.
        """
        own, every = du.size > 0, points(tiling.inputs) ** 2
        tasks = du.shape[0] if own else (count + step - 1) // step
        for slot in prange(tasks):
            rules = flush_denormals()
            begin, end, memory = slot * step, min(count, (slot + 1) * step), 0
            if own:
                begin, end, memory = slot * count // tasks, (slot + 1) * count // tasks, slot
            for start in range(begin, end, step):
                here = min(step, end - start)
                at = 0 if own else start
                number = first + start - at
                inputs_of_tiles(x, x_winner, tiling, taps, number, at, at + here, v[memory])
                for panel in range(dm.shape[1]):
                    gradients_of_tiles(dy, winner, tiling, taps, panel, number, at, at + here, dm[memory, panel])
                    for point in range(every if own else 0):
                        for block in range(du.shape[2]):
                            product_of_point(
                                v[memory, point], channels[block * BLOCK :], tiles[:here], dm[memory, panel], point,
                                start > begin, du[slot, panel, block, point],
                            )  # fmt: skip
            restore(rules)

    return transform_tiles


@functools.cache
def back_kernel(taps):
    """The kernel that adds up the dU of tasks and brings it back; compiled when it is first called."""

    @kernel
    def bring_back(du, inputs, dweight, accumulate):
        """dweight = Gᵀ (Σ over slots of dU) G, a step of `reference.conv2d_gradient`, or the same added to it.

        du (slots, panels, blocks, 64, rows, panel width), dweight (T, T, C, F).
        """
        slots, panels, _, _, _, columns = du.shape
        channels, every = dweight.shape[2], points(inputs) ** 2
        for task in prange(panels * channels):
            rules = flush_denormals()
            panel, c = task // channels, task % channels
            block, row = c // BLOCK, c % BLOCK
            sums = scratch(every * columns, du).reshape(every, 1, columns)
            for point in range(every):
                total = sums[point, 0]
                for slot in range(slots):
                    one = du[slot, panel, block, point, row]
                    for f in range(columns):
                        total[f] = total[f] + one[f] if slot > 0 else one[f]
            transform_block_back(sums, taps, inputs, panel, c, c + 1, dweight, accumulate)
            restore(rules)

    return bring_back


@functools.cache
def multiply_kernel(taps):
    """The kernel for dU = Vᵀ · dM of a group of tiles, and its way back; compiled when it is first called."""

    @kernel
    def multiply_transposed(v, dm, channels, tiles, inputs, by_block, add, last, du, dweight, accumulate):
        """du = Vᵀ · dM point by point, or the same added to it: steps of `reference.conv2d_gradient`.

        v (64, …), dm (panels, 64, tiles and a gap, panel width), du (panels, blocks, 64, rows, panel width), or empty where
        this group is all. dweight (T, T, C, F). channels, tiles: their places in a point of v. A task owns its sums, and adds
        the tiles up in their order: the number of threads changes no bit, nor does the size of a group.

        by_block: a task sums up one block and panel of dU at all points, which stay in L2, while V and dM are read once for
        each panel and block; with `last` it brings them back. Otherwise its sums are one point of a panel: V[point] stays in
        L2, dM is read once, and dU comes and goes.
        """
        panels, _, _, columns = dm.shape
        count, every = dweight.shape[2], points(inputs) ** 2
        blocks = (count + BLOCK - 1) // BLOCK
        rows = BLOCK + GAP
        for task in prange(panels * (blocks if by_block else every)):
            rules = flush_denormals()
            if by_block:
                panel, block = task // blocks, task % blocks
                first = block * BLOCK
                sums = (
                    du[panel, block]
                    if du.size > 0
                    else scratch(every * rows * columns, dm).reshape(every, rows, columns)
                )
                for point in range(every):
                    product_of_point(v[point], channels[first:], tiles, dm[panel], point, add, sums[point])
                if last:
                    transform_block_back(
                        sums, taps, inputs, panel, first, min(count, first + BLOCK), dweight, accumulate
                    )
            else:
                point, panel = task // panels, task % panels
                for block in range(blocks):
                    sums = du[panel, block]
                    product_of_point(v[point], channels[block * BLOCK :], tiles, dm[panel], point, add, sums[point])
            restore(rules)

    return multiply_transposed


@helper
def product_of_point(v, channels, tiles, dm, point, add, du):
    """du = Vᵀ · dM of one point, panel and block of channels, or the same added to it; du (rows, panel width).

    channels, tiles: where each channel, and each tile, lies in this point of V.
    """
    for row in range(0, min(BLOCK, channels.size), TILE_ROWS):
        tile_product(v, channels, row, tiles, 0, tiles.size, dm, point, add, du[row:])
