"""The direct convolution: products of gathered patches, after the padding has been made explicit.

A task computes one panel of filters for some outputs that follow each other. Where their patches begin in the padded images, and
where the outputs go, is counted out on the way: two `Grid`s say how.

Sizes: N images of H × W pixels and C channels, padded to HP × WP; filters KH × KW; F filters; outputs OH × OW with OH =
(HP − KH) // stride + 1.
"""

import itertools
from typing import NamedTuple

import numpy as np

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.threads import thread_count
from scratchnet.kernels.machine.vectors import TILE_ROWS, panel_width
from scratchnet.kernels.matmul import (
    BLOCK_TILES,
    CHUNKS,
    DEPTH,
    ROWS_OF_B,
    TASKS_OF_THREAD,
    column_sums,
    pack_line,
    tile_product,
    whole_tiles,
)
from scratchnet.kernels.transpose import turn

PIXELS_OF_CHUNK = 512  # the gradient of the filters is summed up in chunks of at least so many outputs


class Grid(NamedTuple):
    """Pixels of images that lie flat in memory: rows × columns of each, (i, j) of image n at first + n · image + i · row + j · column."""

    rows: int
    columns: int
    first: int
    image: int
    row: int
    column: int


def grid_of(shape, rows, columns, step, top=0, left=0):
    """Of images of this shape (N, H, W, C): every `step`-th row and column from (top, left) on, so many."""
    _, height, width, channels = shape
    first = (top * width + left) * channels
    return Grid(rows, columns, first, height * width * channels, step * width * channels, step * channels)


@helper
def find_pixels(grid, begin, count, places):
    """places[m] = where the pixel with number begin + m lies, counted row by row, image by image; beyond `count`, the last place again."""
    n, in_image = divmod(begin, grid.rows * grid.columns)
    i, j = divmod(in_image, grid.columns)
    m = 0
    while m < count:
        start = grid.first + n * grid.image + i * grid.row + j * grid.column
        here = places[m : min(count, m + grid.columns - j)]
        for k in range(here.size):
            here[k] = start + k * grid.column
        m, i, j = m + here.size, i + 1, 0
        if i == grid.rows:
            n, i = n + 1, 0
    places[count:] = places[count - 1]


@kernel
def place(x, top, left, out):
    """`reference.pad`: out (N, HP, WP, C) = zeros, with pixel (i, j) of x (N, H, W, C) at (top + i, left + j)."""
    images, height, _, channels = x.shape
    out_height = out.shape[1]
    for task in prange(images * out_height):
        n, i = task // out_height, task % out_height - top
        line = out[n, i + top].reshape(-1)
        if 0 <= i < height:
            pixels, first = x[n, i].reshape(-1), left * channels
            inside = line[first : first + pixels.size]
            for k in range(inside.size):
                inside[k] = pixels[k]
            line[:first] = 0
            line[first + pixels.size :] = 0
        else:
            line[:] = 0


def pad(x, top, bottom, left, right):
    """Images with a border of zeros: x (N, H, W, C) → (N, H + top + bottom, W + left + right, C). Without a border, x
    itself."""
    if top == bottom == left == right == 0:
        return x
    images, height, width, channels = x.shape
    out = empty((images, height + top + bottom, width + left + right, channels), x.dtype)
    place(x, top, left, out)
    return out


def tap_offsets(kernel_height, kernel_width, padded_shape):
    """Where each entry of a patch lies, counted from the patch's beginning: (KH · KW · C,) int64, in the order of the filters."""
    _, _, width, channels = padded_shape
    u = np.arange(kernel_height)[:, None, None]
    v = np.arange(kernel_width)[:, None]
    return ((u * width + v) * channels + np.arange(channels)).reshape(-1)


def forward(x_padded, weight, bias, stride):
    """y[n, i, j, f] = bias[f] + Σ over u, v, c of x_padded[n, i·stride + u, j·stride + v, c] · weight[u, v, c, f].

    x_padded (N, HP, WP, C), weight (KH, KW, C, F), bias (F,) → y (N, OH, OW, F).
    """
    images, height, width, _ = x_padded.shape
    kernel_height, kernel_width, _, filters = weight.shape
    out_height, out_width = (height - kernel_height) // stride + 1, (width - kernel_width) // stride + 1
    y = empty((images, out_height, out_width, filters), x_padded.dtype)
    patches = grid_of(x_padded.shape, out_height, out_width, stride)
    taps = tap_offsets(kernel_height, kernel_width, x_padded.shape)
    outputs = grid_of(y.shape, out_height, out_width, 1)
    multiply(x_padded, patches, taps, weight.reshape(-1, filters), bias, outputs, y)
    return y


def multiply(x, patches, taps, matrix, bias, outputs, y):
    """The product of all patches in x with the matrix (K, F), and the bias, to where the outputs are in y."""
    arrays = x.reshape(-1), patches, taps, matrix, bias, outputs, y.reshape(-1)
    product_of_patches(*arrays, len(x), panel_width(y.dtype, bias.size), TASKS_OF_THREAD * thread_count())


@kernel
def product_of_patches(x, patches, taps, matrix, bias, outputs, y, images, columns, enough):
    """`reference.conv2d`: y at an output = bias + Σ_k x at its patch + taps[k] · matrix[k].

    x, y: flat. matrix (K, F), bias (F,). A task is one panel of `columns` filters for a few tiles of outputs, in `enough` tasks if
    there are so many; each number of y is summed by one thread, in the order of k: the number of threads and tasks changes no bit.
    """
    depth, filters = matrix.shape
    panels = (filters + columns - 1) // columns
    total = images * outputs.rows * outputs.columns
    block = BLOCK_TILES * TILE_ROWS
    while block > TILE_ROWS and (total + block - 1) // block * panels < enough:
        block = block // 2
    for task in prange((total + block - 1) // block * panels):
        rules = flush_denormals()
        begin, first = task // panels * block, task % panels * columns
        count, used = min(block, total - begin), min(columns, filters - first)
        rows, places = scratch(block, taps), scratch(block, taps)
        find_pixels(patches, begin, count, rows)
        find_pixels(outputs, begin, count, places)
        piece = scratch(min(depth, DEPTH) * columns, y).reshape(1, -1, columns)
        sums = scratch(block * columns, y).reshape(block, columns)
        for start in range(0, depth, DEPTH):
            stop = min(depth, start + DEPTH)
            for k in range(start, stop):
                pack_line(matrix, k, first, piece[0, k - start])
            for row in range(0, count, TILE_ROWS):
                tile_product(x, rows, row, taps[start:], 0, stop - start, piece, 0, start > 0, sums[row:])
        bias_here = bias[first : first + used]
        for m in range(count):
            target, total_of_row = y[places[m] + first :], sums[m]
            for f in range(bias_here.size):
                target[f] = bias_here[f] + total_of_row[f]
        restore(rules)


def backward_weight(x_padded, dy, stride, dweight, accumulate):
    """dweight[u, v, c, f] = Σ over n, i, j of x_padded[n, i·stride + u, j·stride + v, c] · dy[n, i, j, f], or the same added to it.

    The product of the forward pass with its two lists exchanged: now the taps are the rows and the outputs are summed, in
    chunks that threads sum side by side.
    """
    images, out_height, out_width, filters = dy.shape
    patches = grid_of(x_padded.shape, out_height, out_width, stride)
    taps = tap_offsets(*dweight.shape[:2], x_padded.shape)
    chunks = max(1, min(CHUNKS, images * out_height * out_width // PIXELS_OF_CHUNK))
    columns = panel_width(dy.dtype, filters)
    rows = whole_tiles(taps)
    partial = empty((chunks, -(-filters // columns), rows.size, columns), dy.dtype)
    products_of_chunks(x_padded.reshape(-1), patches, rows, dy.reshape(-1, filters), partial)
    out = dweight.reshape(-1, filters)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel
        sums = partial.sum(axis=0)[:, : taps.size].transpose(1, 0, 2).reshape(taps.size, -1)[:, :filters]
        np.add(sums, out if accumulate else 0, out=out)


@kernel
def products_of_chunks(x, patches, taps, dy, partial):
    """`reference.conv2d_gradient`, its dweight, of each chunk of outputs and panel of filters: the sums over chunks are to be made.

    x: flat. dy (M, F), partial (chunks, panels, taps, panel width).
    """
    chunks, panels, _, columns = partial.shape
    for task in prange(chunks * panels):
        rules = flush_denormals()
        chunk, panel = task // panels, task % panels
        sums = partial[chunk, panel]
        piece = scratch(ROWS_OF_B * columns, partial).reshape(1, ROWS_OF_B, columns)
        places = scratch(ROWS_OF_B, taps)
        begin, end = chunk * dy.shape[0] // chunks, (chunk + 1) * dy.shape[0] // chunks
        for start in range(begin, end, ROWS_OF_B):
            count = min(ROWS_OF_B, end - start)
            find_pixels(patches, start, count, places)
            for k in range(count):
                pack_line(dy, start + k, panel * columns, piece[0, k])
            for row in range(0, taps.size, TILE_ROWS):
                tile_product(x, taps, row, places, 0, count, piece, 0, start > begin, sums[row:])
        restore(rules)


def backward_bias(dy):
    """dbias[f] = Σ over n, i, j of dy[n, i, j, f]."""
    return column_sums(dy.reshape(-1, dy.shape[-1]))


def backward_input(geometry, dy, weight):
    """dx[n, i, j, c] = Σ of dy · weight over all outputs whose patch holds (i, j): dy (N, OH, OW, F) → dx (N, H, W, C).

    Which taps reach a pixel depends on its row and column modulo the stride. For each of the stride² kinds of pixels it is a
    convolution of dy with those taps, turned by 180°, their channel axes exchanged.
    """
    images, out_height, out_width, filters = dy.shape
    (height, width, channels), (kernel_height, kernel_width), stride, (top, _, left, _) = (
        geometry.input_shape, geometry.kernel_size, geometry.stride, geometry.pads,
    )  # fmt: skip
    dx = empty((images, height, width, channels), dy.dtype)
    rows = [taps_of(start, stride, top, kernel_height, height) for start in range(stride)]
    columns = [taps_of(start, stride, left, kernel_width, width) for start in range(stride)]
    vertical, horizontal = border(rows, out_height), border(columns, out_width)
    padded = pad(dy, *vertical, *horizontal)
    no_bias = np.zeros(channels, dy.dtype)
    if not all(kind.taps.size for kind in (*rows, *columns)):
        dx[:] = 0
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        if row.taps.size and column.taps.size and row.pixels > 0 and column.pixels > 0:
            first = row.first + vertical[0], column.first + horizontal[0]
            patches = grid_of(padded.shape, row.pixels, column.pixels, 1, *first)
            pixels = grid_of(dx.shape, row.pixels, column.pixels, stride, i, j)
            taps = tap_offsets(row.taps.size, column.taps.size, padded.shape)
            chosen = np.ascontiguousarray(weight[row.taps[:, None], column.taps])
            matrix = np.empty((row.taps.size * column.taps.size, filters, channels), dy.dtype)
            turn(chosen.reshape(-1, channels, filters), matrix)
            multiply(padded, patches, taps, matrix.reshape(-1, channels), no_bias, pixels, dx)
    return dx


class Taps(NamedTuple):
    """Along one axis: the taps that reach the pixels start, start + stride, …, which are so many, in the order in which `turn` takes
    them; and the first output that the first of these pixels is reached from."""

    taps: np.ndarray
    pixels: int
    first: int


def taps_of(start, stride, before, taps, size):
    """`Taps` of an axis of `size` pixels with `before` pixels of padding and filters of `taps` taps."""
    first = (start + before) % stride
    reaching = np.arange(first, taps, stride)
    return Taps(reaching, -(-(size - start) // stride), (start + before) // stride - max(0, reaching.size - 1))


def border(kinds, outputs):
    """The zeros that all kinds of pixels need before and after an axis of so many outputs."""
    used = [kind for kind in kinds if kind.taps.size and kind.pixels > 0]
    before = max([0, *(-kind.first for kind in used)])
    return before, max([0, *(kind.first + kind.pixels + kind.taps.size - 1 - outputs for kind in used)])
