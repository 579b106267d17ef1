"""How this process was started: by itself, or by an MPI launcher as one of several that do the same work together.

Read from the variables that launchers set, before any library is loaded: MPICH's and Intel's `mpiexec` (Hydra), Open MPI's
`mpirun`, and Slurm's `srun`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

PREFIXES = ("PMI_", "PMIX_", "PRTE_", "OMPI_", "MPI_LOCAL", "HYDI_", "HYDRA_", "MPIEXEC_")  # of what launchers set
# Rank, processes in all, rank on this machine, processes on this machine.
LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),
)
OF_MPIEXEC = ("OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")  # set by Open MPI's and Hydra's, and not by srun


@dataclass(frozen=True)
class Launched:
    """One of `size` processes, number `rank` from 0; on this machine number `local_rank` of `local_size`, 0 where that isn't told."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    by: str  # what starts as many again: "mpiexec -n 4", or "srun"


def launched(variables: Mapping[str, str] = os.environ) -> Launched | None:
    """What the launcher has said; None for a process that is alone.

    >>> launched({"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"})
    Launched(rank=1, size=4, local_rank=1, local_size=2, by='mpiexec -n 4')
    >>> launched({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}) is None  # a batch script: srun has not been called yet
    True
    """
    for names in LAUNCHERS:
        rank, size, local_rank, local_size = (_number(variables.get(name)) for name in names)
        if rank is not None and size is not None and size > 1:
            by = f"mpiexec -n {size}"
            # An mpiexec may start its own helpers by srun, whose variables the ranks then have too; srun itself may set PMI's.
            if "SLURM_STEP_NUM_TASKS" in variables and not any(name in variables for name in OF_MPIEXEC):
                by = "srun"
            return Launched(rank, size, local_rank or 0, local_size or 0, by)
    return None


def is_first(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the one that prints: rank 0, or one that is alone."""
    found = launched(variables)
    return found is None or found.rank == 0


def by_open_mpi(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether Open MPI's mpiexec has started this process."""
    return "OMPI_COMM_WORLD_SIZE" in variables


def shared_in_vain(variables: Mapping[str, str] = os.environ) -> str:
    """What to say where a launcher has started several processes of a program that is one; "" for a process that is alone.

    >>> shared_in_vain({"PMI_RANK": "0", "PMI_SIZE": "2"})
    'only train.py shares its work among processes, and 2 of this were started: leave out mpiexec -n 2'
    """
    found = launched(variables)
    if found is None:
        return ""
    remedy = f"leave out {found.by}"
    if found.by == "srun":
        told = " ".join(names[1] for names in LAUNCHERS if names[1] in variables)
        remedy = f"say srun -n 1, or, where each process has work of its own, unset {told}"
    return f"only train.py shares its work among processes, and {found.size} of this were started: {remedy}"


def without_launcher(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that a rank starts and that is no rank itself: MPI would take it for the rank."""
    return {name: value for name, value in variables.items() if not name.startswith(PREFIXES)}


def _number(text: str | None) -> int | None:
    """The number that a variable begins with, as in Slurm's "2(x3)"; None where there is none."""
    digits = (text or "").partition("(")[0].partition(",")[0]
    return int(digits) if digits.isdecimal() else None
