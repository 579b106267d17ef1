"""mpiexec beside this Python, of MPICH or Open MPI, for tests of training on several ranks; they are skipped where it is missing."""

import functools
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_runs import make_sides

ROOT = Path(__file__).resolve().parents[1]
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.is_file() else shutil.which("mpiexec")
REASON = "mpi4py or mpiexec is missing: the extra [distributed] brings both"
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None or not hasattr(signal, "SIGUSR1"), reason=REASON
)

# Of the sides that `ragged_sides` makes, the last batch of an epoch is ragged, and so is its last leaf.
SETTINGS = ("--micro-batch", "8", "--batch-size", "24", "--warmup", "2", "--learning-rate", "0.001")


def ragged_sides(folder):
    """31 images to learn from, 11 to be tested on."""
    return make_sides(folder, train=31, test=11)


@functools.cache
def is_open_mpi():
    """Whether mpiexec is Open MPI's; otherwise it is MPICH's, or understands the same words."""
    return "Open MPI" in subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True).stdout


def environment(**more):
    """One thread a rank, as the tests' machines have few cores; and a deadline that is over soon."""
    quick = {"NUMBA_NUM_THREADS": "1", "SCRATCHNET_DEADLINE": "60", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    # Open MPI: for a user called root, as in a container; more ranks than cores.
    anyhow = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
              "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "PRTE_MCA_hwloc_default_binding_policy": "none"}  # fmt: skip
    return {**os.environ, "PYTHONPATH": str(ROOT), **quick, **anyhow, **more}


def start(ranks, *arguments, folder=None, program=(str(ROOT / "train.py"),), **variables):
    """mpiexec with so many ranks of a program."""
    return launch([["-n", str(ranks), sys.executable, *program, *arguments]], folder, **variables)


def launch(parts, folder=None, before=(), **variables):
    """mpiexec with parts that differ: each a list of its arguments. before: what the command line begins with."""
    words = [word for part in parts for word in (":", *part)][1:]
    return subprocess.Popen(
        [*before, MPIEXEC, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env=environment(**variables),
    )  # fmt: skip


def finished(process, timeout=240):
    """Exit code, standard output and standard error; nothing is left running."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def of_the_program(err):
    """What was said on standard error, without what Open MPI's mpiexec adds between two lines of dashes."""
    return re.sub(r"(?ms)^-{60,}$.*?^-{60,}$\n*", "", err)


def until(process, pattern):
    """Reads the output up to a line with this pattern; returns what was read."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    raise AssertionError("".join(lines) + process.stderr.read())


def process_of(text, rank):
    """The number of a rank's process, as the announcement tells it."""
    return int(re.search(rf"rank {rank} .*?process (\d+)", " ".join(text.split()))[1])
