"""python -m scratchnet summary WHAT: a run, a file of weights, or a preset, in words and figures."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scratchnet.data.class_labels import class_labels_of
from scratchnet.errors import ConfigError, DataError
from scratchnet.terminal.command_line import printable
from scratchnet.terminal.invocation import command
from scratchnet.terminal.text_table import wrapped
from scratchnet.training.checkpoint import Progress, read_about
from scratchnet.training.config import PRESETS, Config
from scratchnet.training.options import settings_table
from scratchnet.training.run import read_table
from scratchnet.training.selection import best_epoch, watched_side
from scratchnet.use.network import alone
from scratchnet.use.predictor import ALONE, network_of, weights_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "what", metavar="WHAT", help=f"a run's folder, a file of weights, or a preset: {', '.join(PRESETS)}"
    )


def run(options: argparse.Namespace) -> int:
    """Prints the summary."""
    path = Path(options.what)
    if path.exists():
        print("\n".join(_of_run(path)))
    elif options.what in PRESETS:
        print("\n".join(_of_preset(options.what)))
    else:
        raise ConfigError(
            f"{options.what}: neither a run's folder nor a file of weights nor one of the presets {', '.join(PRESETS)}"
        )
    return 0


def _of_preset(name: str) -> list[str]:
    config = asdict(Config(**PRESETS[name]))
    network = _network({"config": config, "class_names": ["all", "hem"]})
    return [f"preset    {name}", "", *network, "", *settings_table(config)]


def _of_run(path: Path) -> list[str]:
    file = weights_file(path)
    about, progress = read_about(file)
    if ALONE in about:
        return _alone(file, about)
    try:
        facts = [
            f"{'run' if path.is_dir() else 'file':<9} {path}",
            *(_progress(path, about, progress) if path.is_dir() else []),
            *([f"data      {about['data']}"] if about.get("data") else []),
            f"classes   {', '.join(_classes(about))}",
            f"pixels    {_pixels(about['pixel_scaling'])}",
            *([f"command   {about['command']}"] if about.get("command") else []),
            *([f"made by   {_versions(about['versions'])}"] if about.get("versions") else []),
        ]
        lines = [
            *(line for fact in facts for line in _fitted(fact)),
            "",
            *_network(about, weights=file.stat().st_size // 4),
            "",
            *settings_table(about["config"]),
        ]
        return [*lines, "", *_files(path)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{file}: what it or metrics.csv say cannot be understood: {error}") from error


def _alone(file: Path, about: dict[str, Any]) -> list[str]:
    """A network alone, without classes, images and settings."""
    network = alone(file, about, file.stat().st_size // 4)
    facts = [f"file      {file}", "holds     a network alone, as net.save writes it: net = scratchnet.load(FILE)"]
    lines = [line for fact in facts for line in _fitted(fact)]
    shape = " × ".join(map(str, network.input_shape or ()))
    lines += ["", f"network   of {shape}, {network.dtype}", *network.summary_table().splitlines()]
    return [*lines, "", *_files(file)]


def _progress(folder: Path, about: dict[str, Any], progress: Progress | None) -> list[str]:
    """How far the run is, and how good its last and its best epoch were, from metrics.csv."""
    rows = read_table(folder / "metrics.csv")
    more = f", and {progress.batches_done} batches of the next" if progress and progress.batches_done else ""
    asked = about["config"]["epochs"]
    lines = [f"epochs    {len(rows)} of {asked} done{more}"]
    if progress is not None:
        lines.append(f"          training has not ended: {command('train', '--resume', folder)}")
    if rows:
        metric = about["config"]["best_metric"]
        best = rows[best_epoch(rows, metric) - 1]
        lines += [f"  last    {_epoch(rows[-1])}", f"  best    {_epoch(best)}"]
        lines.append(f"          by {metric} of the {watched_side(best)} side")
    return lines


def _epoch(row: dict[str, float]) -> str:
    losses = ", ".join(f"{name.replace('_', ' ')} {row[name]:.4f}" for name in row if name.endswith("_loss"))
    return (
        f"epoch {row['epoch']:.0f}: {losses}, "
        f"test accuracy {row['test_accuracy']:.1%}, balanced {row['test_balanced_accuracy']:.1%}"
    )


def _fitted(fact: str) -> list[str]:
    """A fact in lines that fit the terminal; a command stays in one line, so that it can be copied."""
    copied = fact.startswith("command ") or "training has not ended" in fact
    return [printable(fact)] if copied else wrapped(fact, indent=" " * 10)


def _classes(about: dict[str, Any]) -> list[str]:
    """The classes, each with its label, if it has one."""
    labels = class_labels_of(about)
    return [f"{name} = {labels[name]}" if name in labels else name for name in about["class_names"]]


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _pixels(scaling: dict[str, Any]) -> str:
    if scaling["kind"] == "unit":
        return "x / 255"
    mean, std = (", ".join(f"{value:.3f}" for value in scaling[name]) for name in ("mean", "std"))
    return f"(x / 255 − mean) / std, mean {mean}, std {std} (red, green, blue)"


def _network(about: dict[str, Any], weights: int | None = None) -> list[str]:
    config, network = about["config"], network_of(about, weights=weights)
    return [f"network   {config['model']}, {config['dtype']}", *network.summary_table().splitlines()]


def _files(path: Path) -> list[str]:
    """The files with their sizes."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    sizes = [f"{file.stat().st_size:,}" for file in files]
    width = max(map(len, sizes))
    base = path if path.is_dir() else path.parent
    names = [file.relative_to(base).as_posix() for file in files]
    return [
        "size in bytes",
        *(f"  {size:>{width}}  {printable(name)}" for size, name in zip(sizes, names, strict=True)),
    ]
