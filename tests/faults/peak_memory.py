"""The most memory that this process ever had, for programs that the tests start."""

import sys


def peak_memory():
    """Bytes of main memory at their peak, since this program began.

    On Linux from /proc: what getrusage says there counts the process that started this one, too.
    """
    if sys.platform.startswith("linux"):
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
