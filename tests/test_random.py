"""Random draws depend on what they are for, and on nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scratchnet import random, reference

SIXTY_FOUR_BITS = 2**64 - 1


def splitmix64(state):
    """One number of the published algorithm, in Python's integers."""
    z = (state + 0x9E3779B97F4A7C15) & SIXTY_FOUR_BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & SIXTY_FOUR_BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & SIXTY_FOUR_BITS
    return z ^ (z >> 31)


def test_mix_gives_the_published_numbers():
    """The first three of seed 1234567, as printed with many implementations of splitmix64."""
    states = np.array([1234567], np.uint64) + np.arange(3, dtype=np.uint64) * random.GOLDEN_GAMMA
    assert random.mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.lists(st.integers(0, SIXTY_FOUR_BITS), min_size=1))
def test_mix_is_splitmix64(states):
    assert random.mix(np.array(states, np.uint64)).tolist() == [splitmix64(state) for state in states]


@given(st.integers(0, SIXTY_FOUR_BITS), st.integers(1, 20))
def test_a_dropout_mask_is_made_of_these_draws(key, features):
    expected = [splitmix64((key + j * 0x9E3779B97F4A7C15) & SIXTY_FOUR_BITS) / 2**64 >= 0.5 for j in range(features)]
    assert reference.dropout_kept(np.array([key], np.uint64), features, 0.5)[0].tolist() == expected


@given(st.integers(0, 2**64 - 1), st.integers(0, 1000), st.permutations(range(6)), st.integers(1, 5))
def test_bits_belong_to_the_image_not_to_its_place_in_the_batch(seed, epoch, images, cut):
    whole = random.bits(seed, "augment", epoch, images)
    parts = [random.bits(seed, "augment", epoch, images[:cut]), random.bits(seed, "augment", epoch, images[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(whole[np.argsort(images)], random.bits(seed, "augment", epoch, range(6)))


def test_bits_differ_by_seed_purpose_epoch_and_image():
    drawn = [
        random.bits(seed, purpose, epoch, np.arange(50))
        for seed in (0, 1, 2)
        for purpose in ("augment", "dropout1")
        for epoch in (0, 1, 2)
    ]
    assert len(np.unique(np.concatenate(drawn))) == 3 * 2 * 3 * 50


def test_uniform_covers_zero_to_one():
    limits = random.uniform(np.array([0, SIXTY_FOUR_BITS], np.uint64))
    assert limits[0] == 0
    assert limits[1] == 1 - 2.0**-53
    numbers = random.uniform(random.bits(0, "test", 0, np.arange(100_000)))
    assert abs(numbers.mean() - 1 / 2) < 4 / np.sqrt(12 * 100_000)  # four standard errors
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 10_000).max() < 4 * np.sqrt(9_000)


def test_generator_is_a_function_of_its_key():
    def first(*key):
        return random.generator(*key).integers(2**63)

    assert first(0, "order", 1) == first(0, "order", 1)
    assert (
        len(
            {
                first(0, "order", 1),
                first(1, "order", 1),
                first(0, "weights", 1),
                first(0, "order", 2),
                first(0, "order"),
            }
        )
        == 5
    )
