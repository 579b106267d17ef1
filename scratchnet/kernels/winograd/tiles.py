"""Tiles of images: 8 × 8 inputs each, overlapping, or a whole small image; numbered row by row, image by image; and their transforms.

Patches are small flat arrays that a task copies pixels into, where the image itself cannot be read as it lies: at its edges,
and where a 2 × 2 max-pooling stands between. Distances in memory are called steps: `row_step` leads to the pixel below,
`column_step` to the one beside.
"""

import functools
from typing import NamedTuple

import numpy as np

from scratchnet.kernels.machine.jit import helper
from scratchnet.kernels.machine.memory import scratch
from scratchnet.kernels.machine.vectors import lanes, lanes_of
from scratchnet.kernels.winograd.pooled import CUT, is_pooled, pool_window, share_of_corner
from scratchnet.kernels.winograd.toom_cook import outputs, points
from scratchnet.kernels.winograd.transforms import FROM_OUTPUTS, TO_INPUTS, TO_OUTPUTS, transform_square


class Tiling(NamedTuple):
    """How an image is covered: rows × columns tiles of inputs × inputs pixels, the first of them `top` rows above and `left`
    columns before the image."""

    inputs: int
    rows: int
    columns: int
    top: int
    left: int


class Places(NamedTuple):
    """Where in one point of V each channel lies, and each tile: int64 offsets that are added."""

    channels: np.ndarray
    tiles: np.ndarray


GAP = (
    2  # rows left empty between two points: at a distance of a power of two all 64 would share a few lines of the cache
)


def shape_of_v(channels, inputs, tiles, dtype):
    """V's: (points, slices of channels, tiles and a gap, vector)."""
    return points(inputs) ** 2, -(-channels // lanes(dtype)), tiles + GAP, lanes(dtype)


@functools.lru_cache(64)
def places(channels, tiles, dtype):
    """Of so many: V is cut into slices of one vector of channels; in a slice lie the tiles, in a tile the slice's channels."""
    vector = lanes(dtype)
    c = np.arange(channels)
    return Places(c // vector * (tiles + GAP) * vector + c % vector, np.arange(tiles) * vector)


@helper
def copy_patch(x, n, row, column, first, patch, size, depth):
    """patch (size, size, depth), flat: pixels from (row, column) and channels from `first` on of image n; zeros outside
    the image."""
    _, height, width, channels = x.shape
    used = min(depth, channels - first)
    patch[: size * size * depth] = 0
    for a in range(max(0, -row), min(size, height - row)):
        for b in range(max(0, -column), min(size, width - column)):
            pixel = x[n, row + a, column + b, first : first + used]
            target = patch[(a * size + b) * depth :]
            for c in range(used):
                target[c] = pixel[c]


@helper
def copy_pixels(x, n, row, column, patch, size):
    """`copy_patch` of all channels, a line of pixels at a time; patch (size, size, C), flat."""
    _, height, width, channels = x.shape
    x_flat = x.reshape(-1)
    left, right = max(0, -column), min(size, width - column)
    count = max(0, right - left) * channels
    patch[: size * size * channels] = 0
    for a in range(max(0, -row), min(size, height - row)):
        start = ((n * height + row + a) * width + column + left) * channels
        line, target = x_flat[start : start + count], patch[(a * size + left) * channels :]
        for i in range(line.size):
            target[i] = line[i]


@helper
def unpool_patch(x, winner, n, row, column, first, patch, size, depth):
    """`copy_patch` of the array twice as high and wide from which max-pooling left x: each x where `winner` says, zeros elsewhere."""
    _, height, width, channels = x.shape
    vector = lanes_of(x)
    used = min(depth, channels - first)
    whole = used // vector * vector
    x_flat, winner_flat = x.reshape(-1), winner.reshape(-1)
    patch[: size * size * depth] = 0
    for a in range(max(0, -row), min(size, 2 * height - row)):
        for b in range(max(0, -column), min(size, 2 * width - column)):
            i, j = (row + a) >> 1, (column + b) >> 1
            corner = ((row + a) & 1) * 2 + ((column + b) & 1)
            pixel, start = ((n * height + i) * width + j) * channels + first, (a * size + b) * depth
            for c in range(0, whole, vector):
                share_of_corner(x_flat, winner_flat, pixel + c, corner, patch, start + c)
            for c in range(whole, used):
                if winner_flat[pixel + c] == corner:
                    patch[start + c] = x_flat[pixel + c]


@helper
def inputs_of_tiles(x, winner, tiling, taps, first, begin, end, v):
    """v[:, :, begin:end] = Bᵀ d B of the tiles with numbers first + begin, …, first + end − 1; v (64, slices, tiles, vector).

    x (N, H, W, C); with `winner` the array is meant from which 2 × 2 max-pooling left x. m: outputs of a tile on a side.
    """
    _, height, width, channels = x.shape
    _, slices, tiles, vector = v.shape
    inputs = tiling.inputs
    m, lines = outputs(taps, inputs), points(inputs)
    depth = slices * vector
    patch = scratch(inputs * inputs * depth, v)
    half = scratch(lines * inputs * vector, v)
    v_flat = v.reshape(-1)
    for t in range(begin, end):
        n, i, j = position(first + t, tiling)
        row, column = i * m - tiling.top, j * m - tiling.left
        source, start, row_step, column_step = patch, 0, inputs * depth, depth
        inside = row >= 0 and column >= 0 and row + inputs <= height and column + inputs <= width
        first_pixel = ((n * height + row) * width + column) * channels
        # The last vector of a pixel may reach into its neighbours: what it makes of them nobody reads.
        last_read = first_pixel + ((inputs - 1) * width + inputs - 1) * channels + depth
        if is_pooled(winner):
            # np.int64: for a constant Numba would compile the helper once more.
            unpool_patch(x, winner, n, row, column, np.int64(0), patch, inputs, depth)
        elif inside and last_read <= x.size:
            source, start, row_step, column_step = x.reshape(-1), first_pixel, width * channels, channels
        else:
            copy_pixels(x, n, row, column, patch, inputs)
            row_step, column_step = inputs * channels, channels
        for c in range(slices):
            transform_square(
                TO_INPUTS, taps, inputs, source, start + c * vector, row_step, column_step, inputs,
                v_flat, (c * tiles + t) * vector, lines * depth * tiles, depth * tiles, half,
            )  # fmt: skip


@helper
def gradients_of_tiles(dy, winner, tiling, taps, panel, first, begin, end, dm):
    """dm[:, begin:end] = A dY Aᵀ of the tiles with numbers first + begin, …, for one panel of filters; dm (64, tiles, panel width).

    dy (N, OH, OW, F), or with `winner` what is left of it after 2 × 2 max-pooling.
    """
    _, height, width, filters = dy.shape
    _, distance, columns = dm.shape
    vector = lanes_of(dy)
    first_filter = panel * columns
    inputs = tiling.inputs
    m, lines = outputs(taps, inputs), points(inputs)
    patch = scratch(m * m * columns, dm)
    half = scratch(lines * m * vector, dm)
    dm_flat = dm.reshape(-1)
    for t in range(begin, end):
        n, i, j = position(first + t, tiling)
        row, column = i * m, j * m
        source, start, row_step, column_step = patch, 0, m * columns, columns
        if is_pooled(winner):
            unpool_patch(dy, winner, n, row, column, first_filter, patch, m, columns)
        elif row + m <= height and column + m <= width and first_filter + columns <= filters:
            source, start = dy.reshape(-1), ((n * height + row) * width + column) * filters + first_filter
            row_step, column_step = width * filters, filters
        else:
            copy_patch(dy, n, row, column, first_filter, patch, m, columns)
        for f in range(0, columns, vector):
            target = t * columns + f
            transform_square(
                FROM_OUTPUTS, taps, inputs, source, start + f, row_step, column_step, m,
                dm_flat, target, lines * distance * columns, distance * columns, half,
            )  # fmt: skip


@helper
def outputs_of_tiles(products, tiling, taps, panel, first, count, y, winner):
    """y = Aᵀ M A of the tiles with numbers first, …, first + count − 1, for one panel of filters, or the maxima of its windows.

    products (64, tiles and a gap, panel width), y (N, OH, OW, F). winner: empty, or like y where it is the pooled output.
    """
    _, distance, columns = products.shape
    inputs = tiling.inputs
    m, side = outputs(taps, inputs), points(inputs)
    _, height, width, filters = y.shape
    vector = lanes_of(y)
    half = scratch(m * side * vector, y)
    patch = scratch(m * m * columns, y)
    y_flat, winner_flat, products_flat = y.reshape(-1), winner.reshape(-1), products.reshape(-1)
    pooled = is_pooled(winner)
    first_filter = panel * columns
    used = min(columns, filters - first_filter)
    for t in range(count):
        n, i, j = position(first + t, tiling)
        row, column = i * m, j * m
        inside = not pooled and row + m <= height and column + m <= width and used == columns
        target, start, row_step, column_step = patch, 0, m * columns, columns
        if inside:
            start = ((n * height + row) * width + column) * filters + first_filter
            target, row_step, column_step = y_flat, width * filters, filters
        for f in range(0, columns, vector):
            transform_square(
                TO_OUTPUTS, taps, inputs, products_flat, t * columns + f, side * distance * columns, distance * columns, side,
                target, start + f, row_step, column_step, half,
            )  # fmt: skip
        if pooled:
            for a in range(min(m // 2, height - row // 2)):
                for b in range(min(m // 2, width - column // 2)):
                    pixel = (n * height + row // 2 + a) * width + column // 2 + b
                    window, output = (2 * a * m + 2 * b) * columns, pixel * filters + first_filter
                    pool(patch, window, m * columns, columns, y_flat, winner_flat, output, used)
        elif not inside:
            for a in range(min(m, height - row)):
                for b in range(min(m, width - column)):
                    pixel = y[n, row + a, column + b, first_filter : first_filter + used]
                    made = patch[(a * m + b) * columns :]
                    for f in range(used):
                        pixel[f] = made[f]


@helper
def position(tile, tiling):
    """Image, row and column of a tile: they are numbered row by row, image by image."""
    n, in_image = divmod(np.uint64(tile), np.uint64(tiling.rows * tiling.columns))
    i, j = divmod(in_image, np.uint64(tiling.columns))
    return np.int64(n), np.int64(i), np.int64(j)


@helper
def pool(patch, start, row_step, column_step, y, winner, target, used):
    """y[target + f] = the largest of zero and the window of four at patch[start + f], winner its corner, for `used` channels f."""
    vector = lanes_of(y)
    whole = used // vector * vector
    for f in range(0, whole, vector):
        pool_window(patch, start + f, row_step, column_step, y, winner, target + f)
    for f in range(whole, used):
        best, won = patch[start + f], 0
        for corner in range(1, 4):
            candidate = patch[start + corner // 2 * row_step + corner % 2 * column_step + f]
            # The first of equals; a NaN is larger than any number.
            if candidate > best or (candidate != candidate and best == best):
                best, won = candidate, corner
        if y.dtype.type(-np.inf) < best <= 0:
            best, won = y.dtype.type(0), CUT
        y[target + f], winner[target + f] = best, won
