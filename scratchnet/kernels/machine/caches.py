"""How large this machine's caches are, asked for once. Block sizes follow from it, and nothing but speed follows from them.

A core has two caches of its own, L1 for a few cycles' reach, which is small everywhere and nobody asks for, and L2 for a dozen;
L3, some fifty cycles away, is shared by the cores. Memory is ten times as far again.

    Linux      /sys/devices/system/cpu/cpu0/cache/
    macOS      sysctl hw.perflevel0.*, of the fast cores
    Windows    GetLogicalProcessorInformationEx

Where nothing answers, `USUAL` counts. The variable SCRATCHNET_CACHES sets both, as in "1M,16M".
"""

import ctypes
import functools
import os
import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

from scratchnet.errors import ConfigError


class Caches(NamedTuple):
    """Bytes. l2: for one core, its share where several cores have one together. l3: of all cores together."""

    l2: int
    l3: int


USUAL = Caches(1 << 20, 16 << 20)
LINUX = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@functools.cache
def caches() -> Caches:
    """This machine's. Raises ConfigError where SCRATCHNET_CACHES is not two sizes."""
    said = os.environ.get("SCRATCHNET_CACHES", "")
    if said:
        return _from_words(said)
    try:
        ask = {"linux": _linux, "darwin": _macos, "win32": _windows}.get(sys.platform)
        return _completed(ask() if ask else {})
    except (OSError, ValueError, AttributeError, struct.error):  # an answer of no known form
        return USUAL


def _from_words(said: str) -> Caches:
    sizes = [_bytes(word.strip()) for word in said.split(",")]
    if len(sizes) != 2 or 0 in sizes:
        raise ConfigError(
            f"the variable SCRATCHNET_CACHES must be the sizes of L2 and L3, such as 1M,16M, got {said!r}"
        )
    return Caches(*sizes)


def _bytes(word: str) -> int:
    """ "32K" → 32768; 0 for what is no size."""
    found = re.fullmatch(r"(\d{1,9})([KMG]?)B?", word.upper())
    return int(found[1]) * UNITS[found[2]] if found else 0


def _completed(sizes: dict[int, int]) -> Caches:
    """sizes: by level. Without an L3 the cores' L2 is what they share."""
    l2 = sizes.get(2) or USUAL.l2
    return Caches(l2, sizes.get(3) or max(USUAL.l3, l2))


def _linux(folder: Path = LINUX) -> dict[int, int]:
    found = {}
    for cache in sorted(folder.glob("index*")):
        if (cache / "type").read_text(encoding="ascii").strip() in ("Data", "Unified"):
            level = int((cache / "level").read_text(encoding="ascii"))
            found[level] = _bytes((cache / "size").read_text(encoding="ascii").strip())
            if level < 3:  # two threads of one core share it, and are not two cores
                found[level] //= max(
                    1, _count(cache / "shared_cpu_list") // _count(folder.parent / "topology/thread_siblings_list")
                )
    return found


def _count(processors: Path) -> int:
    """How many "0-3,8" are; 1 where the file is missing."""
    try:
        ranges = [part.split("-") for part in processors.read_text(encoding="ascii").strip().split(",")]
    except OSError:
        return 1
    return sum(int(ends[-1]) - int(ends[0]) + 1 for ends in ranges)


def _macos() -> dict[int, int]:
    library = ctypes.CDLL(None)

    def number(name: str) -> int:
        value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
        failed = library.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
        return 0 if failed else value.value

    cores = number("hw.perflevel0.cpusperl2") or 1
    return {
        2: (number("hw.perflevel0.l2cachesize") or number("hw.l2cachesize")) // cores,
        3: number("hw.l3cachesize") or number("hw.perflevel0.l2cachesize"),
    }


def _windows() -> dict[int, int]:
    """Reads the records of kind RelationCache: kind, size, level, associativity, line size, bytes of the cache, type."""
    relation_cache, length = 2, ctypes.c_uint32(0)
    ask = ctypes.windll.kernel32.GetLogicalProcessorInformationEx  # type: ignore[attr-defined,unused-ignore]
    ask(relation_cache, None, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value)
    if not ask(relation_cache, buffer, ctypes.byref(length)):
        return {}
    return _windows_records(buffer.raw[: length.value])


def _windows_records(records: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    at = 0
    while at + 20 <= len(records):
        _, size, level, _, _, cache_bytes, kind = struct.unpack_from("<IIBBHII", records, at)
        if kind in (0, 2):  # unified, data
            found.setdefault(level, cache_bytes)
        at += max(size, 20)
    return found
