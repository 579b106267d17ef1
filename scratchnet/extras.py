"""Libraries that only some uses need, which come as extras of this package; and what is done where one is missing or broken."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from scratchnet.errors import MissingExtraError, ScratchnetError
from scratchnet.terminal.invocation import checkout, python

DISTRIBUTION = "scratchnet-cells"
"""What pip calls this program. On the public index, the name of the package itself is somebody else's."""

EXTRAS = {
    "matplotlib": "viz",
    "mpi4py": "distributed",
    "tensorboard": "viz",
    "onnx": "export",
    "onnxruntime": "export",
    "safetensors": "export",
    "sklearn": "parity",
    "jupytext": "course",
    "nbclient": "course",
    "torch": "parity",
    "sphinx": "site",
    "furo": "site",
    "myst_nb": "site",
    "math_core": "site",
}


def require(module: str) -> Any:
    """Imports a module of an extra, such as "matplotlib.pyplot", and returns it.

    Raises MissingExtraError if it is not installed, with the command that installs it, or where it is broken in any way.
    """
    library = module.partition(".")[0]
    try:
        return _imported(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != library:
            raise _broken(library, error) from error
        raise MissingExtraError(
            f"{library} is not installed: it comes with the extra [{EXTRAS[library]}]: {install(EXTRAS[library])}"
        ) from error
    except Exception as error:  # a library of its own is missing, NumPy has another ABI, its settings are wrong, …
        raise _broken(library, error) from error


@contextlib.contextmanager
def using(library: str, *, writes: bool = True) -> Iterator[None]:
    """Turns whatever a library of an extra raises in the block into a MissingExtraError.

    writes: it writes files there, so that an OSError may mean a full disk, and stays one.
    """
    try:
        yield
    except ScratchnetError:
        raise
    except Exception as error:
        if writes and isinstance(error, OSError):
            raise
        raise _broken(library, error) from error


def install(extra: str) -> str:
    """The command that installs an extra: from where this program was installed, or from the checkout that it runs in.

    In double quotes, which every shell knows.
    """
    root = checkout()
    if root is not None:
        return f'{python()} -m pip install -e "{"." if root == Path.cwd() else root}[{extra}]"'
    return f'{python()} -m pip install "{_origin(extra)}"'


def _origin(extra: str) -> str:
    """What pip was given to install this program, as it has noted (PEP 610), with the extra."""
    named = f"{DISTRIBUTION}[{extra}]"
    try:
        text = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return named
    if text is None:  # from an index
        return named
    note = json.loads(text)
    if "dir_info" in note:
        from urllib.request import url2pathname  # brings HTTP and TLS, which no other line needs

        return f"{url2pathname(urlparse(note['url']).path)}[{extra}]"
    if vcs := note.get("vcs_info"):
        return f"{named} @ {vcs['vcs']}+{note['url']}@{vcs['commit_id']}"
    return f"{named} @ {note['url']}"


def _imported(module: str) -> Any:
    library = module.partition(".")[0]
    if library in sys.modules:
        return importlib.import_module(module)
    # A module that was compiled for another NumPy writes a page to standard error before it fails.
    with contextlib.redirect_stderr(io.StringIO()), _without_backend():
        imported = importlib.import_module(module)
    if library == "matplotlib" and os.environ.get("MPLBACKEND"):
        with contextlib.suppress(Exception):  # this Python may not have it
            sys.modules[library].rcParams["backend"] = os.environ["MPLBACKEND"]  # for the notebook's own plots
    return imported


@contextlib.contextmanager
def _without_backend() -> Iterator[None]:
    """A notebook exports the name of its own backend for Matplotlib, whose import fails where it lacks it. Our pictures, which
    go into files, need none."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _broken(library: str, error: Exception) -> MissingExtraError:
    said = next(filter(None, map(str.strip, str(error).splitlines())), "")
    reason = f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__
    return MissingExtraError(
        f"{library} is installed, and fails ({reason}): install it anew: "
        f"{python()} -m pip install --upgrade --force-reinstall {library}"
    )
