"""One process at a time, and none that is dead."""

import errno
import subprocess
import sys

import pytest

from scratchnet.errors import LockedError
from scratchnet.storage.lock import Lock

HOLD = """
import sys, time
from pathlib import Path
from scratchnet.storage.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path, repository):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run.lock")], cwd=repository, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_it(holder, tmp_path):
    with pytest.raises(LockedError, match=f"process {holder.pid} on"), Lock(tmp_path / "run.lock"):
        pass


def test_a_dead_process_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()
    with Lock(tmp_path / "run.lock"):
        pass


def test_a_file_system_without_locks_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "scratchnet.storage.lock._take", lambda descriptor: (_ for _ in ()).throw(OSError(errno.ENOLCK, "no locks"))
    )
    with pytest.raises(LockedError, match="cannot lock files"), Lock(tmp_path / "run.lock"):
        pass


def test_it_is_given_back(tmp_path):
    for _ in range(2):
        with Lock(tmp_path / "run.lock"):
            pass


def test_a_child_does_not_inherit_it(tmp_path, repository):
    """A process that was started while the lock was held, such as the one that helps compiling, must not keep it."""
    with Lock(tmp_path / "run.lock"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with Lock(tmp_path / "run.lock"):
            pass
    finally:
        child.kill()
        child.communicate()
