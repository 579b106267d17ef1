"""A few hundred changed files through the readers in each run of the tests; `fuzz.py` does the same for hours."""

import time
import tracemalloc

import pytest

from faults import targets
from faults.hdf5_mutation import lookup3, repaired, structures
from scratchnet.storage.hdf5 import checksum as hdf5_checksum

CASES = 200
SECONDS, BYTES = 5, 2**26  # that one small file may take


@pytest.mark.parametrize("kind", targets.READERS)
def test_changed_files_are_read_or_refused(kind, tmp_path):
    seeds = targets.seeds(kind)
    refused = 0
    for case in range(CASES):
        content = targets.mutate(kind, seeds[case % len(seeds)], case)
        began = time.perf_counter()
        refused += isinstance(targets.run(kind, content, tmp_path), str)
        assert time.perf_counter() - began < SECONDS, case
        if case % 10 == 0:  # measuring memory takes longer than reading
            tracemalloc.start()
            targets.run(kind, content, tmp_path)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < BYTES, case
    assert 0.2 * CASES < refused < CASES  # the changes are neither without effect nor fatal at once


@pytest.mark.parametrize("kind", ["shard", "checkpoint"])
def test_the_mutations_reach_below_the_checksums(kind):
    """Each structure of a seed is found, and repairing one that is whole changes nothing."""
    for content in targets.seeds(kind):
        spans = structures(content)
        assert len(spans) >= 8
        assert repaired(content, spans) == content
        changed = bytearray(content)
        changed[60] ^= 1
        assert repaired(bytes(changed), spans) != bytes(changed)


def test_both_checksums_agree():
    """One in plain Python for the reader, one compiled for the fuzzer."""
    import numpy as np

    for length in range(100):
        data = np.random.default_rng(length).bytes(length)
        assert hdf5_checksum.lookup3(data) == lookup3(np.frombuffer(data, np.uint8))
