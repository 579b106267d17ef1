"""The process in which a student's code runs while a class is graded: `python -P -m course.runner`.

It is told by a line of JSON on standard input what to judge, and answers with lines of JSON, each behind a token. What the
student's code prints goes nowhere. It may read files; it may not write any, start a process, open a connection or send a signal:
an audit hook, which Python can't take away again, raises PermissionError. On POSIX the system limits its memory and time too. After
each verdict the judges, NumPy and what else they rest on are compared with what they were before: a file that has changed any of
it is not judged further.

That is a fence for mistakes and for pranks, and no prison: it runs in the judges' own process. Who is determined to break out can
only be kept in by a machine of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from course.check import verdict_in
from course.exercises import EXERCISES
from course.judges.verdict import _JUDGES
from course.lesson_file import read
from scratchnet.errors import DataError

Send = Callable[[dict[str, Any]], None]

WATCHED = ("course", "scratchnet", "numpy", "math", "builtins", "fractions", "inspect", "json", "os", "traceback")
OURS = ("course", "scratchnet")
LIMIT_NOTE = "a solution may not {}"

FORBIDDEN = {
    "start a process": (
        "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system", "os.startfile", "subprocess.Popen", "pty.spawn",
    ),
    "send a signal": ("os.kill", "os.killpg", "signal.pthread_kill"),
    "change files": (
        "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime",
        "shutil.copyfile", "shutil.move", "shutil.rmtree", "sqlite3.connect", "winreg.CreateKey", "winreg.SetValue", "winreg.DeleteKey",
    ),
    "open a connection": ("socket.__new__", "socket.connect", "socket.bind", "webbrowser.open"),
    "load a library of its own": ("ctypes.dlopen",),
    "change its limits": ("resource.setrlimit", "resource.prlimit"),
}  # fmt: skip


def main() -> None:
    """Judges what standard input asks for, and ends the process."""
    request = json.loads(sys.stdin.readline())
    send = _line_to(request["token"])
    for module in _JUDGES:
        import_module(f"course.judges.{module}")
    _limit(request["memory"], request["seconds"])
    sys.addaudithook(_fence())
    unchanged = _snapshot()
    for number, name in enumerate(request["files"]):
        if number not in request["given_up"]:
            skip = {exercise for file, exercise in request["skip"] if file == number}
            _judge(Path(name), number, request["seed"], skip, send, unchanged)
    send({"done": True})
    os._exit(0)


def _judge(path: Path, number: int, seed: int, skip: set[str], send: Send, unchanged: Callable[[], str]) -> None:
    """Sends what is found in one file: what it begins with, then a verdict for each exercise."""
    send({"file": number, "begin": None})
    try:
        lesson = read(path)
    except (DataError, OSError) as error:
        send({"file": number, "problems": [str(error)], "names": []})
        return
    changed = unchanged()
    if changed:
        send({"file": number, "changed": changed})
        return
    names = [name for name in EXERCISES if name in lesson.functions]
    send({"file": number, "problems": lesson.problems, "names": names})
    for name in names:
        if name not in skip:
            send({"file": number, "begin": name})
            verdict = verdict_in(lesson, name, seed)
            changed = unchanged()
            if changed:
                send({"file": number, "changed": changed})
                return
            send({"file": number, "name": name, "complaint": verdict.complaint})


def _line_to(token: str) -> Send:
    """Writes to what was standard output; that, and standard error, lead nowhere from now on."""
    private = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    write, dumps = os.write, json.dumps

    def send(message: dict[str, Any]) -> None:
        data = f"{token} {dumps(message)}\n".encode()
        while data:
            data = data[write(private, data) :]

    return send


def _limit(megabytes: int, seconds: int) -> None:
    """The system's limits, where it has them: memory, processor time, files written, processes."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        "RLIMIT_AS": megabytes * 2**20,
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": 0,
    }
    for name, value in limits.items():
        with contextlib.suppress(
            AttributeError, ValueError, OSError
        ):  # macOS knows some, and has lower ones of its own
            resource.setrlimit(getattr(resource, name), (value, value))


def _fence() -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. It uses nothing that a student's code could put something else in the place of."""
    reasons = {event: LIMIT_NOTE.format(reason) for reason, events in FORBIDDEN.items() for event in events}
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    error, writes = PermissionError, LIMIT_NOTE.format("change files")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in reasons:
            raise error(reasons[event])
        if event == "open" and arguments[2] & writing:
            raise error(writes)

    return hook


def _snapshot() -> Callable[[], str]:
    """A function that says which name of a module has another value than now; "" where none has."""
    held: list[tuple[str, Any, Any]] = []
    for module in [
        module
        for name, module in sys.modules.items()
        if name.partition(".")[0] in WATCHED and isinstance(module, ModuleType)
    ]:
        held.append((module.__name__, vars(module), dict(vars(module))))
        if module.__name__.partition(".")[0] in OURS:
            for name, value in list(vars(module).items()):
                where = f"{module.__name__}.{name}"
                if isinstance(value, dict) and not name.startswith("__"):
                    held.append((where, value, dict(value)))
                elif isinstance(value, type):
                    held.append((where, vars(value), dict(vars(value))))
                elif isinstance(value, FunctionType):
                    held.append((where, value, _inside(value)))
    inside, is_function = _inside, FunctionType

    def changed() -> str:
        for where, now, before in held:
            if type(now) is is_function:
                if any(a is not b for a, b in zip(inside(now), before, strict=True)):
                    return where
                continue
            for name, value in before.items():
                if name not in now or now[name] is not value:
                    return f"{where}.{name}"
        return ""

    return changed


def _inside(function: FunctionType) -> tuple[Any, ...]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


if __name__ == "__main__":
    main()
