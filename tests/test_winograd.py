"""The convolution by fewer multiplications: its matrices exactly, its three passes against the textbook, fused and apart."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchnet as sn
from scratchnet import reference
from scratchnet.errors import ConfigError
from scratchnet.kernels import corners, inside
from scratchnet.kernels.convolution import algorithm, can_use_winograd, multiplications, tile_inputs
from scratchnet.kernels.geometry import Geometry
from scratchnet.kernels.machine.vectors import TILE_ROWS
from scratchnet.kernels.winograd import gradient, tiles, toom_cook
from scratchnet.kernels.winograd import passes as winograd
from scratchnet.kernels.winograd.pooled import CUT, NOT_POOLED
from scratchnet.kernels.winograd.toom_cook import TILE, WHOLE
from scratchnet.nn.fused import ConvReluPool

# Largest error allowed, relative to the root mean square of the tensor.
TOLERANCE = {"float64": 1e-11, "float32": 2e-4}

sizes = st.tuples(st.integers(1, 3), st.integers(1, 19), st.integers(1, 19), st.integers(1, 20), st.integers(1, 70))


@pytest.mark.parametrize("taps", [3, 4, 5, 6, 7])
def test_the_matrices_are_exact(taps):
    """Aᵀ[(G g) ⊙ (Bᵀ d)]ᵢ = Σ_u g_u d_{i+u}, coefficient by coefficient, in fractions."""
    a, g, b = toom_cook.output_matrix(taps, TILE), toom_cook.filter_matrix(taps, TILE), toom_cook.input_matrix(TILE)
    for i, u, k in itertools.product(range(toom_cook.outputs(taps, TILE)), range(taps), range(TILE)):
        assert sum(a[i][p] * g[p][u] * b[p][k] for p in range(TILE)) == (k == i + u)


@pytest.mark.parametrize("size", WHOLE)
@pytest.mark.parametrize("taps", [3, 5, 7])
def test_the_matrices_of_a_whole_image_are_exact(taps, size):
    """Likewise Σ_j g_{j−i} d_j, counted from the tap in the middle; taps that would meet no pixel have no column."""
    a, g, b = toom_cook.output_matrix(taps, size), toom_cook.filter_matrix(taps, size), toom_cook.input_matrix(size)
    points, reach = toom_cook.points(size), toom_cook.reach(taps, size)
    assert (len(a), len(a[0]), len(g), len(g[0]), len(b), len(b[0])) == (size, points, points, reach, points, size)
    for i, u, j in itertools.product(range(size), range(reach), range(size)):
        assert sum(a[i][p] * g[p][u] * b[p][j] for p in range(points)) == (u - reach // 2 == j - i)


def problem(seed, shape, taps, dtype):
    """Images, filters that keep their variance, bias and padding, all of one dtype."""
    images, height, width, channels, filters = shape
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, height, width, channels)).astype(dtype)
    weight = (rng.normal(size=(taps, taps, channels, filters)) / np.sqrt(taps * taps * channels)).astype(dtype)
    bias = rng.normal(size=filters).astype(dtype)
    before = taps // 2
    return rng, x, weight, bias, (before, taps - 1 - before, before, taps - 1 - before)


def assert_close(found, expected, *factors):
    """factors: the arrays that were multiplied. A tile's rounding is of their size, also where one result is small by chance."""
    assert found.dtype in (np.float32, np.float64)
    error = np.abs(found - expected).max()
    size = np.prod([rms(factor) for factor in factors]) if factors else 1e-3
    assert error <= TOLERANCE[str(found.dtype)] * max(rms(expected), size)


def rms(array):
    return np.sqrt(np.mean(array.astype("float64") ** 2))


def check_three_passes(seed, shape, taps, dtype, inputs=TILE):
    rng, x, weight, bias, pads = problem(seed, shape, taps, dtype)
    wide = [array.astype("float64") for array in (x, weight, bias)]
    padded = reference.pad(wide[0], *pads)
    y = reference.conv2d(padded, wide[1], wide[2], 1)
    dy = rng.normal(size=y.shape).astype(dtype)
    dx, dweight, _ = reference.conv2d_gradient(padded, wide[1], dy.astype("float64"), 1)
    top, _, left, _ = pads
    found = np.empty(y.shape, dtype)
    winograd.forward(x, weight, bias, top, left, inputs, found)
    assert_close(found, y, x, weight)
    found = np.empty_like(x)
    winograd.backward_input(dy, NOT_POOLED, weight, top, left, inputs, found)
    assert_close(found, reference.pad_gradient(dx, *pads), dy, weight)
    found = np.ones_like(weight)
    winograd.backward_weight(x, dy, NOT_POOLED, top, left, inputs, *dy.shape[1:3], found, False)
    assert_close(found, dweight, x, dy)
    winograd.backward_weight(x, dy, NOT_POOLED, top, left, inputs, *dy.shape[1:3], found, True)
    assert_close(found, 2 * dweight, x, dy)


@settings(max_examples=20)
@given(st.integers(0, 1000), sizes, st.sampled_from(["float32", "float64"]))
def test_five_by_five(seed, shape, dtype):
    check_three_passes(seed, shape, 5, dtype)


@pytest.mark.parametrize("shape", [(3, 19, 19, 3, 5), (3, 19, 19, 20, 40)])
def test_a_sum_over_several_blocks_of_tiles(shape, monkeypatch):
    """As with large images: each task's share of the tiles, or the group that is transformed at once, is one of several."""
    small_blocks(monkeypatch)
    check_three_passes(1, shape, 5, "float32")


def small_blocks(monkeypatch, near=False):
    """As on a machine with tiny caches; and all filters are transformed at once. near: whether a group's V and dM fit in L3."""
    for name in ("making_tiles", "reading_tiles"):
        monkeypatch.setattr(winograd, name, lambda channels, points, itemsize: TILE_ROWS)
    monkeypatch.setattr(gradient, "slot_tiles", lambda channels, filters, points, itemsize: 2 * TILE_ROWS)
    monkeypatch.setattr(gradient, "group_tiles", lambda channels, filters, points, itemsize: (2 * TILE_ROWS, near))


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("shape", [(3, 20, 20, 3, 40), (2, 18, 18, 40, 72), (2, 16, 16, 72, 136), (37, 4, 4, 40, 72)])
def test_the_sizes_of_blocks_change_no_bit(shape, pooled, monkeypatch):
    """Caches of any size, filters that are transformed at once or where they are used: the same sums in the same order."""
    rng, x, weight, bias, (top, _, left, _) = problem(5, shape, 5, "float32")
    size, inputs = shape[1] // 2 if pooled else shape[1], shape[1] if shape[1] in WHOLE else TILE
    dy = rng.normal(size=(shape[0], size, size, shape[4])).astype("float32")
    found = []
    for tiny, near in [(False, False), (True, False), (True, True)]:
        if tiny:
            small_blocks(monkeypatch, near)
        y, dx, dweight, winner = np.empty_like(dy), np.empty_like(x), np.empty_like(weight), NOT_POOLED
        if pooled:
            winner = np.empty(dy.shape, np.uint8)
            winograd.forward_pooled(x, weight, bias, top, left, inputs, y, winner)
        else:
            winograd.forward(x, weight, bias, top, left, inputs, y)
        winograd.backward_input(dy, winner, weight, top, left, inputs, dx)
        winograd.backward_weight(x, dy, winner, top, left, inputs, *shape[1:3], dweight, False)
        found.append([y, dx, dweight])
    for one, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("taps", "dtype"),
    [
        (3, "float32"),
        *(pytest.param(taps, "float32", marks=pytest.mark.slow) for taps in (4, 6, 7)),
        *(pytest.param(taps, "float64", marks=pytest.mark.slow) for taps in (3, 4, 6, 7)),
    ],
)
def test_other_sizes_of_filters(taps, dtype):
    check_three_passes(0, (2, 17, 14, 9, 40), taps, dtype)
    if taps % 2:
        check_pooled((3, 9, 7, 3, 24), taps, dtype)


def few_or_slow(*few):
    """Taps, pixels of a whole image along an axis, and type; all but a few take long, as each is compiled."""
    cases = [(taps, size, dtype) for taps in (3, 5, 7) for size in WHOLE for dtype in TOLERANCE if size <= taps]
    return [pytest.param(*case, marks=[] if case in few else pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(
    ("taps", "size", "dtype"), few_or_slow((5, 2, "float32"), (5, 4, "float32"), (5, 4, "float64"))
)
def test_a_whole_image_is_a_tile(taps, size, dtype):
    for images, channels, filters in [(1, 1, 1), (11, 20, 40), (5, 37, 16), (9, 64, 96)]:
        check_three_passes(1, (images, size, size, channels, filters), taps, dtype, size)
        check_pooled((images, size, size, channels, filters), taps, dtype, size)


def test_more_padding_than_the_filter_is_large(rng):
    """Tiles that lie wholly beside the image."""
    x, weight = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(5, 5, 5, 6))
    padded = reference.pad(x, 9, 9, 9, 9)
    y = reference.conv2d(padded, weight, np.zeros(6), 1)
    dx, dweight, _ = reference.conv2d_gradient(padded, weight, y, 1)
    found = np.empty_like(y)
    winograd.forward(x, weight, np.zeros(6), 9, 9, TILE, found)
    assert_close(found, y)
    found = np.empty_like(x)
    winograd.backward_input(y, NOT_POOLED, weight, 9, 9, TILE, found)
    assert_close(found, reference.pad_gradient(dx, 9, 9, 9, 9))
    found = np.empty_like(weight)
    winograd.backward_weight(x, y, NOT_POOLED, 9, 9, TILE, *y.shape[1:3], found, False)
    assert_close(found, dweight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(2, 16, 16, 32, 64), (3, 9, 7, 3, 24), (1, 13, 10, 20, 40), (2, 2, 2, 4, 3), (5, 20, 22, 1, 9)]
)
def test_pooled(shape, dtype):
    check_pooled(shape, 5, dtype)


def check_pooled(shape, taps, dtype, inputs=TILE):
    """With ReLU and max-pooling in the same kernel, against the three textbook operations and their gradients."""
    rng, x, weight, bias, pads = problem(3, shape, taps, dtype)
    top, _, left, _ = pads
    wide = [array.astype("float64") for array in (x, weight, 0.1 * bias)]
    padded = reference.pad(wide[0], *pads)
    z = reference.conv2d(padded, wide[1], wide[2], 1)
    r = reference.relu(z)
    y = np.empty((len(z), z.shape[1] // 2, z.shape[2] // 2, z.shape[3]), dtype)
    winner = np.empty(y.shape, np.uint8)
    winograd.forward_pooled(x, weight, (0.1 * bias).astype(dtype), top, left, inputs, y, winner)
    assert_close(y, reference.max_pool2d(r, 2, 2))
    dy = rng.normal(size=y.shape).astype(dtype)
    dz = reference.relu_gradient(z, reference.max_pool2d_gradient(r, dy.astype("float64"), 2, 2))
    dx, dweight, dbias = reference.conv2d_gradient(padded, wide[1], dz, 1)
    found = np.empty_like(x)
    winograd.backward_input(dy, winner, weight, top, left, inputs, found)
    assert_close(found, reference.pad_gradient(dx, *pads))
    found = np.empty_like(weight)
    winograd.backward_weight(x, dy, winner, top, left, inputs, *z.shape[1:3], found, False)
    assert_close(found, dweight)
    assert_close(winograd.backward_bias(dy, winner), dbias)
    if corners.fits((taps, taps), x.shape[3], dtype):
        found = np.ones_like(weight)
        corners.backward_weight(x, dy, winner, top, left, found, False)
        assert_close(found, dweight)
        corners.backward_weight(x, dy, winner, top, left, found, True)
        assert_close(found, 2 * dweight)


def small_network():
    layers = [
        *(sn.Conv2D(6, kernel_size=5), sn.ReLU(), sn.MaxPool2D(2)),
        *(sn.Conv2D(5, kernel_size=5, padding="valid"), sn.ReLU(), sn.MaxPool2D(2)),
        *(sn.Conv2D(4, kernel_size=5), sn.Flatten(), sn.Dense(3)),
    ]
    network = sn.Sequential(layers)
    network.build((17, 19, 3), seed=2, dtype="float64")
    return network


def test_a_network_is_the_same_on_both_paths(monkeypatch, rng):
    """Fused and by Winograd, or layer by layer and directly: the output and every gradient agree to rounding."""
    x = rng.normal(size=(3, 17, 19, 3))
    results = []
    for path in ("direct", "winograd"):
        monkeypatch.setenv("SCRATCHNET_CONV", path)
        network = small_network()
        y = network.forward(x, training=True)
        dx = network.backward(np.cos(np.arange(y.size)).reshape(y.shape))
        inference = network.forward(x, training=False)
        np.testing.assert_array_equal(inference, y)
        results.append([y, dx, *(parameter.grad.copy() for parameter in network.parameters())])
    assert [type(step) for step in network._steps[:2]] == [ConvReluPool, ConvReluPool]
    for direct, fast in zip(*results, strict=True):
        np.testing.assert_allclose(fast, direct, rtol=0, atol=1e-12 * max(1, np.abs(direct).max()))


def test_gradients_on_the_fast_path(monkeypatch, rng):
    monkeypatch.setenv("SCRATCHNET_CONV", "winograd")
    assert sn.gradient_check(small_network(), rng.normal(size=(2, 17, 19, 3))).max_error < 1e-6


def test_fused_layers_check_what_they_are_given(monkeypatch, rng):
    monkeypatch.setenv("SCRATCHNET_CONV", "winograd")
    network = small_network()
    with pytest.raises(sn.ScratchnetError, match="Conv2D 'conv1'"):
        network.forward(rng.normal(size=(2, 16, 19, 3)))
    with pytest.raises(sn.ScratchnetError, match=r"Conv2D 'conv1'.*nan"):
        network.forward(np.full((2, 17, 19, 3), np.nan))
    block = network._steps[0]
    block.forward(rng.normal(size=(2, 17, 19, 3)), training=True)
    with pytest.raises(sn.ScratchnetError, match="MaxPool2D 'pool1'"):
        block.backward(np.zeros((2, 3, 3, 6)))
    network.forget()
    with pytest.raises(sn.ScratchnetError, match="needs a forward"):
        block.backward(np.zeros((2, 8, 9, 6)))


def test_what_is_fused_and_what_is_not():
    def fits(*layers):
        return ConvReluPool.fits(list(layers))

    assert fits(sn.Conv2D(4, 5), sn.ReLU(), sn.MaxPool2D(2))
    assert not fits(sn.Conv2D(4, 5), sn.MaxPool2D(2), sn.ReLU())
    assert not fits(sn.Conv2D(4, 5), sn.ReLU(), sn.MaxPool2D(3))
    assert not fits(sn.Conv2D(4, 5), sn.ReLU(), sn.MaxPool2D(2, stride=1))
    assert not fits(sn.Conv2D(4, 5, stride=2), sn.ReLU(), sn.MaxPool2D(2))
    assert not fits(sn.Conv2D(4, 4), sn.ReLU(), sn.MaxPool2D(2))
    assert not fits(sn.Conv2D(4, (3, 5)), sn.ReLU(), sn.MaxPool2D(2))
    assert not fits(sn.Conv2D(4, 5), sn.ReLU())


def geometry(taps, stride, input_shape, output_shape):
    return Geometry(input_shape, output_shape, (taps, taps), stride, (taps // 2,) * 4)


def test_the_choice(monkeypatch):
    monkeypatch.delenv("SCRATCHNET_CONV", raising=False)
    large, deep, tiny = ((64, 64, 64), (64, 64, 128)), ((4, 4, 256), (4, 4, 512)), ((2, 2, 256), (2, 2, 512))
    flat = (2, 3, 256), (2, 3, 512)
    halved = ((64, 64, 64), (32, 32, 128))
    assert algorithm(geometry(5, 1, *large), 16) == "winograd"
    assert algorithm(geometry(5, 1, *deep), 1) == "direct"  # transforming the filters would cost more than it saves
    assert algorithm(geometry(5, 1, *deep), 16) == "winograd"
    assert algorithm(geometry(5, 1, *tiny), 1) == "direct"
    assert algorithm(geometry(5, 1, *tiny), 64) == "winograd"
    assert algorithm(geometry(5, 1, *flat), 64) == "inside"  # most of the filter lies beside the image
    assert algorithm(geometry(3, 1, *deep), 64) == "winograd"
    assert algorithm(geometry(5, 2, *halved), 16) == "direct"
    assert not can_use_winograd((1, 1), 1)
    assert not can_use_winograd((9, 9), 1)
    monkeypatch.setenv("SCRATCHNET_CONV", "direct")
    assert algorithm(geometry(5, 1, *large), 16) == algorithm(geometry(5, 1, *tiny), 64) == "direct"
    monkeypatch.setenv("SCRATCHNET_CONV", "winograd")
    assert algorithm(geometry(5, 1, *deep), 1) == "winograd"
    assert algorithm(geometry(5, 2, *halved), 16) == "direct"
    monkeypatch.setenv("SCRATCHNET_CONV", "fast")
    with pytest.raises(ConfigError, match="must be direct or winograd, got 'fast'"):
        algorithm(geometry(5, 1, *large), 16)


def test_which_images_are_a_tile():
    """Square ones of 2 to 4 pixels on a side, with as many outputs; their multiplications are counted as they are made."""

    def made(size, outputs, pads, taps=5):
        of = Geometry((*size, 3), (*outputs, 7), (taps, taps), 1, pads)
        return tile_inputs(of), multiplications("winograd", of, 2) // (2 * 3 * 7)

    assert made((4, 4), (4, 4), (2, 2, 2, 2)) == (4, 49)
    assert made((3, 3), (3, 3), (3, 3, 3, 3), taps=7) == (3, 25)
    assert made((2, 2), (2, 2), (1, 1, 1, 1), taps=3) == (2, 9)
    assert made((1, 1), (1, 1), (2, 2, 2, 2)) == (TILE, 64)
    assert made((4, 4), (4, 4), (1, 1, 1, 1), taps=3) == (TILE, 64)  # a tile of six points would do
    assert made((5, 5), (5, 5), (2, 2, 2, 2)) == (TILE, 256)
    assert made((4, 3), (4, 3), (2, 2, 2, 2)) == (TILE, 64)
    assert made((4, 4), (4, 4), (1, 3, 2, 2)) == (TILE, 64)  # as many outputs, but not around the same pixels
    assert made((4, 4), (2, 2), (1, 1, 1, 1)) == (TILE, 64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "taps", "stride", "pads"),
    [
        ((2, 2), (5, 5), 1, (2, 2, 2, 2)),
        ((1, 3), (3, 5), 1, (1, 1, 2, 2)),
        ((3, 2), (5, 4), 2, (2, 2, 1, 2)),
        ((1, 1), (3, 3), 1, (3, 1, 1, 1)),
    ],
)
def test_of_a_tiny_image_only_the_taps_inside(dtype, size, taps, stride, pads):
    rng = np.random.default_rng(3)
    x, bias = rng.normal(size=(3, *size, 4)).astype(dtype), rng.normal(size=6).astype(dtype)
    weight = rng.normal(size=(*taps, 4, 6)).astype(dtype) / 10
    wide = [array.astype("float64") for array in (x, weight, bias)]
    padded = reference.pad(wide[0], *pads)
    y = reference.conv2d(padded, wide[1], wide[2], stride)
    dy = rng.normal(size=y.shape).astype(dtype)
    dx, dweight, _ = reference.conv2d_gradient(padded, wide[1], dy.astype("float64"), stride)
    of = Geometry(x.shape[1:], y.shape[1:], taps, stride, pads)
    assert_close(inside.forward(of, x, weight, bias), y)
    assert_close(inside.backward_input(of, dy, weight), reference.pad_gradient(dx, *pads))
    found = np.ones_like(weight)
    inside.backward_weight(of, x, dy, found, False)
    assert_close(found, dweight)
    inside.backward_weight(of, x, dy, found, True)
    assert_close(found, 2 * dweight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [3, 16, 37])
def test_pooling_a_window(dtype, channels):
    """Whole vectors and what is left of them; with many ties, of which the first corner wins."""
    window = np.random.default_rng(0).integers(-2, 3, size=(4, channels)).astype(dtype)
    y, winner = np.full(channels, 9, dtype), np.full(channels, 9, np.uint8)
    tiles.pool(window.reshape(-1), 0, 2 * channels, channels, y, winner, 0, channels)
    np.testing.assert_array_equal(y, np.maximum(window.max(axis=0), 0))
    np.testing.assert_array_equal(winner, np.where(window.max(axis=0) > 0, window.argmax(axis=0), CUT))


@pytest.mark.parametrize("corner", range(4))
@pytest.mark.parametrize("channels", [3, 16])
def test_a_nan_in_a_window_stays_one(corner, channels):
    window = np.arange(4 * channels, dtype="float32").reshape(4, channels)
    window[corner] = np.nan
    y, winner = np.zeros(channels, "float32"), np.zeros(channels, np.uint8)
    tiles.pool(window.reshape(-1), 0, 2 * channels, channels, y, winner, 0, channels)
    assert np.isnan(y).all()


@pytest.mark.parametrize("filters", [5, 16, 24])
def test_a_nan_among_the_weights_is_noticed(filters, monkeypatch):
    """ReLU and pooling inside the convolution must not make a number of it."""
    monkeypatch.setenv("SCRATCHNET_CONV", "winograd")
    network = sn.Sequential([sn.Conv2D(filters, 5), sn.ReLU(), sn.MaxPool2D(2)])
    network.build((32, 32, 3))
    network.layers[0].weight.value[2, 2, 1] = np.nan
    assert isinstance(network._steps[0], ConvReluPool)
    assert algorithm(network.layers[0].geometry, 16) == "winograd"
    assert np.isnan(network.forward(np.ones((16, 32, 32, 3), "float32"))).all()


@pytest.mark.parametrize("channels", [3, 16, 37])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (-2, -1), (3, 2), (5, 7)])
def test_a_patch_of_what_was_pooled(channels, row, column):
    """Each gradient stands at its winner's place, and zeros everywhere else, also beyond the image."""
    rng = np.random.default_rng(0)
    dy, winner = rng.normal(size=(2, 4, 5, channels)), rng.integers(0, 5, size=(2, 4, 5, channels)).astype(np.uint8)
    whole = np.zeros((2, 8, 10, channels))
    for n, i, j, c in np.ndindex(dy.shape):
        if winner[n, i, j, c] < CUT:
            u, v = divmod(int(winner[n, i, j, c]), 2)
            whole[n, 2 * i + u, 2 * j + v, c] = dy[n, i, j, c]
    depth = 40
    found = np.full(8 * 8 * depth, 9.0)
    tiles.unpool_patch(dy, winner, 1, row, column, 0, found, 8, depth)
    expected = np.zeros((8, 8, depth))
    padded = np.pad(whole[1], ((8, 8), (8, 8), (0, 0)))
    expected[:, :, :channels] = padded[row + 8 : row + 16, column + 8 : column + 16]
    np.testing.assert_array_equal(found.reshape(8, 8, depth), expected)


THREE_STEPS = """
import hashlib, sys
import numpy as np
import scratchnet as sn
from scratchnet.nn.fused import ConvReluPool
from scratchnet.kernels.convolution import algorithm, tile_inputs
from scratchnet.kernels.machine.threads import set_threads

for threads in map(int, sys.argv[1:]):
    assert set_threads(threads) == threads
    rng = np.random.default_rng(0)
    network = sn.Sequential([
        sn.Conv2D(40, kernel_size=5), sn.ReLU(), sn.MaxPool2D(2), sn.Conv2D(24, kernel_size=5), sn.MaxPool2D(4),
        sn.Conv2D(40, kernel_size=5), sn.ReLU(), sn.MaxPool2D(2), sn.Flatten(), sn.Dense(2),
    ])
    network.build((32, 32, 3), seed=0)
    assert isinstance(network._steps[0], ConvReluPool)
    assert algorithm(network.layers[0].geometry, 9) == "winograd"
    assert tile_inputs(network.layers[5].geometry) == 4
    loss, optimizer = sn.SoftmaxCrossEntropy(), sn.Adam(network.parameters(), 1e-3, l2=5e-4)
    x, labels = rng.normal(size=(9, 32, 32, 3)).astype("float32"), rng.integers(0, 2, 9)
    for step in range(3):
        loss.forward(network.forward(x, training=True), labels)
        network.backward(loss.backward())
        optimizer.step()
    print(hashlib.sha256(b"".join(p.value.tobytes() for p in network.parameters())).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit(run_python):
    environment = {"SCRATCHNET_CONV": "winograd", "NUMBA_NUM_THREADS": "3"}
    weights = run_python(THREE_STEPS, "1", "2", "3", **environment).split()
    assert len(weights) == 3
    assert len(set(weights)) == 1
