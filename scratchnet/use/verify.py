"""Are these files as they were written? A verdict on each file of a prepared dataset, of a run, or on a single one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchnet.data.dataset import compare_digest, open_shard
from scratchnet.data.manifest import FILE_NAME, Manifest, read_manifest
from scratchnet.data.shards import FORMAT as SHARD
from scratchnet.data.shards import Shard
from scratchnet.errors import ConfigError, DataError, ScratchnetError
from scratchnet.measures.predictions import Predictions
from scratchnet.storage.file_kinds import kind_of
from scratchnet.storage.foreign_files import foreign_file
from scratchnet.storage.hdf5 import HDF5File
from scratchnet.terminal.invocation import command
from scratchnet.terminal.wording import counted
from scratchnet.training.checkpoint import Progress, verify_checkpoint
from scratchnet.training.config import RESUMABLE, Config, from_toml
from scratchnet.training.origin import Origin
from scratchnet.training.run import EVENT_FILE, read_table

OK, DAMAGED, UNKNOWN = "ok", "damaged", "unknown"
TABLES = {"metrics.csv": "rows", "timings.csv": "timings"}  # one line an epoch, and what the checkpoint calls it
LEFT_OVER = "left over from a write that was stopped: it can be deleted"
PAGES = ("report.html", "report-best.html")
Advance = Callable[[int], Any]


@dataclass(frozen=True)
class Verdict:
    """What is known about one file. state: OK, DAMAGED or UNKNOWN. text: what it holds, or what is wrong and what to do."""

    path: Path
    state: str
    text: str


@dataclass(frozen=True)
class _Saved:
    """What a good checkpoint says of the run it belongs to."""

    path: Path
    about: dict[str, Any]
    progress: Progress | None


def verify(path: str | os.PathLike[str], advance: Advance = lambda size: None) -> Iterator[Verdict]:
    """Verdicts on the files of a folder of shards, a run's folder, or on one shard, checkpoint, manifest or configuration.

    Every image and every array is read and compared with its checksum, one at a time. advance: called with the size
    of each file when it is done. Raises ConfigError if `path` is none of these.
    """
    path = Path(path)
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
        if FILE_NAME in names:
            return _verify_dataset(path, advance)
        if "config.toml" in names or "checkpoints" in names or any(name.endswith(".h5") for name in names):
            return _verify_folder(path, advance)
        raise ConfigError(f"{path} holds neither shards nor a run: give the folder with {FILE_NAME}, or the run's own")
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder")
    if path.suffix not in (".h5", ".toml", ".json", ".csv"):
        raise ConfigError(f"{path}: not a file of scratchnet's: expected a shard, a checkpoint, or the folder of a run")
    return iter([_verify_file(path, [])])


def files_below(path: str | os.PathLike[str]) -> list[Path]:
    """The files that `verify` looks at, for the length of a progress bar: those in the folder and in its folder checkpoints."""
    path = Path(path)
    if not path.is_dir():
        return [path]
    inside = (entry for folder in (path, path / "checkpoints") for entry in folder.glob("*"))
    return sorted(entry for entry in inside if not entry.is_dir())


def _verify_dataset(folder: Path, advance: Advance) -> Iterator[Verdict]:
    """The manifest, then the shards that it names, then whatever else is there."""
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        yield _damaged(folder / FILE_NAME, error)
        for path in files_below(folder):
            if path.suffix == ".h5":  # without the manifest, each can only be checked by itself
                yield _verify_file(path, [])
        return
    images = sum(split.images for split in manifest.splits.values())
    yield Verdict(folder / FILE_NAME, OK, f"manifest of {counted(images, 'image')}: {', '.join(manifest.splits)}")
    named = {FILE_NAME}
    for split in manifest.splits:
        yield from _verify_split(folder, manifest, split, advance)
        named |= {file.file for file in manifest.splits[split].shards}
    for path in files_below(folder):
        if path.name not in named:
            yield _unknown(path, "the manifest does not name it: it is not used")


def _verify_split(folder: Path, manifest: Manifest, split: str, advance: Advance) -> Iterator[Verdict]:
    for file in manifest.splits[split].shards:
        path = folder / file.file
        with _judging(path) as verdicts:
            with open_shard(folder, manifest, split, file) as shard:
                _read_all(shard)
            compare_digest(folder, file)
            verdicts.append(Verdict(path, OK, f"{counted(file.images, 'image')} of {split}"))
        yield verdicts[0]
        advance(file.bytes)


def _verify_folder(folder: Path, advance: Advance) -> Iterator[Verdict]:
    """A run: its checkpoints and weights first, since they tell what its configuration and metrics should be."""
    saved: list[_Saved] = []
    shards = False
    for path in sorted(files_below(folder), key=lambda file: file.suffix != ".h5"):
        size = path.lstat().st_size
        verdict = _verify_file(path, saved)
        shards |= verdict.text.startswith("shard ")
        yield verdict
        advance(size)
    yield from _missing(folder, saved)
    if shards:
        yield Verdict(
            folder / FILE_NAME,
            DAMAGED,
            "missing: without it the shards are not a dataset. Copy the folder again, whole.",
        )


def _missing(folder: Path, saved: list[_Saved]) -> Iterator[Verdict]:
    """The files that should be there according to the newest checkpoint, but are missing."""
    newest = _newest(saved)
    if newest is None or newest.progress is None:
        return
    expected = ["config.toml", *(["metrics.csv", "timings.csv", "best.h5"] if newest.progress.rows else [])]
    for name in expected:
        if not (folder / name).exists():
            again = "" if name == "best.h5" else ": resuming the run writes it again"
            yield Verdict(folder / name, DAMAGED, f"missing{again}")


def _verify_file(path: Path, saved: list[_Saved]) -> Verdict:
    """One file by itself; a good checkpoint is added to `saved`, and later files are compared with the newest of these."""
    with _judging(path) as verdicts:
        if ".partial" in path.name:
            return _unknown(path, LEFT_OVER)
        if not path.is_file():
            return _unknown(path, "neither a file nor a folder, or a link that leads nowhere")
        if path.name == "run.lock":
            return Verdict(path, OK, "held by the process that writes the run, if there is one")
        if EVENT_FILE.fullmatch(path.name):
            return Verdict(path, OK, "the settings for TensorBoard, which checks them when it reads them")
        if path.name == "trouble.txt":
            return Verdict(path, OK, "what was said when training diverged; nothing reads it")
        if path.suffix == ".h5":
            if (other := foreign_file(path)) and kind_of(
                path
            ).group != "pointer":  # a pointer stands for a file of ours
                return _unknown(path, f"is {other}")
            text = _check_shard(path) if _is_shard(path) else _check_checkpoint(path, saved)
        elif path.suffix == ".toml":
            text = _check_config(path, saved)
        elif path.name in TABLES:
            text = _check_table(path, saved)
        elif path.name == "predictions.csv":
            text = f"predictions for {counted(len(Predictions.read(path).labels), 'image')}"
        elif path.name == FILE_NAME:
            text = f"manifest of dataset {read_manifest(path.parent).dataset_id}"
        elif path.name in PAGES:
            text = _check_page(path)
        else:
            return _unknown(path, "not a file that can be checked")
        verdicts.append(Verdict(path, OK, text))
    return verdicts[0]


@contextmanager
def _judging(path: Path) -> Iterator[list[Verdict]]:
    """Turns an error in the block into a verdict, which replaces the block's own in the list."""
    verdicts: list[Verdict] = []
    try:
        yield verdicts
    except (ScratchnetError, OSError) as error:
        verdicts[:] = [_damaged(path, error)]


def _damaged(path: Path, error: Exception) -> Verdict:
    return Verdict(path, DAMAGED, str(error).removeprefix(f"{path}").removeprefix(":").lstrip())


def _unknown(path: Path, text: str) -> Verdict:
    return Verdict(path, UNKNOWN, LEFT_OVER if ".partial" in path.name else text)


def _is_shard(path: Path) -> bool:
    """Whether an HDF5 file says that it is a shard; otherwise it should be a checkpoint. Raises DataError if it cannot be read."""
    remedy = "Copy it again from where it came, or make it anew."
    with HDF5File(path, "file of scratchnet", remedy) as file, file.refusing():
        return file.text("format") == SHARD


def _check_shard(path: Path) -> str:
    with Shard(path) as shard:
        _read_all(shard)
        return f"shard of {counted(len(shard), 'image')} of {shard.header.split}"


def _read_all(shard: Shard) -> None:
    for index in range(len(shard)):
        shard.read(index)


def _check_checkpoint(path: Path, saved: list[_Saved]) -> str:
    about, progress, odd = verify_checkpoint(path)
    saved.append(_Saved(path, about, progress))
    text = "weights alone"
    if progress is not None:
        text = f"checkpoint, epochs done: {progress.epoch}, batches of the next: {progress.batches_done}"
    return text + (f"; NaN or infinite numbers in {', '.join(odd[:3])}{' and more' * (len(odd) > 3)}" if odd else "")


def _check_page(path: Path) -> str:
    """Whether a page is whole, from its first tag to its last. It has no checksum: it can always be written again."""
    content = path.read_bytes()
    if not (content.startswith(b"<!doctype html>") and content.rstrip().endswith(b"</html>")):
        raise DataError(f"{path}: cut off or edited. `{command('report', path.parent)}` writes it again.")
    return "page on the run, whole; it has no checksum"


def _newest(saved: list[_Saved]) -> _Saved | None:
    """The checkpoint that is furthest, if there is any."""
    known = [one for one in saved if one.progress is not None]
    return max(known, key=lambda one: (one.progress.epoch, one.progress.batches_done), default=None)  # type: ignore[union-attr]


def _check_config(path: Path, saved: list[_Saved]) -> str:
    """Whether it is a configuration, and that of the newest checkpoint, except for what may have been changed since."""
    config = Config(**from_toml(path))
    newest = _newest(saved)
    used = newest.about.get("config") if newest else None
    if newest is None or not isinstance(used, dict):
        return "configuration"
    origin, dataset_id = Origin.read(path), newest.about.get("dataset_id")
    if origin is not None and origin.dataset_id != dataset_id:
        raise DataError(f"{path}: its dataset_id is not that in {newest.path.name}, {dataset_id!r}: it was edited")
    for name, value in used.items():
        if name not in RESUMABLE and getattr(config, name, value) != value:
            raise DataError(
                f"{path}: {name} is {getattr(config, name)!r}, in {newest.path.name} {value!r}: it was edited"
            )
    return f"configuration, the one in {newest.path.name}"


def _check_table(path: Path, saved: list[_Saved]) -> str:
    """Whether it is a table of numbers, one row an epoch, and holds the rows of the newest checkpoint."""
    rows = read_table(path)
    newest = _newest(saved)
    if newest is None or newest.progress is None:
        return f"{path.stem}, epochs: {len(rows)}"
    expected = getattr(newest.progress, TABLES[path.name])
    for number, (row, known) in enumerate(zip(rows, expected, strict=False), 1):
        if row.keys() != known.keys():
            odd = ", ".join(sorted(row.keys() ^ known.keys()))
            raise DataError(
                f"{path}: its columns are not those of {newest.path.name}: {odd}. Resuming the run writes it again."
            )
        for name in row:
            same = row[name] == known[name] or (math.isnan(row[name]) and math.isnan(known[name]))
            if not same:
                raise DataError(
                    f"{path}: {name} of epoch {number} is {row[name]}, in {newest.path.name} {known[name]}: "
                    "damaged or edited. Resuming the run writes it again."
                )
    # The table is written after the checkpoint: a run that was stopped between the two lacks one row.
    if len(rows) < len(expected) - 1:
        raise DataError(
            f"{path}: {len(rows)} epochs where {newest.path.name} has {len(expected)}: truncated. "
            "Resuming the run writes it again."
        )
    return f"{path.stem}, epochs: {len(rows)}, as in {newest.path.name}"
