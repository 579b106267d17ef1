"""A file that another program wrote, given in place of weights or shards: what it is, and what to do with it.

Damage is not handled here: that of a file that may once have been one of scratchnet's.
"""

import io
import json
import struct
from pathlib import Path

from scratchnet.storage.file_kinds import kind_of
from scratchnet.terminal.invocation import command

LOOKED_AT = 2**20  # bytes for the marks of Keras
HDF5 = b"\x89HDF\r\n\x1a\n"
KERAS = (b"keras_version", b"model_weights", b"layer_names", b"backend")
TORCH = (
    "which can run code when it is read: in PyTorch write safetensors.torch.save_file(model.state_dict(), "
    "'model.safetensors'), then type {then}"
)
FROM_KERAS = (
    "give what model.get_weights() returns in Keras to scratchnet.use.exchange.from_keras, as docs/using.md shows"
)
OURS = "expected what scratchnet has written: a run's folder, or a file such as weights.h5"
NEXT_STEPS = {
    "pointer": "fetch the file itself with `git lfs pull`",
    "archive": "unpack it first",
    "image": "images come after the network",
    "arrays": "",
    "workbook": "",
    "document": "",
    "page": "this is a page about the file: download the file itself",
}


def foreign_file(path: Path, expected: str = OURS) -> str | None:
    """What a file is that scratchnet has not written, and the next step, to follow its name and "is"; None if it may be ours.

    expected: what to say if there is no next step. Never raises; None for a file that cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "weights.h5"
    ...     _ = path.write_text("version https://git-lfs.github.com/spec/v1")
    ...     foreign_file(path)
    'a pointer of Git LFS, and not the file itself: fetch the file itself with `git lfs pull`'
    """
    kind, head = kind_of(path), _head(path)
    if head.startswith(HDF5):
        return _hdf5(head, expected)
    if kind.name == "a model of Keras (.keras)":
        return f"{kind.name}: {FROM_KERAS}"
    if kind.group == "weights":
        then = command("import", "model.safetensors", "OUT.h5", "--like", "RUN")
        return f"{kind.name}, {TORCH.format(then=then)}"
    if kind.group in NEXT_STEPS:
        return f"{kind.name}: {NEXT_STEPS[kind.group] or expected}"
    if kind.group in ("text", "table") and path.suffix.lower() != ".h5":  # a file called .h5 may be ours, and damaged
        return f"{kind.name}: {expected}"
    if head[:2] == b"\x08\x01" and path.suffix.lower() == ".pb":
        return f"a model of TensorFlow: {expected}"
    if is_safetensors(path):
        then = command("import", path, path.with_suffix(".h5").name)
        return f"a safetensors file: make weights of it first: {then}, with --like RUN where PyTorch has written it"
    if head[4:8] == b"TFL3":
        return f"a model of TensorFlow Lite: {expected}"
    if path.suffix.lower() == ".onnx" and head[:1] == b"\x08":  # its first field, the version, is a number
        return "a model in ONNX, which export writes and nothing here reads: take the run or the weights that it was made of"
    return None


def _head(path: Path) -> bytes:
    """The first bytes; empty if it is not a regular file, since reading a pipe would block."""
    try:
        with open(path, "rb") if path.is_file() else io.BytesIO() as file:
            return file.read(LOOKED_AT)
    except OSError:
        return b""


def _hdf5(head: bytes, expected: str) -> str | None:
    """Only HDF5 files with first bytes that scratchnet never writes: superblocks of version 0 and 1, as h5py and Keras do."""
    old = head[8:9] in (b"\0", b"\1") and head[13:15] == b"\x08\x08"
    if sum(mark in head for mark in KERAS) >= 1 + (not old):
        return f"a model or the weights of Keras in HDF5: {FROM_KERAS}"
    return f"an HDF5 file of another program: {expected}" if old else None


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like safetensors: a length of 8 bytes, then that much JSON."""
    head = _head(path)
    if len(head) < 10 or head[8:9] != b"{":
        return False
    length = struct.unpack("<Q", head[:8])[0]
    if length > len(head):
        return length < 100_000_000
    try:
        return isinstance(json.loads(head[8 : 8 + length]), dict)
    except (ValueError, RecursionError):
        return False
