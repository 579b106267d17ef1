"""Heat maps over a cell: one scale, blocks that invent nothing, and no colour where nothing matters."""

import numpy as np
import pytest

from scratchnet.drawing import heat
from scratchnet.errors import ShapeError


@pytest.fixture
def cell(rng):
    return rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_what_does_not_matter_is_the_cell_alone(cell):
    """0.0015, which a scale of its own would paint in the deepest colour, is no colour."""
    print_of_it = heat.beneath(cell).round().astype(np.uint8)
    for effect in (np.zeros((4, 4)), np.full((2, 2), 0.0015), np.array([[0.049, -0.049]])):
        assert not heat.matters(effect)
        np.testing.assert_array_equal(heat.painted(cell, effect), print_of_it)
    assert (heat.painted(cell, np.full((2, 2), 0.05)) != print_of_it).any()
    assert heat.matters(np.array([[0.0, -0.06]]))


@pytest.mark.parametrize(("places", "size"), [(2, 32), (4, 32), (4, 30), (7, 32), (32, 32), (1, 5)])
def test_blocks_are_as_large_as_their_places(places, size):
    """Over an even ground a map of one strong place has two colours, and the block has the place's share of the image."""
    effect = np.zeros((places, places))
    effect[places // 2, places // 2] = 0.3
    shown = heat.painted(np.full((size, size, 3), 90, np.uint8), effect)
    colours, counts = np.unique(shown.reshape(-1, 3), axis=0, return_counts=True)
    assert len(colours) == (2 if places > 1 else 1)
    side = np.sqrt(counts[-1] if places == 1 else counts.min())
    assert abs(side - size / places) < 1
    assert side == int(side)


def test_the_scale_is_the_same_whatever_else_is_on_the_map(cell):
    """The colour of a value does not depend on the largest one."""
    alone, beside = np.zeros((2, 2)), np.array([[0.0, 0.9], [-0.9, 0.0]])
    alone[0, 0] = beside[0, 0] = 0.12
    np.testing.assert_array_equal(heat.painted(cell, alone)[:16, :16], heat.painted(cell, beside)[:16, :16])


def test_for_is_orange_and_against_is_blue_and_stronger_is_darker():
    grey = np.full((8, 8, 3), 128, np.uint8)
    brightness = {1: [], -1: []}
    for sign, warm in ((1, True), (-1, False)):
        for step in heat.STEPS:
            red, _, blue = (int(part) for part in heat.painted(grey, np.array([[sign * step]]))[0, 0])
            assert (red > blue) == warm
            brightness[sign].append(int(heat.painted(grey, np.array([[sign * step]])).sum()))
        assert brightness[sign] == sorted(brightness[sign], reverse=True)
        assert len(set(brightness[sign])) == len(heat.STEPS)


def test_the_key_shows_the_colours_of_the_map():
    """A cell of middling brightness, painted with each step, has the colour that the key gives for it."""
    middling = np.full((4, 4, 3), 128, np.uint8)
    key = heat.key()
    for (_, colour), value in zip(key, [-0.4, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.4], strict=True):
        np.testing.assert_allclose(heat.painted(middling, np.array([[value]]))[0, 0], colour, atol=1)


def test_the_key_can_be_read():
    """Contrast of its texts of at least 4.5 (WCAG 2.1, AA), on every colour."""

    def luminance(colour):
        part = np.array(colour) / 255
        return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for text, colour in heat.key():
        dark, light = sorted((luminance(colour), luminance(heat.ink(colour))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, text


def test_evidence_means_the_same_on_maps_of_any_size():
    """A layer of 2 × 2 places and one of 8 × 8, whose evidence adds up to the same logit: the same effect."""
    for places in (1, 2, 8):
        effect = heat.from_evidence(np.full((places, places), 1.1 / places**2))
        np.testing.assert_allclose(effect, 1 / (1 + np.exp(-1.1)) - 0.5)
    assert heat.from_evidence(np.array([[1000.0]]))[0, 0] == 0.5


@pytest.mark.parametrize("shape", [(33, 4), (4,), (0, 4), (2, 2, 1)])
def test_a_map_that_does_not_fit(cell, shape):
    with pytest.raises(ShapeError, match="32 × 32 pixels"):
        heat.painted(cell, np.zeros(shape))
