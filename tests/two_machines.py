"""Two machines, played by two network namespaces of this one with a cable between them; Linux and root only.

Run with a command, `python -m tests.two_machines 1gbit -n 2 python train.py …`, it is mpiexec on both, with that rate, and says at the end
how many bytes each of them has sent.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.launching import finished, launch

MINE = f"scratchnet{os.getpid()}-"  # what the names of this process's namespaces begin with
# Stands in for ssh. Each machine has its own network, its own name and its own /dev/shm.
SHELL = f"""#!/bin/sh
while case "$1" in -*) true;; *) false;; esac; do shift; done
number=${{1##*.}}; shift
exec ip netns exec {MINE}$number unshare --uts sh -c '
hostname machine$0; mount -t tmpfs none /dev/shm; exec sh -c "$*"' $number "$@"
"""


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def cable(state):
    """Pulls the cable of the second machine, "down", or plugs it in, "up"."""
    run("ip", "-n", f"{MINE}2", "link", "set", "eth0", state)


def sent():
    """Bytes that each machine has sent so far."""
    return [
        int(run("ip", "netns", "exec", f"{MINE}{k}", "cat", "/sys/class/net/eth0/statistics/tx_bytes")) for k in (1, 2)
    ]


@contextlib.contextmanager
def two_machines(rate=""):
    """Both, until the block ends; gives a function that starts `launch`'s mpiexec over them. rate: of the cable, such as "1gbit".

    Raises OSError or CalledProcessError where that cannot be had.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        shell = Path(folder) / "shell"
        shell.write_text(SHELL, encoding="utf-8")
        shell.chmod(0o755)
        for k in (1, 2):
            run("ip", "netns", "add", f"{MINE}{k}")
            stack.callback(run, "ip", "netns", "del", f"{MINE}{k}")
        run("ip", "-n", f"{MINE}1", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", f"{MINE}2")
        for k in (1, 2):
            run("ip", "-n", f"{MINE}{k}", "address", "add", f"10.77.0.{k}/24", "dev", "eth0")
            for one in ("lo", "eth0"):
                run("ip", "-n", f"{MINE}{k}", "link", "set", one, "up")
            if rate:
                limit = ("tbf", "rate", rate, "burst", "256kb", "latency", "50ms")
                run("tc", "-n", f"{MINE}{k}", "qdisc", "add", "dev", "eth0", "root", *limit)
        ways = ["-launcher", "ssh", "-launcher-exec", str(shell), "-iface", "eth0", "-hosts", "10.77.0.1,10.77.0.2"]

        def start(words, **variables):
            return launch([[*ways, *words]], before=(str(shell), "10.77.0.1"), UCX_TLS="tcp,self", **variables)

        yield start


def can_be_had():
    """Whether this system lets this user make them."""
    if not sys.platform.startswith("linux") or not all(map(shutil.which, ("ip", "unshare"))):
        return False
    with contextlib.suppress(OSError, subprocess.CalledProcessError), two_machines():
        return True
    return False


if __name__ == "__main__":
    with two_machines(sys.argv[1]) as start:
        code, out, err = finished(start(sys.argv[2:]), timeout=None)
        print(out, err, *(f"machine{k} has sent {count:,} bytes" for k, count in enumerate(sent(), 1)), sep="\n")
    sys.exit(code)
