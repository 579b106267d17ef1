"""Windows, macOS and file systems that lack something, pretended where they cannot be run: locks, signals, folders, encodings."""

import ast
import errno
import importlib.util
import os
import posixpath
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from scratchnet.errors import LockedError, NoLocksError
from scratchnet.kernels.machine import jit
from scratchnet.prepare import Settings, cache
from scratchnet.storage import files
from scratchnet.terminal import entry_point, invocation, system_error
from scratchnet.training import load_checkpoint
from tests.small_data import make_cnmc
from tests.small_runs import make_run, make_sides

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def synced(monkeypatch, disk_sync):
    """Here files are forced to the disk."""
    monkeypatch.setattr(files, "_sync", disk_sync)


def loaded_anew(module, monkeypatch):
    """The module's source run once more, under another name, on the system that is pretended."""
    spec = importlib.util.spec_from_file_location("pretended", ROOT.joinpath(*module.split(".")).with_suffix(".py"))
    fresh = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pretended", fresh)
    spec.loader.exec_module(fresh)
    return fresh


class WindowsLocks:
    """`msvcrt.locking`: a byte may be locked once, and a byte that is locked cannot be read through another descriptor."""

    LK_NBLCK = 2

    def __init__(self):
        self.held = {}  # by the descriptor that holds it

    def locking(self, descriptor, mode, count):
        assert (mode, count) == (self.LK_NBLCK, 1)
        byte = os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
        if byte in self.held.values():
            raise OSError(errno.EACCES, "Permission denied")
        self.held[descriptor] = byte

    def close(self, descriptor):
        self.held.pop(descriptor, None)
        CLOSE(descriptor)


CLOSE = os.close


def test_windows_locks_a_byte_that_nobody_reads(tmp_path, monkeypatch):
    windows = WindowsLocks()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(os, "close", windows.close)
    lock = loaded_anew("scratchnet.storage.lock", monkeypatch)
    path = tmp_path / "run.lock"
    with lock.Lock(path):
        ((_, byte),) = windows.held.values()
        assert byte > path.stat().st_size + 200  # the note on who holds it can be read meanwhile
        with pytest.raises(LockedError, match=f"run.lock is held by process {os.getpid()} on "), lock.Lock(path):
            pass
    with lock.Lock(path):  # given back with its descriptor
        pass


def test_windows_says_where_it_cannot_lock(tmp_path, monkeypatch):
    def locking(*arguments):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    lock = loaded_anew("scratchnet.storage.lock", monkeypatch)
    with pytest.raises(NoLocksError, match="choose a folder on another one"), lock.Lock(tmp_path / "run.lock"):
        pass


def test_windows_has_other_signals(monkeypatch):
    for name in ("SIGHUP", "SIGUSR1"):
        monkeypatch.delattr(signal, name, raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    assert loaded_anew("scratchnet.terminal.signals", monkeypatch).SIGNALS == [signal.SIGINT, signal.SIGTERM, 21]


def test_windows_syncs_no_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "name", "nt")
    monkeypatch.setattr(files.os, "open", lambda *arguments: pytest.fail("Windows cannot open a folder"))
    files.sync_folder(tmp_path)


def test_a_program_that_keeps_the_file_open_is_waited_for_and_then_named(tmp_path, monkeypatch):
    """On Windows a file that another program reads cannot be replaced: the old one stays, and no temporary one is left."""
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")
    waited = []

    def in_use(a, b):
        raise PermissionError(errno.EACCES, "The process cannot access the file", str(b))

    monkeypatch.setattr(files, "Path", type(tmp_path))
    monkeypatch.setattr(files.time, "sleep", waited.append)
    monkeypatch.setattr(files.os, "replace", in_use)
    monkeypatch.setattr(files.os, "name", "nt")
    with pytest.raises(PermissionError, match=r"a\.txt"):
        files.write_text_atomically(tmp_path / "a.txt", "new")
    monkeypatch.undo()
    assert 1.5 < sum(waited) < 3
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_macos_empties_the_cache_of_the_drive(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    asked = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, what: asked.append(what))
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: pytest.fail("it stops at the drive's own cache"))
    files.write_text_atomically(tmp_path / "a.txt", "x")
    assert asked == [51, 51]  # the file, and its folder


def test_a_drive_that_cannot_empty_its_cache_is_synced_as_elsewhere(tmp_path, monkeypatch):
    """As a network folder on macOS."""
    fcntl, synced, fsync = pytest.importorskip("fcntl"), [], os.fsync

    def unsupported(descriptor, what):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", unsupported)
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: (synced.append(descriptor), fsync(descriptor)))
    files.write_text_atomically(tmp_path / "a.txt", "x")
    assert len(synced) == 2


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("win32", {"LOCALAPPDATA": "C:/Users/ada/AppData/Local"}, "C:/Users/ada/AppData/Local"),
        ("win32", {}, tempfile.gettempdir()),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Caches"),
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.cache"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "/fast/cache"}, "/fast/cache"),
        ("freebsd14", {"HOME": "/home/ada"}, "/home/ada/.cache"),
    ],
)
def test_each_system_keeps_caches_in_its_own_folder(system, variables, expected, monkeypatch):
    for name in ("LOCALAPPDATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("USERPROFILE", variables.get("HOME", ""))  # a home for Windows, should this run there
    monkeypatch.setattr(sys, "platform", system)
    assert jit._user_cache() == Path(expected)


def test_a_path_that_is_too_long_for_windows_is_said_to_be(monkeypatch, capsys):
    """Windows itself says that nothing is there."""
    windows, posix = (SimpleNamespace(name=name, path=posixpath, strerror=os.strerror) for name in ("nt", "posix"))
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/" + "d" * 150 + "/" + "f" * 148)
    monkeypatch.setattr(system_error, "os", posix)
    other = FileNotFoundError(errno.ENOENT, "No such file or directory", "/short")
    assert system_error.system_reason(error) == "No such file or directory"
    monkeypatch.setattr(system_error, "os", windows)
    assert "a path of 300 letters; Windows takes 247 for a folder" in system_error.system_reason(error)
    assert system_error.system_reason(other) == "No such file or directory"
    with entry_point.answering("train.py") as answer:
        raise error
    assert answer.code == 2
    assert capsys.readouterr().err.endswith("or switch on its long paths)\n")


DEEP = ["n" * 255, "ü" * 127, "d" * 200 + "/" + "e" * 200 + "/cells"]


@pytest.mark.parametrize("where", DEEP, ids=["255 letters", "254 bytes", "406 letters"])
def test_long_names_and_paths(where, tmp_path, small_model):
    """Images are prepared, and a run is made and read, wherever the system lets a folder be."""
    cells = make_cnmc(tmp_path / where, subjects=3, images=2)
    shards = cache.kept(cells, Settings(image_size=8), tmp_path / "kept", say=lambda _: None)
    assert cache.is_dataset(shards)
    assert shards.name.startswith(cells.name[:60])
    assert cache.kept(cells, Settings(image_size=8), tmp_path / "kept", say=lambda _: None) == shards
    run = make_run(tmp_path / "runs" / where, make_sides(tmp_path / "sides"))
    assert load_checkpoint(run.weights_path).about["class_names"] == ["all", "hem"]


def test_hints_are_quoted_as_the_shell_of_the_system_wants_it(monkeypatch):
    words = ["python", "train.py", "--data", "my cells", "--name", "it's"]
    monkeypatch.setattr(invocation.os, "name", "posix")
    assert invocation.joined(words) == """python train.py --data 'my cells' --name 'it'"'"'s'"""
    monkeypatch.setattr(invocation.os, "name", "nt")
    assert invocation.joined(words) == """python train.py --data "my cells" --name it's"""


def test_lines_for_a_shell_are_quoted_in_one_place():
    sources = [path for path in (ROOT / "scratchnet").rglob("*.py") if "shlex" in path.read_text(encoding="utf-8")]
    assert [path.name for path in sources] == ["invocation.py"]


def calls_without_encoding(tree):
    """Lines that open a text in the encoding of the system, which is cp1252 on Windows."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(word.arg in ("encoding", None) for word in node.keywords):
            continue
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        given = [*node.args, *(word.value for word in node.keywords)]
        mode = "".join(str(part.value) for part in given if isinstance(part, ast.Constant)) if name == "open" else ""
        not_files = called.split(".")[0] in ("Image", "os", "zipfile", "tarfile", "h5py") or called.startswith(
            ("sys.", "importlib.")
        )
        ours = called in ("read_text", "write_text")  # of storage, which know the encoding
        if name in ("open", "read_text", "write_text", "TextIOWrapper") and "b" not in mode and not (ours or not_files):
            yield node.lineno


@pytest.mark.parametrize("place", ["scratchnet", "benchmarks", "course", "tests", "train.py", "data_prep.py"])
def test_every_text_is_opened_with_its_encoding(place):
    sources = [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))
    assert sources
    for source in sources:
        found = list(calls_without_encoding(ast.parse(source.read_text(encoding="utf-8"))))
        assert not found, f"{source.relative_to(ROOT)}: lines {found}"


def test_the_check_for_encodings_sees_one():
    bad = "open('a'); path.read_text(); open('a', 'w'); path.write_text('b')"
    good = "open('a', 'rb'); path.read_text(encoding='utf-8'); open(a, mode='wb'); Image.open(a); os.open(a, 0)"
    assert len(list(calls_without_encoding(ast.parse(bad)))) == 4
    assert not list(calls_without_encoding(ast.parse(good)))


def test_no_two_files_differ_in_case_alone():
    """Nor has one a name that Windows keeps for itself, or a sign that it has not: the checkout would not be whole there."""
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(10))}
    seen = set()
    for top in ("scratchnet", "tests", "benchmarks", "docs", "examples", "course"):
        for path in (ROOT / top).rglob("*"):
            if "__pycache__" in path.parts:
                continue
            name = path.relative_to(ROOT).as_posix()
            assert name.casefold() not in seen, name
            seen.add(name.casefold())
            assert path.name.partition(".")[0].casefold() not in reserved, name
            assert not set(path.name) & set('<>:"|?*\\'), name
            assert path.name[-1] not in ". ", name
            assert len(name) < 160, name  # of the 260 letters that a path may have on Windows
    assert len(seen) > 200
