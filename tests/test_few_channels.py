"""The first layer's own forward kernel computes what the textbook says, with the winners that its gradient needs."""

import platform

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scratchnet import reference
from scratchnet.kernels import convolution, few_channels
from scratchnet.kernels.convolution import Geometry
from scratchnet.kernels.winograd.pooled import CUT

TOLERANCE = {"float64": 1e-11, "float32": 2e-4}  # of an output, relative to their root mean square
X86 = platform.machine().lower() in ("x86_64", "amd64")


def problem(seed, shape, taps, dtype):
    """Images, filters that keep their variance, and bias."""
    *images, channels, filters = shape
    rng = np.random.default_rng(seed)
    x, bias = rng.normal(size=(*images, channels)).astype(dtype), rng.normal(size=filters).astype(dtype) / 10
    return x, (rng.normal(size=(taps, taps, channels, filters)) / np.sqrt(taps * taps * channels)).astype(dtype), bias


def run(x, weight, bias, pads):
    """What the kernel makes; as kernels get it, y is full of what was there before."""
    (images, height, width, _), (taps, _, _, filters) = x.shape, weight.shape
    top, bottom, left, right = pads
    shape = images, (height + top + bottom - taps + 1) // 2, (width + left + right - taps + 1) // 2, filters
    y, winner = np.full(shape, np.nan, x.dtype), np.full(shape, 99, np.uint8)
    few_channels.forward_pooled(x, weight, bias, top, left, y, winner)
    return y, winner


def check(seed, shape, taps, pads, dtype):
    """y, and winner wherever rounding does not decide who has won; returns at how many of all places that is."""
    x, weight, bias = problem(seed, shape, taps, dtype)
    y, winner = run(x, weight, bias, pads)
    wide = [array.astype("float64") for array in (x, weight, bias)]
    z = reference.conv2d(reference.pad(wide[0], *pads), wide[1], wide[2], 1)
    expected = reference.max_pool2d(reference.relu(z), 2, 2)
    error = TOLERANCE[dtype] * max(1, np.sqrt(np.mean(expected**2)))
    np.testing.assert_allclose(y, expected, rtol=0, atol=error)
    corners = np.stack([z[:, a : 2 * y.shape[1] : 2, b : 2 * y.shape[2] : 2] for a in (0, 1) for b in (0, 1)])
    first, second = np.sort(corners, axis=0)[:-3:-1]
    clear = (first - second > 2 * error) & (np.abs(first) > 2 * error)
    np.testing.assert_array_equal(winner[clear], np.where(first > 0, corners.argmax(axis=0), CUT)[clear])
    return clear.mean()


shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 22), st.integers(1, 75), st.sampled_from([1, 3]), st.integers(1, 40)
)
paddings = st.tuples(*[st.integers(0, 6)] * 4)


@settings(max_examples=40)
@given(st.integers(0, 1000), shapes, paddings, st.sampled_from(["float32", "float64"]))
def test_five_by_five(seed, shape, pads, dtype):
    """Also tiles that lie wholly beside the image, filters that fill no vector, and more tiles than a vector has numbers."""
    assume(shape[1] + pads[0] + pads[1] >= 6 and shape[2] + pads[2] + pads[3] >= 6)
    check(seed, shape, 5, pads, dtype)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("taps", [3, 7])
def test_other_filters(taps, dtype):
    """Whose tiles have six outputs on a side, and two."""
    assert check(1, (2, 19, 37, 3, 24), taps, (taps // 2,) * 4, dtype) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("channels", range(1, few_channels.MOST_CHANNELS + 1))
@pytest.mark.parametrize("taps", [3, 5, 7])
def test_every_number_of_channels(taps, channels):
    for dtype in TOLERANCE:
        check(2, (2, 19, 37, channels, 24), taps, (taps // 2,) * 4, dtype)


def test_the_number_of_threads_changes_no_bit(thread_counts):
    x, weight, bias = problem(3, (3, 40, 40, 3, 20), 5, "float32")
    results = {b"".join(made.tobytes() for made in run(x, weight, bias, (2, 2, 2, 2))) for _ in thread_counts}
    assert len(results) == 1


def test_a_nan_stays_one_and_stays_in_its_tile():
    """Tiles lie side by side in one vector, but meet nowhere."""
    x, weight, bias = problem(4, (2, 12, 80, 3, 20), 5, "float32")
    x[0, 5, 41, 1] = np.nan
    y, _ = run(x, weight, bias, (2, 2, 2, 2))
    seen = np.zeros(y.shape[:3], bool)
    # The windows of the pixels that see it are 1 to 3 and 19 to 21, of two rows and columns of tiles.
    seen[0, 2:4, 20:22] = True
    assert np.isnan(y[seen]).all()
    seen[0, :4, 18:22] = True
    assert np.isfinite(y[~seen]).all()


def test_the_choice(monkeypatch):
    """A whole image that is a tile of its own is none of this kernel's."""
    calls = []
    for module in (few_channels, convolution.winograd):
        monkeypatch.setattr(module, "forward_pooled", lambda *arrays, module=module: calls.append(module))
    for size, channels in [(16, 3), (16, 5), (4, 3)]:
        of = Geometry((size, size, channels), (size, size, 32), (5, 5), 1, (2, 2, 2, 2))
        convolution.forward_pooled(of, *problem(5, (2, size, size, channels, 32), 5, "float32"))
    assert calls == [few_channels, convolution.winograd, convolution.winograd]


ON_OTHER_VECTORS = """
from scratchnet.kernels.machine.vectors import VECTOR_BYTES
from tests.test_few_channels import check

for dtype in ("float32", "float64"):
    check(6, (2, 19, 75, 3, 21), 5, (2, 2, 2, 2), dtype)
print(VECTOR_BYTES)
"""


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="these are processors of the x86 family")
@pytest.mark.parametrize(("processor", "width"), [("haswell", "32"), ("generic", "16")])
def test_other_vectors(processor, width, run_python, tmp_path):
    assert run_python(ON_OTHER_VECTORS, NUMBA_CPU_NAME=processor, NUMBA_CACHE_DIR=str(tmp_path)) == width
