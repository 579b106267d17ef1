"""The machine and the versions that figures belong to."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT
from benchmarks.settings import processors
from scratchnet.version import __version__

PACKAGES = ("numpy", "numba", "torch", "tensorflow")


def description() -> dict[str, Any]:
    """What stands above the table: processor, system, versions and date."""
    return {
        "processor": processor(),
        "processors": processors(),
        "memory_bytes": memory("MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {"scratchnet": scratchnet(), "python": platform.python_version(), **installed()},
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def processor() -> str:
    """The model, as far as the system tells."""
    if platform.system() == "Darwin":
        return output_of("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return entry("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def memory(name: str) -> int | None:
    """Bytes of memory: `MemTotal` of the machine, `MemAvailable` now. None if the system has no /proc."""
    found = entry("/proc/meminfo", name)
    return int(found.split()[0]) * 1024 if found else None


def entry(path: str, name: str) -> str:
    """The value after `name:` in a file of such lines; empty if there is none."""
    if not Path(path).exists():
        return ""
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def scratchnet() -> str:
    """Our version, with the commit where there is a repository; a `+` says that files differ from it."""
    commit = output_of("git", "describe", "--always", "--dirty=+", "--exclude=*")
    return f"{__version__} ({commit})" if commit else __version__


def installed() -> dict[str, str]:
    """The versions of the numerical packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def output_of(*command: str) -> str:
    """What a program prints; empty if it cannot be run or fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
