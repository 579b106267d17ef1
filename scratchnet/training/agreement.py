"""What must be the same on all ranks before the first step, as the bits of the sums depend on it; and how a difference is said."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from scratchnet.errors import ConfigError
from scratchnet.kernels.machine.jit import sources_digest
from scratchnet.kernels.machine.vectors import VECTOR_BYTES, processor
from scratchnet.nn.description import own_of
from scratchnet.ranks import Alone
from scratchnet.training.experiment import Experiment
from scratchnet.version import __version__

REMEDIES = {
    "command line": "give all ranks the same",
    "settings": "give all ranks the same files and options",
    "prepared images": "copy the folder of shards there whole, or give one that all share with --data",
    "sources of the kernels": "install the same version of scratchnet everywhere",
    "own layers": "copy the same file of --model or --layers to all",
    "processor": "set NUMBA_CPU_NAME to the same for all, such as x86-64-v3, or leave that machine out",
    "instructions of NumPy": "set NPY_DISABLE_CPU_FEATURES for all to what one machine lacks, or leave that machine out",
}


def require_same_options(ranks: Alone, options: argparse.Namespace) -> None:
    """Raises ConfigError on all ranks where one was started with another command line than rank 0."""
    if ranks.size > 1:
        _require_same(ranks, {"command line": " ".join(options.arguments)})


def require_same_facts(ranks: Alone, experiment: Experiment) -> None:
    """Raises ConfigError on all ranks where one has another configuration, data, program or processor than rank 0."""
    if ranks.size > 1:
        _require_same(ranks, facts(experiment))


def facts(experiment: Experiment) -> dict[str, Any]:
    """All that the bits depend on, by a name that a person understands."""
    manifest = (experiment.folder / "manifest.json").read_bytes()
    versions = {name: version(name) for name in ("numpy", "numba", "llvmlite")}
    return {
        **{f"setting {name}": value for name, value in asdict(experiment.config).items()},
        "prepared images": hashlib.sha256(manifest).hexdigest()[:16],
        "scratchnet": __version__,
        "Python": platform.python_version(),
        **versions,
        "sources of the kernels": sources_digest()[:16],
        "own layers": hashlib.sha256(
            "".join(map(inspect.getsource, own_of(experiment.network).values())).encode()
        ).hexdigest()[:16],
        "processor": processor(),
        "bytes of a vector": VECTOR_BYTES,
        "instructions of NumPy": _instructions_of_numpy(),
        **{name: os.environ.get(name, "") for name in ("SCRATCHNET_CONV", "SCRATCHNET_EXCHANGE")},
    }


def _instructions_of_numpy() -> str:
    """NumPy chooses by processor too, as for the exponentials of the loss."""
    umath = getattr(getattr(np, "_core", None) or np.core, "_multiarray_umath", None)
    found: Mapping[str, bool] = getattr(umath, "__cpu_features__", {})
    return " ".join(sorted(name for name, has in found.items() if has))


def _require_same(ranks: Alone, mine: dict[str, Any]) -> None:
    """Compares with rank 0's."""
    text = json.dumps(mine, default=str)
    first = json.loads(ranks.texts(text)[0])
    with ranks.each():
        for name, value in json.loads(text).items():
            if value != first.get(name):
                here, there = _apart(str(value), str(first.get(name)))
                remedy = REMEDIES.get(name, REMEDIES["settings"] if name.startswith("setting") else "make it the same")
                raise ConfigError(
                    f"{name}: {here or 'nothing'} here, {there or 'nothing'} on rank 0 ({ranks.hosts[0]}): {remedy}"
                )


def _apart(here: str, there: str) -> tuple[str, str]:
    """Of two long lists of words those that the other lacks; short ones as they are.

    >>> _apart("sse " * 40 + "avx512f", "sse " * 40 + "avx2")
    ('avx512f', 'avx2')
    """
    if len(here) + len(there) < 160:
        return here, there
    mine, theirs = here.split(), there.split()
    return " ".join(w for w in mine if w not in theirs), " ".join(w for w in theirs if w not in mine)
