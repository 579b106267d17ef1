"""What the file system under a test's folder has: some names, pipes. The system alone does not tell, as with a disk of Windows on Linux."""

import os
from pathlib import Path

import pytest


def has_name(folder, name):
    """Whether a file there can have this name, and keeps it: Windows makes "a" of "a ", and a stream in "a" of "a:b"."""
    path = Path(folder) / name
    try:
        path.touch(exist_ok=False)
    except (OSError, ValueError):
        return False
    kept = name in os.listdir(folder)
    path.unlink()
    return kept


def require_names(folder, *names):
    """Skips the test where a file cannot have one of the names."""
    for name in names:
        if not has_name(folder, name):
            pytest.skip(f"no file can be called {name!r} there")


def require_case(folder):
    """Skips the test where names that differ in case alone are one."""
    (Path(folder) / "case").touch()
    one = (Path(folder) / "CASE").exists()
    (Path(folder) / "case").unlink()
    if one:
        pytest.skip("names that differ in case alone are one there")


def made_pipe(path):
    """Makes a named pipe; False where there are none."""
    try:
        os.mkfifo(path)
    except (AttributeError, OSError):
        return False
    return True
