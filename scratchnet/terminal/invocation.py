"""How this program was called, so that commands in its messages begin as the user's own did."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SCRIPT = "scratchnet"  # the console script that an installation makes


def command(name: str, *arguments: object) -> str:
    """The line that runs a command, such as "train" or "predict", for a shell to be pasted into.

    It begins like the one that started this process: `scratchnet train`, `python train.py`, `python -m scratchnet …`.
    """
    return joined([*_program(name), *map(str, arguments)])


def package() -> str:
    """How the program with all its commands is called: `scratchnet`, or `python -m scratchnet`."""
    return SCRIPT if _is_script() else f"python -m {SCRIPT}"


def joined(words: Iterable[str]) -> str:
    """The words as one line, quoted as the system's shell wants it.

    >>> joined(["python", "train.py", "--data", "my cells"]).replace('"', "'")
    "python train.py --data 'my cells'"
    """
    return subprocess.list2cmdline(list(words)) if os.name == "nt" else shlex.join(words)


def python() -> str:
    """Python as it was typed, such as python3 or .venv/bin/python."""
    return sys.orig_argv[0] if sys.orig_argv and sys.orig_argv[0] else "python"


def checkout() -> Path | None:
    """The folder of the program's sources if it runs from there; None if it was installed without them."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "train.py").is_file() else None


def _program(name: str) -> list[str]:
    called = _called()
    if _is_script():
        found = shutil.which(SCRIPT)
        on_path = found is not None and Path(found).resolve() == called.resolve()
        return [SCRIPT if on_path else str(called), name]
    root = checkout()
    if name == "train" and root is not None:
        return [python(), str(called) if called.name == "train.py" else _from_here(root / "train.py")]
    if name == "prepare" and root == Path.cwd():
        return [python(), "-m", "data_prep"]
    return [python(), "-m", "scratchnet", name]


def _called() -> Path:
    return Path(sys.argv[0] if sys.argv else "")


def _is_script() -> bool:
    return _called().stem == SCRIPT and not _called().is_dir()


def _from_here(path: Path) -> str:
    """The path, relative if it lies below the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
