"""Depthwise convolution: each channel with a filter of its own.

It has few multiplications for each number that it reads, so it is a pass over memory and no matrix product. The sums of a vector of
channels, for several outputs beside each other, stay in registers while the taps go by; the gradient of the filters keeps
those of a row of taps there while the outputs go by. Nothing is padded: a tap that reaches beside the image is left out.

The gradient of the inputs is the same convolution of dy with the filters turned by 180°, where dy is `spread` by the stride: it
counts as having spread − 1 zeros between two numbers, which nobody multiplies.

Sizes: N images of H × W pixels and C channels, filters KH × KW, outputs OH × OW.
"""

import functools

import numpy as np
from numba import config, types
from numba.extending import intrinsic

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.loops import prange
from scratchnet.kernels.machine.memory import empty
from scratchnet.kernels.machine.registers import INDEX, Vectors, loop, multiply_add
from scratchnet.kernels.machine.vectors import lanes, lanes_of

BLOCKS = 32  # of rows of outputs, each with a sum of its own: fixed, so that the number of threads changes no bit
ROWS = 8  # of outputs in a task
TOGETHER = 8  # outputs beside each other whose sums are in registers


def forward(x, weight, bias, stride, top, left, y):
    """Fills y (N, OH, OW, C) with `reference.depthwise_conv2d` of x (N, H, W, C), around which stand zeros; weight (KH, KW, C)."""
    convolve(x, repeated(weight), repeated(bias), stride, 1, top, left, y)


def backward_input(dy, weight, stride, top, left, dx):
    """Fills dx (N, H, W, C)."""
    kernel_height, kernel_width, channels = weight.shape
    turned, no_bias = np.ascontiguousarray(weight[::-1, ::-1]), np.zeros(channels, dy.dtype)
    convolve(dy, repeated(turned), repeated(no_bias), 1, stride, kernel_height - 1 - top, kernel_width - 1 - left, dx)


def backward_weight(x, dy, stride, top, left, kernel_size):
    """dweight (KH, KW, C)."""
    channels, vector = dy.shape[3], lanes(dy.dtype)
    columns = -(-channels // vector) * vector
    partial = empty((min(BLOCKS, len(dy) * dy.shape[1]), *kernel_size, columns), dy.dtype)
    sum_kernel(kernel_size[1])(x, dy, stride, top, left, partial)
    with np.errstate(over="ignore", invalid="ignore"):  # as in a kernel
        sums = partial.sum(axis=0)
        if channels < vector:
            pixels = vector // channels
            return sums[..., : pixels * channels].reshape(*kernel_size, pixels, channels).sum(axis=2)
    return np.concatenate([sums[..., : channels // vector * vector], sums[..., columns - channels % vector :]], axis=2)


def repeated(weight):
    """weight (..., C) itself; where C are fewer than a vector has numbers, repeated to one: of the pixels that it covers."""
    channels, vector = weight.shape[-1], lanes(weight.dtype)
    return weight if channels >= vector else np.ascontiguousarray(weight[..., np.arange(vector) % channels])


def sum_of_taps_in_numpy(together, x, start, step, places, weight, taps, count, bias, channel, y, target, target_step):
    """y[target + k · target_step] = bias + Σ over t < count of x[start + k · step + places[t]] · weight[taps[t]], for k < together.

    All arrays are flat, and each number stands for a vector of channels from `channel` on. `together` must be a constant.
    The twin of what follows where Numba is switched off.
    """
    c = channel + np.arange(lanes_of(x))
    for k in range(together):
        inputs = x[start + k * step + places[:count, None] + c]
        y[target + k * target_step + c] = bias[c] + (inputs * weight[taps[:count, None] + c]).sum(axis=0)


def _sum_of_taps_code(
    typingctx, together, x, start, step, places, weight, taps, count, bias, channel, y, target, target_step
):
    """`sum_of_taps_in_numpy` in LLVM's language."""
    whole = types.intp
    signature = types.void(together, x, whole, whole, places, weight, taps, whole, bias, whole, y, whole, whole)

    def generate(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature, arguments, like=1)
        at, load = vectors.at, vectors.load
        _, _, start, step, _, _, _, count, _, channel, _, target, target_step = arguments
        starts, targets = [builder.add(start, channel)], [builder.add(target, channel)]
        for _ in range(together.literal_value - 1):
            starts.append(builder.add(starts[-1], step))
            targets.append(builder.add(targets[-1], target_step))
        inputs, filters, at_first = [at(1, one) for one in starts], at(5, channel), load(at(8, channel))

        def tap(t, sums):
            place, number = builder.load(at(4, t)), builder.load(at(6, t))
            weights = load(builder.gep(filters, [number]))
            return [
                multiply_add(builder, load(builder.gep(one, [place])), weights, s)
                for one, s in zip(inputs, sums, strict=True)
            ]

        totals = loop(builder, INDEX(0), count, [at_first] * len(inputs), tap)
        for total, one in zip(totals, targets, strict=True):
            vectors.store(total, at(10, one))
        return context.get_dummy_value()

    return signature, generate


def add_products_in_numpy(taps, x, start, step, channels, dy, first, dy_step, count, sums, target, columns):
    """sums[target + v · columns] += Σ over j < count of x[start + j · step + v · channels] · dy[first + j · dy_step], for v < taps.

    All arrays are flat, and each number stands for a vector of channels. `taps` must be a constant. The twin of what follows
    where Numba is switched off.
    """
    lane, j = np.arange(lanes_of(x)), np.arange(count)[:, None]
    for v in range(taps):
        products = x[start + j * step + v * channels + lane] * dy[first + j * dy_step + lane]
        sums[target + v * columns + lane] += products.sum(axis=0)


def _add_products_code(typingctx, taps, x, start, step, channels, dy, first, dy_step, count, sums, target, columns):
    """`add_products_in_numpy` in LLVM's language."""
    whole = types.intp
    signature = types.void(taps, x, whole, whole, whole, dy, whole, whole, whole, sums, whole, whole)

    def generate(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature, arguments, like=1)
        at, load = vectors.at, vectors.load
        _, _, start, step, channels, _, first, dy_step, count, _, target, columns = arguments
        inputs, targets = [start], [target]
        for _ in range(taps.literal_value - 1):
            inputs.append(builder.add(inputs[-1], channels))
            targets.append(builder.add(targets[-1], columns))
        pointers, slopes, places = [at(1, one) for one in inputs], at(5, first), [at(9, one) for one in targets]

        def output(j, sums):
            slope, place = load(builder.gep(slopes, [builder.mul(j, dy_step)])), builder.mul(j, step)
            return [
                multiply_add(builder, load(builder.gep(one, [place])), slope, s)
                for one, s in zip(pointers, sums, strict=True)
            ]

        totals = loop(builder, INDEX(0), count, [load(place) for place in places], output)
        for total, place in zip(totals, places, strict=True):
            vectors.store(total, place)
        return context.get_dummy_value()

    return signature, generate


if config.DISABLE_JIT:
    sum_of_taps, add_products = sum_of_taps_in_numpy, add_products_in_numpy
else:
    sum_of_taps = intrinsic(prefer_literal=True)(_sum_of_taps_code)
    add_products = intrinsic(prefer_literal=True)(_add_products_code)


@helper
def reached(start, spread, taps, size):
    """The first tap that meets a pixel, that pixel, and how many taps do, each `spread` taps and one pixel further on.

    Tap u lies at start + u, pixel i, of `size`, at i · spread.
    """
    tap = -start % spread
    pixel = (start + tap) // spread
    if pixel < 0:
        tap, pixel = tap - pixel * spread, 0
    return tap, pixel, max(0, min((taps - tap + spread - 1) // spread, size - pixel))


@kernel
def convolve(x, weight, bias, stride, spread, top, left, y):
    """`reference.depthwise_conv2d`: y (N, OH, OW, C) of x (N, H, W, C), which counts as spread out: its numbers lie `spread` apart.

    Of stride and spread one is 1. weight (KH, KW, C), bias (C,), both `repeated`. A task is a few rows of outputs.
    """
    images, height, width, channels = x.shape
    _, out_height, out_width, _ = y.shape
    kernel_height, kernel_width, numbers = weight.shape
    inputs, filters, outputs = x.reshape(-1), weight.reshape(-1), y.reshape(-1)
    for task in prange((images * out_height + ROWS - 1) // ROWS):
        rules = flush_denormals()
        places = np.empty(kernel_height * kernel_width, np.int64)
        taps = np.empty(kernel_height * kernel_width, np.int64)
        for row in range(task * ROWS, min(images * out_height, (task + 1) * ROWS)):
            u, i, rows = reached(row % out_height * stride - top, spread, kernel_height, height)
            image_row = (row // out_height * height + i) * width * channels
            for kind in range(min(spread, out_width)):
                q = kind
                while q < out_width:
                    v, j, columns = reached(q * stride - left, spread, kernel_width, width)
                    same = 1  # outputs of this kind, from here on, that the same taps reach
                    if v < spread and columns == (kernel_width - v + spread - 1) // spread:  # all that there are
                        same = max(1, min((width - columns - j) // stride + 1, (out_width - q + spread - 1) // spread))
                    count = 0
                    for a in range(rows):
                        for b in range(columns):
                            places[count] = (a * width + b) * channels
                            taps[count] = ((u + a * spread) * kernel_width + v + b * spread) * numbers
                            count += 1
                    sums_of_outputs(
                        same, inputs, image_row + j * channels, stride * channels, places, filters, taps, count, bias, channels,
                        outputs, (row * out_width + q) * channels, spread * channels,
                    )  # fmt: skip
                    q += same * spread
        restore(rules)


@helper
def sums_of_outputs(same, x, start, step, places, weight, taps, count, bias, channels, y, target, target_step):
    """`sum_of_taps` of all channels for so many outputs, some together.

    The last vector of channels, and the last outputs together, may begin in those before: they make the same numbers again.
    With few channels a vector holds several outputs, and a part of the next, which the next makes again.
    """
    vector = lanes_of(x)
    if channels < vector:
        done = 0
        if step == channels and target_step == channels:
            while done * channels + vector <= same * channels:
                here, there = start + done * step, target + done * step
                sum_of_taps(1, x, here, step, places, weight, taps, count, bias, 0, y, there, target_step)
                done += vector // channels
        for m in range(done, same):
            for c in range(channels):
                total = bias[c]
                for t in range(count):
                    total += x[start + m * step + places[t] + c] * weight[taps[t] + c]
                y[target + m * target_step + c] = total
        return
    together = TOGETHER if same >= TOGETHER else 1
    for k in range(0, same, together):
        m = min(k, same - together)
        here, there = start + m * step, target + m * target_step
        for c in range(0, channels, vector):
            channel = min(c, channels - vector)
            if together == TOGETHER:
                sum_of_taps(TOGETHER, x, here, step, places, weight, taps, count, bias, channel, y, there, target_step)
            else:
                sum_of_taps(1, x, here, step, places, weight, taps, count, bias, channel, y, there, target_step)


@functools.cache
def sum_kernel(taps):
    """The kernel for filters with so many columns; compiled when it is first called."""

    @kernel
    def sums_of_rows(x, dy, stride, top, left, partial):
        """`reference.depthwise_conv2d_gradient`, its dweight, of each block of rows of outputs.

        partial (blocks, KH, KW, whole vectors): of C channels the last vector is that of the channels from C − vector on. Of fewer
        channels a vector holds the sums for several outputs beside each other, and then a rest that means nothing.
        """
        images, out_height, out_width, channels = dy.shape
        _, height, width, _ = x.shape
        blocks, kernel_height, _, columns = partial.shape
        vector = lanes_of(x)
        inputs, slopes = x.reshape(-1), dy.reshape(-1)
        for block in prange(blocks):
            rules = flush_denormals()
            partial[block] = 0
            sums = partial[block].reshape(-1)
            first = (left + stride - 1) // stride  # outputs from here to `last` see nothing but the image
            last = max(first, min(out_width, (width - taps + left) // stride + 1))
            pixels, count = 1, last - first  # of a vector, and how many vectors there are of each
            if channels < vector:
                pixels = vector // channels
                count = ((last - first) * channels - vector) // (pixels * channels) + 1 if stride == 1 else 0
                count = max(0, count)
            for row in range(block * images * out_height // blocks, (block + 1) * images * out_height // blocks):
                u, i, rows = reached(row % out_height * stride - top, 1, kernel_height, height)
                for a in range(rows):
                    line = (row // out_height * height + i + a) * width * channels
                    start, slope = line + (first * stride - left) * channels, (row * out_width + first) * channels
                    target = (u + a) * taps * columns
                    for c in range(0, channels, vector):
                        channel = max(0, min(c, channels - vector))
                        add_products(
                            taps, inputs, start + channel, pixels * stride * channels, channels, slopes, slope + channel,
                            pixels * channels, count, sums, target + c, columns,
                        )  # fmt: skip
                    for j in range(out_width):
                        if first <= j < first + count * pixels:
                            continue
                        slope = (row * out_width + j) * channels
                        v, q, reaching = reached(j * stride - left, 1, taps, width)
                        for b in range(reaching):
                            pixel, place = line + (q + b) * channels, target + (v + b) * columns
                            for c in range(0, channels if channels >= vector else 0, vector):
                                channel = min(c, channels - vector)
                                add_products(
                                    1, inputs, pixel + channel, 0, 0, slopes, slope + channel, 0, 1, sums, place + c, 0
                                )
                            for c in range(0 if channels >= vector else channels):
                                sums[place + c] += inputs[pixel + c] * slopes[slope + c]
            restore(rules)

    return sums_of_rows
