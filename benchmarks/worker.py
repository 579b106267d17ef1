"""A process that does what it is asked, a line of JSON at a time, and waits in silence in between.

    {"call": "begin", "arguments": {"kind": "train", …}}    →    {"result": 1.7}  or  {"error": "why not, in one line"}

python -m benchmarks.worker ROLE THREADS; `process.py` is the other end. The environment has told the number of threads
to every library before this file imports any.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROLES = {
    "scratchnet": "benchmarks.systems.ours:Ours",
    "torch": "benchmarks.systems.pytorch:PyTorch",
    "torch-channels-last": "benchmarks.systems.pytorch:ChannelsLast",
    "torch-compile": "benchmarks.systems.pytorch:Compiled",
    "torch-flush": "benchmarks.systems.pytorch:Flushing",
    "torch-bfloat16": "benchmarks.systems.pytorch:BFloat16",
    "tensorflow": "benchmarks.systems.tensorflow:TensorFlow",
    "layers": "benchmarks.layers:Layers",
    "reader": "benchmarks.reader:Reader",
    "accuracy": "benchmarks.accuracy:Accuracy",
}


def main(role: str, threads: int) -> None:
    """Answers requests from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(
            "1000", encoding="ascii"
        )  # if memory runs out, this process is to end and no other
    worker: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                module, name = ROLES[role].split(":")
                worker = getattr(importlib.import_module(module), name)(threads)
            answer = {"result": getattr(worker, request["call"])(**request["arguments"])}
        except ModuleNotFoundError as error:
            from scratchnet.extras import install  # not before: it would count as a peer's memory

            answer = {"error": f"{error.name} is not installed: {install('bench')}"}
        except (
            Exception
        ) as error:  # whatever a framework raises is this system's answer, and no reason to end the session
            said = str(error).strip().splitlines() or ["no reason given"]
            answer = {"error": f"{type(error).__name__}: {said[0][:200]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
