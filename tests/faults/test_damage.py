"""Damaged files: what is read is what was written, or it is refused by name. Nothing in between.

The long version, `pytest -m slow -s tests/faults/test_damage.py`, prints how many of its cases were detected and how many were harmless:
those that changed bytes which mean nothing, such as the space between two structures.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from faults import targets

CASES = {"quick": 400, "long": 3000}  # for each kind of file


def flip_a_bit(content, draw):
    content[draw.integers(len(content))] ^= 1 << draw.integers(8)


def flip_many_bits(content, draw):
    for position in draw.integers(len(content), size=draw.integers(2, 50)):
        content[position] ^= 1 << draw.integers(8)


def change_a_byte(content, draw):
    content[draw.integers(len(content))] = draw.integers(256)


def truncate(content, draw):
    del content[draw.integers(len(content)) :]


def truncate_a_little(content, draw):
    del content[-draw.integers(1, 9) :]


def append(content, draw):
    content += draw.bytes(draw.integers(1, 5000))


def append_zeros(content, draw):
    content += bytes(draw.integers(1, 5000))


def _block(content, draw):
    """A stretch of the file, as a disk or a file system loses it."""
    size = min(int(draw.choice([16, 64, 512, 4096])), len(content) // 2)
    start = draw.integers(len(content) - size + 1)
    return slice(start, start + size)


def zero_a_block(content, draw):
    block = _block(content, draw)
    content[block] = bytes(block.stop - block.start)


def randomise_a_block(content, draw):
    block = _block(content, draw)
    content[block] = draw.bytes(block.stop - block.start)


def swap_two_blocks(content, draw):
    size = min(int(draw.choice([16, 64, 512])), len(content) // 4)
    first, second = (size * place for place in draw.choice(len(content) // size, 2, replace=False))
    one, other = content[first : first + size], content[second : second + size]
    content[first : first + size], content[second : second + size] = other, one


def repeat_a_block(content, draw):
    block = _block(content, draw)
    target = draw.integers(len(content) - (block.stop - block.start) + 1)
    content[target : target + block.stop - block.start] = content[block]


def lose_a_block(content, draw):
    del content[_block(content, draw)]


def insert(content, draw):
    position = draw.integers(len(content))
    content[position:position] = draw.bytes(draw.integers(1, 100))


DAMAGE = [
    flip_a_bit, flip_many_bits, change_a_byte, truncate, truncate_a_little, append, append_zeros, zero_a_block, randomise_a_block,
    swap_two_blocks, repeat_a_block, lose_a_block, insert,
]  # fmt: skip
ALWAYS_SEEN = {
    truncate,
    truncate_a_little,
    lose_a_block,
    insert,
}  # no file is the same when it is shorter or longer in the middle


def damage(kind, cases, folder):
    """Reads `cases` damaged files of a kind; returns how many were detected and harmless, by what was done."""
    counts = Counter()
    seeds = targets.seeds(kind)
    truths = [targets.run(kind, seed, folder) for seed in seeds]
    assert not any(isinstance(truth, str) for truth in truths)
    for case in range(cases):
        draw, number = np.random.default_rng(case), case % len(seeds)
        change = DAMAGE[case % len(DAMAGE)]
        content = bytearray(seeds[number])
        change(content, draw)
        found = targets.run(kind, bytes(content), folder)
        where = f"case {case}: {change.__name__} of {kind} {number}"
        if isinstance(found, str):
            assert Path(folder).name in found, where  # the message names the file
            assert "\n" not in found, where
            counts[change.__name__, "detected"] += 1
        else:
            assert found == truths[number], f"{where} was read as something else"
            assert change not in ALWAYS_SEEN or kind == "manifest" or bytes(content) == seeds[number], (
                f"{where} was not seen"
            )
            counts[change.__name__, "harmless"] += 1
    return counts


@pytest.mark.parametrize("kind", ["shard", "checkpoint", "manifest"])
@pytest.mark.parametrize("length", ["quick", pytest.param("long", marks=[pytest.mark.slow, pytest.mark.timeout(3000)])])
def test_damage_is_detected_or_changes_nothing(kind, length, tmp_path):
    counts = damage(kind, CASES[length], tmp_path)
    totals = Counter()
    for (_, outcome), count in counts.items():
        totals[outcome] += count
    assert totals["detected"] > CASES[length] / 2
    if length == "long":
        print(
            f"\n{kind}: {CASES[length]} cases, {totals['detected']} detected, {totals['harmless']} harmless, 0 read wrongly"
        )
        for change in DAMAGE:
            detected, harmless = (counts[change.__name__, outcome] for outcome in ("detected", "harmless"))
            print(f"  {change.__name__:<18} {detected:>4} detected {harmless:>4} harmless")


@pytest.mark.parametrize("kind", ["shard", "checkpoint"])
def test_every_single_byte_counts_or_means_nothing(kind, tmp_path):
    """One bit of each byte of a small file, one after the other."""
    content = targets.seeds(kind)[0]
    truth = targets.run(kind, content, tmp_path)
    for position in range(0, len(content), 1 if os.environ.get("CI") else 3):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        found = targets.run(kind, bytes(damaged), tmp_path)
        assert isinstance(found, str) or found == truth, position


def test_the_suite_would_notice(tmp_path, monkeypatch):
    """A reader that compares no checksums lets wrong arrays pass, and the suite says so."""
    monkeypatch.setattr(targets, "seeds", targets.seeds.__wrapped__)  # not those that were kept, with their checksums
    monkeypatch.setattr("scratchnet.training.checkpoint._checksum", lambda name, array: 0)
    monkeypatch.setattr("scratchnet.training.checkpoint._checksum_of_all", lambda checksums: 0)
    with pytest.raises(AssertionError, match="was read as something else"):
        damage("checkpoint", 2000, tmp_path)  # ends with the first; which that is depends on the HDF5 library
