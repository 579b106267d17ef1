"""Judges a class, each student's code in a process of its own, and writes a table."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course.check import best_of, files_in
from course.exercises import EXERCISES
from course.judges import Verdict
from course.lesson_file import SUFFIXES, Lesson
from scratchnet.errors import ConfigError, DataError
from scratchnet.storage.csv_text import csv_text
from scratchnet.storage.files import write_text_atomically
from scratchnet.terminal.command_line import one_line, printable

ROOT = Path(__file__).resolve().parents[1]
MISSING = "missing"
CLOCK = 6  # a second of the processor may last so many by the clock: a machine may be busy
SIGPROF = getattr(signal, "SIGPROF", None)  # how a process ends whose function has used up its time
LARGEST_ANSWER = 2**20  # bytes that a student's process may send


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.epilog = (
        "Each student's code runs in a process of its own with limits, and a file that changes the judges, or NumPy, is not judged. "
        "That keeps mistakes and pranks out. It is no sandbox against malice (ctypes, say): grade strangers' files on a machine "
        "that may be lost. A function that uses scratchnet's, and so may be right without being the student's, is named under problems."
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="of a class: a file, or a folder of files, for each student"
    )
    parser.add_argument("--csv", type=Path, required=True, metavar="FILE", help="the table to write")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the numbers that are tried; students try 0 (default: 0)"
    )
    parser.add_argument(
        "--timeout", type=float, default=20, metavar="SECONDS",
        help=f"of the processor, for a student; a function may take a quarter of it. By the clock it may take {CLOCK} times as "
        "long, so that a busy machine fails nobody; on Windows the clock alone counts (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=int, default=2048, metavar="MB", help="for a student; not on Windows (default: 2048)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(2, os.cpu_count() or 1),
        metavar="N",
        help="students at a time (default: %(default)s)",
    )


@dataclass
class Grades:
    """What was found of a student: verdicts by exercise, and what is wrong with the files."""

    student: str
    verdicts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def run(options: Any) -> int:
    """Judges everybody and writes the table; returns 0."""
    for name, least in (("timeout", 1), ("memory", 256), ("jobs", 1)):
        if getattr(options, name) < least:
            raise ConfigError(f"--{name} must be at least {least}, got {getattr(options, name)}")
    students = students_in(options.folder)
    stop = threading.Event()
    everybody: list[Grades] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            waiting = [pool.submit(_graded, name, files, options, stop) for name, files in students.items()]
            for future in waiting:
                everybody.append(future.result())
                right = sum(not complaint for complaint in everybody[-1].verdicts.values())
                print(
                    f"{printable(everybody[-1].student)}: {right} right{''.join('; ' + p for p in everybody[-1].problems[:1])}",
                    flush=True,
                )
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    write_text_atomically(options.csv, table(everybody))
    unlimited = " Windows has no limit on memory." if sys.platform == "win32" else ""
    print(f"{len(everybody)} students; the table is {options.csv}.{unlimited}")
    return 0


def students_in(folder: Path) -> dict[str, list[Path]]:
    """The files of each student, by the name of the file or of the folder. Raises DataError where there is nobody."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder; grade takes a folder with a file, or a folder of files, for each student"
        )
    students: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir():
            with contextlib.suppress(DataError):
                students.setdefault(entry.name, []).extend(files_in(entry))
            students.setdefault(entry.name, [])
        elif entry.suffix in SUFFIXES:
            students.setdefault(entry.stem, []).append(entry)
    if not students:
        raise DataError(f"{folder}: holds nobody's work: no .py, no .ipynb and no folder")
    return students


def table(everybody: list[Grades]) -> str:
    """The table as CSV: a line for each student, a column for each exercise that anybody has."""
    columns = [name for name in EXERCISES if any(name in grades.verdicts for grades in everybody)]
    rows = [["student", "right", "of", "problems", *columns]]
    for grades in everybody:
        words = [grades.verdicts.get(name, MISSING) or "right" for name in columns]
        row = [grades.student, words.count("right"), len(columns), "; ".join(grades.problems), *words]
        rows.append([_cell(value) for value in row])
    return csv_text(rows)


def _cell(value: Any) -> Any:
    """What begins like a formula is text to a spreadsheet behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def _graded(student: str, files: list[Path], options: Any, stop: threading.Event) -> Grades:
    """One student. A function that takes the process down is left out, and the rest is tried again in a new one."""
    work = _Work(files, options)
    while not work.done and not stop.is_set():
        work.attempt(stop)
    grades = Grades(student)
    if not files:
        grades.problems.append("no .py and no .ipynb")
    lessons = []
    for number, file in enumerate(files):
        verdicts = [Verdict(name, complaint) for name, complaint in work.verdicts[number].items()]
        lessons.append((Lesson(file, problems=work.problems[number]), verdicts))
    judged: dict[str, str] = {}  # where each function was found that is written
    for lesson, verdicts in best_of(lessons):
        where = f"{lesson.path.name}: " if len(files) > 1 else ""
        grades.problems += [one_line(where + problem) for problem in lesson.problems]
        for verdict in verdicts:
            if not verdict.written:
                grades.verdicts.setdefault(verdict.name, one_line(verdict.complaint))
            elif verdict.name in judged:
                both = f"{judged[verdict.name]} and in {lesson.path.name}"
                grades.problems.append(one_line(f"{verdict.name} stands in {both}: the first was judged"))
            else:
                judged[verdict.name] = lesson.path.name
                grades.verdicts[verdict.name] = one_line(verdict.complaint)
    return grades


class _Work:
    """A student's files, and what is known of them after some attempts."""

    def __init__(self, files: list[Path], options: Any) -> None:
        self.files, self.options = files, options
        self.problems: list[list[str]] = [[] for _ in files]
        self.verdicts: list[dict[str, str]] = [{} for _ in files]
        self.names: list[list[str]] = [[] for _ in files]
        self.given_up: set[int] = set()
        self.left = float(options.timeout)
        self.done = not files
        self.now: tuple[int, str | None] | None = None
        self.used = 0.0

    def attempt(self, stop: threading.Event) -> None:
        """Runs the process until it has done, ends, or takes too long; notes what it said, and what brought it down."""
        self.now, self.used = None, 0.0
        token, start = secrets.token_hex(16), time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            process = _start(folder)
            lines: queue.Queue[bytes | None] = queue.Queue()
            threading.Thread(target=_read, args=(process, lines), daemon=True).start()
            try:
                with contextlib.suppress(OSError):
                    assert process.stdin is not None
                    process.stdin.write(json.dumps(self._request(token)).encode() + b"\n")
                    process.stdin.close()
                ended = self._listen(lines, token.encode(), start, stop)
            finally:
                code = _end(process)
        if self.done or stop.is_set():
            return
        share = self.options.timeout / 4
        self.left -= self.used
        if ended and (SIGPROF is None or code != -SIGPROF):
            self._blame(f"ends the process ({_ending(code)})")
        elif not ended or self.left >= share:
            self.left -= share
            self._blame(
                f"takes longer than {share:g} s" if ended else f"takes longer than {CLOCK * share:g} s by the clock"
            )
        else:
            self.left = 0
        if self.left <= 0:
            self._give_up()

    def _request(self, token: str) -> dict[str, Any]:
        known = [(number, name) for number, verdicts in enumerate(self.verdicts) for name in verdicts]
        return {
            "token": token, "files": [str(file.resolve()) for file in self.files], "seed": self.options.seed, "skip": known,
            "given_up": sorted(self.given_up), "memory": self.options.memory, "seconds": self.left,
            "function_seconds": self.options.timeout / 4,
        }  # fmt: skip

    def _listen(self, lines: queue.Queue[bytes | None], token: bytes, start: float, stop: threading.Event) -> bool:
        """Notes the lines as they come. Returns whether the process ended by itself, and not because it took too long."""
        begun = time.monotonic()
        while not stop.is_set():
            now = time.monotonic()
            slow = now - begun > CLOCK * self.options.timeout / 4 + (
                0 if self.now else 10
            )  # a process needs a while to begin
            if slow or now - start > CLOCK * self.left + 10:
                return False
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                return True
            if line.startswith(token + b" "):
                begun = time.monotonic()
                self._note(json.loads(line[len(token) :]))
            if self.done:
                return True
        return False

    def _note(self, message: dict[str, Any]) -> None:
        if "done" in message:
            self.done = True
            return
        number = message["file"]
        if "begin" in message:
            self.now, self.used = (number, message["begin"]), message["used"]
        elif "names" in message:
            self.problems[number], self.names[number] = message["problems"], message["names"]
        elif "changed" in message:
            self._refuse(
                number, f"changes {message['changed']}, which the judge rests on: nothing in this file is judged"
            )
        else:
            self.verdicts[number][message["name"]] = message["complaint"]

    def _refuse(self, number: int, problem: str) -> None:
        self.given_up.add(number)
        self.problems[number] = [problem]
        self.verdicts[number] = dict.fromkeys(self.names[number], "not judged")

    def _blame(self, what: str) -> None:
        """Notes what brought the process down at the place that it was at."""
        number, name = self.now or (0, None)
        if name is None:
            self._refuse(number, f"the file itself {what}: nothing in it is judged")
            self.done = len(self.given_up) == len(self.files)
        else:
            self.verdicts[number][name] = what

    def _give_up(self) -> None:
        self.done = True
        for number, names in enumerate(self.names):
            for name in names:
                self.verdicts[number].setdefault(name, f"not judged: the {self.options.timeout:g} s were over")


def _start(folder: str) -> subprocess.Popen[bytes]:
    """The runner, in an empty folder, a session and an environment of its own."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "SYSTEMROOT", "TEMP", "LD_LIBRARY_PATH")
        if name in os.environ
    }
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    own = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "HOME": folder}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "course.runner"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env=kept | threads | own,
        start_new_session=sys.platform != "win32",
    )  # fmt: skip


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None]) -> None:
    """Puts the lines into the queue, and None at the end, or where there is more than anybody has to say."""
    assert process.stdout is not None
    read = 0
    with contextlib.suppress(OSError, ValueError):
        while read < LARGEST_ANSWER and (line := process.stdout.readline(LARGEST_ANSWER)):
            read += len(line)
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ends the process, and all that it may have started; returns its exit code."""
    if sys.platform != "win32":
        ended = process.poll()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait() if ended is None else ended
    else:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
        code = process.wait()
    with contextlib.suppress(OSError):
        assert process.stdout is not None
        process.stdout.close()
    return code


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
