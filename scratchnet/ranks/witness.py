"""Names the rank that has died: a small process beside the ranks of a machine that outlives them.

A launcher ends all ranks as soon as one is gone, before they can say anything, and MPICH's names the process number of any of
them. The witness waits for their ends, which Linux (epoll over pidfds) reports in the order in which they came, and says
which was the first. And MPICH's launcher waits without end for a machine that is cut off, when the ranks have given it up: the
witness on the launcher's own machine ends it then. On other systems there is none.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

# Files in the witness's folder: a rank has left in good order; one has said why it ended all, for want of an answer or else.
LEFT, ABORTED, STALLED = "left-{}", "aborted", "stalled"
LAUNCHERS = ("mpiexec", "mpiexec.hydra", "mpirun", "prterun", "orterun")
# Without `site` and the environment: it takes some ten milliseconds and as many megabytes.
PROGRAM = """
import os, select, shutil, signal, sys
folder, name, host, launcher, *ranks = sys.argv[1:]
of = {}
try:
    launcher = os.pidfd_open(int(launcher))
except OSError:
    launcher = None
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
if launcher is not None and os.path.exists(os.path.join(folder, "stalled")):
    poll.register(launcher, select.EPOLLIN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if poll.poll(1.5):
            break
        signal.pidfd_send_signal(launcher, number)
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
        words = [str(folder), name, host, str(_launcher()), *(f"{rank}:{process}" for rank, process in ranks.items())]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, *words], stdin=nowhere, stdout=nowhere, start_new_session=True
        )
    except OSError:
        return None
    return folder


def leave(folder: Path | None, rank: int) -> None:
    """Notes that the rank ends in good order."""
    _note(folder, LEFT.format(rank))


def abort(folder: Path | None, *, stalled: bool) -> None:
    """Notes that a rank ends all and has said why. stalled: because another has not answered."""
    _note(folder, ABORTED)
    if stalled:
        _note(folder, STALLED)


def _note(folder: Path | None, name: str) -> None:
    if folder is not None:
        with contextlib.suppress(OSError):
            (folder / name).touch()


def _launcher() -> int:
    """The process number of the launcher, if it runs on this machine, else 0."""
    process = os.getppid()
    with contextlib.suppress(OSError, ValueError):
        while process > 1:
            text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
            name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 1 :].split()
            if name in LAUNCHERS:
                return process
            process = int(rest[1])
    return 0
