"""A worker process, as the measuring process sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FIXED = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only
    "CUDA_VISIBLE_DEVICES": "-1",  # processors are compared
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # else torch.compile starts processes of its own
}


class WorkerError(Exception):
    """A system cannot do what it was asked; the message says why, in one line."""


class Worker:
    """A process in a role of `worker.py`, with so many threads. Leaving the `with` block ends it.

    environment: variables beside those that set the threads.
    """

    def __init__(self, role: str, threads: int, **environment: str) -> None:
        self.role = role
        inherited = {name: value for name, value in os.environ.items() if name != "SCRATCHNET_CONV"}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", role, str(threads)],
            cwd=ROOT,
            env={**inherited, **dict.fromkeys(THREADS, str(threads)), **FIXED, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
        )

    def ask(self, call: str, **arguments: object) -> Any:
        """The answer of the worker's method. Raises WorkerError if it has none, or if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["result"]

    def _last_words(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        killed = " (out of memory?)" if code == -9 else ""
        return f"its process ended with code {code}{killed}" + (f": {said[-1][:200]}" if said else "")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
