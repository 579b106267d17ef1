"""Names the rank that has died: a small process beside the ranks of a machine that outlives them.

A launcher ends all ranks as soon as one is gone, before they can say anything, and MPICH's names the process number of any of
them. The witness waits for their ends, which Linux (epoll) reports in the order in which they came, and says which was the
first. Before a process is over, its files are closed, and others may notice and be over sooner. Therefore each rank also holds a
pipe to the witness, under a number so high that Linux closes it before the connections to others. And MPICH's launcher waits
without end for a machine that is cut off, when the ranks have given it up: the witness on the launcher's own machine ends it
then. On other systems there is none.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

# Files in the witness's folder: a rank has left in good order; one has said why it ended all, for want of an answer or else;
# what each rank keeps open while it lives.
LEFT, ABORTED, STALLED, PIPE = "left-{}", "aborted", "stalled", "pipe-{}"
HIGH = 1000  # number of the open pipe, or the highest one that is allowed
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
def watch(rank, process, opened, *how):
    try:
        descriptor = opened(*how)
    except OSError:
        return
    of[descriptor] = rank, process
    poll.register(descriptor, select.EPOLLIN)
for one in ranks:
    rank, process = one.split(":")
    watch(rank, process, os.open, os.path.join(folder, "pipe-" + rank), os.O_RDONLY | os.O_NONBLOCK)
    watch(rank, process, os.pidfd_open, int(process))
silent = False
while of:
    for descriptor, _ in poll.poll():
        if descriptor not in of:
            continue  # the other one of the same rank has come with it
        rank, process = of[descriptor]
        # Of the two, its pipe too: one that the rank had not yet opened tells of no end.
        for both in [one for one in of if of[one][0] == rank]:
            poll.unregister(both)
            os.close(both)
            del of[both]
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
        for rank in ranks:
            os.mkfifo(folder / PIPE.format(rank))
        words = [str(folder), name, host, str(launcher()), *(f"{rank}:{process}" for rank, process in ranks.items())]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, *words], stdin=nowhere, stdout=nowhere, start_new_session=True
        )
    except OSError:
        return None
    return folder


def hold(folder: Path | None, rank: int) -> None:
    """Keeps the rank's pipe open until the process ends."""
    if folder is None:
        return
    import fcntl  # there is none on Windows
    import resource

    with contextlib.suppress(OSError, ValueError):
        pipe = os.open(folder / PIPE.format(rank), os.O_RDWR)
        fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, min(HIGH, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1))
        os.close(pipe)


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


def launcher() -> int:
    """The process number of the launcher, if it runs on this machine and this is Linux, else 0."""
    process = os.getppid()
    with contextlib.suppress(OSError, ValueError):
        while process > 1:
            text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
            name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 1 :].split()
            if name in LAUNCHERS:
                return process
            process = int(rest[1])
    return 0
