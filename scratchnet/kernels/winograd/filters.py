"""The transformed filters U = G g Gᵀ, in the panels of the products, and the way back of their gradient: dW = Gᵀ dU G."""

import functools

from numba import prange

from scratchnet.kernels.machine.denormals import flush_denormals, restore
from scratchnet.kernels.machine.jit import helper, kernel
from scratchnet.kernels.machine.memory import empty, scratch
from scratchnet.kernels.machine.vectors import lanes_of, panel_width
from scratchnet.kernels.matmul import turn
from scratchnet.kernels.winograd.tiles import GAP, POINTS
from scratchnet.kernels.winograd.toom_cook import TILE
from scratchnet.kernels.winograd.transforms import FROM_FILTERS, TO_FILTERS, transform_square


def transformed_filters(weight):
    """U of filters (T, T, C, F), in the panels of the products: (panels, 64, C and a gap, panel width)."""
    taps, _, channels, filters = weight.shape
    columns = panel_width(weight.dtype)
    u = empty((-(-filters // columns), POINTS, channels + GAP, columns), weight.dtype)
    transform_kernel(taps)(weight, u)
    return u


def turned(weight):
    """The filters of the backward pass: turned by 180°, channel axes exchanged: (T, T, C, F) → (T, T, F, C)."""
    taps, _, channels, filters = weight.shape
    out = empty((taps, taps, filters, channels), weight.dtype)
    turn(weight.reshape(-1, channels, filters), out.reshape(-1, filters, channels))
    return out


def filters_back(du, dweight, accumulate):
    """dweight = Gᵀ dU G, or the same added to it: du as U is → dweight (T, T, C, F)."""
    transform_back_kernel(dweight.shape[0])(du, dweight, accumulate)


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


@functools.cache
def transform_kernel(taps):
    """The kernel for filters of taps × taps; compiled when it is first called."""

    @kernel
    def transform_filters(weight, u):
        """u[panel, point, c] = G g Gᵀ, a step of `reference.conv2d`; zero beyond the last filter.

        weight (T, T, C, F) → u (panels, 64, C and a gap, panel width).
        """
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

    return transform_filters


@functools.cache
def transform_back_kernel(taps):
    """The kernel for the gradient of filters of taps × taps; compiled when it is first called."""

    @kernel
    def transform_filters_back(du, dweight, accumulate):
        """dweight = Gᵀ dU G, or the same added to it, a step of `reference.conv2d_gradient`: du like u → dweight (T, T, C, F)."""
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

    return transform_filters_back
