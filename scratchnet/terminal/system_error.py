"""What the operating system says of a file, in words, and what Windows does not say."""

import os


def system_reason(error: OSError) -> str:
    """Why the system refused, in a few words, without the path; HDF5's own message has many lines.

    >>> system_reason(FileNotFoundError(2, "No such file or directory", "cells"))
    'No such file or directory'
    """
    return (os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]) + too_long(error)


def too_long(error: OSError) -> str:
    """What is to be added for a path that is too long for Windows, which says that nothing is there; otherwise ""."""
    given = [os.path.abspath(path) for path in (error.filename, error.filename2) if isinstance(path, str)]
    longest = max(map(len, given), default=0)
    if os.name != "nt" or longest < 248:  # of 260, less the end and, for a folder, a short name in it
        return ""
    return (
        f" (a path of {longest} letters; Windows takes 247 for a folder and 259 for a file: choose a folder nearer to the drive, "
        "or switch on its long paths)"
    )
