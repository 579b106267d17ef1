"""Sizes of caches: asked for as each system has them, set by a variable, and usual ones where nothing answers."""

import struct

import pytest

from scratchnet.errors import ConfigError
from scratchnet.kernels.machine import caches as module
from scratchnet.kernels.machine.caches import USUAL, Caches, caches
from scratchnet.kernels.machine.vectors import TILE_ROWS
from scratchnet.kernels.winograd import blocks


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    monkeypatch.delenv("SCRATCHNET_CACHES", raising=False)
    caches.cache_clear()
    yield
    caches.cache_clear()


def test_this_machine_has_some():
    found = caches()
    assert 16 << 10 <= found.l2 <= found.l3 * 4
    assert found.l3 <= 4 << 30


def test_the_variable_decides(monkeypatch):
    monkeypatch.setenv("SCRATCHNET_CACHES", "2M,300m")
    assert caches() == Caches(2 << 20, 300 << 20)


@pytest.mark.parametrize("said", ["1M", "1M,", "1M,0", "1M,much", "32K,1M,16M", "-1M,16M"])
def test_what_the_variable_cannot_say(said, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_CACHES", said)
    with pytest.raises(ConfigError, match="SCRATCHNET_CACHES must be the sizes of L2 and L3, such as 1M,16M, got"):
        caches()


def a_processor(folder, *, threads="0", cores="0"):
    """Files as Linux has them, of a processor whose L2 is shared by `cores`."""
    for i, (level, kind, size, shared) in enumerate(
        [
            (1, "Data", "48K", threads),
            (1, "Instruction", "32K", threads),
            (2, "Unified", "2048K", cores),
            (3, "Unified", "30M", "0-55"),
        ]
    ):
        index = folder / "cache" / f"index{i}"
        index.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
            (index / name).write_text(f"{text}\n", encoding="utf-8")
    (folder / "topology").mkdir()
    (folder / "topology" / "thread_siblings_list").write_text(f"{threads}\n", encoding="utf-8")
    return folder / "cache"


@pytest.mark.parametrize(
    ("threads", "cores", "l2"), [("0", "0", 2 << 20), ("0,56", "0,56", 2 << 20), ("0", "0-3", 512 << 10)]
)
def test_as_linux_tells(tmp_path, threads, cores, l2):
    """Two threads of one core are not two cores that share its cache."""
    found = module._linux(a_processor(tmp_path, threads=threads, cores=cores))
    assert found == {1: 48 << 10, 2: l2, 3: 30 << 20}


def test_as_windows_tells():
    def record(level, size, kind):
        return struct.pack("<IIBBHII", 2, 52, level, 8, 64, size, kind) + bytes(32)

    records = (
        record(1, 32768, 2)
        + record(1, 65536, 1)
        + record(2, 1 << 20, 0)
        + record(2, 2 << 20, 0)
        + record(3, 8 << 20, 0)
    )
    assert module._windows_records(records) == {1: 32768, 2: 1 << 20, 3: 8 << 20}
    assert module._windows_records(records[:30]) == {1: 32768}


def test_where_nothing_answers(monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "plan9")
    assert caches() == USUAL
    assert module._completed({1: 64 << 10, 2: 12 << 20}) == Caches(12 << 20, 16 << 20)


@pytest.mark.parametrize("said", ["64K,128K", "512K,4M", "1M,32M", "2M,300M", "12M,24M"])
@pytest.mark.parametrize(("channels", "filters"), [(3, 32), (64, 128), (512, 512)])
def test_blocks_are_whole_register_tiles_that_fit(said, channels, filters, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_CACHES", said)
    making, reading = blocks.making_tiles(channels, 64, 4), blocks.reading_tiles(channels, 64, 4)
    slot, (group, near) = blocks.slot_tiles(channels, filters, 64, 4), blocks.group_tiles(channels, filters, 64, 4)
    for tiles in (making, reading, slot, group):
        assert tiles >= TILE_ROWS
        assert tiles % TILE_ROWS == 0
    assert making == TILE_ROWS or making * 64 * blocks.PANEL_BYTES <= caches().l2 // 2
    assert reading == TILE_ROWS or reading * 64 * (channels * 4 + blocks.PANEL_BYTES) <= caches().l2 // 2
    assert near == (group * 64 * (channels + filters) * 4 <= caches().l3 // 4)
