"""Names the rank that has died: a small process beside the ranks of a machine that outlives them.

A launcher ends all ranks as soon as one is gone, before they can say anything, and MPICH's names the process number of any of
them. The witness waits for their ends, which Linux (epoll over pidfds) reports in the order in which they came, and says
which was the first. On other systems there is none.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

LEFT, ABORTED = (
    "left-{}",
    "aborted",
)  # files in the witness's folder: a rank has left in good order; one has said why it ended all
# Without `site` and the environment: it takes some ten milliseconds and as many megabytes.
PROGRAM = """
import os, select, shutil, sys
folder, name, host, *ranks = sys.argv[1:]
of = {}
poll = select.epoll()
for one in ranks:
    rank, process = one.split(":")
    try:
        descriptor = os.pidfd_open(int(process))
    except OSError:
        continue
    of[descriptor] = rank, process
    poll.register(descriptor, select.EPOLLIN)
silent = False
while of:
    for descriptor, _ in poll.poll():
        rank, process = of.pop(descriptor)
        poll.unregister(descriptor)
        os.close(descriptor)
        left = os.path.exists(os.path.join(folder, "left-" + rank))
        if not left and not silent and not os.path.exists(os.path.join(folder, "aborted")):
            silent = True
            os.write(2, f"{name}: rank {rank} on {host} (process {process}) has died without a word: killed, or out of "
                        "memory. The launcher has ended the others with it.\\n".encode())
shutil.rmtree(folder, ignore_errors=True)
"""


def available() -> bool:
    """Whether this system can tell in which order processes end."""
    return hasattr(os, "pidfd_open") and hasattr(select, "epoll")


def start(name: str, host: str, ranks: dict[int, int]) -> Path | None:
    """Starts the witness of this machine's ranks, by number and process; returns its folder, None if there is none.

    name: of the program, with which its line begins.
    """
    if not available():
        return None
    try:
        folder = Path(tempfile.mkdtemp(prefix="scratchnet-"))
        words = [str(folder), name, host, *(f"{rank}:{process}" for rank, process in ranks.items())]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, *words], stdin=nowhere, stdout=nowhere, start_new_session=True
        )
    except OSError:
        return None
    return folder


def leave(folder: Path | None, rank: int, *, aborting: bool = False) -> None:
    """Notes that the rank ends in good order, or that it ends all and has said why."""
    if folder is not None:
        with contextlib.suppress(OSError):
            (folder / (ABORTED if aborting else LEFT.format(rank))).touch()
