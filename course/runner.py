"""The process in which a student's code runs while a class is graded: `python -P -m course.runner`.

It is told by a line of JSON on standard input what to judge, and answers with lines of JSON, each behind a token. What the
student's code prints goes nowhere. It may read files; it may not write any, start a process, open a connection or send a signal:
an audit hook, which Python cannot take away again, raises PermissionError. On POSIX the system limits its memory, and its time on
the processor: how busy the machine is doesn't count. After each verdict the judges, NumPy and what else they rest on are compared
with what they were before, down to the code of their functions: a file that has changed any of it is not judged further.

That is a fence for mistakes and for pranks, and no prison: a judge hands out networks, functions to call and numbers that count,
so that it runs in the student's process. Whoever means harm finds a way (ctypes, frames of the stack, a pipe made by os.mkfifo),
and can only be kept in by a machine of its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

from course.check import verdict_in
from course.exercises import EXERCISES
from course.judges.verdict import _JUDGES
from course.lesson_file import exercises_in, read
from scratchnet.errors import DataError

Send = Callable[[dict[str, Any]], None]
Begin = Callable[[int, str | None], None]

WATCHED = (
    "__main__",
    "course",
    "scratchnet",
    "numpy",
    "math",
    "builtins",
    "fractions",
    "inspect",
    "json",
    "os",
    "traceback",
)
OURS = ("__main__", "course", "scratchnet")
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
    unchanged, begin = _snapshot(), _watch(send, request["function_seconds"], request["seconds"])
    for number, name in enumerate(request["files"]):
        if number not in request["given_up"]:
            skip = {exercise for file, exercise in request["skip"] if file == number}
            _judge(Path(name), number, request["seed"], skip, send, begin, unchanged)
    send({"done": True})
    os._exit(0)


def _judge(
    path: Path, number: int, seed: int, skip: set[str], send: Send, begin: Begin, unchanged: Callable[[], str]
) -> None:
    """Sends what is found in one file: what it begins with, then a verdict for each exercise."""
    with contextlib.suppress(DataError, OSError):  # said below
        send({"file": number, "problems": [], "names": exercises_in(path)})
    begin(number, None)
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
    leaning = [f"{name} uses {modules}" for name, modules in lesson.leaning.items()]
    send({"file": number, "problems": lesson.problems + leaning, "names": names})
    for name in lesson.unreadable:
        send({"file": number, "name": name, "complaint": "not readable: see problems"})
    for name in names:
        if name not in skip:
            begin(number, name)
            verdict = verdict_in(lesson, name, seed)
            changed = unchanged()
            if changed:
                send({"file": number, "changed": changed})
                return
            send({"file": number, "name": name, "complaint": verdict.complaint})


def _watch(send: Send, seconds: float, whole: float) -> Begin:
    """A function that says what begins now, and gives it `seconds` of the processor, where the system counts them.

    When they are over, or the `whole` that the student has, the process ends by SIGPROF. Windows has no such clock: there the
    other side looks at its own.
    """
    start = time.process_time()

    def begin(number: int, name: str | None) -> None:
        used = time.process_time() - start
        send({"file": number, "begin": name, "used": used})
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, max(0.01, min(seconds, whole - used)))

    return begin


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


def _limit(megabytes: int, seconds: float) -> None:
    """The system's limits, where it has them: memory, processor time, files written, processes."""
    if sys.platform == "win32":
        return
    import resource

    limits = {
        "RLIMIT_AS": megabytes * 2**20,
        "RLIMIT_CPU": int(seconds) + 10,  # should somebody stop the clock of `_watch`
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
    """A function that says which name has another value than now, or which function other code; "" where none has.

    Looked at: what stands in the modules watched, and in their classes, what is in our own tables and lists, and the code of
    every function of theirs, wherever it hangs: as `numpy.allclose.__wrapped__`, or in a table.
    """
    held: list[tuple[str, Any, Any]] = []
    for module in [module for name, module in sys.modules.items() if _watched(name)]:
        held.append((module.__name__, vars(module), dict(vars(module))))
        for name, value in list(vars(module).items()) if module.__name__.partition(".")[0] in OURS else ():
            if isinstance(value, dict | list) and not name.startswith("__"):
                held.append((f"{module.__name__}.{name}", value, value.copy()))
    for thing in gc.get_objects():
        if isinstance(thing, type | FunctionType) and _watched(str(thing.__module__)):
            where = f"{thing.__module__}.{thing.__qualname__}"
            held.append(
                (where, thing, _inside(thing))
                if isinstance(thing, FunctionType)
                else (where, vars(thing), dict(vars(thing)))
            )
    inside, function, a_list = _inside, FunctionType, list

    def changed() -> str:
        for where, now, before in held:
            if type(now) is function:
                if any(a is not b for a, b in zip(inside(now), before, strict=True)):
                    return where
            elif type(now) is a_list:
                if len(now) != len(before) or any(a is not b for a, b in zip(now, before, strict=True)):
                    return where
            else:
                for name, value in before.items():
                    if name not in now or now[name] is not value:
                        return f"{where}.{name}"
        return ""

    return changed


def _watched(module: str) -> bool:
    return module.partition(".")[0] in WATCHED


def _inside(function: FunctionType) -> tuple[Any, ...]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


if __name__ == "__main__":
    main()
